# The planes that a sweep reads.

from .arrays cimport real
from .sweep cimport Sweep


cdef void stage(Sweep* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row, Py_ssize_t rows,
                real* planes) noexcept nogil
