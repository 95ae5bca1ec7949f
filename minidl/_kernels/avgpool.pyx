"""Average pooling: the mean pixel of every window, and its adjoint.

Windows are described by two tables, see windows.pxd. Rows are added up first, over the whole width and so in vector
code, then columns of that one row of sums. The adjoint runs the same two steps backwards.

Shapes: p planes (samples times channels), h, w their size, oh, ow the size of the output. Threads share out planes.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .arrays cimport empty, first, larger, real, smaller
from .reduce cimport total
from .threads cimport threads_for
from .windows cimport Axis, Slide, adaptive_axis, reach, sliding_axis

cnp.import_array()

cdef enum:
    TOGETHER = 64                # planes whose shares are divided together
    COST = 250                   # nanoseconds for a thousand pixels


cdef inline void add_columns(const real* sums__w, Py_ssize_t stride, Py_ssize_t n, real* y) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        y[j] += sums__w[j * stride]


cdef void mean_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, Slide slide, real* y, real* sums__w,
                     const real* divisor__ow) noexcept nogil:
    """Add up the rows of a strip of windows, then the columns of each window."""
    cdef Py_ssize_t oh, ow, i, j, begin, end, shift
    cdef const real* row
    cdef real s
    if rows.size * columns.size == 1 and columns.count[0] == w and rows.count[0] * w <= 4096:
        y[0] = total(x__hw + rows.start[0] * w, rows.count[0] * w) / (<real>rows.divisor[0] * divisor__ow[0])
        return                                               # one window, no gaps: the mean of a whole plane
    for oh in range(rows.size):
        row = x__hw + rows.start[oh] * w
        for j in range(w):
            sums__w[j] = row[j]
        for i in range(1, rows.count[oh]):
            row += w
            for j in range(w):
                sums__w[j] += row[j]
        if slide.kernel > 0:                                 # pixel j of all windows at once
            for ow in range(columns.size):
                y[ow] = 0
            for j in range(slide.kernel):
                begin = 0
                end = columns.size
                shift = reach(slide, j, w, &begin, &end)
                if slide.stride == 1:
                    add_columns(sums__w + begin + shift, 1, end - begin, y + begin)
                elif slide.stride == 2:
                    add_columns(sums__w + 2 * begin + shift, 2, end - begin, y + begin)
                else:
                    add_columns(sums__w + slide.stride * begin + shift, slide.stride, end - begin, y + begin)
        else:
            for ow in range(columns.size):
                s = 0
                for j in range(columns.start[ow], columns.start[ow] + columns.count[ow]):
                    s += sums__w[j]
                y[ow] = s
        for ow in range(columns.size):
            y[ow] /= <real>rows.divisor[oh] * divisor__ow[ow]
        y += columns.size


cdef void mean_grad_plane(const real* g, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, real* dx__hw,
                          real* sums__w, const real* divisor__ow, real* share__ow) noexcept nogil:
    """The adjoint of `mean_plane`, step by step backwards."""
    cdef Py_ssize_t oh, ow, i, j
    cdef real* row
    memset(dx__hw, 0, h * w * sizeof(real))
    for oh in range(rows.size):
        for ow in range(columns.size):
            share__ow[ow] = g[ow] / (<real>rows.divisor[oh] * divisor__ow[ow])
        memset(sums__w, 0, w * sizeof(real))
        for ow in range(columns.size):
            for j in range(columns.start[ow], columns.start[ow] + columns.count[ow]):
                sums__w[j] += share__ow[ow]
        row = dx__hw + rows.start[oh] * w
        for i in range(rows.count[oh]):
            for j in range(w):
                row[j] += sums__w[j]
            row += w
        g += columns.size


cdef void mean_grad_whole(const real* g__p, real divisor, real* dx__ps, Py_ssize_t p, Py_ssize_t s) noexcept nogil:
    """The adjoint where the one window is the plane: each of its s pixels gets the same share. A division takes longer
    than writing a small plane, so some planes' divisions are done together."""
    cdef real share[TOGETHER]
    cdef Py_ssize_t k, n, j
    while p > 0:
        n = smaller(TOGETHER, p)
        for k in range(n):
            share[k] = g__p[k] / divisor
        for k in range(n):
            for j in range(s):
                dx__ps[j] = share[k]
            dx__ps += s
        g__p += n
        p -= n


cdef int mean_all(const real* source, real* target, Py_ssize_t p, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns,
                  Slide slide, bint backward, int threads) noexcept nogil:
    # Threads take fixed runs of planes, each with a row of sums and one of shares of its own.
    cdef Py_ssize_t ow = columns.size, out = rows.size * ow, t, k, per = (p + threads - 1) // threads
    cdef bint whole = out == 1 and rows.count[0] == h and columns.count[0] == w
    cdef real* divisor__ow = <real*>malloc(larger(1, ow + threads * (w + ow)) * sizeof(real))
    cdef real* own = divisor__ow + ow
    if divisor__ow == NULL:
        return -1
    for k in range(ow):
        divisor__ow[k] = <real>columns.divisor[k]
    for t in prange(threads, num_threads=threads, schedule="static"):
        if backward and whole:
            mean_grad_whole(source + t * per, <real>rows.divisor[0] * divisor__ow[0], target + t * per * h * w,
                            smaller(per, p - t * per), h * w)
            continue
        for k in range(t * per, smaller(p, (t + 1) * per)):
            if backward:
                mean_grad_plane(source + k * out, h, w, rows, columns, target + k * h * w, own + t * (w + ow),
                                divisor__ow, own + t * (w + ow) + w)
            else:
                mean_plane(source + k * h * w, w, rows, columns, slide, target + k * out, own + t * (w + ow),
                           divisor__ow)
    free(divisor__ow)
    return 0


cdef cnp.ndarray mean_windows(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, Slide slide,
                              bint backward):
    cdef cnp.npy_intp[4] shape = [cnp.PyArray_DIM(source, 0), cnp.PyArray_DIM(source, 1), rows.size, columns.size]
    if backward:
        shape[2] = h
        shape[3] = w
    cdef cnp.ndarray target = empty(4, shape, cnp.PyArray_TYPE(source))
    cdef Py_ssize_t p = shape[0] * shape[1]
    cdef void* sourcep = cnp.PyArray_DATA(source)
    cdef void* targetp = cnp.PyArray_DATA(target)
    cdef int threads = threads_for(p * (h * w + rows.size * columns.size) * COST // 1000), status
    with nogil:
        if cnp.PyArray_TYPE(source) == cnp.NPY_FLOAT:
            status = mean_all(<float*>sourcep, <float*>targetp, p, h, w, rows, columns, slide, backward, threads)
        else:
            status = mean_all(<double*>sourcep, <double*>targetp, p, h, w, rows, columns, slide, backward, threads)
    if status != 0:
        raise MemoryError("avg_pool2d")
    return target


cdef cnp.ndarray sliding_mean(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, size, kernel_size, stride, padding,
                              bint include_pad, bint backward, str where):
    cdef Axis rows, columns
    cdef Slide slide = Slide(0, 0, 0, 0)
    rows.start = columns.start = NULL
    try:
        sliding_axis(&rows, h, size[0], kernel_size[0], stride[0], padding[0], 1, include_pad, where)
        sliding_axis(&columns, w, size[1], kernel_size[1], stride[1], padding[1], 1, include_pad, where)
        if kernel_size[1] <= w:                              # else mostly padding: each window by itself
            slide = Slide(kernel_size[1], stride[1], padding[1], 1)
        return mean_windows(source, h, w, rows, columns, slide, backward)
    finally:
        free(rows.start)
        free(columns.start)


cdef cnp.ndarray adaptive_mean(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, size, bint backward, str where):
    cdef Axis rows, columns
    rows.start = columns.start = NULL
    try:
        adaptive_axis(&rows, h, size[0], where)
        adaptive_axis(&columns, w, size[1], where)
        return mean_windows(source, h, w, rows, columns, Slide(0, 0, 0, 0), backward)
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
