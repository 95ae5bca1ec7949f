"""The same elements under another shape: reshape and its relatives.

Nothing is computed here. Where memory allows it the result is a view, and the gradient is the same step backwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import DTypeError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, normalize_dims

__all__ = [
    "clone",
    "contiguous",
    "flatten",
    "ravel",
    "reshape",
    "squeeze",
    "unflatten",
    "unsqueeze",
]


class Reshape(Op):
    """y holds the elements of x, in the same (C) order, under another shape;  ∂L/∂x = ∂L/∂y in the old shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        return grad.reshape(self.before)


class Clone(Op):
    """y = x in memory of its own, in C order;  ∂L/∂x = ∂L/∂y."""

    def forward(self, x: Any) -> Any:
        return x.copy()

    def backward(self, grad: Any) -> Any:
        return grad


def reshape(x: Any, *shape: Any) -> Any:
    """The same elements in C order under another shape: ``reshape(x, 2, 3)`` or ``reshape(x, (2, 3))``.

    A view where the memory layout allows it, a copy otherwise. (`Tensor.view` is the same function: unlike PyTorch's
    it copies where it must, instead of refusing.)

    Parameters
    ----------
    x : Tensor or array
    shape : int or tuple of int
        One size may be -1: it follows from the number of elements.

    Raises
    ------
    ShapeError
        If the number of elements does not fit, more than one size is -1, or -1 is ambiguous because another is 0.

    Examples
    --------
    >>> import minidl
    >>> reshape(minidl.arange(6), 2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    try:
        if shape and min(shape) < -1:
            raise _bad_shape("reshape", x, shape)
        return Reshape(shape)(x)
    except ShapeError:
        raise _bad_shape("reshape", x, shape) from None
    except TypeError:
        raise DTypeError("reshape", expected="sizes that are integers", actual=str(shape)) from None


def _bad_shape(name: str, x: Any, shape: tuple[int, ...]) -> ShapeError:
    count = math.prod(x.shape)
    return ShapeError(
        name,
        expected=f"sizes whose product is {count}, as shape {tuple(x.shape)} has, or one -1 that can make it so",
        actual=str(shape),
        hint="the batch often stays: reshape(x, x.shape[0], -1)" if x.ndim > 1 else "",
    )


def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Drop dimensions of size one: all of them, or those among `dim`; others named there stay as they are.

    Raises
    ------
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> squeeze(minidl.ones(1, 3, 1)).shape, squeeze(minidl.ones(1, 3, 1), 0).shape
    ((3,), (3, 1))
    """
    dims = normalize_dims("squeeze", dim, x.ndim)
    return Reshape(tuple([size for i, size in enumerate(x.shape) if size != 1 or i not in dims]))(x)


def unsqueeze(x: Any, dim: int) -> Any:
    """Put a new dimension of size one at place `dim` of the result.

    Raises
    ------
    ShapeError
        If the result has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> unsqueeze(minidl.ones(3), 0).shape, unsqueeze(minidl.ones(3), -1).shape
    ((1, 3), (3, 1))
    """
    dim = normalize_dim("unsqueeze", dim, x.ndim + 1)
    return Reshape((*x.shape[:dim], 1, *x.shape[dim:]))(x)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join the dimensions from `start_dim` to `end_dim`, both included, into one; 0-d becomes one element.

    Raises
    ------
    ShapeError
        If there is no such dimension, or the two are in the wrong order.

    Examples
    --------
    >>> import minidl
    >>> flatten(minidl.ones(2, 3, 4), 1).shape
    (2, 12)
    """
    shape = x.shape or (1,)
    first, last = normalize_dim("flatten", start_dim, len(shape)), normalize_dim("flatten", end_dim, len(shape))
    if first > last:
        raise ShapeError("flatten", expected="start_dim before end_dim", actual=f"{start_dim} and {end_dim}")
    return Reshape((*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))(x)


def ravel(x: Any) -> Any:
    """All elements in one dimension, in C order; a view where that is possible.

    Examples
    --------
    >>> import minidl
    >>> ravel(minidl.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    return Reshape((x.size,))(x)


def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Split one dimension into several, the reverse of `flatten`; one of the sizes may be -1.

    Raises
    ------
    ShapeError
        If the product of the sizes is not the size of the dimension.

    Examples
    --------
    >>> import minidl
    >>> unflatten(minidl.ones(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    dim = normalize_dim("unflatten", dim, x.ndim)
    known = math.prod([size for size in sizes if size != -1])
    rest = x.shape[dim] // known if known > 0 and -1 in sizes else 1
    filled = tuple([rest if size == -1 else size for size in sizes])
    if not filled or min(filled) < 0 or list(sizes).count(-1) > 1 or known * rest != x.shape[dim]:
        raise ShapeError(
            "unflatten",
            expected=f"sizes whose product is {x.shape[dim]}, the size of dim {dim}",
            actual=str(tuple(sizes)),
        )
    return Reshape((*x.shape[:dim], *filled, *x.shape[dim + 1 :]))(x)


def clone(x: Any) -> Any:
    """A copy in memory of its own, through which gradients flow.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.ones(2, requires_grad=True)
    >>> (clone(x) * 3).sum().backward()
    >>> x.grad
    tensor([3., 3.])
    """
    return Clone()(x)


def contiguous(x: Any) -> Any:
    """`x` itself if its memory is in C order, else a copy that is.

    Examples
    --------
    >>> import minidl
    >>> contiguous(minidl.ones(2, 3).T).data.flags.c_contiguous
    True
    """
    array = x.data if hasattr(x, "requires_grad") else x
    return x if array.flags.c_contiguous else Clone()(x)


def _loop_reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(shape)
    for place, index in zip(np.ndindex(*shape), np.ndindex(*x.shape), strict=True):
        out[place] = x[index]
    return out


cases(
    reshape,
    lambda x, *shape: _loop_reshape(x, (3, 4)),
    {
        "sizes": lambda r: call(r.normal(size=(2, 6)), 3, 4),
        "tuple": lambda r: call(r.normal(size=(12,)), (3, 4)),
        "-1": lambda r: call(r.normal(size=(2, 3, 2)), -1, 4),
        "transposed": lambda r: call(r.normal(size=(2, 6)).T.copy().T, (3, 4)),
    },
)
cases(
    squeeze,
    lambda x, dim=None: _loop_reshape(x, (3, 2) if dim is None else (3, 1, 2) if dim == 0 else (1, 3, 1, 2)),
    {
        "all": lambda r: call(r.normal(size=(1, 3, 1, 2))),
        "one": lambda r: call(r.normal(size=(1, 3, 1, 2)), 0),
        "not of size one": lambda r: call(r.normal(size=(1, 3, 1, 2)), 1),
    },
)
cases(
    unsqueeze,
    lambda x, dim: _loop_reshape(x, (2, 1, 3) if dim == 1 else (2, 3, 1)),
    {"middle": lambda r: call(r.normal(size=(2, 3)), 1), "end": lambda r: call(r.normal(size=(2, 3)), -1)},
)
cases(
    flatten,
    lambda x, start_dim=0, end_dim=-1: _loop_reshape(x, (12,) if start_dim == 0 else (2, 6)),
    {"all": lambda r: call(r.normal(size=(2, 3, 2))), "tail": lambda r: call(r.normal(size=(2, 3, 2)), 1, 2)},
)
cases(ravel, lambda x: _loop_reshape(x, (6,)), {"matrix": lambda r: call(r.normal(size=(2, 3)))})
cases(
    unflatten,
    lambda x, dim, sizes: _loop_reshape(x, (2, 3, 2)),
    {
        "-1": lambda r: call(r.normal(size=(2, 6)), 1, (-1, 2)),
        "sizes": lambda r: call(r.normal(size=(2, 6)), -1, (3, 2)),
    },
)
cases(clone, np.positive, {"any": lambda r: call(r.normal(size=(2, 3)))}, elementwise=True)
cases(contiguous, np.positive, {"transposed": lambda r: call(r.normal(size=(2, 3)).T)})
