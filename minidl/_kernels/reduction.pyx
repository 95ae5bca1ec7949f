"""Sums over axes: a gradient's sum over the batch, a bias's over batch and pixels, a loss's over everything.

The axes that are kept must be neighbours; then the array is (A, B, C) and the result y[b] = sum over a and c:

    C = 1    sum over rows (A, B): blocks of rows and tiles of columns, each a running row of sums
    B = 1    sum of everything: blocks of elements
    else     one channel b after the other, its A pieces of C neighbours

Short stretches are added in the type of the array, their sums in double. Blocks are of fixed size and their sums are
added in order, so the result does not depend on the number of threads.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport calloc, free

from .arrays cimport PyArray_ISCARRAY_RO, empty, is_real, larger, real, smaller
from .reduce cimport total
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    STRETCH = 2048               # elements added in single precision before their sum goes to double
    BLOCK = 16384                # elements of a task
    TILE = 512                   # columns worked on at a time
    RUN = 128                    # rows added in single precision before their sum goes to double
    PARTS = 16                   # that a sum over rows is cut into, at most


cdef inline double long_total(const real* x, Py_ssize_t n) noexcept nogil:
    cdef double s = 0
    cdef Py_ssize_t start = 0
    while start < n:
        s += total(x + start, smaller(STRETCH, n - start))
        start += STRETCH
    return s


cdef void sum_tile(const real* x, double* sums, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t n) noexcept nogil:
    """sums[j] = sum of x[i, j] over the rows, for n columns (TILE at most) of an array that is `width` wide."""
    cdef real running[TILE]
    cdef Py_ssize_t i, j, start = 0, stop
    for j in range(n):
        sums[j] = 0
    while start < rows:
        stop = smaller(rows, start + RUN)
        for j in range(n):
            running[j] = 0
        for i in range(start, stop - 3, 4):
            for j in range(n):
                running[j] += (x[i * width + j] + x[(i + 1) * width + j]) \
                    + (x[(i + 2) * width + j] + x[(i + 3) * width + j])
        for i in range(stop - (stop - start) % 4, stop):
            for j in range(n):
                running[j] += x[i * width + j]
        for j in range(n):
            sums[j] += running[j]
        start = stop


cdef inline void collect(const double* parts, real* y, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """y[j] = sum of parts[i, j] over i, in order"""
    cdef Py_ssize_t i, j
    cdef double s
    for j in range(width):
        s = 0
        for i in range(count):
            s += parts[i * width + j]
        y[j] = <real>s


cdef void sum_rows(const real* x, real* y, double* parts, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t per_block,
                   Py_ssize_t blocks) noexcept nogil:
    cdef Py_ssize_t tiles = (width + TILE - 1) // TILE, task, i, j
    for task in prange(tiles * blocks, num_threads=threads_for(rows * width // 10), schedule="static"):
        i = task // tiles
        j = task % tiles * TILE
        sum_tile(x + i * per_block * width + j, parts + i * width + j, smaller(per_block, rows - i * per_block), width,
                 smaller(TILE, width - j))
    collect(parts, y, blocks, width)


cdef void sum_all(const real* x, real* y, double* parts, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t blocks = (n + BLOCK - 1) // BLOCK, i
    for i in prange(blocks, num_threads=threads_for(n // 16), schedule="static"):
        parts[i] = long_total(x + i * BLOCK, smaller(BLOCK, n - i * BLOCK))
    collect(parts, y, blocks, 1)


cdef inline double channel(const real* x, Py_ssize_t a, Py_ssize_t stride, Py_ssize_t c) noexcept nogil:
    cdef double s = 0
    cdef Py_ssize_t i
    for i in range(a):
        s += long_total(x, c)
        x += stride
    return s


cdef void sum_channels(const real* x, real* y, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t j
    for j in prange(b, num_threads=threads_for(a * b * (c + 32) // 12), schedule="static"):
        y[j] = <real>channel(x + j * c, a, b * c, c)


cdef run(const real* x, real* y, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c):
    # The parts of a sum over rows: few where there are many columns, which are shared out, too.
    cdef Py_ssize_t per_block = larger(RUN, (a + PARTS - 1) // PARTS) if b < PARTS * TILE else a
    cdef Py_ssize_t blocks = (a * c) // BLOCK + 1 if b == 1 else (a + per_block - 1) // larger(1, per_block)
    cdef double* parts
    if b != 1 and c != 1:
        with nogil:
            sum_channels(x, y, a, b, c)
        return
    parts = <double*>calloc(larger(1, blocks * b), sizeof(double))
    try:
        if parts == NULL:
            raise MemoryError("sum: no memory for the sums of the blocks")
        with nogil:
            if b == 1:
                sum_all(x, y, parts, a * c)
            else:
                sum_rows(x, y, parts, a, b, per_block, blocks)
    finally:
        free(parts)


def sum_around(x, int first, int last):
    """Sum over every axis before `first` and from `last` on; the axes between them are kept.

    Returns an array of shape ``x.shape[first:last]``, or None if x is not of a type the kernels know, or would have
    to be copied first: NumPy takes it as it is.
    """
    if not is_real(x) or not PyArray_ISCARRAY_RO(<cnp.ndarray>x):
        return None
    if not 0 <= first <= last <= cnp.PyArray_NDIM(<cnp.ndarray>x):
        raise ValueError(f"sum_around: expected 0 <= first <= last <= {x.ndim}, got {first} and {last}")
    return sum_kept(<cnp.ndarray>x, first, last)


cdef cnp.ndarray sum_kept(cnp.ndarray x, int first, int last):
    """The sum of a C-contiguous float array over all axes but first..last."""
    cdef int i
    cdef Py_ssize_t a = 1, b = 1, c = 1
    for i in range(cnp.PyArray_NDIM(x)):
        if i < first:
            a *= cnp.PyArray_DIM(x, i)
        elif i < last:
            b *= cnp.PyArray_DIM(x, i)
        else:
            c *= cnp.PyArray_DIM(x, i)
    cdef cnp.ndarray y = empty(last - first, cnp.PyArray_DIMS(x) + first, cnp.PyArray_TYPE(x))
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        run(<const float*>cnp.PyArray_DATA(x), <float*>cnp.PyArray_DATA(y), a, b, c)
    else:
        run(<const double*>cnp.PyArray_DATA(x), <double*>cnp.PyArray_DATA(y), a, b, c)
    return y
