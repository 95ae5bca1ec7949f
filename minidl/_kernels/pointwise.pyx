"""Activations and their gradients: one pass over memory, in blocks shared out among the threads.

Each function is a loop over one block, `..._block`; `map1` and `map2` run it over all blocks. The loops hold no
branch (a conditional expression is a select), so the compiler turns them into vector code.
"""

cimport numpy as cnp
from cython.parallel cimport prange

from .arrays cimport empty_like, first, like, real, smaller
from .threads cimport threads_for
from .vecmath cimport bell, erf as erf_of, normal_cdf, sigmoid as sigmoid_of, tanh as tanh_of

cnp.import_array()

# What one thread does in one go. The size is fixed, so the cuts never depend on the number of threads.
cdef enum:
    BLOCK = 4096

# About what a thousand elements take, in nanoseconds: decides whether waking a second thread pays.
cdef enum:
    CHEAP = 150
    COSTLY = 400

ctypedef void (*map1_f)(const float* x, float* y, Py_ssize_t n) noexcept nogil
ctypedef void (*map1_d)(const double* x, double* y, Py_ssize_t n) noexcept nogil
ctypedef void (*map2_f)(const float* a, const float* b, float* y, Py_ssize_t n) noexcept nogil
ctypedef void (*map2_d)(const double* a, const double* b, double* y, Py_ssize_t n) noexcept nogil


cdef cnp.ndarray map1(object source, map1_f single, map1_d double_, int cost, str where):
    """y = f(x), element by element."""
    cdef cnp.ndarray x = first(source, -1, where), y = empty_like(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x), i
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef int threads = threads_for(n * cost // 1000)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        for i in prange(0, n, BLOCK, nogil=True, num_threads=threads, schedule="static"):
            single(<float*>xp + i, <float*>yp + i, smaller(BLOCK, n - i))
    else:
        for i in prange(0, n, BLOCK, nogil=True, num_threads=threads, schedule="static"):
            double_(<double*>xp + i, <double*>yp + i, smaller(BLOCK, n - i))
    return y


cdef cnp.ndarray map2(object first_source, object second_source, map2_f single, map2_d double_, int cost, str where):
    """y = f(a, b), element by element; a and b have the same shape."""
    cdef cnp.ndarray a = first(first_source, -1, where), b = like(second_source, a, where), y = empty_like(a)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(a), i
    cdef void* ap = cnp.PyArray_DATA(a)
    cdef void* bp = cnp.PyArray_DATA(b)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef int threads = threads_for(n * cost // 1000)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        for i in prange(0, n, BLOCK, nogil=True, num_threads=threads, schedule="static"):
            single(<float*>ap + i, <float*>bp + i, <float*>yp + i, smaller(BLOCK, n - i))
    else:
        for i in prange(0, n, BLOCK, nogil=True, num_threads=threads, schedule="static"):
            double_(<double*>ap + i, <double*>bp + i, <double*>yp + i, smaller(BLOCK, n - i))
    return y


# ---------------------------------------------------------------- relu

cdef void relu_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = <real>0 if x[i] <= 0 else x[i]            # NaN fails the comparison and stays NaN


cdef void relu_grad_block(const real* grad, const real* y, real* dx, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dx[i] = grad[i] if y[i] > 0 else <real>0


def relu(x):
    return map1(x, relu_block[float], relu_block[double], CHEAP, "relu")


def relu_grad(grad, y):
    return map2(grad, y, relu_grad_block[float], relu_grad_block[double], CHEAP, "relu_grad")


# ---------------------------------------------------------------- sigmoid, tanh, erf

cdef void sigmoid_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = sigmoid_of(x[i])


cdef void sigmoid_grad_block(const real* grad, const real* y, real* dx, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dx[i] = grad[i] * y[i] * (<real>1 - y[i])


cdef void tanh_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = tanh_of(x[i])


cdef void tanh_grad_block(const real* grad, const real* y, real* dx, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dx[i] = grad[i] * (<real>1 - y[i] * y[i])


cdef void erf_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = erf_of(x[i])


def sigmoid(x):
    return map1(x, sigmoid_block[float], sigmoid_block[double], COSTLY, "sigmoid")


def sigmoid_grad(grad, y):
    return map2(grad, y, sigmoid_grad_block[float], sigmoid_grad_block[double], CHEAP, "sigmoid_grad")


def tanh(x):
    return map1(x, tanh_block[float], tanh_block[double], COSTLY, "tanh")


def tanh_grad(grad, y):
    return map2(grad, y, tanh_grad_block[float], tanh_grad_block[double], CHEAP, "tanh_grad")


def erf(x):
    return map1(x, erf_block[float], erf_block[double], COSTLY, "erf")


# ---------------------------------------------------------------- silu: x sigmoid(x)

cdef void silu_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i] * sigmoid_of(x[i])


cdef void silu_grad_block(const real* grad, const real* x, real* dx, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real s
    for i in range(n):
        s = sigmoid_of(x[i])
        dx[i] = grad[i] * (s * (<real>1 + x[i] * (<real>1 - s)))


def silu(x):
    return map1(x, silu_block[float], silu_block[double], COSTLY, "silu")


def silu_grad(grad, x):
    return map2(grad, x, silu_grad_block[float], silu_grad_block[double], COSTLY, "silu_grad")


# ---------------------------------------------------------------- gelu: x Phi(x), exact and by tanh

cdef void gelu_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i] * normal_cdf(x[i])


cdef void gelu_grad_block(const real* grad, const real* x, real* dx, Py_ssize_t n) noexcept nogil:
    """d/dx x Phi(x) = Phi(x) + x phi(x), phi the density of the normal distribution."""
    cdef Py_ssize_t i
    for i in range(n):
        dx[i] = grad[i] * (normal_cdf(x[i]) + x[i] * <real>0.39894228040143267794 * bell(x[i]))


cdef inline real gelu_angle(real x) noexcept nogil:
    """sqrt(2/pi) (x + 0.044715 x**3)"""
    return <real>0.79788456080286535588 * (x + <real>0.044715 * x * x * x)


cdef void gelu_tanh_block(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = <real>0.5 * x[i] * (<real>1 + tanh_of(gelu_angle(x[i])))


cdef void gelu_tanh_grad_block(const real* grad, const real* x, real* dx, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real t, slope
    for i in range(n):
        t = tanh_of(gelu_angle(x[i]))
        slope = <real>0.79788456080286535588 * (<real>1 + <real>0.134145 * x[i] * x[i])
        dx[i] = grad[i] * (<real>0.5 * (<real>1 + t) + <real>0.5 * x[i] * (<real>1 - t * t) * slope)


def gelu(x):
    return map1(x, gelu_block[float], gelu_block[double], COSTLY, "gelu")


def gelu_grad(grad, x):
    return map2(grad, x, gelu_grad_block[float], gelu_grad_block[double], COSTLY, "gelu_grad")


def gelu_tanh(x):
    return map1(x, gelu_tanh_block[float], gelu_tanh_block[double], COSTLY, "gelu")


def gelu_tanh_grad(grad, x):
    return map2(grad, x, gelu_tanh_grad_block[float], gelu_tanh_grad_block[double], COSTLY, "gelu_grad")
