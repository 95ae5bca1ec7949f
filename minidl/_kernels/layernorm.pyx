"""Layer norm, and its gradients.

Shapes: m rows of d features. Statistics of a row as in moments.pxd.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport calloc, free, malloc

from .arrays cimport empty, empty_like, first, larger, like, real, smaller, vector
from .moments cimport BLOCK, Moments, data_or_null, join_row, optional
from .reduce cimport dot, total
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    PARTS = 128                  # partial sums of the weight gradient, at most
    COLUMNS = 256                # features worked on at a time for the weight gradient
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
        sum_h += total(h, n)
        sum_hx += dot(h, x + start, mean, n)
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
