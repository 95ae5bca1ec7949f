"""Resizing images by nearest neighbour and by bilinear interpolation, and the adjoints.

Both are separable: a table says, for each output row, which input rows it mixes (`near`, `far`) and how much of the
second (`mix`), another one the same for columns. Rows are mixed first, over the whole width and so in vector code;
then columns are picked from that one mixed row. The adjoint, too, works on whole rows first: it adds up the output rows
that an input row went into, and then takes the columns of that one sum apart.

Shapes: p planes (samples times channels), h, w the size of the smaller world (the input), oh, ow of the output.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport floor, floorf, isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from minidl.errors import OptionError, ShapeError

from .arrays cimport empty, first, larger, real, smaller
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    COST = 700                   # nanoseconds for a thousand pixels


cdef struct Axis:
    Py_ssize_t size
    Py_ssize_t* near             # NULL before the table is made
    Py_ssize_t* far
    double* mix


cdef int new_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, double ratio, str where) except -1:
    if size < 0 or size > 2 ** 31 or (size > 0 and n < 1):
        raise ShapeError(where, expected="an output size of at least 0, and an input with pixels",
                         actual=f"{size} from {n}")
    if not isfinite(<float>ratio) or ratio < 0:              # a NaN would become any row at all
        raise OptionError(where, expected="a positive scale", actual=f"1/{ratio}")
    axis.size = size
    axis.near = <Py_ssize_t*>malloc(larger(1, size) * (2 * sizeof(Py_ssize_t) + sizeof(double)))
    if axis.near == NULL:
        raise MemoryError(where)
    axis.far = axis.near + size
    axis.mix = <double*>(axis.far + size)
    return 0


cdef int nearest_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, double ratio, str where) except -1:
    cdef Py_ssize_t i
    cdef float place
    new_axis(axis, n, size, ratio, where)
    if size == 2 * n:
        ratio = 0.5                                          # as PyTorch: doubling takes each pixel twice
    for i in range(size):
        place = floorf(<float>i * <float>ratio)          # single precision decides, as in PyTorch
        axis.near[i] = axis.far[i] = n - 1 if place >= <float>(n - 1) else <Py_ssize_t>place
        axis.mix[i] = 0
    return 0


cdef int linear_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, bint align_corners, double ratio, str where) except -1:
    cdef Py_ssize_t i
    cdef double place
    new_axis(axis, n, size, ratio, where)
    for i in range(size):
        if align_corners:
            place = i * (<double>(n - 1) / (size - 1)) if size > 1 else 0.0
        else:
            place = (i + 0.5) * ratio - 0.5
            place = place if place > 0 else 0.0
        axis.near[i] = n - 1 if place >= n - 1 else <Py_ssize_t>floor(place)
        axis.far[i] = smaller(axis.near[i] + 1, n - 1)
        axis.mix[i] = place - axis.near[i] if place < n else 1.0
    return 0


cdef void forward_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, real* y, real* row__w) noexcept nogil:
    cdef Py_ssize_t oh, ow, j
    cdef const real* near
    cdef const real* far
    cdef real mix
    for oh in range(rows.size):
        near = x__hw + rows.near[oh] * w
        far = x__hw + rows.far[oh] * w
        mix = <real>rows.mix[oh]
        for j in range(w):
            row__w[j] = near[j] * (<real>1 - mix) + far[j] * mix
        for ow in range(columns.size):
            mix = <real>columns.mix[ow]
            y[ow] = row__w[columns.near[ow]] * (<real>1 - mix) + row__w[columns.far[ow]] * mix
        y += columns.size


cdef void pick_plane(const real* x__hw, Py_ssize_t w, Axis rows, Axis columns, real* y) noexcept nogil:
    cdef Py_ssize_t oh, ow
    cdef const real* row
    for oh in range(rows.size):
        row = x__hw + rows.near[oh] * w
        for ow in range(columns.size):
            y[ow] = row[columns.near[ow]]
        y += columns.size


cdef void backward_plane(const real* g, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, real* dx__hw,
                         real* sums__2w) noexcept nogil:
    cdef real* here = sums__2w                               # what mixed from input row i, as wide as the output
    cdef real* below = sums__2w + columns.size               # the same for row i + 1
    cdef real* far
    cdef Py_ssize_t i, oh = 0, ow
    cdef real mix
    memset(sums__2w, 0, 2 * columns.size * sizeof(real))
    memset(dx__hw, 0, h * w * sizeof(real))
    for i in range(h):
        while oh < rows.size and rows.near[oh] == i:         # the tables of an axis ascend
            mix = <real>rows.mix[oh]
            for ow in range(columns.size):
                here[ow] += g[ow] * (<real>1 - mix)
            if mix != 0:                                     # never in the nearest case: 0 * inf would be NaN
                far = below if rows.far[oh] > i else here
                for ow in range(columns.size):
                    far[ow] += g[ow] * mix
            g += columns.size
            oh += 1
        for ow in range(columns.size):
            mix = <real>columns.mix[ow]
            dx__hw[columns.near[ow]] += here[ow] * (<real>1 - mix)
            if mix != 0:
                dx__hw[columns.far[ow]] += here[ow] * mix
        dx__hw += w
        memset(here, 0, columns.size * sizeof(real))
        here, below = below, here


cdef int all_planes(const real* source, real* target, Py_ssize_t p, Py_ssize_t h, Py_ssize_t w, Axis rows,
                    Axis columns, bint pick, bint backward, int threads) noexcept nogil:
    # Threads take fixed runs of planes, each with a mixed row, or two rows of sums, of its own.
    cdef Py_ssize_t out = rows.size * columns.size, t, k, per = (p + threads - 1) // threads
    cdef Py_ssize_t n = 2 * columns.size if backward else w
    cdef real* own__tn = <real*>malloc(larger(1, threads * n) * sizeof(real))
    if own__tn == NULL:
        return -1
    for t in prange(threads, num_threads=threads, schedule="static"):
        for k in range(t * per, smaller(p, (t + 1) * per)):
            if backward:
                backward_plane(source + k * out, h, w, rows, columns, target + k * h * w, own__tn + t * n)
            elif pick:
                pick_plane(source + k * h * w, w, rows, columns, target + k * out)
            else:
                forward_plane(source + k * h * w, w, rows, columns, target + k * out, own__tn + t * n)
    free(own__tn)
    return 0


cdef cnp.ndarray resize(cnp.ndarray source, Py_ssize_t h, Py_ssize_t w, Axis rows, Axis columns, bint pick,
                        bint backward, str where):
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
            status = all_planes(<float*>sourcep, <float*>targetp, p, h, w, rows, columns, pick, backward, threads)
        else:
            status = all_planes(<double*>sourcep, <double*>targetp, p, h, w, rows, columns, pick, backward, threads)
    if status != 0:
        raise MemoryError(where)
    return target


cdef cnp.ndarray nearest(cnp.ndarray source, input_size, size, ratios, bint backward, str where):
    cdef Axis rows, columns
    rows.near = columns.near = NULL
    try:
        nearest_axis(&rows, input_size[0], size[0], ratios[0], where)
        nearest_axis(&columns, input_size[1], size[1], ratios[1], where)
        return resize(source, input_size[0], input_size[1], rows, columns, True, backward, where)
    finally:
        free(rows.near)
        free(columns.near)


cdef cnp.ndarray bilinear(cnp.ndarray source, input_size, size, bint align_corners, ratios, bint backward, str where):
    cdef Axis rows, columns
    rows.near = columns.near = NULL
    try:
        linear_axis(&rows, input_size[0], size[0], align_corners, ratios[0], where)
        linear_axis(&columns, input_size[1], size[1], align_corners, ratios[1], where)
        return resize(source, input_size[0], input_size[1], rows, columns, False, backward, where)
    finally:
        free(rows.near)
        free(columns.near)


# `ratios`: how many input pixels one output pixel spans, along each axis.

def upsample_nearest2d(x, size, ratios):
    cdef cnp.ndarray x_ = first(x, 4, "upsample_nearest2d")
    return nearest(x_, (x_.shape[2], x_.shape[3]), size, ratios, False, "upsample_nearest2d")


def upsample_nearest2d_grad(grad, input_size, ratios):
    cdef cnp.ndarray g = first(grad, 4, "upsample_nearest2d_grad")
    return nearest(g, input_size, (g.shape[2], g.shape[3]), ratios, True, "upsample_nearest2d_grad")


def upsample_bilinear2d(x, size, bint align_corners, ratios):
    cdef cnp.ndarray x_ = first(x, 4, "upsample_bilinear2d")
    return bilinear(x_, (x_.shape[2], x_.shape[3]), size, align_corners, ratios, False, "upsample_bilinear2d")


def upsample_bilinear2d_grad(grad, input_size, bint align_corners, ratios):
    cdef cnp.ndarray g = first(grad, 4, "upsample_bilinear2d_grad")
    return bilinear(g, input_size, (g.shape[2], g.shape[3]), align_corners, ratios, True, "upsample_bilinear2d_grad")
