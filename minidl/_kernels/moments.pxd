# Mean and variance that keep their digits even where the mean is much larger than the spread: a block of at most BLOCK
# numbers gets its own mean and its own sum of squared deviations, both while it lies in the first-level cache, and
# blocks are joined in double precision.

cimport numpy as cnp

from .arrays cimport real, smaller, vector
from .reduce cimport squares, total

cdef enum:
    BLOCK = 2048                 # numbers summed in working precision before double takes over


cdef struct Moments:
    double count, mean, squares              # squares: the sum of squared deviations from the mean


cdef inline void join(Moments* all_, double count, double mean, double squares_) noexcept nogil:
    """Add a block to the statistics. T. Chan, G. Golub, R. LeVeque, The American Statistician 37 (1983)."""
    cdef double n = all_.count + count, delta = mean - all_.mean
    all_.mean += delta * (count / n)
    all_.squares += squares_ + delta * delta * (all_.count * count / n)
    all_.count = n


cdef inline void join_row(Moments* all_, const real* x, Py_ssize_t n) noexcept nogil:
    """Add the numbers of a contiguous row to the statistics."""
    cdef Py_ssize_t start = 0, size
    cdef real mean
    while start < n:
        size = smaller(BLOCK, n - start)
        mean = total(x + start, size) / <real>size
        join(all_, size, mean, squares(x + start, mean, size))
        start += BLOCK


cdef inline void* data_or_null(cnp.ndarray x):
    return NULL if x is None else cnp.PyArray_DATA(x)


cdef inline cnp.ndarray optional(object x, cnp.ndarray model, Py_ssize_t length, str where):
    return None if x is None else vector(x, model, length, where)
