"""Layer norm, and its gradients.

Shapes: m rows of d features. Statistics of a row as in moments.pxd.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt

from .arrays cimport empty, empty_like, first, larger, like, real, smaller, vector
from .moments cimport BLOCK, Moments, data_or_null, join_row, optional
from .reduce cimport HALF, LANES, fold_rows
from .scratch cimport give, take
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    ROWS = 8                     # rows whose gradients are computed together: they stay in the cache
    PARTS = 32                   # partial sums of the weight gradient, at most
    COLUMNS = 64                 # features worked on at a time for the weight gradient: their sums stay in registers
    COST = 400                   # nanoseconds for a thousand elements


cdef void layer_row(const real* x, const real* weight, const real* bias, double eps, real* y, real* mean, real* rstd,
                    Py_ssize_t d) noexcept nogil:
    cdef Moments stats
    cdef real center, scale
    cdef Py_ssize_t j
    stats.count = stats.mean = stats.squares = 0
    join_row(&stats, x, d)
    center = mean[0] = <real>stats.mean
    scale = rstd[0] = <real>(1 / sqrt(stats.squares / larger(1, d) + eps))
    if weight != NULL and bias != NULL:
        for j in range(d):
            y[j] = (x[j] - center) * scale * weight[j] + bias[j]
    else:
        for j in range(d):
            y[j] = (x[j] - center) * scale
        if weight != NULL:
            for j in range(d):
                y[j] *= weight[j]
        if bias != NULL:
            for j in range(d):
                y[j] += bias[j]


cdef void layer_all(const real* x__md, const real* weight__d, const real* bias__d, double eps, real* y__md,
                    real* mean__m, real* rstd__m, Py_ssize_t m, Py_ssize_t d, int threads) noexcept nogil:
    cdef Py_ssize_t i
    for i in prange(m, num_threads=threads, schedule="static"):
        layer_row(x__md + i * d, weight__d, bias__d, eps, y__md + i * d, mean__m + i, rstd__m + i, d)


def layer_norm(x, weight, bias, double eps):
    cdef cnp.ndarray x_ = first(x, 2, "layer_norm"), y = empty_like(x_)
    cdef Py_ssize_t m = cnp.PyArray_DIM(x_, 0), d = cnp.PyArray_DIM(x_, 1)
    cdef cnp.ndarray w = optional(weight, x_, d, "layer_norm"), b = optional(bias, x_, d, "layer_norm")
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(m * d * COST // 1000)
    cdef cnp.ndarray mean = empty(1, cnp.PyArray_DIMS(x_), kind), rstd = empty(1, cnp.PyArray_DIMS(x_), kind)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* wp = data_or_null(w)
    cdef void* bp = data_or_null(b)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef void* meanp = cnp.PyArray_DATA(mean)
    cdef void* rstdp = cnp.PyArray_DATA(rstd)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            layer_all(<float*>xp, <float*>wp, <float*>bp, eps, <float*>yp, <float*>meanp, <float*>rstdp, m, d, threads)
        else:
            layer_all(<double*>xp, <double*>wp, <double*>bp, eps, <double*>yp, <double*>meanp, <double*>rstdp,
                      m, d, threads)
    return y, mean, rstd


cdef inline void row_sums(const real* g, const real* x, const real* weight, real mean, Py_ssize_t n, bint weighted,
                          real* sums_h, real* sums_hx) noexcept nogil:
    """HALF sums of h = g weight, and as many of h (x - mean); `weighted` is a constant at each call."""
    cdef real lane_h[LANES]
    cdef real lane_hx[LANES]
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane_h[j] = lane_hx[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane_h[j] += g[j] * weight[j] if weighted else g[j]
        for j in range(LANES):
            lane_hx[j] += (g[j] * weight[j] if weighted else g[j]) * (x[j] - mean)
        g += LANES
        x += LANES
        weight += LANES
    for j in range(HALF):
        sums_h[j] = lane_h[j] + lane_h[j + HALF]
    for j in range(HALF):
        sums_hx[j] = lane_hx[j] + lane_hx[j + HALF]
    for j in range(n % LANES):
        sums_h[j % HALF] += g[j] * weight[j] if weighted else g[j]
        sums_hx[j % HALF] += (g[j] * weight[j] if weighted else g[j]) * (x[j] - mean)


cdef inline void columns(const real* g, const real* x, const real* mean, const real* rstd, Py_ssize_t rows,
                         Py_ssize_t n, Py_ssize_t d, real* dweight, real* dbias) noexcept nogil:
    """Add what some rows contribute to at most COLUMNS numbers of dweight and dbias."""
    cdef real sum_gx[COLUMNS]
    cdef real sum_g[COLUMNS]
    cdef Py_ssize_t r, j
    for j in range(n):
        sum_gx[j] = sum_g[j] = 0
    for r in range(rows):
        for j in range(n):
            sum_gx[j] += g[r * d + j] * ((x[r * d + j] - mean[r]) * rstd[r])
            sum_g[j] += g[r * d + j]
    for j in range(n):
        dweight[j] += sum_gx[j]
        dbias[j] += sum_g[j]


cdef void layer_grad_rows(const real* g, const real* x, const real* weight, const real* mean, const real* rstd,
                          real* dx, real* dweight, real* dbias, Py_ssize_t rows, Py_ssize_t d) noexcept nogil:
    """dx of at most ROWS rows while they are in the cache, and what they add to dweight and dbias.

    With h = g weight and xhat = (x - mean) rstd: dx = rstd (h - mean(h) - xhat mean(h xhat)).
    """
    cdef real lane[2 * ROWS * HALF]
    cdef real folded[2 * ROWS]
    cdef double[2 * ROWS] sums                               # sum h and sum h (x - mean) of each row
    cdef Py_ssize_t start, n, r, j, at
    cdef real center, scale, level, slope
    for r in range(2 * rows):
        sums[r] = 0
    for start in range(0, d, 2048):
        n = smaller(BLOCK, d - start)
        for r in range(rows):
            at = r * d + start
            if weight != NULL:
                row_sums(g + at, x + at, weight + start, mean[r], n, True, lane + 2 * r * HALF,
                         lane + (2 * r + 1) * HALF)
            else:
                row_sums(g + at, x + at, g + at, mean[r], n, False, lane + 2 * r * HALF, lane + (2 * r + 1) * HALF)
        fold_rows(lane, HALF, folded, 2 * rows)
        for r in range(2 * rows):
            sums[r] += folded[r]
    for r in range(rows):
        at = r * d
        center = mean[r]
        scale = rstd[r]
        level = <real>(sums[2 * r] / d)
        slope = <real>(sums[2 * r + 1] * scale * scale / d)
        if weight != NULL:
            for j in range(d):
                dx[at + j] = (g[at + j] * weight[j] - level - (x[at + j] - center) * slope) * scale
        else:
            for j in range(d):
                dx[at + j] = (g[at + j] - level - (x[at + j] - center) * slope) * scale
    for j in range(0, d - d % COLUMNS, 64):
        columns(g + j, x + j, mean, rstd, rows, COLUMNS, d, dweight + j, dbias + j)
    j = d - d % COLUMNS
    columns(g + j, x + j, mean, rstd, rows, d % COLUMNS, d, dweight + j, dbias + j)


cdef void layer_grad_part(const real* g, const real* x, const real* weight, const real* mean, const real* rstd,
                          real* dx, real* dweight, real* dbias, Py_ssize_t rows, Py_ssize_t d) noexcept nogil:
    """dx of some rows, and their sums for dweight and dbias."""
    cdef Py_ssize_t j, n
    for j in range(d):
        dweight[j] = dbias[j] = 0
    while rows > 0:
        n = smaller(rows, larger(1, smaller(ROWS, BLOCK // larger(1, d))))
        layer_grad_rows(g, x, weight, mean, rstd, dx, dweight, dbias, n, d)
        g += n * d
        x += n * d
        dx += n * d
        mean += n
        rstd += n
        rows -= n


cdef inline void add_parts(const real* part__pn, Py_ssize_t parts, Py_ssize_t n, Py_ssize_t stride,
                           real* total_) noexcept nogil:
    """The sum of the parts of at most COLUMNS numbers, in order."""
    cdef double[COLUMNS] s
    cdef Py_ssize_t p, j
    for j in range(n):
        s[j] = 0
    for p in range(parts):
        for j in range(n):
            s[j] += part__pn[p * stride + j]
    for j in range(n):
        total_[j] = <real>s[j]


cdef void layer_grad_all(const real* g__md, const real* x__md, const real* weight__d, const real* mean__m,
                         const real* rstd__m, real* dx__md, real* dweight__d, real* dbias__d, real* part__p2d,
                         Py_ssize_t parts, Py_ssize_t rows, Py_ssize_t m, Py_ssize_t d, int threads) noexcept nogil:
    # Each part is a fixed number of rows; the parts are added in order, whichever thread computed them.
    cdef Py_ssize_t p, j
    for p in prange(parts, num_threads=threads, schedule="static"):
        layer_grad_part(g__md + p * rows * d, x__md + p * rows * d, weight__d, mean__m + p * rows, rstd__m + p * rows,
                        dx__md + p * rows * d, part__p2d + p * 2 * d, part__p2d + (p * 2 + 1) * d,
                        smaller(rows, m - p * rows), d)
    for j in range(0, d, 64):
        add_parts(part__p2d + j, parts, smaller(COLUMNS, d - j), 2 * d, dweight__d + j)
        add_parts(part__p2d + d + j, parts, smaller(COLUMNS, d - j), 2 * d, dbias__d + j)


def layer_norm_grad(grad, x, weight, mean, rstd):
    cdef cnp.ndarray x_ = first(x, 2, "layer_norm_grad"), g = like(grad, x_, "layer_norm_grad"), dx = empty_like(x_)
    cdef Py_ssize_t m = cnp.PyArray_DIM(x_, 0), d = cnp.PyArray_DIM(x_, 1)
    cdef cnp.ndarray mean_ = vector(mean, x_, m, "layer_norm_grad"), rstd_ = vector(rstd, x_, m, "layer_norm_grad")
    cdef cnp.ndarray w = optional(weight, x_, d, "layer_norm_grad")
    cdef cnp.npy_intp shape = d
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(m * d * COST // 1000)
    cdef Py_ssize_t rows = ROWS * ((m + PARTS * ROWS - 1) // (PARTS * ROWS)), parts = (m + rows - 1) // rows if m else 0
    cdef cnp.ndarray dweight = empty(1, &shape, kind), dbias = empty(1, &shape, kind)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* wp = data_or_null(w)
    cdef void* meanp = cnp.PyArray_DATA(mean_)
    cdef void* rstdp = cnp.PyArray_DATA(rstd_)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef void* dwp = cnp.PyArray_DATA(dweight)
    cdef void* dbp = cnp.PyArray_DATA(dbias)
    cdef void* partp = take(larger(1, parts * 2 * d * cnp.PyArray_ITEMSIZE(x_)))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            layer_grad_all(<float*>gp, <float*>xp, <float*>wp, <float*>meanp, <float*>rstdp, <float*>dxp, <float*>dwp,
                           <float*>dbp, <float*>partp, parts, rows, m, d, threads)
        else:
            layer_grad_all(<double*>gp, <double*>xp, <double*>wp, <double*>meanp, <double*>rstdp, <double*>dxp,
                           <double*>dwp, <double*>dbp, <double*>partp, parts, rows, m, d, threads)
    give(partp)
    return dx, dweight, dbias
