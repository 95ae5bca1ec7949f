# Rearranging matrices for the micro-kernel.

from .arrays cimport real

cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { SQUARE = 16 };
    #else
    enum { SQUARE = 8 };
    #endif
    """
    enum:
        SQUARE           # rows and columns that are transposed at a time, in registers or nearly so


cdef void transpose(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                    real* to__ki) noexcept nogil
cdef void pack(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, Py_ssize_t count, Py_ssize_t width,
               Py_ssize_t depth, real* packed) noexcept nogil
cdef void copy(Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t source_i, Py_ssize_t source_j,
               real* to, Py_ssize_t to_i, Py_ssize_t to_j) noexcept nogil
