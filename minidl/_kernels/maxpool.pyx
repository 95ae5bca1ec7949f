"""Max pooling: the largest pixel of every window with its place, and what the gradient scatters back there.

Windows are described by two tables, see windows.pxd. Two kinds that lie at equal distances have kernels of their own,
which work on many windows at once: 2x2 windows side by side, which need no tables, and all others.

The place of a pixel is its index h*W + w in 32 bits, half of what a wider one would cost to keep until the gradient.

Shapes: p planes (samples times channels), h, w their size, oh, ow the size of the output. Threads share out planes.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from minidl.errors import ShapeError

from .arrays cimport empty, first, indices, larger, ready, real, smaller
from .threads cimport threads_for
from .windows cimport Axis, Slide, adaptive_axis, reach, sliding_axis

cnp.import_array()

cdef enum:
    STRIP = 256                  # windows worked on at a time
    CHUNK = 16                   # pixels copied at a time
    COST = 600                   # nanoseconds for a thousand input pixels
    SCATTER_COST = 700
    MOST_PIXELS = 0x7fffffff     # of an image: an index has 32 bits

ctypedef fused place:
    int32_t
    int64_t


cdef void max_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, real* y, int32_t* index) noexcept nogil:
    """Window by window, for windows of any kind."""
    cdef Py_ssize_t oh, ow, i, j, at, best_at, out = 0
    cdef real best, v
    for oh in range(rows.size):
        for ow in range(columns.size):
            best_at = rows.start[oh] * w + columns.start[ow]
            best = x__hw[best_at]
            for i in range(rows.count[oh]):
                at = (rows.start[oh] + i * rows.step) * w + columns.start[ow]
                for j in range(columns.count[ow]):
                    v = x__hw[at]
                    if v > best or v != v:               # the first maximum wins, and NaN beats everything
                        best = v
                        best_at = at
                    at += columns.step
            y[out] = best
            index[out] = <int32_t>best_at
            out += 1


cdef inline void offer(const real* x, Py_ssize_t stride, int32_t at, Py_ssize_t n, real* best,
                       int32_t* best_at) noexcept nogil:
    """Offer x[j * stride], whose index is at + j * stride, to window j. Selections, no branch: a vector loop."""
    cdef Py_ssize_t j
    cdef real v
    for j in range(n):
        v = x[j * stride]
        best_at[j] = at + <int32_t>(j * stride) if (v > best[j]) | (v != v) else best_at[j]
        best[j] = v if (v > best[j]) | (v != v) else best[j]


cdef void max_plane_by_rows(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, Slide slide, real* y,
                            int32_t* index) noexcept nogil:
    """Windows at equal distances: each pixel of the window is offered to a whole strip of windows at once."""
    cdef Py_ssize_t oh, i, j, begin, n, first_, last, at, row
    for oh in range(rows.size):
        begin = 0
        while begin < columns.size:
            n = smaller(STRIP, columns.size - begin)
            for j in range(n):
                y[j] = <real>-1e999
                index[j] = <int32_t>(rows.start[oh] * w + columns.start[begin + j])
            for i in range(rows.count[oh]):
                row = (rows.start[oh] + i * rows.step) * w
                for j in range(slide.kernel):
                    first_ = begin
                    last = begin + n
                    at = row + reach(slide, j, w, &first_, &last) + first_ * slide.stride
                    if first_ >= last:
                        continue
                    if slide.stride == 1:
                        offer(x__hw + at, 1, <int32_t>at, last - first_, y + first_ - begin, index + first_ - begin)
                    elif slide.stride == 2:
                        offer(x__hw + at, 2, <int32_t>at, last - first_, y + first_ - begin, index + first_ - begin)
                    else:
                        offer(x__hw + at, slide.stride, <int32_t>at, last - first_, y + first_ - begin,
                              index + first_ - begin)
            y += n
            index += n
            begin += STRIP


cdef inline void line_up(const real* row, Py_ssize_t n, bint whole, real* strip) noexcept nogil:
    """Copy n pixels. Unless they are the last of the array, in whole chunks: what comes after is overwritten later."""
    cdef Py_ssize_t j, k
    if whole:
        for j in range((n + CHUNK - 1) // CHUNK):
            for k in range(CHUNK):
                strip[j * CHUNK + k] = row[j * CHUNK + k]
    else:
        for j in range(n):
            strip[j] = row[j]


cdef void max_plane_2x2(const real* x__hw, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t room,
                        const int32_t* corner, real* y, int32_t* index) noexcept nogil:
    """2x2 windows side by side, the commonest pooling: a long loop of selections without a branch.

    Rows are often too short for vectors, so the upper rows of several windows are lined up in one strip, the lower rows
    in another; several small planes, one above the other, are one plane.
    `corner` is the index of each window's first pixel; `room` is how many pixels the array holds from x on.
    """
    cdef real top[2 * STRIP + CHUNK]
    cdef real bottom[2 * STRIP + CHUNK]
    cdef int32_t at, below = <int32_t>w
    cdef Py_ssize_t together = larger(1, STRIP // ow), i, j, n, begin, count, start
    cdef bint whole
    cdef real best, v
    i = 0
    while i < oh:
        begin = 0
        while begin < ow:
            n = smaller(STRIP, ow - begin)
            count = smaller(together, oh - i)
            for j in range(count):
                start = 2 * (i + j) * w + 2 * begin
                whole = start + w + 2 * n + CHUNK <= room
                line_up(x__hw + start, 2 * n, whole, top + 2 * n * j)
                line_up(x__hw + start + w, 2 * n, whole, bottom + 2 * n * j)
            n *= count
            for j in range(n):
                best = top[2 * j]
                v = top[2 * j + 1]
                at = 1 if (v > best) | (v != v) else 0
                best = v if (v > best) | (v != v) else best
                v = bottom[2 * j]
                at = below if (v > best) | (v != v) else at
                best = v if (v > best) | (v != v) else best
                v = bottom[2 * j + 1]
                at = below + 1 if (v > best) | (v != v) else at
                best = v if (v > best) | (v != v) else best
                y[j] = best
                index[j] = corner[j] + at
            y += n
            index += n
            corner += n
            begin += STRIP
        i += together


cdef inline Py_ssize_t stacked(Py_ssize_t h, Axis rows, Axis columns) noexcept nogil:
    """How many planes are one for `max_plane_2x2`: they fill a strip, if no row is left over between them."""
    return larger(1, STRIP // larger(1, rows.size * columns.size)) if h == 2 * rows.size else 1


cdef void max_all(const real* x__phw, Py_ssize_t p, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns,
                  Slide slide, const int32_t* corner, real* y, int32_t* index, int threads) noexcept nogil:
    cdef Py_ssize_t k, out = rows.size * columns.size, stack = stacked(h, rows, columns)
    if corner != NULL:
        for k in prange(0, p, stack, num_threads=threads, schedule="static"):
            max_plane_2x2(x__phw + k * h * w, w, smaller(stack, p - k) * rows.size, columns.size, (p - k) * h * w, corner,
                          y + k * out, index + k * out)
        return
    for k in prange(p, num_threads=threads, schedule="static"):
        if slide.kernel > 0:
            max_plane_by_rows(x__phw + k * h * w, w, rows, columns, slide, y + k * out, index + k * out)
        else:
            max_plane(x__phw + k * h * w, w, rows, columns, y + k * out, index + k * out)


cdef tuple max_windows(cnp.ndarray x, Axis rows, Axis columns, Slide slide, const int32_t* corner):
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), rows.size, columns.size]
    cdef cnp.ndarray y = empty(4, shape, cnp.PyArray_TYPE(x)), index = empty(4, shape, cnp.NPY_INT32)
    cdef Py_ssize_t p = shape[0] * shape[1], h = cnp.PyArray_DIM(x, 2), w = cnp.PyArray_DIM(x, 3)
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef int32_t* indexp = <int32_t*>cnp.PyArray_DATA(index)
    cdef int threads = threads_for(p * h * w * COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
            max_all(<float*>xp, p, h, w, rows, columns, slide, corner, <float*>yp, indexp, threads)
        else:
            max_all(<double*>xp, p, h, w, rows, columns, slide, corner, <double*>yp, indexp, threads)
    return y, index


cdef int32_t* corners(Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns) except NULL:
    """The index of the first pixel of each 2x2 window, for as many planes as are stacked."""
    cdef Py_ssize_t stack = stacked(h, rows, columns), i, j
    cdef int32_t* corner = <int32_t*>malloc(larger(1, stack * rows.size * columns.size) * sizeof(int32_t))
    if corner == NULL:
        raise MemoryError("max_pool2d")
    for i in range(stack * rows.size):
        for j in range(columns.size):
            corner[i * columns.size + j] = <int32_t>(2 * (i % rows.size) * w + 2 * j)
    return corner


def max_pool2d(x, size, kernel_size, stride, padding, dilation):
    """`size` is the output size (OH, OW); returns the values and their flat indices, or None for too many pixels."""
    cdef cnp.ndarray x_ = first(x, 4, "max_pool2d")
    cdef Py_ssize_t h = cnp.PyArray_DIM(x_, 2), w = cnp.PyArray_DIM(x_, 3)
    if h * w > MOST_PIXELS:
        return None
    cdef Py_ssize_t oh, ow, kh, kw, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w
    oh, ow = size
    kh, kw = kernel_size
    stride_h, stride_w = stride
    pad_h, pad_w = padding
    dilation_h, dilation_w = dilation
    cdef Axis rows = Axis(size=oh, start=NULL, count=NULL, divisor=NULL, step=1)
    cdef Axis columns = Axis(size=ow, start=NULL, count=NULL, divisor=NULL, step=1)
    cdef int32_t* corner = NULL
    cdef Slide slide = Slide(kw, stride_w, pad_w, dilation_w)
    try:
        if kh == kw == stride_h == stride_w == 2 and pad_h == pad_w == 0 and dilation_h == dilation_w == 1 \
                and 0 < oh <= h // 2 and 0 < ow <= w // 2:
            corner = corners(h, w, rows, columns)
        else:
            sliding_axis(&rows, h, oh, kh, stride_h, pad_h, dilation_h, False, "max_pool2d")
            sliding_axis(&columns, w, ow, kw, stride_w, pad_w, dilation_w, False, "max_pool2d")
            if ow < 4 or kw > w:
                slide.kernel = 0      # too few side by side, or windows that are mostly padding
        return max_windows(x_, rows, columns, slide, corner)
    finally:
        free(corner)
        free(rows.start)
        free(columns.start)


def adaptive_max_pool2d(x, size):
    cdef cnp.ndarray x_ = first(x, 4, "adaptive_max_pool2d")
    if cnp.PyArray_DIM(x_, 2) * cnp.PyArray_DIM(x_, 3) > MOST_PIXELS:
        return None
    cdef Axis rows, columns
    rows.start = columns.start = NULL
    try:
        adaptive_axis(&rows, cnp.PyArray_DIM(x_, 2), size[0], "adaptive_max_pool2d")
        adaptive_axis(&columns, cnp.PyArray_DIM(x_, 3), size[1], "adaptive_max_pool2d")
        return max_windows(x_, rows, columns, Slide(0, 0, 0, 0), NULL)
    finally:
        free(rows.start)
        free(columns.start)


# ---------------------------------------------------------------- scattering to the indices, taking from them

cdef bint scatter_plane(const real* g, const place* index, real* dx__hw, Py_ssize_t hw, Py_ssize_t n) noexcept nogil:
    """Whether every index was inside; those outside are skipped."""
    cdef Py_ssize_t i
    cdef bint good = True
    memset(dx__hw, 0, hw * sizeof(real))
    for i in range(n):
        if 0 <= index[i] < hw:
            dx__hw[index[i]] += g[i]
        else:
            good = False
    return good


cdef bint take_plane(const real* x__hw, const place* index, real* y, Py_ssize_t hw, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(n):
        if 0 <= index[i] < hw:
            y[i] = x__hw[index[i]]
        else:
            good = False
    return good


cdef Py_ssize_t scatter_all(const real* g, const place* index, real* dx, Py_ssize_t p, Py_ssize_t hw, Py_ssize_t n,
                            int threads) noexcept nogil:
    cdef Py_ssize_t k, bad = 0
    for k in prange(p, num_threads=threads, schedule="static"):
        bad += 1 - scatter_plane(g + k * n, index + k * n, dx + k * hw, hw, n)
    return bad


cdef Py_ssize_t take_all(const real* x, const place* index, real* y, Py_ssize_t p, Py_ssize_t hw, Py_ssize_t n,
                         int threads) noexcept nogil:
    cdef Py_ssize_t k, bad = 0
    for k in prange(p, num_threads=threads, schedule="static"):
        bad += 1 - take_plane(x + k * hw, index + k * n, y + k * n, hw, n)
    return bad


cdef int same_planes(cnp.ndarray a, cnp.ndarray b, bint whole, str where) except -1:
    cdef int d
    for d in range(4):
        if cnp.PyArray_NDIM(b) != 4 or ((whole or d < 2) and cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d)):
            raise ShapeError(where, expected="values and indices of the same planes",
                             actual=f"{(<object>a).shape} and {(<object>b).shape}",
                             hint="pass the indices of max_pool2d")
    return 0


cdef cnp.ndarray places(object index, str where):
    """Indices as int32 where they are that already, else as int64."""
    cdef bint short = cnp.PyArray_Check(index) and cnp.PyArray_TYPE(<cnp.ndarray>index) == cnp.NPY_INT32
    return ready(index, cnp.NPY_INT32) if short else indices(index, where)


def max_pool2d_grad(grad, index, input_size):
    cdef cnp.ndarray g = first(grad, 4, "max_pool2d_grad"), index_ = places(index, "max_pool2d_grad")
    same_planes(g, index_, True, "max_pool2d_grad")
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(g, 0), cnp.PyArray_DIM(g, 1), input_size[0], input_size[1]]
    cdef cnp.ndarray dx = empty(4, shape, cnp.PyArray_TYPE(g))
    cdef Py_ssize_t p = shape[0] * shape[1], hw = shape[2] * shape[3], bad
    cdef Py_ssize_t n = cnp.PyArray_DIM(g, 2) * cnp.PyArray_DIM(g, 3)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef void* indexp = cnp.PyArray_DATA(index_)
    cdef bint short = cnp.PyArray_TYPE(index_) == cnp.NPY_INT32
    cdef int threads = threads_for(p * (n + hw // 4) * SCATTER_COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT:
            if short:
                bad = scatter_all(<float*>gp, <int32_t*>indexp, <float*>dxp, p, hw, n, threads)
            else:
                bad = scatter_all(<float*>gp, <int64_t*>indexp, <float*>dxp, p, hw, n, threads)
        elif short:
            bad = scatter_all(<double*>gp, <int32_t*>indexp, <double*>dxp, p, hw, n, threads)
        else:
            bad = scatter_all(<double*>gp, <int64_t*>indexp, <double*>dxp, p, hw, n, threads)
    if bad:
        raise IndexError(f"max_pool2d_grad: an index lies outside the image of {shape[2]} by {shape[3]} pixels")
    return dx


def max_pool2d_take(x, index):
    cdef cnp.ndarray x_ = first(x, 4, "max_pool2d_take"), index_ = places(index, "max_pool2d_take")
    same_planes(x_, index_, False, "max_pool2d_take")
    cdef cnp.ndarray y = empty(4, cnp.PyArray_DIMS(index_), cnp.PyArray_TYPE(x_))
    cdef Py_ssize_t p = cnp.PyArray_DIM(x_, 0) * cnp.PyArray_DIM(x_, 1), bad
    cdef Py_ssize_t hw = cnp.PyArray_DIM(x_, 2) * cnp.PyArray_DIM(x_, 3)
    cdef Py_ssize_t n = cnp.PyArray_DIM(index_, 2) * cnp.PyArray_DIM(index_, 3)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef void* indexp = cnp.PyArray_DATA(index_)
    cdef bint short = cnp.PyArray_TYPE(index_) == cnp.NPY_INT32
    cdef int threads = threads_for(p * n * SCATTER_COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(x_) == cnp.NPY_FLOAT:
            if short:
                bad = take_all(<float*>xp, <int32_t*>indexp, <float*>yp, p, hw, n, threads)
            else:
                bad = take_all(<float*>xp, <int64_t*>indexp, <float*>yp, p, hw, n, threads)
        elif short:
            bad = take_all(<double*>xp, <int32_t*>indexp, <double*>yp, p, hw, n, threads)
        else:
            bad = take_all(<double*>xp, <int64_t*>indexp, <double*>yp, p, hw, n, threads)
    if bad:
        raise IndexError("max_pool2d_take: an index lies outside the image")
    return y
