"""Pooling: the largest or the mean pixel of every window, and what the gradients scatter back.

A window is the product of two intervals, so two tables describe all windows: for each output row the first input row
of its window and how many rows lie inside the image, and the same for columns. They are made once a call. Pooling by
kernel, stride and padding and adaptive pooling differ in nothing else.

Shapes: p planes (samples times channels), h, w their size, oh, ow the size of the output. Threads share out planes.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from minidl.errors import ShapeError

from .arrays cimport empty, first, indices, larger, real, smaller
from .reduce cimport total
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    STRIP = 256                  # output columns of a 2x2 pooling worked on at a time
    MAX_COST = 600               # nanoseconds for a thousand input pixels
    MEAN_COST = 400
    SCATTER_COST = 700


cdef struct Axis:
    Py_ssize_t size              # windows along this axis
    Py_ssize_t step              # distance of two pixels of a window (the dilation)
    Py_ssize_t* start            # first pixel inside the image
    Py_ssize_t* count            # how many pixels inside the image
    Py_ssize_t* divisor          # how many an average counts


cdef struct Slide:
    Py_ssize_t kernel, stride, padding, dilation         # of the columns; kernel 0: not that kind of window


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


# ---------------------------------------------------------------- maximum

cdef void max_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, real* y, int64_t* index) noexcept nogil:
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
            index[out] = best_at
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
                            int64_t* index) noexcept nogil:
    """Windows at equal distances: each pixel of the window is offered to a whole strip of windows at once."""
    cdef int32_t best_at[STRIP]
    cdef Py_ssize_t oh, i, j, begin, n, first_, last, at, row, shift
    for oh in range(rows.size):
        begin = 0
        while begin < columns.size:
            n = smaller(STRIP, columns.size - begin)
            for j in range(n):
                y[j] = <real>-1e999
                best_at[j] = <int32_t>(rows.start[oh] * w + columns.start[begin + j])
            for i in range(rows.count[oh]):
                row = (rows.start[oh] + i * rows.step) * w
                for j in range(slide.kernel):
                    # pixel j of window k lies in column k * stride + shift: which windows have it in the image?
                    shift = j * slide.dilation - slide.padding
                    first_ = larger(begin, (-shift + slide.stride - 1) // slide.stride if shift < 0 else 0)
                    last = smaller(begin + n, (w - shift + slide.stride - 1) // slide.stride if shift < w else 0)
                    if first_ >= last:
                        continue
                    at = row + first_ * slide.stride + shift
                    if slide.stride == 1:
                        offer(x__hw + at, 1, <int32_t>at, last - first_, y + first_ - begin, best_at + first_ - begin)
                    elif slide.stride == 2:
                        offer(x__hw + at, 2, <int32_t>at, last - first_, y + first_ - begin, best_at + first_ - begin)
                    else:
                        offer(x__hw + at, slide.stride, <int32_t>at, last - first_, y + first_ - begin,
                              best_at + first_ - begin)
            for j in range(n):
                index[j] = best_at[j]
            y += n
            index += n
            begin += STRIP


cdef void max_plane_2x2(const real* x__hw, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, real* y,
                        int64_t* index) noexcept nogil:
    """`max_plane` for 2x2 windows side by side, as selections without a branch: the commonest pooling, vectorised."""
    cdef int32_t offset[STRIP]
    cdef int32_t at, below = <int32_t>w
    cdef Py_ssize_t i, j, begin, n
    cdef const real* top
    cdef const real* bottom
    cdef real best, v
    for i in range(oh):
        begin = 0
        while begin < ow:
            n = smaller(STRIP, ow - begin)
            top = x__hw + 2 * i * w + 2 * begin
            bottom = top + w
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
                offset[j] = at
            for j in range(n):
                index[j] = (2 * i * w + 2 * begin) + 2 * j + offset[j]
            y += n
            index += n
            begin += STRIP


cdef void max_all(const real* x__phw, Py_ssize_t p, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns,
                  Slide slide, bint is_2x2, real* y, int64_t* index, int threads) noexcept nogil:
    cdef Py_ssize_t k, out = rows.size * columns.size
    for k in prange(p, num_threads=threads, schedule="static"):
        if is_2x2:
            max_plane_2x2(x__phw + k * h * w, w, rows.size, columns.size, y + k * out, index + k * out)
        elif slide.kernel > 0:
            max_plane_by_rows(x__phw + k * h * w, w, rows, columns, slide, y + k * out, index + k * out)
        else:
            max_plane(x__phw + k * h * w, w, rows, columns, y + k * out, index + k * out)


cdef tuple max_windows(cnp.ndarray x, Axis rows, Axis columns, Slide slide, bint is_2x2):
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), rows.size, columns.size]
    cdef cnp.ndarray y = empty(4, shape, cnp.PyArray_TYPE(x)), index = empty(4, shape, cnp.NPY_INT64)
    cdef Py_ssize_t p = shape[0] * shape[1], h = cnp.PyArray_DIM(x, 2), w = cnp.PyArray_DIM(x, 3)
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef int64_t* indexp = <int64_t*>cnp.PyArray_DATA(index)
    cdef int threads = threads_for(p * h * w * MAX_COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
            max_all(<float*>xp, p, h, w, rows, columns, slide, is_2x2, <float*>yp, indexp, threads)
        else:
            max_all(<double*>xp, p, h, w, rows, columns, slide, is_2x2, <double*>yp, indexp, threads)
    return y, index


def max_pool2d(x, size, kernel_size, stride, padding, dilation):
    """`size` is the output size (OH, OW); returns the values and their flat indices."""
    cdef cnp.ndarray x_ = first(x, 4, "max_pool2d")
    cdef Py_ssize_t h = cnp.PyArray_DIM(x_, 2), w = cnp.PyArray_DIM(x_, 3)
    cdef Axis rows, columns
    cdef bint is_2x2 = (kernel_size == (2, 2) and stride == (2, 2) and padding == (0, 0) and dilation == (1, 1)
                        and 2 * size[0] <= h and 2 * size[1] <= w and w < 2 ** 30)
    cdef Slide slide = Slide(kernel_size[1], stride[1], padding[1], dilation[1])
    rows.start = columns.start = NULL
    try:
        sliding_axis(&rows, h, size[0], kernel_size[0], stride[0], padding[0], dilation[0], False, "max_pool2d")
        sliding_axis(&columns, w, size[1], kernel_size[1], stride[1], padding[1], dilation[1], False, "max_pool2d")
        if columns.size < 4 or h * w >= 2 ** 31 or kernel_size[1] > w:
            slide.kernel = 0      # too few side by side, too many for 32 bits, or windows that are mostly padding
        return max_windows(x_, rows, columns, slide, is_2x2)
    finally:
        free(rows.start)
        free(columns.start)


def adaptive_max_pool2d(x, size):
    cdef cnp.ndarray x_ = first(x, 4, "adaptive_max_pool2d")
    cdef Axis rows, columns
    rows.start = columns.start = NULL
    try:
        adaptive_axis(&rows, cnp.PyArray_DIM(x_, 2), size[0], "adaptive_max_pool2d")
        adaptive_axis(&columns, cnp.PyArray_DIM(x_, 3), size[1], "adaptive_max_pool2d")
        return max_windows(x_, rows, columns, Slide(0, 0, 0, 0), False)
    finally:
        free(rows.start)
        free(columns.start)


# ---------------------------------------------------------------- scattering to the indices, taking from them

cdef bint scatter_plane(const real* g, const int64_t* index, real* dx__hw, Py_ssize_t hw, Py_ssize_t n) noexcept nogil:
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


cdef bint take_plane(const real* x__hw, const int64_t* index, real* y, Py_ssize_t hw, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(n):
        if 0 <= index[i] < hw:
            y[i] = x__hw[index[i]]
        else:
            good = False
    return good


cdef Py_ssize_t scatter_all(const real* g, const int64_t* index, real* dx, Py_ssize_t p, Py_ssize_t hw, Py_ssize_t n,
                            int threads) noexcept nogil:
    cdef Py_ssize_t k, bad = 0
    for k in prange(p, num_threads=threads, schedule="static"):
        bad += 1 - scatter_plane(g + k * n, index + k * n, dx + k * hw, hw, n)
    return bad


cdef Py_ssize_t take_all(const real* x, const int64_t* index, real* y, Py_ssize_t p, Py_ssize_t hw, Py_ssize_t n,
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


def max_pool2d_grad(grad, index, input_size):
    cdef cnp.ndarray g = first(grad, 4, "max_pool2d_grad"), index_ = indices(index, "max_pool2d_grad")
    same_planes(g, index_, True, "max_pool2d_grad")
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(g, 0), cnp.PyArray_DIM(g, 1), input_size[0], input_size[1]]
    cdef cnp.ndarray dx = empty(4, shape, cnp.PyArray_TYPE(g))
    cdef Py_ssize_t p = shape[0] * shape[1], hw = shape[2] * shape[3], bad
    cdef Py_ssize_t n = cnp.PyArray_DIM(g, 2) * cnp.PyArray_DIM(g, 3)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef int64_t* indexp = <int64_t*>cnp.PyArray_DATA(index_)
    cdef int threads = threads_for(p * (n + hw // 4) * SCATTER_COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT:
            bad = scatter_all(<float*>gp, indexp, <float*>dxp, p, hw, n, threads)
        else:
            bad = scatter_all(<double*>gp, indexp, <double*>dxp, p, hw, n, threads)
    if bad:
        raise IndexError(f"max_pool2d_grad: an index lies outside the image of {shape[2]} by {shape[3]} pixels")
    return dx


def max_pool2d_take(x, index):
    cdef cnp.ndarray x_ = first(x, 4, "max_pool2d_take"), index_ = indices(index, "max_pool2d_take")
    same_planes(x_, index_, False, "max_pool2d_take")
    cdef cnp.ndarray y = empty(4, cnp.PyArray_DIMS(index_), cnp.PyArray_TYPE(x_))
    cdef Py_ssize_t p = cnp.PyArray_DIM(x_, 0) * cnp.PyArray_DIM(x_, 1), bad
    cdef Py_ssize_t hw = cnp.PyArray_DIM(x_, 2) * cnp.PyArray_DIM(x_, 3)
    cdef Py_ssize_t n = cnp.PyArray_DIM(index_, 2) * cnp.PyArray_DIM(index_, 3)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef int64_t* indexp = <int64_t*>cnp.PyArray_DATA(index_)
    cdef int threads = threads_for(p * n * SCATTER_COST // 1000)
    with nogil:
        if cnp.PyArray_TYPE(x_) == cnp.NPY_FLOAT:
            bad = take_all(<float*>xp, indexp, <float*>yp, p, hw, n, threads)
        else:
            bad = take_all(<double*>xp, indexp, <double*>yp, p, hw, n, threads)
    if bad:
        raise IndexError("max_pool2d_take: an index lies outside the image")
    return y


# ---------------------------------------------------------------- mean

cdef int mean_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, real* y, real* sums__w) noexcept nogil:
    """Add up the rows of a strip of windows, then the columns of each window."""
    cdef Py_ssize_t oh, ow, i, j
    cdef const real* row
    cdef real s
    if rows.size * columns.size == 1 and columns.count[0] == w and rows.count[0] * w <= 4096:
        y[0] = total(x__hw + rows.start[0] * w, rows.count[0] * w) / (<real>rows.divisor[0] * <real>columns.divisor[0])
        return 0                                             # one window, no gaps: the mean of a whole plane
    for oh in range(rows.size):
        row = x__hw + rows.start[oh] * w
        for j in range(w):
            sums__w[j] = row[j]
        for i in range(1, rows.count[oh]):
            row += w
            for j in range(w):
                sums__w[j] += row[j]
        for ow in range(columns.size):
            s = 0
            for j in range(columns.start[ow], columns.start[ow] + columns.count[ow]):
                s += sums__w[j]
            y[ow] = s / (<real>rows.divisor[oh] * <real>columns.divisor[ow])
        y += columns.size
    return 0


cdef int mean_grad_plane(const real* g, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, real* dx__hw,
                         real* shares__w) noexcept nogil:
    """The adjoint of `mean_plane`, step by step backwards."""
    cdef Py_ssize_t oh, ow, i, j
    cdef real* row
    cdef real share
    memset(dx__hw, 0, h * w * sizeof(real))
    for oh in range(rows.size):
        memset(shares__w, 0, w * sizeof(real))
        for ow in range(columns.size):
            share = g[ow] / (<real>rows.divisor[oh] * <real>columns.divisor[ow])
            for j in range(columns.start[ow], columns.start[ow] + columns.count[ow]):
                shares__w[j] += share
        row = dx__hw + rows.start[oh] * w
        for i in range(rows.count[oh]):
            for j in range(w):
                row[j] += shares__w[j]
            row += w
        g += columns.size
    return 0


cdef int mean_all(const real* source, real* target, Py_ssize_t p, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns,
                  bint backward, int threads) noexcept nogil:
    # Threads take fixed runs of planes, each with a row of sums of its own.
    cdef Py_ssize_t out = rows.size * columns.size, t, k, per = (p + threads - 1) // threads
    cdef real* sums__tw = <real*>malloc(larger(1, threads * w) * sizeof(real))
    if sums__tw == NULL:
        return -1
    for t in prange(threads, num_threads=threads, schedule="static"):
        for k in range(t * per, smaller(p, (t + 1) * per)):
            if backward:
                mean_grad_plane(source + k * out, h, w, rows, columns, target + k * h * w, sums__tw + t * w)
            else:
                mean_plane(source + k * h * w, w, rows, columns, target + k * out, sums__tw + t * w)
    free(sums__tw)
    return 0


cdef cnp.ndarray mean_windows(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, bint backward):
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(source, 0), cnp.PyArray_DIM(source, 1), rows.size, columns.size]
    if backward:
        shape[2] = h
        shape[3] = w
    cdef cnp.ndarray target = empty(4, shape, cnp.PyArray_TYPE(source))
    cdef Py_ssize_t p = shape[0] * shape[1]
    cdef void* sourcep = cnp.PyArray_DATA(source)
    cdef void* targetp = cnp.PyArray_DATA(target)
    cdef int threads = threads_for(p * (h * w + rows.size * columns.size) * MEAN_COST // 1000), status
    with nogil:
        if cnp.PyArray_TYPE(source) == cnp.NPY_FLOAT:
            status = mean_all(<float*>sourcep, <float*>targetp, p, h, w, rows, columns, backward, threads)
        else:
            status = mean_all(<double*>sourcep, <double*>targetp, p, h, w, rows, columns, backward, threads)
    if status != 0:
        raise MemoryError("avg_pool2d")
    return target


cdef cnp.ndarray sliding_mean(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, size, kernel_size, stride, padding,
                              bint include_pad, bint backward, str where):
    cdef Axis rows, columns
    rows.start = columns.start = NULL
    try:
        sliding_axis(&rows, h, size[0], kernel_size[0], stride[0], padding[0], 1, include_pad, where)
        sliding_axis(&columns, w, size[1], kernel_size[1], stride[1], padding[1], 1, include_pad, where)
        return mean_windows(source, h, w, rows, columns, backward)
    finally:
        free(rows.start)
        free(columns.start)


cdef cnp.ndarray adaptive_mean(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, size, bint backward, str where):
    cdef Axis rows, columns
    rows.start = columns.start = NULL
    try:
        adaptive_axis(&rows, h, size[0], where)
        adaptive_axis(&columns, w, size[1], where)
        return mean_windows(source, h, w, rows, columns, backward)
    finally:
        free(rows.start)
        free(columns.start)


def avg_pool2d(x, size, kernel_size, stride, padding, bint count_include_pad):
    """`size` is the output size (OH, OW)."""
    cdef cnp.ndarray x_ = first(x, 4, "avg_pool2d")
    return sliding_mean(x_, cnp.PyArray_DIM(x_, 2), cnp.PyArray_DIM(x_, 3), size, kernel_size, stride, padding,
                        count_include_pad, False, "avg_pool2d")


def avg_pool2d_grad(grad, input_size, kernel_size, stride, padding, bint count_include_pad):
    cdef cnp.ndarray g = first(grad, 4, "avg_pool2d_grad")
    return sliding_mean(g, input_size[0], input_size[1], (g.shape[2], g.shape[3]), kernel_size, stride, padding,
                        count_include_pad, True, "avg_pool2d_grad")


def adaptive_avg_pool2d(x, size):
    cdef cnp.ndarray x_ = first(x, 4, "adaptive_avg_pool2d")
    return adaptive_mean(x_, cnp.PyArray_DIM(x_, 2), cnp.PyArray_DIM(x_, 3), size, False, "adaptive_avg_pool2d")


def adaptive_avg_pool2d_grad(grad, input_size):
    cdef cnp.ndarray g = first(grad, 4, "adaptive_avg_pool2d_grad")
    return adaptive_mean(g, input_size[0], input_size[1], (g.shape[2], g.shape[3]), True, "adaptive_avg_pool2d_grad")
