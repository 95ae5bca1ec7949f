"""The dimensions in another order: transpose, permute and their relatives, all of them views.

Nothing moves in memory: a view's strides say how far apart the elements of each dimension are, and here they only
change places. The gradient is the same step backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, normalize_dims

__all__ = ["movedim", "permute", "reverse_dims", "swapaxes", "transpose"]


class Transpose(Op):
    """Two dimensions change places;  ∂L/∂x = ∂L/∂y with the same two changed back."""

    def __init__(self, dim0: int, dim1: int) -> None:
        self.dims = dim0, dim1

    def forward(self, x: Any) -> Any:
        return x.swapaxes(*self.dims)

    def backward(self, grad: Any) -> Any:
        return grad.swapaxes(*self.dims)


class Permute(Op):
    """Dimension i of y is dimension dims[i] of x;  ∂L/∂x = ∂L/∂y under the inverse permutation."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.transpose(self.dims)

    def backward(self, grad: Any) -> Any:
        return Permute(tuple(sorted(range(len(self.dims)), key=self.dims.__getitem__)))(grad)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions change places, as a view: ``y[.., j, .., i, ..] = x[.., i, .., j, ..]``.

    (This is PyTorch's `transpose`; NumPy's, which takes all axes, is `permute`.)

    Raises
    ------
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> transpose(minidl.tensor([[1, 2, 3], [4, 5, 6]]), 0, 1)
    tensor([[1, 4],
            [2, 5],
            [3, 6]])
    """
    ndim = x.ndim
    return Transpose(normalize_dim("transpose", dim0, ndim), normalize_dim("transpose", dim1, ndim))(x) if ndim else x


def swapaxes(x: Any, axis0: int, axis1: int) -> Any:
    """`transpose` under NumPy's name.

    Examples
    --------
    >>> import minidl
    >>> swapaxes(minidl.ones(2, 3, 4), 0, -1).shape
    (4, 3, 2)
    """
    return transpose(x, axis0, axis1)


def permute(x: Any, *dims: Any) -> Any:
    """All dimensions in a new order, as a view: dimension i of the result is dimension ``dims[i]`` of `x`.

    Raises
    ------
    ShapeError
        If `dims` does not name each dimension once.

    Examples
    --------
    >>> import minidl
    >>> permute(minidl.ones(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    order = normalize_dims("permute", dims, x.ndim)
    if len(order) != x.ndim:
        raise ShapeError("permute", expected=f"each of the {x.ndim} dimensions once", actual=str(dims))
    return Permute(order)(x)


def reverse_dims(x: Any) -> Any:
    """All dimensions in reverse order, as a view: what ``x.T`` is, the transpose of a matrix.

    Examples
    --------
    >>> import minidl
    >>> minidl.ones(2, 3).T.shape
    (3, 2)
    """
    return Permute(tuple(range(x.ndim - 1, -1, -1)))(x)


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Some dimensions move to other places, the others keep their order; a view.

    Raises
    ------
    ShapeError
        If the two do not name equally many dimensions, or name one that is not there.

    Examples
    --------
    >>> import minidl
    >>> movedim(minidl.ones(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    sources = normalize_dims("movedim", source, x.ndim)
    destinations = normalize_dims("movedim", destination, x.ndim)
    if len(sources) != len(destinations):
        raise ShapeError(
            "movedim", expected="as many destinations as sources", actual=f"{len(destinations)} for {len(sources)}"
        )
    order = [i for i in range(x.ndim) if i not in sources]
    for place, dim in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, dim)
    return Permute(tuple(order))(x)


def _loop_permute(x: np.ndarray, *dims: int) -> np.ndarray:
    order = [dim % x.ndim for dim in dims]
    out = np.empty([x.shape[dim] for dim in order])
    for index in np.ndindex(*x.shape):
        out[tuple(index[dim] for dim in order)] = x[index]
    return out


def _swapped(x: np.ndarray, a: int, b: int) -> np.ndarray:
    dims = list(range(x.ndim))
    dims[a], dims[b] = dims[b], dims[a]
    return _loop_permute(x, *dims)


cases(transpose, _swapped, {"matrix": lambda r: call(r.normal(size=(2, 3)), 0, 1)})
cases(transpose, _swapped, {"3-d": lambda r: call(r.normal(size=(2, 3, 4)), -1, 0)})
cases(swapaxes, _swapped, {"3-d": lambda r: call(r.normal(size=(2, 3, 4)), 1, 2)})
cases(permute, _loop_permute, {"3-d": lambda r: call(r.normal(size=(2, 3, 4)), 2, 0, -2)})
cases(reverse_dims, lambda x: _loop_permute(x, 2, 1, 0), {"3-d": lambda r: call(r.normal(size=(2, 3, 4)))})
cases(
    movedim,
    lambda x, source, destination: _loop_permute(x, *((1, 2, 0) if source == 0 else (2, 1, 0))),
    {
        "one": lambda r: call(r.normal(size=(2, 3, 4)), 0, -1),
        "two": lambda r: call(r.normal(size=(2, 3, 4)), (0, 2), (2, 0)),
    },
)
