# Products with few rows, for gemm.pyx.

from .arrays cimport real
from .gemm cimport Plan

cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { MANY_FLOAT = 4, MANY_DOUBLE = 2 };
    #else
    enum { MANY_FLOAT = 1, MANY_DOUBLE = 1 };
    #endif
    """
    enum:
        MANY_FLOAT
        MANY_DOUBLE


cdef inline Py_ssize_t many_rows(const real* _) noexcept nogil:
    """Rows of A taken at a time: as many as there are registers for."""
    return MANY_FLOAT if real is float else MANY_DOUBLE


cdef void multiply_thin(const Plan* p, const real* _) noexcept nogil
