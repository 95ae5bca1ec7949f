"""Batch norm and layer norm.

The statistics keep their digits even where the mean is much larger than the spread: a block of at most BLOCK numbers
gets its own mean and its own sum of squared deviations, both while it lies in the first-level cache, and blocks are
joined in double precision. So memory is read once for the statistics and once more to normalise.

Shapes: n samples, c channels, s numbers of one channel in one sample (its pixels); m rows of d features.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport calloc, free, malloc

from minidl.errors import ShapeError

from .arrays cimport empty, empty_like, first, larger, like, real, smaller, vector
from .reduce cimport LANES, squares, total, two_sums
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    BLOCK = 2048                 # numbers summed in working precision before double takes over
    SHORT = 256                  # shorter rows are collected into a block first: folding running sums has its price
    TILE = 64                    # channels side by side, where each has a single number in a sample
    ROWS = 32                    # samples of such a tile in one block
    PARTS = 128                  # partial sums of a layer norm's weight gradient, at most
    COLUMNS = 256                # features worked on at a time for a layer norm's weight gradient
    COST = 400                   # nanoseconds for a thousand elements


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


cdef inline Py_ssize_t collect(const real* x, real* block, Py_ssize_t n, Py_ssize_t step, Py_ssize_t s) noexcept nogil:
    """Copy as many short rows (of s numbers, `step` apart) as fit one block side by side; returns how many."""
    cdef Py_ssize_t rows = smaller(n, BLOCK // s), r, j
    for r in range(rows):
        for j in range(s):
            block[r * s + j] = x[r * step + j]
    return rows


# ---------------------------------------------------------------- batch norm, forward

cdef Moments channel_moments(const real* x, Py_ssize_t n, Py_ssize_t step, Py_ssize_t s) noexcept nogil:
    """Statistics of one channel: n rows of s numbers, `step` apart."""
    cdef Moments all_
    cdef real block[BLOCK]
    cdef Py_ssize_t i = 0, rows
    all_.count = all_.mean = all_.squares = 0
    while i < n and s > 0:
        if s < SHORT:
            rows = collect(x + i * step, block, n - i, step, s)
            join_row(&all_, block, rows * s)
            i += rows
        else:
            join_row(&all_, x + i * step, s)
            i += 1
    return all_


cdef inline void scale_row(const real* x, real* y, real mean, real scale, real shift, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(s):
        y[j] = (x[j] - mean) * scale + shift


cdef inline double factor(const real* weight, Py_ssize_t c, double var, double eps) noexcept nogil:
    """weight / sqrt(var + eps)"""
    return (<double>weight[c] if weight != NULL else 1.0) / sqrt(var + eps)


cdef void norm_channel(const real* x__ncs, const real* weight__c, const real* bias__c, double eps, real* y__ncs,
                       real* mean__c, real* var__c, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s,
                       Py_ssize_t ch) noexcept nogil:
    cdef Moments stats = channel_moments(x__ncs + ch * s, n, c * s, s)
    cdef double var = stats.squares / stats.count if stats.count > 0 else 0.0
    cdef real scale = <real>factor(weight__c, ch, var, eps)
    cdef real shift = bias__c[ch] if bias__c != NULL else <real>0
    cdef Py_ssize_t i
    mean__c[ch] = <real>stats.mean
    var__c[ch] = <real>var
    for i in range(n):
        scale_row(x__ncs + (i * c + ch) * s, y__ncs + (i * c + ch) * s, mean__c[ch], scale, shift, s)


cdef void norm_tile(const real* x__nc, const real* weight__c, const real* bias__c, double eps, real* y__nc,
                    real* mean__c, real* var__c, Py_ssize_t n, Py_ssize_t c, Py_ssize_t ch) noexcept nogil:
    """`norm_channel` for s = 1: up to TILE channels from `ch` on, side by side."""
    cdef Py_ssize_t width = smaller(TILE, c - ch), i, r, j, rows
    cdef real mean[TILE]
    cdef real spread[TILE]
    cdef real scale[TILE]
    cdef real shift[TILE]
    cdef Moments stats[TILE]
    cdef double var
    x__nc += ch
    y__nc += ch
    for j in range(width):
        stats[j].count = stats[j].mean = stats[j].squares = 0
    for i in range(0, n, 32):
        rows = smaller(ROWS, n - i)
        for j in range(width):
            mean[j] = spread[j] = 0
        for r in range(i, i + rows):
            for j in range(width):
                mean[j] += x__nc[r * c + j]
        for j in range(width):
            mean[j] /= <real>rows
        for r in range(i, i + rows):
            for j in range(width):
                spread[j] += (x__nc[r * c + j] - mean[j]) * (x__nc[r * c + j] - mean[j])
        for j in range(width):
            join(&stats[j], rows, mean[j], spread[j])
    for j in range(width):
        var = stats[j].squares / stats[j].count if stats[j].count > 0 else 0.0
        mean[j] = mean__c[ch + j] = <real>stats[j].mean
        var__c[ch + j] = <real>var
        scale[j] = <real>factor(weight__c, ch + j, var, eps)
        shift[j] = bias__c[ch + j] if bias__c != NULL else <real>0
    for i in range(n):
        for j in range(width):
            y__nc[i * c + j] = (x__nc[i * c + j] - mean[j]) * scale[j] + shift[j]


cdef void norm_all(const real* x, const real* weight, const real* bias, double eps, real* y, real* mean, real* var,
                   Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, int threads) noexcept nogil:
    cdef Py_ssize_t ch
    if s == 1:
        for ch in prange(0, c, TILE, num_threads=threads, schedule="static"):
            norm_tile(x, weight, bias, eps, y, mean, var, n, c, ch)
    else:
        for ch in prange(c, num_threads=threads, schedule="static"):
            norm_channel(x, weight, bias, eps, y, mean, var, n, c, s, ch)


cdef int sizes(cnp.ndarray x, Py_ssize_t* n, Py_ssize_t* c, Py_ssize_t* s, str where) except -1:
    """Split the shape (N, C, *spatial)."""
    cdef int d
    if cnp.PyArray_NDIM(x) < 2:
        raise ShapeError(where, expected="(N, C) or (N, C, *spatial)", actual=str((<object>x).shape))
    n[0] = cnp.PyArray_DIM(x, 0)
    c[0] = cnp.PyArray_DIM(x, 1)
    s[0] = 1
    for d in range(2, cnp.PyArray_NDIM(x)):
        s[0] *= cnp.PyArray_DIM(x, d)
    return 0


cdef inline void* data_or_null(cnp.ndarray x):
    return NULL if x is None else cnp.PyArray_DATA(x)


cdef inline cnp.ndarray optional(object x, cnp.ndarray model, Py_ssize_t length, str where):
    return None if x is None else vector(x, model, length, where)


def batch_norm(x, weight, bias, double eps):
    cdef cnp.ndarray x_ = first(x, -1, "batch_norm"), y = empty_like(x_)
    cdef Py_ssize_t n = 0, c = 0, s = 0
    sizes(x_, &n, &c, &s, "batch_norm")
    cdef cnp.ndarray w = optional(weight, x_, c, "batch_norm"), b = optional(bias, x_, c, "batch_norm")
    cdef cnp.npy_intp shape = c
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(n * c * s * COST // 1000)
    cdef cnp.ndarray mean = empty(1, &shape, kind), var = empty(1, &shape, kind)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* wp = data_or_null(w)
    cdef void* bp = data_or_null(b)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef void* meanp = cnp.PyArray_DATA(mean)
    cdef void* varp = cnp.PyArray_DATA(var)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            norm_all(<float*>xp, <float*>wp, <float*>bp, eps, <float*>yp, <float*>meanp, <float*>varp, n, c, s, threads)
        else:
            norm_all(<double*>xp, <double*>wp, <double*>bp, eps, <double*>yp, <double*>meanp, <double*>varp,
                     n, c, s, threads)
    return y, mean, var


# ---------------------------------------------------------------- batch norm, evaluation

cdef void eval_all(const real* x, const real* mean, const real* scale, const real* bias, real* y,
                   Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, int threads) noexcept nogil:
    cdef Py_ssize_t i, ch
    if s == 1:
        for i in prange(n, num_threads=threads, schedule="static"):
            for ch in range(c):
                y[i * c + ch] = (x[i * c + ch] - mean[ch]) * scale[ch] + bias[ch]
    else:
        for i in prange(n * c, num_threads=threads, schedule="static"):
            scale_row(x + i * s, y + i * s, mean[i % c], scale[i % c], bias[i % c], s)


cdef void eval_factors(const real* weight, const real* var, const real* bias, double eps, real* scale, real* shift,
                       Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t ch
    for ch in range(c):
        scale[ch] = <real>factor(weight, ch, var[ch], eps)
        shift[ch] = bias[ch] if bias != NULL else <real>0


def batch_norm_eval(x, mean, var, weight, bias, double eps):
    cdef cnp.ndarray x_ = first(x, -1, "batch_norm_eval"), y = empty_like(x_)
    cdef Py_ssize_t n = 0, c = 0, s = 0
    sizes(x_, &n, &c, &s, "batch_norm_eval")
    cdef cnp.ndarray mean_ = vector(mean, x_, c, "batch_norm_eval"), var_ = vector(var, x_, c, "batch_norm_eval")
    cdef cnp.ndarray w = optional(weight, x_, c, "batch_norm_eval"), b = optional(bias, x_, c, "batch_norm_eval")
    cdef cnp.ndarray scale = empty_like(mean_), shift = empty_like(mean_)
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(n * c * s * COST // 4000)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef void* meanp = cnp.PyArray_DATA(mean_)
    cdef void* varp = cnp.PyArray_DATA(var_)
    cdef void* wp = data_or_null(w)
    cdef void* bp = data_or_null(b)
    cdef void* scalep = cnp.PyArray_DATA(scale)
    cdef void* shiftp = cnp.PyArray_DATA(shift)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            eval_factors(<float*>wp, <float*>varp, <float*>bp, eps, <float*>scalep, <float*>shiftp, c)
            eval_all(<float*>xp, <float*>meanp, <float*>scalep, <float*>shiftp, <float*>yp, n, c, s, threads)
        else:
            eval_factors(<double*>wp, <double*>varp, <double*>bp, eps, <double*>scalep, <double*>shiftp, c)
            eval_all(<double*>xp, <double*>meanp, <double*>scalep, <double*>shiftp, <double*>yp, n, c, s, threads)
    return y


# ---------------------------------------------------------------- batch norm, gradient
#
# With a = weight * rstd and m numbers in a channel:
#     dbias = sum g      dweight = rstd sum g (x - mean)
#     dx = a g  -  a rstd dweight / m (x - mean)  -  a dbias / m

cdef void grad_channel(const real* g__ncs, const real* x__ncs, const real* weight__c, const real* mean__c,
                       const real* var__c, double eps, real* dx__ncs, real* dweight__c, real* dbias__c,
                       Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, Py_ssize_t ch) noexcept nogil:
    cdef real gs[BLOCK]
    cdef real xs[BLOCK]
    cdef real mean = mean__c[ch]
    cdef const real* g = g__ncs + ch * s
    cdef const real* x = x__ncs + ch * s
    cdef real* dx = dx__ncs + ch * s
    cdef Py_ssize_t step = c * s, i = 0, j, rows
    cdef double sum_g = 0, sum_gx = 0, rstd, m = larger(1, n * s)
    while i < n and s > 0:
        if s < LANES:                                        # shorter than the vectors: collected first
            rows = collect(g + i * step, gs, n - i, step, s)
            collect(x + i * step, xs, n - i, step, s)
            two_sums(gs, xs, mean, 1, rows * s, 0, &sum_g, &sum_gx)
        elif s <= BLOCK:
            rows = smaller(n - i, BLOCK // s)
            two_sums(g + i * step, x + i * step, mean, rows, s, step, &sum_g, &sum_gx)
        else:
            rows = 1
            for j in range(0, s, 2048):
                two_sums(g + i * step + j, x + i * step + j, mean, 1, smaller(BLOCK, s - j), 0, &sum_g, &sum_gx)
        i += rows
    rstd = factor(<const real*>NULL, 0, var__c[ch], eps)
    dbias__c[ch] = <real>sum_g
    dweight__c[ch] = <real>(sum_gx * rstd)
    cdef double a = factor(weight__c, ch, var__c[ch], eps)
    cdef real by_g = <real>a, by_x = <real>(-a * rstd * rstd * sum_gx / m), constant = <real>(-a * sum_g / m)
    for i in range(n):
        for j in range(s):
            dx[i * step + j] = g[i * step + j] * by_g + ((x[i * step + j] - mean) * by_x + constant)


cdef void grad_tile(const real* g__nc, const real* x__nc, const real* weight__c, const real* mean__c,
                    const real* var__c, double eps, real* dx__nc, real* dweight__c, real* dbias__c,
                    Py_ssize_t n, Py_ssize_t c, Py_ssize_t ch) noexcept nogil:
    """`grad_channel` for s = 1: up to TILE channels from `ch` on, side by side."""
    cdef Py_ssize_t width = smaller(TILE, c - ch), i, r, j
    cdef real mean[TILE]
    cdef real part_g[TILE]
    cdef real part_gx[TILE]
    cdef double sum_g[TILE]
    cdef double sum_gx[TILE]
    cdef real by_g[TILE]
    cdef real by_x[TILE]
    cdef real constant[TILE]
    cdef double rstd, a, m = larger(1, n)
    g__nc += ch
    x__nc += ch
    dx__nc += ch
    for j in range(width):
        mean[j] = mean__c[ch + j]
        sum_g[j] = sum_gx[j] = 0
    for i in range(0, n, 32):
        for j in range(width):
            part_g[j] = part_gx[j] = 0
        for r in range(i, smaller(i + ROWS, n)):
            for j in range(width):
                part_g[j] += g__nc[r * c + j]
                part_gx[j] += g__nc[r * c + j] * (x__nc[r * c + j] - mean[j])
        for j in range(width):
            sum_g[j] += part_g[j]
            sum_gx[j] += part_gx[j]
    for j in range(width):
        rstd = factor(<const real*>NULL, 0, var__c[ch + j], eps)
        a = factor(weight__c, ch + j, var__c[ch + j], eps)
        dbias__c[ch + j] = <real>sum_g[j]
        dweight__c[ch + j] = <real>(sum_gx[j] * rstd)
        by_g[j] = <real>a
        by_x[j] = <real>(-a * rstd * rstd * sum_gx[j] / m)
        constant[j] = <real>(-a * sum_g[j] / m)
    for i in range(n):
        for j in range(width):
            dx__nc[i * c + j] = g__nc[i * c + j] * by_g[j] + ((x__nc[i * c + j] - mean[j]) * by_x[j] + constant[j])


cdef void grad_all(const real* g, const real* x, const real* weight, const real* mean, const real* var, double eps,
                   real* dx, real* dweight, real* dbias, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s,
                   int threads) noexcept nogil:
    cdef Py_ssize_t ch
    if s == 1:
        for ch in prange(0, c, TILE, num_threads=threads, schedule="static"):
            grad_tile(g, x, weight, mean, var, eps, dx, dweight, dbias, n, c, ch)
    else:
        for ch in prange(c, num_threads=threads, schedule="static"):
            grad_channel(g, x, weight, mean, var, eps, dx, dweight, dbias, n, c, s, ch)


def batch_norm_grad(grad, x, weight, mean, var, double eps):
    cdef cnp.ndarray x_ = first(x, -1, "batch_norm_grad"), g = like(grad, x_, "batch_norm_grad"), dx = empty_like(x_)
    cdef Py_ssize_t n = 0, c = 0, s = 0
    sizes(x_, &n, &c, &s, "batch_norm_grad")
    cdef cnp.ndarray mean_ = vector(mean, x_, c, "batch_norm_grad"), var_ = vector(var, x_, c, "batch_norm_grad")
    cdef cnp.ndarray w = optional(weight, x_, c, "batch_norm_grad")
    cdef cnp.ndarray dweight = empty_like(mean_), dbias = empty_like(mean_)
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(n * c * s * COST // 1000)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* wp = data_or_null(w)
    cdef void* meanp = cnp.PyArray_DATA(mean_)
    cdef void* varp = cnp.PyArray_DATA(var_)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef void* dwp = cnp.PyArray_DATA(dweight)
    cdef void* dbp = cnp.PyArray_DATA(dbias)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            grad_all(<float*>gp, <float*>xp, <float*>wp, <float*>meanp, <float*>varp, eps,
                     <float*>dxp, <float*>dwp, <float*>dbp, n, c, s, threads)
        else:
            grad_all(<double*>gp, <double*>xp, <double*>wp, <double*>meanp, <double*>varp, eps,
                     <double*>dxp, <double*>dwp, <double*>dbp, n, c, s, threads)
    return dx, dweight, dbias


# ---------------------------------------------------------------- layer norm

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


cdef void layer_grad_row(const real* g, const real* x, const real* weight, real mean, real rstd, real* dx,
                         Py_ssize_t d) noexcept nogil:
    """With h = g weight and xhat = (x - mean) rstd: dx = rstd (h - mean(h) - xhat mean(h xhat))."""
    cdef real h[BLOCK]
    cdef Py_ssize_t start, n, j
    cdef double sum_h = 0, sum_hx = 0
    cdef real level, slope
    for start in range(0, d, 2048):
        n = smaller(BLOCK, d - start)
        for j in range(n):
            h[j] = g[start + j] * weight[start + j] if weight != NULL else g[start + j]
        two_sums(h, x + start, mean, 1, n, 0, &sum_h, &sum_hx)
    level = <real>(sum_h / d)
    slope = <real>(sum_hx * rstd * rstd / d)
    if d <= BLOCK:                                           # h is still there
        for j in range(d):
            dx[j] = (h[j] - level - (x[j] - mean) * slope) * rstd
    elif weight != NULL:
        for j in range(d):
            dx[j] = (g[j] * weight[j] - level - (x[j] - mean) * slope) * rstd
    else:
        for j in range(d):
            dx[j] = (g[j] - level - (x[j] - mean) * slope) * rstd


cdef void layer_grad_columns(const real* g, const real* x, const real* mean, const real* rstd, real* dweight,
                             real* dbias, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    """What some rows add to at most COLUMNS numbers of dweight and dbias."""
    cdef real sum_gx[COLUMNS]                                # local: the compiler need not fear that they overlap
    cdef real sum_g[COLUMNS]
    cdef Py_ssize_t r, j
    for j in range(n):
        sum_gx[j] = sum_g[j] = 0
    for r in range(rows):
        for j in range(n):
            sum_gx[j] += g[r * d + j] * ((x[r * d + j] - mean[r]) * rstd[r])
            sum_g[j] += g[r * d + j]
    for j in range(n):
        dweight[j] = sum_gx[j]
        dbias[j] = sum_g[j]


cdef void layer_grad_rows(const real* g, const real* x, const real* weight, const real* mean, const real* rstd,
                          real* dx, real* dweight, real* dbias, Py_ssize_t rows, Py_ssize_t d) noexcept nogil:
    """dx of some rows, and what they add to dweight and dbias."""
    cdef Py_ssize_t r, j
    for r in range(rows):
        layer_grad_row(g + r * d, x + r * d, weight, mean[r], rstd[r], dx + r * d, d)
    for j in range(0, d, 256):
        layer_grad_columns(g + j, x + j, mean, rstd, dweight + j, dbias + j, rows, smaller(COLUMNS, d - j), d)


cdef int layer_grad_all(const real* g__md, const real* x__md, const real* weight__d, const real* mean__m,
                        const real* rstd__m, real* dx__md, real* dweight__d, real* dbias__d,
                        Py_ssize_t m, Py_ssize_t d, int threads) noexcept nogil:
    # Each part is a fixed number of rows; the parts are added in order, whichever thread computed them.
    cdef Py_ssize_t rows = larger(8, (m + PARTS - 1) // PARTS), parts = (m + rows - 1) // rows, p, j
    cdef real* part__p2d = <real*>malloc(larger(1, parts * 2 * d) * sizeof(real))
    cdef double* sum__2d = <double*>calloc(larger(1, 2 * d), sizeof(double))
    if part__p2d == NULL or sum__2d == NULL:
        free(part__p2d)
        free(sum__2d)
        return -1
    for p in prange(parts, num_threads=threads, schedule="static"):
        layer_grad_rows(g__md + p * rows * d, x__md + p * rows * d, weight__d, mean__m + p * rows, rstd__m + p * rows,
                        dx__md + p * rows * d, part__p2d + p * 2 * d, part__p2d + (p * 2 + 1) * d,
                        smaller(rows, m - p * rows), d)
    for p in range(parts):
        for j in range(2 * d):
            sum__2d[j] += part__p2d[p * 2 * d + j]
    for j in range(d):
        dweight__d[j] = <real>sum__2d[j]
        dbias__d[j] = <real>sum__2d[d + j]
    free(part__p2d)
    free(sum__2d)
    return 0


def layer_norm_grad(grad, x, weight, mean, rstd):
    cdef cnp.ndarray x_ = first(x, 2, "layer_norm_grad"), g = like(grad, x_, "layer_norm_grad"), dx = empty_like(x_)
    cdef Py_ssize_t m = cnp.PyArray_DIM(x_, 0), d = cnp.PyArray_DIM(x_, 1)
    cdef cnp.ndarray mean_ = vector(mean, x_, m, "layer_norm_grad"), rstd_ = vector(rstd, x_, m, "layer_norm_grad")
    cdef cnp.ndarray w = optional(weight, x_, d, "layer_norm_grad")
    cdef cnp.npy_intp shape = d
    cdef int kind = cnp.PyArray_TYPE(x_), threads = threads_for(m * d * COST // 1000), status
    cdef cnp.ndarray dweight = empty(1, &shape, kind), dbias = empty(1, &shape, kind)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* wp = data_or_null(w)
    cdef void* meanp = cnp.PyArray_DATA(mean_)
    cdef void* rstdp = cnp.PyArray_DATA(rstd_)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef void* dwp = cnp.PyArray_DATA(dweight)
    cdef void* dbp = cnp.PyArray_DATA(dbias)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            status = layer_grad_all(<float*>gp, <float*>xp, <float*>wp, <float*>meanp, <float*>rstdp,
                                    <float*>dxp, <float*>dwp, <float*>dbp, m, d, threads)
        else:
            status = layer_grad_all(<double*>gp, <double*>xp, <double*>wp, <double*>meanp, <double*>rstdp,
                                    <double*>dxp, <double*>dwp, <double*>dbp, m, d, threads)
    if status != 0:
        raise MemoryError("layer_norm_grad")
    return dx, dweight, dbias
