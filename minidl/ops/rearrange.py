"""Copies of the elements in other places: flip, roll, tile and repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, normalize_dims
from minidl.ops.broadcast import broadcast_to
from minidl.ops.index import index_select
from minidl.ops.shape import Reshape, clone, ravel, unsqueeze
from minidl.tensor import Tensor

__all__ = ["flip", "repeat", "repeat_interleave", "roll", "tile"]


class Flip(Op):
    """Reverse the order along some dimensions;  ∂L/∂x = ∂L/∂y reversed."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x[tuple([slice(None, None, -1 if i in self.dims else 1) for i in range(x.ndim)])].copy()

    def backward(self, grad: Any) -> Any:
        return Flip(self.dims)(grad)


class Roll(Op):
    """Shift cyclically, y[i + s] = x[i];  ∂L/∂x = ∂L/∂y shifted back."""

    def __init__(self, shifts: tuple[int, ...], dims: tuple[int, ...]) -> None:
        self.shifts = shifts
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.roll(x, self.shifts, axis=self.dims)

    def backward(self, grad: Any) -> Any:
        return Roll(tuple([-shift for shift in self.shifts]), self.dims)(grad)


def flip(x: Any, *dims: Any) -> Any:
    """Reverse the order of the elements along some dimensions: ``y[.., i, ..] = x[.., n-1-i, ..]``.

    A copy, as in PyTorch; ``x[::-1]`` is a view.

    Raises
    ------
    ShapeError
        If `x` has no such dimension, or one is named twice.

    Examples
    --------
    >>> import minidl
    >>> flip(minidl.tensor([[1, 2], [3, 4]]), 1)
    tensor([[2, 1],
            [4, 3]])
    """
    return Flip(normalize_dims("flip", _several(dims), x.ndim))(x)


def roll(x: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """Shift the elements cyclically: ``y[(i + shift) mod n] = x[i]``.

    Parameters
    ----------
    x : Tensor or array
    shifts : int or sequence of int
        One for each dimension of `dims`.
    dims : int or sequence of int, optional
        Without it the flattened elements are shifted, and the shape is restored.

    Raises
    ------
    ShapeError
        If there are not as many shifts as dimensions, or `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> roll(minidl.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """
    several = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    if dims is None:
        if len(several) != 1:
            raise ShapeError("roll", expected="dims for several shifts", actual=f"shifts={several}, dims=None")
        return Reshape(x.shape)(Roll(several, (0,))(ravel(x)))
    places = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(several) != len(places):
        raise ShapeError("roll", expected="one shift for each dim", actual=f"shifts={several}, dims={places}")
    return Roll(several, tuple([normalize_dim("roll", dim, x.ndim) for dim in places]))(x)


def repeat(x: Any, *repeats: Any) -> Any:
    """Copies of the whole side by side, ``repeats[i]`` of them along dimension i.

    (PyTorch's `repeat`; NumPy's, which repeats elements, is `repeat_interleave`.)

    Parameters
    ----------
    x : Tensor or array
    *repeats : int
        At least one for each dimension; more of them make new dimensions in front.

    Raises
    ------
    ShapeError
        If there are fewer numbers than dimensions.
    OptionError
        If one is negative.

    Examples
    --------
    >>> import minidl
    >>> repeat(minidl.tensor([1, 2]), 2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = _several(repeats)
    lead = len(counts) - x.ndim
    if lead < 0:
        raise ShapeError(
            "repeat", expected=f"a number for each of the {x.ndim} dimensions", actual=str(counts), hint="or use tile"
        )
    if min(counts, default=0) < 0:
        raise OptionError("repeat", expected="numbers of at least 0", actual=str(counts))
    sizes = (1,) * lead + tuple(x.shape)
    whole = tuple([count * size for count, size in zip(counts, sizes, strict=True)])
    if math.prod(counts) == 1:
        return clone(Reshape(whole)(x))
    # Beside each dimension a new one of size one, which broadcasting repeats: (1, H, 1, W) -> (r, H, s, W).
    pairs = Reshape(tuple([n for size in sizes for n in (1, size)]))(x)
    copies = tuple([n for count, size in zip(counts, sizes, strict=True) for n in (count, size)])
    return Reshape(whole)(broadcast_to(pairs, copies))


def tile(x: Any, *repeats: Any) -> Any:
    """Like `repeat`; where there are fewer numbers than dimensions, the first dimensions are not repeated.

    Raises
    ------
    OptionError
        If a number is negative.

    Examples
    --------
    >>> import minidl
    >>> tile(minidl.tensor([[1, 2]]), 2)
    tensor([[1, 2, 1, 2]])
    """
    counts = _several(repeats)
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


def repeat_interleave(x: Any, repeats: Any, dim: int | None = None) -> Any:
    """Repeat each element (or slice along `dim`), the copies next to each other.

    Parameters
    ----------
    x : Tensor or array
    repeats : int or 1-d integer Tensor
        How often; one number for each slice, or the same for all.
    dim : int, optional
        Without it the elements are flattened first.

    Raises
    ------
    ShapeError
        If there is not one number for each slice.
    DTypeError
        If the numbers are no integers.
    OptionError
        If one is negative.

    Examples
    --------
    >>> import minidl
    >>> repeat_interleave(minidl.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    >>> repeat_interleave(minidl.tensor([[1, 2], [3, 4]]), minidl.tensor([1, 2]), dim=0)
    tensor([[1, 2],
            [3, 4],
            [3, 4]])
    """
    if dim is None:
        x, dim = ravel(x), 0
    dim = normalize_dim("repeat_interleave", dim, x.ndim)
    size = x.shape[dim]
    xp = backend_of(x.data if isinstance(x, Tensor) else x).xp
    counts = xp.asarray(repeats.data if isinstance(repeats, Tensor) else repeats)
    if counts.dtype.kind not in "iu":
        raise DTypeError("repeat_interleave", expected="integers", actual=f"repeats of {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise OptionError("repeat_interleave", expected="repeats of at least 0", actual=str(int(counts.min())))
    if counts.ndim > 1 or counts.size not in (1, size):
        raise ShapeError("repeat_interleave", expected=f"one number, or {size}", actual=f"shape {counts.shape}")
    if counts.size == 1:
        count = int(counts.reshape(()))
        apart = unsqueeze(x, dim + 1)
        copies = broadcast_to(apart, (*apart.shape[: dim + 1], count, *apart.shape[dim + 2 :]))
        y = Reshape((*x.shape[:dim], size * count, *x.shape[dim + 1 :]))(copies)
        return clone(y) if count == 1 else y
    return index_select(x, dim, xp.repeat(xp.arange(size), counts))


def _several(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(numbers[0]) if len(numbers) == 1 and isinstance(numbers[0], (tuple, list)) else numbers


def _loop_flip(x: np.ndarray, *dims: Any) -> np.ndarray:
    out = np.empty_like(x)
    flipped = [dim % x.ndim for dim in np.ravel(dims)]
    for index in np.ndindex(*x.shape):
        out[tuple(x.shape[d] - 1 - i if d in flipped else i for d, i in enumerate(index))] = x[index]
    return out


def _loop_roll(x: np.ndarray, shifts: Any, dims: Any = None) -> np.ndarray:
    if dims is None:
        flat = x.ravel()
        return np.array([flat[(i - shifts) % flat.size] for i in range(flat.size)]).reshape(x.shape)
    out = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        place = list(index)
        for shift, dim in zip(np.ravel(shifts), np.ravel(dims), strict=True):
            place[dim] = (place[dim] + shift) % x.shape[dim]
        out[tuple(place)] = x[index]
    return out


def _loop_repeat(x: np.ndarray, *repeats: Any) -> np.ndarray:
    counts = [1] * (x.ndim - len(np.ravel(repeats))) + list(np.ravel(repeats))
    x = x.reshape((1,) * (len(counts) - x.ndim) + x.shape)
    out = np.empty(np.multiply(counts, x.shape))
    for index in np.ndindex(*out.shape):
        out[index] = x[tuple(np.mod(index, x.shape))]
    return out


cases(
    flip,
    _loop_flip,
    {"one": lambda r: call(r.normal(size=(2, 3)), 1), "two": lambda r: call(r.normal(size=(2, 3, 2)), (0, -1))},
)
cases(
    roll,
    _loop_roll,
    {
        "flattened": lambda r: call(r.normal(size=(2, 3)), 2),
        "one": lambda r: call(r.normal(size=(2, 5)), -2, 1),
        "two": lambda r: call(r.normal(size=(3, 4)), (1, 2), (0, 1)),
    },
)
cases(
    repeat,
    _loop_repeat,
    {
        "all": lambda r: call(r.normal(size=(2, 3)), 3, 2),
        "new dimension": lambda r: call(r.normal(size=(3,)), 2, 1, 2),
        "once": lambda r: call(r.normal(size=(2, 3)), (1, 1)),
    },
)
cases(
    tile,
    _loop_repeat,
    {"last": lambda r: call(r.normal(size=(2, 3)), 2), "new dimension": lambda r: call(r.normal(size=(3,)), (2, 2))},
)
cases(
    repeat_interleave,
    lambda x, repeats, dim=None: np.repeat(x, repeats, axis=dim),
    {
        "flattened": lambda r: call(r.normal(size=(2, 3)), 2),
        "dim": lambda r: call(r.normal(size=(2, 3)), 3, dim=-1),
        "counts": lambda r: call(r.normal(size=(3, 2)), np.array([2, 0, 1]), 0),
    },
)
