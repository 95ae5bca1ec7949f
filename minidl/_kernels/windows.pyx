"""The tables that say where the windows of a pooling lie: by kernel, stride, padding and dilation, or adaptive.

They are made once a call. A window counts its pixels from the first one inside the image.
"""

from libc.stdlib cimport free, malloc

from minidl.errors import ShapeError

from .arrays cimport larger, smaller


cdef int new_axis(Axis* axis, Py_ssize_t size, str where) except -1:
    if size < 0 or size > 2 ** 31:
        raise ShapeError(where, expected="an output size of at least 0 and below 2**31", actual=str(size))
    axis.size = size
    axis.start = <Py_ssize_t*>malloc(larger(1, 3 * size) * sizeof(Py_ssize_t))
    if axis.start == NULL:
        raise MemoryError(where)
    axis.count = axis.start + size
    axis.divisor = axis.count + size
    return 0


cdef int sliding_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride,
                      Py_ssize_t padding, Py_ssize_t dilation, bint include_pad, str where) except -1:
    """Windows of `kernel` pixels, `stride` apart, over n pixels padded on both sides."""
    cdef Py_ssize_t i, begin, skipped, kept
    if kernel < 1 or stride < 1 or padding < 0 or dilation < 1:
        raise ShapeError(where, expected="kernel_size, stride and dilation of at least 1, padding of at least 0",
                         actual=f"{kernel}, {stride}, {dilation}, {padding}")
    new_axis(axis, size, where)
    axis.step = dilation
    for i in range(size):
        begin = i * stride - padding
        skipped = (-begin + dilation - 1) // dilation if begin < 0 else 0
        kept = smaller(kernel, (n - begin + dilation - 1) // dilation) - skipped
        if kept < 1:
            free(axis.start)
            axis.start = NULL
            raise ShapeError(where, expected="windows that meet the input",
                             actual=f"window {i} of {size} over {n} pixels",
                             hint="use a smaller dilation or less padding")
        axis.start[i] = begin + skipped * dilation
        axis.count[i] = kept
        axis.divisor[i] = smaller(begin + kernel, n + padding) - begin if include_pad else kept
    return 0


cdef int adaptive_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, str where) except -1:
    """`size` windows that cover n pixels."""
    cdef Py_ssize_t i
    if (size > 0 and n < 1) or n > 2 ** 31:
        raise ShapeError(where, expected="an input of at least one pixel, and at most 2**31", actual=str(n))
    new_axis(axis, size, where)
    axis.step = 1
    for i in range(size):
        axis.start[i] = i * n // size
        axis.count[i] = ((i + 1) * n + size - 1) // size - axis.start[i]
        axis.divisor[i] = axis.count[i]
    return 0
