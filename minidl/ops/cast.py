"""Element types: converting, and PyTorch's rules for mixing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from minidl.dtypes import DTypeLike, as_dtype, get_default_dtype
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.tensor import Tensor, as_array

__all__ = ["astype", "floating", "floats", "plain", "promote"]

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


class Astype(Op):
    """Convert the elements; the gradient is converted back."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype.newbyteorder("=")  # the machine's, as of all results

    def forward(self, x: Any) -> Any:
        self.before = x.dtype
        return x.astype(self.dtype)

    def backward(self, grad: Any) -> Any:
        return astype(grad, self.before)


def astype(x: Any, dtype: DTypeLike) -> Any:
    """Convert to another element type, in the machine's byte order; the same object if it already is of that type.

    Between floating-point types the gradient flows through; to integers and booleans it stops.

    Examples
    --------
    >>> import minidl
    >>> minidl.tensor([1.7, -1.7]).astype("int64")
    tensor([ 1, -1])
    """
    dtype = as_dtype(dtype)
    return x if x.dtype == dtype else Astype(dtype)(x)


cases(
    astype,
    oracle=lambda x, dtype: np.array([float(v) for v in x.ravel()]).reshape(x.shape),
    samples={"same width": lambda r: call(r.normal(size=(2, 3)), np.dtype(">f8"))},
    elementwise=False,
)


def floating(x: Any) -> Any:
    """`x` itself if it holds floats or is a scalar, else converted to the default dtype: integers have no gradient."""
    dtype = x.data.dtype if isinstance(x, Tensor) else getattr(x, "dtype", None)
    return x if dtype is None or dtype.kind == "f" else astype(x, get_default_dtype())


def floats(*values: Any) -> tuple[Any, ...]:
    """Operands as floating-point arrays of one type, the widest among them; None stays None.

    Examples
    --------
    >>> import minidl
    >>> [x if x is None else x.dtype.name for x in floats(minidl.arange(3), None, minidl.ones(3))]
    ['float32', None, 'float32']
    """
    common = None
    try:
        for value in values:  # Tensors or arrays of one type of float: by far the most frequent
            if value is not None:
                dtype = (value if type(value) is ndarray else value.data).dtype
                if dtype is not common:
                    if dtype.kind != "f" or (common is not None and dtype != common):
                        break
                    common = dtype
        else:
            return values
    except (AttributeError, ValueError):
        pass  # a number or a list, or an array whose `data` is a buffer
    arrays = [v if v is None or hasattr(v, "dtype") else as_array(v) for v in values]
    arrays = [v if v is None else floating(v) for v in arrays]
    first = next(v.dtype for v in arrays if v is not None)
    if all(v is None or v.dtype == first for v in arrays):
        return tuple(arrays)
    widest = np.result_type(*[v.dtype for v in arrays if v is not None])
    return tuple([v if v is None else astype(v, widest) for v in arrays])


def plain(value: Any) -> Any:
    """The array behind a Tensor, where its values are needed and not its gradient; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def promote(a: Any, b: Any) -> tuple[Any, Any]:
    """Bring two operands to a common type by PyTorch's rules.

    Python and NumPy scalars do not widen an array: float32 stays float32. An integer array with a float scalar takes
    the default dtype. Between two arrays the higher category (bool < integer < float) wins, and within a category the
    wider type, except that a 0-d array does not widen one with dimensions.
    Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.data.dtype is b.data.dtype:
        return a, b  # by far the most frequent
    x, y = plain(a), plain(b)
    if hasattr(x, "dtype") and hasattr(y, "dtype"):
        if x.dtype == y.dtype:
            return a, b
        if isinstance(y, np.generic):
            return promote(a, y.item())
        if isinstance(x, np.generic):
            return promote(x.item(), b)
        dtype = _common(x, y)
        return astype(a, dtype), astype(b, dtype)
    if hasattr(x, "dtype"):
        return _with_scalar(a, x, b)
    if hasattr(y, "dtype"):
        b, a = _with_scalar(b, y, a)
        return a, b
    return as_array(a), as_array(b)


def _with_scalar(array: Any, data: Any, scalar: Any) -> tuple[Any, Any]:
    if isinstance(scalar, float):
        return (array if data.dtype.kind == "f" else astype(array, get_default_dtype())), scalar
    if isinstance(scalar, int):
        return (astype(array, np.int64) if data.dtype.kind == "b" and not isinstance(scalar, bool) else array), scalar
    return promote(array, as_array(scalar))


def _common(x: Any, y: Any) -> np.dtype:
    x, y = as_array(x), as_array(y)  # refuses text, objects and complex numbers
    if _CATEGORY[x.dtype.kind] != _CATEGORY[y.dtype.kind]:
        return x.dtype if _CATEGORY[x.dtype.kind] > _CATEGORY[y.dtype.kind] else y.dtype
    if (x.ndim == 0) != (y.ndim == 0):
        return y.dtype if x.ndim == 0 else x.dtype
    return np.result_type(x.dtype, y.dtype)
