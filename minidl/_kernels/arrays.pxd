# The door of a kernel: what NumPy hands over becomes a plain, aligned, native, C-contiguous block.

cimport numpy as cnp

cdef extern from "numpy/arrayobject.h":
    object PyArray_FROM_OTF(object x, int typenum, int requirements)
    cnp.ndarray PyArray_EMPTY(int ndim, cnp.npy_intp* shape, int typenum, int fortran)
    cnp.ndarray PyArray_ZEROS(int ndim, cnp.npy_intp* shape, int typenum, int fortran)
    bint PyArray_CheckExact(object x)
    bint PyArray_ISCARRAY_RO(cnp.ndarray x)

cdef object pool                 # a context (see contextvars) in which NumPy allocates from memory.pyx's pool, or None

ctypedef fused real:
    float
    double


cdef inline bint is_real(object x) noexcept:
    """Whether x is a float32 or float64 array (any layout, any byte order)."""
    if not PyArray_CheckExact(x):
        return False
    cdef int kind = cnp.PyArray_TYPE(<cnp.ndarray>x)
    return kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE


cdef inline cnp.ndarray ready(object x, int typenum):
    """x as a C-contiguous, aligned, native array of this type; x itself where it is one already."""
    if PyArray_CheckExact(x) and cnp.PyArray_TYPE(<cnp.ndarray>x) == typenum and PyArray_ISCARRAY_RO(<cnp.ndarray>x):
        return <cnp.ndarray>x    # NumPy takes longer to find out
    return <cnp.ndarray>PyArray_FROM_OTF(x, typenum, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_NOTSWAPPED)


cdef cnp.ndarray empty(int ndim, cnp.npy_intp* shape, int typenum)


cdef inline cnp.ndarray empty_like(cnp.ndarray x):
    return empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))


cdef inline Py_ssize_t smaller(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline Py_ssize_t larger(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a > b else b


cdef cnp.ndarray first(object x, int ndim, str where)
cdef cnp.ndarray like(object x, cnp.ndarray model, str where)
cdef cnp.ndarray vector(object x, cnp.ndarray model, Py_ssize_t length, str where)
cdef cnp.ndarray indices(object x, str where)
