"""Looking up rows of a table, and adding gradients back to them."""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from minidl.errors import ShapeError

from .arrays cimport empty, first, indices, real, smaller
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    COST = 150                   # nanoseconds for a thousand elements


cdef int check(cnp.ndarray index, Py_ssize_t rows, str where) except -1:
    """Every index names a row: after this the kernels may follow it."""
    cdef const int64_t* i = <const int64_t*>cnp.PyArray_DATA(index)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(index), k
    cdef bint good = True
    for k in range(n):
        good &= (i[k] >= 0) & (i[k] < rows)
    if not good:
        raise IndexError(f"{where}: expected indices from 0 to {rows - 1}; got some from "
                         f"{(<object>index).min()} to {(<object>index).max()}")
    return 0


def embedding(weight, index):
    """weight (V, D), index of any shape: rows (*index.shape, D)."""
    cdef cnp.ndarray weight_ = first(weight, 2, "embedding"), index_ = indices(index, "embedding")
    cdef int ndim = cnp.PyArray_NDIM(index_), axis
    cdef cnp.npy_intp[33] shape
    if ndim > 31:
        raise ShapeError("embedding", expected="indices of at most 31 dimensions", actual=str(ndim))
    check(index_, cnp.PyArray_DIM(weight_, 0), "embedding")
    for axis in range(ndim):
        shape[axis] = cnp.PyArray_DIM(index_, axis)
    shape[ndim] = cnp.PyArray_DIM(weight_, 1)
    cdef cnp.ndarray rows = empty(ndim + 1, shape, cnp.PyArray_TYPE(weight_))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(index_), width = shape[ndim] * cnp.PyArray_ITEMSIZE(weight_), k
    cdef char* table = <char*>cnp.PyArray_DATA(weight_)
    cdef char* out = <char*>cnp.PyArray_DATA(rows)
    cdef const int64_t* i = <const int64_t*>cnp.PyArray_DATA(index_)
    cdef int threads = threads_for(n * (20 + shape[ndim] * COST // 1000))
    for k in prange(n, nogil=True, num_threads=threads, schedule="static"):
        memcpy(out + k * width, table + i[k] * width, width)
    return rows


cdef void add_rows(const real* g__nd, const int64_t* index__n, real* dw__vd, Py_ssize_t n, Py_ssize_t d,
                   Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """The rows of dw from `begin` to `end`. Each adds its gradients in the order in which they come, so the sum does
    not depend on how the rows were shared out."""
    cdef Py_ssize_t k, j
    cdef real* row
    memset(dw__vd + begin * d, 0, (end - begin) * d * sizeof(real))
    for k in range(n):
        if begin <= index__n[k] < end:
            row = dw__vd + index__n[k] * d
            for j in range(d):
                row[j] += g__nd[k * d + j]


def embedding_grad(grad, index, Py_ssize_t num_embeddings):
    """grad (*index.shape, D) to (V, D), V = num_embeddings."""
    cdef cnp.ndarray g = first(grad, -1, "embedding_grad"), index_ = indices(index, "embedding_grad")
    cdef Py_ssize_t n = cnp.PyArray_SIZE(index_), d, k, per, v = num_embeddings
    if cnp.PyArray_NDIM(g) == 0 or (<object>g).shape[:cnp.PyArray_NDIM(g) - 1] != (<object>index_).shape:
        raise ShapeError("embedding_grad", expected="a gradient of shape (*indices.shape, D)",
                         actual=f"{(<object>g).shape} for indices {(<object>index_).shape}")
    check(index_, v, "embedding_grad")
    d = cnp.PyArray_DIM(g, cnp.PyArray_NDIM(g) - 1)
    cdef cnp.npy_intp[2] shape = [v, d]
    cdef cnp.ndarray dw = empty(2, shape, cnp.PyArray_TYPE(g))
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* dwp = cnp.PyArray_DATA(dw)
    cdef const int64_t* i = <const int64_t*>cnp.PyArray_DATA(index_)
    cdef int threads = threads_for((n + v) * (d * COST // 1000 + 5))
    per = (v + threads - 1) // threads
    if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT:
        for k in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            if k * per < v:
                add_rows(<float*>gp, i, <float*>dwp, n, d, k * per, smaller(v, (k + 1) * per))
    else:
        for k in prange(threads, nogil=True, num_threads=threads, schedule="static"):
            if k * per < v:
                add_rows(<double*>gp, i, <double*>dwp, n, d, k * per, smaller(v, (k + 1) * per))
    return dw
