"""Checks at the door of a kernel: after them a raw pointer may be followed without fear."""

import numpy as np

cimport numpy as cnp
from minidl.errors import DTypeError, ShapeError

cnp.import_array()

cdef extern from "Python.h":
    object PyContext_Copy(object context)
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1

cdef enum:
    LARGE = 4096                 # elements from which a result comes from the pool

cdef object pool = None


cdef cnp.ndarray empty(int ndim, cnp.npy_intp* shape, int typenum):
    """A new array, to be written by a kernel; a large one in memory that was used before.

    NumPy asks its current allocator and the array remembers it (NEP 49): so the pool is made current for this one
    allocation, and every other array of the process stays as it was.
    """
    cdef double count = 1        # does not overflow, whatever the shape: NumPy refuses what is too large
    cdef int i
    for i in range(ndim):
        count *= shape[i]
    if count < LARGE or pool is None:
        return PyArray_EMPTY(ndim, shape, typenum, 0)
    cdef object own = PyContext_Copy(pool)       # at once: a context is entered by one thread at a time
    PyContext_Enter(own)
    try:
        return PyArray_EMPTY(ndim, shape, typenum, 0)
    finally:
        PyContext_Exit(own)


def new(shape, dtype):
    """numpy.empty from the pool, whatever the size: the array starts with a cache line."""
    return np.empty(shape, dtype) if pool is None else pool.copy().run(np.empty, shape, dtype)


def alike(a, b=None, c=None, d=None, e=None):
    """Whether all arrays (None is skipped) are float32, or all are float64: what the kernels are compiled for."""
    if not is_real(a):
        return False
    cdef int kind = cnp.PyArray_TYPE(<cnp.ndarray>a)
    return (b is None or is_kind(b, kind)) and (c is None or is_kind(c, kind)) and (d is None or is_kind(d, kind)) \
        and (e is None or is_kind(e, kind))


cdef inline bint is_kind(object x, int kind) noexcept:
    return PyArray_CheckExact(x) and cnp.PyArray_TYPE(<cnp.ndarray>x) == kind


cdef cnp.ndarray first(object x, int ndim, str where):
    """The array that sets the type: float32 or float64, `ndim` dimensions (-1: any)."""
    if not is_real(x):
        raise DTypeError(where, expected="a float32 or float64 array", actual=getattr(x, "dtype", type(x).__name__),
                         hint="the kernels are compiled for these two; the reference backend takes others")
    if ndim >= 0 and cnp.PyArray_NDIM(<cnp.ndarray>x) != ndim:
        raise ShapeError(where, expected=f"{ndim} dimensions", actual=x.shape, hint="reshape the array")
    return ready(x, cnp.PyArray_TYPE(<cnp.ndarray>x))


cdef cnp.ndarray like(object x, cnp.ndarray model, str where):
    """x in the type of `model`; it must have the same shape."""
    cdef cnp.ndarray y = ready(x, cnp.PyArray_TYPE(model))
    if not cnp.PyArray_SAMESHAPE(y, model):
        raise ShapeError(where, expected=f"shape {(<object>model).shape}", actual=(<object>y).shape,
                         hint="both arrays belong to the same elements")
    return y


cdef cnp.ndarray vector(object x, cnp.ndarray model, Py_ssize_t length, str where):
    """x as `length` numbers in the type of `model`."""
    cdef cnp.ndarray y = ready(x, cnp.PyArray_TYPE(model))
    if cnp.PyArray_NDIM(y) != 1 or cnp.PyArray_DIM(y, 0) != length:
        raise ShapeError(where, expected=f"shape ({length},)", actual=(<object>y).shape,
                         hint="one number for each channel, feature or row")
    return y


cdef cnp.ndarray indices(object x, str where):
    """x as int64; anything that is not an integer array is refused."""
    if not cnp.PyArray_Check(x) or not cnp.PyArray_ISINTEGER(<cnp.ndarray>x):
        raise DTypeError(where, expected="an integer array of indices", actual=getattr(x, "dtype", type(x).__name__),
                         hint="convert with .astype('int64')")
    if cnp.PyArray_TYPE(<cnp.ndarray>x) == cnp.NPY_UINT64:
        x = x.astype("int64")          # the only integer type that does not fit: huge values turn negative
    return ready(x, cnp.NPY_INT64)
