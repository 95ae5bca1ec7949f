# Products with few rows, for gemm.pyx.

from .arrays cimport real

cdef void multiply_thin(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth, const real* a__mk, Py_ssize_t step_a,
                        const real* b__nk, Py_ssize_t step_b, const real* bias, Py_ssize_t bias_i, Py_ssize_t bias_j,
                        real* c__mn, Py_ssize_t step_i, Py_ssize_t step_j) noexcept nogil
