"""Batch norm: in training, in evaluation, and its gradients.

Memory is read once for the statistics (see moments.pxd) and once more to normalise. The numbers of one channel lie in
short pieces far apart, one in each sample, so neighbouring channels are worked on together: memory is then read in
longer stretches.

Shapes: n samples, c channels, s numbers of one channel in one sample (its pixels).
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt

from minidl.errors import ShapeError

from .arrays cimport empty, empty_like, first, larger, like, real, smaller, vector
from .moments cimport BLOCK, Moments, data_or_null, join, join_row, optional
from .reduce cimport LANES, PLAIN, PRODUCT, SQUARE, add_row, dot, fold, total
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    GROUP = 16                   # channels worked on together, at most,
    STRETCH = 1024               # or as many as have so many numbers in a sample,
    LONG = 512                   # but each by itself from so many on
    TILE = 64                    # channels side by side, where each has a single number in a sample
    ROWS = 32                    # samples of such a tile in one block
    COST = 400                   # nanoseconds for a thousand elements


cdef inline Py_ssize_t collect(const real* x, real* block, Py_ssize_t n, Py_ssize_t step, Py_ssize_t s) noexcept nogil:
    """Copy as many short rows (of s numbers, `step` apart) as fit one block side by side; returns how many."""
    cdef Py_ssize_t rows = smaller(n, BLOCK // s), r, j
    for r in range(rows):
        for j in range(s):
            block[r * s + j] = x[r * step + j]
    return rows


# ---------------------------------------------------------------- batch norm, forward

cdef inline void clear(real* lane, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        lane[j] = 0


cdef void moments_of(const real* x__ncs, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, Py_ssize_t count,
                     Moments* stats) noexcept nogil:
    """Statistics of `count` neighbouring channels, GROUP at most; one only where s is below LANES or from LONG on."""
    cdef real lane[GROUP * LANES]
    cdef real block[BLOCK]
    cdef real center[GROUP]
    cdef Py_ssize_t i = 0, r, k, rows
    for k in range(count):
        stats[k].count = stats[k].mean = stats[k].squares = 0
    while i < n and s > 0:
        if s < LANES:                                        # shorter than the vectors: collected first
            rows = collect(x__ncs + i * c * s, block, n - i, c * s, s)
            join_row(stats, block, rows * s)
        elif s >= LONG:
            rows = 1
            join_row(stats, x__ncs + i * c * s, s)
        else:
            rows = smaller(BLOCK // s, n - i)
            clear(lane, count * LANES)
            for r in range(i, i + rows):
                for k in range(count):
                    add_row(PLAIN, x__ncs, x__ncs + (r * c + k) * s, <real>0, s, lane + k * LANES)
            for k in range(count):
                center[k] = fold(lane + k * LANES) / <real>(rows * s)
            clear(lane, count * LANES)
            for r in range(i, i + rows):
                for k in range(count):
                    add_row(SQUARE, x__ncs, x__ncs + (r * c + k) * s, center[k], s, lane + k * LANES)
            for k in range(count):
                join(&stats[k], rows * s, center[k], fold(lane + k * LANES))
        i += rows


cdef inline void scale_row(const real* x, real* y, real mean, real scale, real shift, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(s):
        y[j] = (x[j] - mean) * scale + shift


cdef inline double factor(const real* weight, Py_ssize_t c, double var, double eps) noexcept nogil:
    """weight / sqrt(var + eps)"""
    return (<double>weight[c] if weight != NULL else 1.0) / sqrt(var + eps)


cdef void norm_channels(const real* x__ncs, const real* weight__c, const real* bias__c, double eps, real* y__ncs,
                        real* mean__c, real* var__c, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, Py_ssize_t ch,
                        Py_ssize_t count) noexcept nogil:
    """`count` channels from `ch` on."""
    cdef Moments stats[GROUP]
    cdef real scale[GROUP]
    cdef real shift[GROUP]
    cdef double var
    cdef Py_ssize_t i, k
    moments_of(x__ncs + ch * s, n, c, s, count, stats)
    for k in range(count):
        var = stats[k].squares / stats[k].count if stats[k].count > 0 else 0.0
        mean__c[ch + k] = <real>stats[k].mean
        var__c[ch + k] = <real>var
        scale[k] = <real>factor(weight__c, ch + k, var, eps)
        shift[k] = bias__c[ch + k] if bias__c != NULL else <real>0
    for i in range(n):
        for k in range(count):
            scale_row(x__ncs + (i * c + ch + k) * s, y__ncs + (i * c + ch + k) * s, mean__c[ch + k], scale[k],
                      shift[k], s)


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


cdef Py_ssize_t channels_together(Py_ssize_t c, Py_ssize_t s, int threads) noexcept nogil:
    """How many channels to work on together: what a channel adds up to does not depend on it."""
    if s < LANES or s >= LONG:
        return 1
    return larger(1, smaller(smaller(GROUP, STRETCH // s), c // threads))


cdef void norm_all(const real* x, const real* weight, const real* bias, double eps, real* y, real* mean, real* var,
                   Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, int threads) noexcept nogil:
    cdef Py_ssize_t ch, together = channels_together(c, s, threads)
    if s == 1:
        for ch in prange(0, c, TILE, num_threads=threads, schedule="static"):
            norm_tile(x, weight, bias, eps, y, mean, var, n, c, ch)
    else:
        for ch in prange(0, c, together, num_threads=threads, schedule="static"):
            norm_channels(x, weight, bias, eps, y, mean, var, n, c, s, ch, smaller(together, c - ch))


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

cdef void gradient_sums(const real* g__ncs, const real* x__ncs, const real* mean__c, Py_ssize_t n, Py_ssize_t c,
                        Py_ssize_t s, Py_ssize_t count, double* sum_g, double* sum_gx) noexcept nogil:
    """sum g and sum g (x - mean) of `count` neighbouring channels, as in `moments_of`."""
    cdef real lane_g[GROUP * LANES]
    cdef real lane_gx[GROUP * LANES]
    cdef real gs[BLOCK]
    cdef real xs[BLOCK]
    cdef Py_ssize_t i = 0, j, r, k, rows, size
    for k in range(count):
        sum_g[k] = sum_gx[k] = 0
    while i < n and s > 0:
        if s < LANES:
            rows = collect(g__ncs + i * c * s, gs, n - i, c * s, s)
            collect(x__ncs + i * c * s, xs, n - i, c * s, s)
            sum_g[0] += total(gs, rows * s)
            sum_gx[0] += dot(gs, xs, mean__c[0], rows * s)
        elif s >= LONG:
            rows = 1
            for j in range(0, s, 2048):
                size = smaller(BLOCK, s - j)
                sum_g[0] += total(g__ncs + i * c * s + j, size)
                sum_gx[0] += dot(g__ncs + i * c * s + j, x__ncs + i * c * s + j, mean__c[0], size)
        else:
            rows = smaller(BLOCK // s, n - i)
            clear(lane_g, count * LANES)
            clear(lane_gx, count * LANES)
            for r in range(i, i + rows):
                for k in range(count):
                    j = (r * c + k) * s
                    add_row(PLAIN, g__ncs, g__ncs + j, <real>0, s, lane_g + k * LANES)
                    add_row(PRODUCT, g__ncs + j, x__ncs + j, mean__c[k], s, lane_gx + k * LANES)
            for k in range(count):
                sum_g[k] += fold(lane_g + k * LANES)
                sum_gx[k] += fold(lane_gx + k * LANES)
        i += rows


cdef inline void grad_row(const real* g, const real* x, real mean, real by_g, real by_x, real constant, real* dx,
                          Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(s):
        dx[j] = g[j] * by_g + ((x[j] - mean) * by_x + constant)


cdef void grad_channels(const real* g__ncs, const real* x__ncs, const real* weight__c, const real* mean__c,
                        const real* var__c, double eps, real* dx__ncs, real* dweight__c, real* dbias__c,
                        Py_ssize_t n, Py_ssize_t c, Py_ssize_t s, Py_ssize_t ch, Py_ssize_t count) noexcept nogil:
    """`count` channels from `ch` on."""
    cdef double sum_g[GROUP]
    cdef double sum_gx[GROUP]
    cdef real by_g[GROUP]
    cdef real by_x[GROUP]
    cdef real constant[GROUP]
    cdef double rstd, a, m = larger(1, n * s)
    cdef Py_ssize_t i, j, k
    gradient_sums(g__ncs + ch * s, x__ncs + ch * s, mean__c + ch, n, c, s, count, sum_g, sum_gx)
    for k in range(count):
        rstd = factor(<const real*>NULL, 0, var__c[ch + k], eps)
        a = factor(weight__c, ch + k, var__c[ch + k], eps)
        dbias__c[ch + k] = <real>sum_g[k]
        dweight__c[ch + k] = <real>(sum_gx[k] * rstd)
        by_g[k] = <real>a
        by_x[k] = <real>(-a * rstd * rstd * sum_gx[k] / m)
        constant[k] = <real>(-a * sum_g[k] / m)
    for i in range(n):
        for k in range(count):
            j = (i * c + ch + k) * s
            grad_row(g__ncs + j, x__ncs + j, mean__c[ch + k], by_g[k], by_x[k], constant[k], dx__ncs + j, s)


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
    cdef Py_ssize_t ch, together = channels_together(c, s, threads)
    if s == 1:
        for ch in prange(0, c, TILE, num_threads=threads, schedule="static"):
            grad_tile(g, x, weight, mean, var, eps, dx, dweight, dbias, n, c, ch)
    else:
        for ch in prange(0, c, together, num_threads=threads, schedule="static"):
            grad_channels(g, x, weight, mean, var, eps, dx, dweight, dbias, n, c, s, ch, smaller(together, c - ch))


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
