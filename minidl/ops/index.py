"""Choosing elements: ``x[...]`` with everything NumPy allows between the brackets, index_select and masked_fill.

Reading at places and adding at the same places are each other's gradient: `GetItem` and `IndexPut` are a closed
family, so any order of derivative comes by itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, IndexingError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim
from minidl.ops.broadcast import sum_to
from minidl.ops.elementwise import where
from minidl.tensor import Tensor, as_array, plain_index

__all__ = ["checked_indices", "getitem", "index_select", "masked_fill"]

_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


class GetItem(Op):
    """y = x[key];  ∂L/∂x is ∂L/∂y at the chosen places and 0 elsewhere.

    `once` says that no element can be chosen twice (slices and masks, as opposed to integer arrays).
    """

    def __init__(self, key: Any, once: bool) -> None:
        self.key = key
        self.once = once

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        try:
            y = x[self.key]
            if isinstance(y, np.generic):
                # One element: a 0-d view of the memory instead of NumPy's copy of the number.
                y = x[(*self.key, ...) if isinstance(self.key, tuple) else (self.key, ...)]
        except IndexError as error:
            raise IndexingError(
                "indexing", expected=f"an index that fits shape {x.shape}", actual=str(error)
            ) from error
        return y

    def backward(self, grad: Any) -> Any:
        return IndexPut(self.key, self.before, self.once)(grad)


class IndexPut(Op):
    """y = 0 but for y[key] += x, which adds up where a place is named twice;  ∂L/∂x = (∂L/∂y)[key]."""

    def __init__(self, key: Any, shape: tuple[int, ...], once: bool) -> None:
        self.key = key
        self.shape = shape
        self.once = once

    def forward(self, x: Any) -> Any:
        backend = backend_of(x)
        if self.once:
            y = backend.xp.zeros(self.shape, x.dtype)
            y[self.key] = x
            return y
        # The same indexing of a table of the places 0, 1, 2, … tells where each element belongs.
        size = math.prod(self.shape)
        places = backend.xp.arange(size).reshape(self.shape)[self.key]
        return backend.scatter_add(x, places, size).reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        return GetItem(self.key, self.once)(grad)


class MaskedFill(Op):
    """y = value where the mask is True, else x;  ∂L/∂x is 0 where the mask is True, else ∂L/∂y."""

    def __init__(self, value: float) -> None:
        self.value = value

    def forward(self, x: Any, mask: Any) -> Any:
        self.save(mask)
        self.before = x.shape
        return backend_of(x).xp.where(mask, x.dtype.type(self.value), x)

    def backward(self, grad: Any) -> Any:
        (mask,) = self.saved
        return sum_to(MaskedFill(0.0)(grad, mask), self.before), None


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` with NumPy's rules: integers, slices (also with negative steps), ``...``, None, integer and boolean
    arrays, and mixtures of them.

    Integers and slices give a view that shares memory; arrays give a copy. An integer beside an array counts as an
    array, so ``x[0, :, [1, 2]]`` puts the indexed dimension first (PyTorch puts it last there).

    Raises
    ------
    IndexingError
        If an index is outside its axis, there are too many, or a mask does not fit.
    DTypeError
        If an index array holds floats.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[:, ::-1]
    tensor([[3, 2, 1],
            [6, 5, 4]])
    >>> x[x > 2]
    tensor([3, 4, 5, 6])
    >>> x[[1, 0], [0, 2]]
    tensor([4, 3])
    """
    kind = type(key)
    if kind is int or (kind is tuple and _is_basic(key)) or (kind in _BASIC and _is_basic((key,))):
        return GetItem(key, True)(x)
    key = _frozen(plain_index(key))
    parts = key if isinstance(key, tuple) else (key,)
    return GetItem(key, not any(hasattr(part, "dtype") and part.dtype.kind != "b" for part in parts))(x)


def _is_basic(key: tuple[Any, ...]) -> bool:
    """Whether there are only integers, slices of integers, None and ``...``: what nobody can change afterwards."""
    for item in key:
        kind = type(item)
        if kind is slice:
            if not (type(item.start) in _BASIC and type(item.stop) in _BASIC and type(item.step) in _BASIC):
                return False
        elif kind not in _BASIC:
            return False
    return True


def _frozen(key: Any) -> Any:
    """A copy of a key that backward can rely on, with 0-d integer arrays as integers."""
    if isinstance(key, tuple):
        return tuple([_frozen(item) for item in key])
    if isinstance(key, slice):
        return slice(*[None if n is None else n.__index__() for n in (key.start, key.stop, key.step)])
    if hasattr(key, "dtype"):
        return int(key) if key.ndim == 0 and key.dtype.kind in "iu" else key.copy()
    return key


def checked_indices(name: str, indices: Any, size: int) -> Any:
    """Integer indices, all of them from 0 to size - 1: a Tensor stays one, anything else becomes an array.

    Raises
    ------
    DTypeError
        If they are no integers.
    IndexingError
        If one is outside.
    """
    if not isinstance(indices, Tensor):
        indices = as_array(indices)
    array = indices.data if isinstance(indices, Tensor) else indices
    if array.dtype.kind not in "iu":
        if array.size or not isinstance(indices, np.ndarray):
            raise DTypeError(name, expected="integer indices", actual=str(array.dtype), hint='indices.astype("int64")')
        indices = array = array.astype(np.int64)  # an empty list
    if array.size and backend_of(array).looks:
        lowest, highest = int(array.min()), int(array.max())
        if lowest < 0 or highest >= size:
            raise IndexingError(
                name,
                expected=f"indices from 0 to {size - 1}" if size else "no index into an axis of size 0",
                actual=f"{lowest if lowest < 0 else highest}",
                hint="negative indices do not count from the end here" if lowest < 0 else "",
            )
    return indices


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of `x` along a dimension that a 1-d index names, in its order: ``y = x[:, .., index, ..]``.

    Raises
    ------
    ShapeError
        If the index has more than one dimension, or `x` has no such dimension.
    DTypeError
        If the index holds no integers.
    IndexingError
        If one is negative or too large.

    Examples
    --------
    >>> import minidl
    >>> index_select(minidl.tensor([[1, 2, 3], [4, 5, 6]]), 1, [2, 0])
    tensor([[3, 1],
            [6, 4]])
    """
    if x.ndim == 0:
        raise ShapeError("index_select", expected="at least one dimension", actual="a 0-d Tensor")
    dim = normalize_dim("index_select", dim, x.ndim)
    index = checked_indices("index_select", index, x.shape[dim])
    if index.ndim > 1:
        raise ShapeError("index_select", expected="an index of one dimension", actual=f"shape {index.shape}")
    array = x.data if isinstance(x, Tensor) else x
    places = backend_of(array).xp.array(index.data if isinstance(index, Tensor) else index).reshape(-1)
    return GetItem((slice(None),) * dim + (places,), False)(x)


def masked_fill(x: Any, mask: Any, value: float) -> Any:
    """`value` where the mask is True, `x` elsewhere.

    Parameters
    ----------
    x : Tensor or array
    mask : boolean Tensor or array
        Of a shape that broadcasts with that of `x`.
    value : number or 0-d Tensor
        A Tensor gets a gradient, too.

    Raises
    ------
    DTypeError
        If the mask is not boolean, or the value is a fraction and `x` holds integers.
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> masked_fill(minidl.tensor([1.0, 2.0, 3.0]), minidl.tensor([True, False, True]), -1)
    tensor([-1.,  2., -1.])
    """
    if not isinstance(mask, Tensor):
        mask = as_array(mask)
    if mask.dtype.kind != "b":
        raise DTypeError("masked_fill", expected="a boolean mask", actual=str(mask.dtype), hint="compare: mask != 0")
    if isinstance(value, Tensor):
        return where(mask, value, x)
    number = value.item() if hasattr(value, "item") else value
    if x.dtype.kind != "f" and (not math.isfinite(number) or number != int(number)):
        raise DTypeError("masked_fill", expected=f"a value that {x.dtype} can hold", actual=repr(number))
    try:
        return MaskedFill(number)(x, mask)
    except ShapeError:
        raise ShapeError(
            "masked_fill", expected=f"a mask that broadcasts with shape {tuple(x.shape)}", actual=f"shape {mask.shape}"
        ) from None


def _loop_getitem(x: np.ndarray, key: Any) -> np.ndarray:
    """Elements one at a time, at the flat places that the key chooses from a table of places."""
    places = np.arange(x.size).reshape(x.shape)[key]
    flat = [float(x.ravel()[place]) for place in np.ravel(places)]
    return np.array(flat).reshape(np.shape(places))


def _with_key(shape: tuple[int, ...], key: Any) -> Any:
    return lambda r: call(r.normal(size=shape), key)


cases(
    getitem,
    _loop_getitem,
    {
        "integer": _with_key((3, 4), -1),
        "one element": _with_key((2, 3), (1, 2)),
        "slices": _with_key((4, 5), (slice(1, 3), slice(None, None, 2))),
        "negative step": _with_key((4, 5), (slice(None, None, -1), slice(4, 0, -2))),
        "None and ...": _with_key((2, 3, 2), (None, 0, ..., None, slice(1))),
        "integer array": _with_key((4, 3), np.array([2, 0, 2, -1])),
        "list": _with_key((4, 3), [3, 3]),
        "two arrays": _with_key((4, 3), (np.array([[0], [3]]), np.array([1, 1, 2]))),
        "arrays apart": _with_key((2, 3, 4), (np.array([0, 1, 1]), slice(None), np.array([3, 0, 0]))),
        "array and slice": _with_key((3, 4, 2), (slice(1, None), np.array([[0, 1], [1, 3]]), None)),
        "mask": lambda r: call(r.normal(size=(3, 4)), np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]], bool)),
        "mask and integer": _with_key((3, 4), (np.array([True, False, True]), 1)),
        "mask and array": _with_key((3, 4), (np.array([True, False, True]), np.array([2, 2]))),
    },
)
cases(
    index_select,
    lambda x, dim, index: np.stack([np.take(x, i, axis=dim) for i in index], axis=dim),
    {
        "dim 0": lambda r: call(r.normal(size=(4, 3)), 0, np.array([3, 0, 3])),
        "dim -1": lambda r: call(r.normal(size=(2, 4)), -1, [1, 1, 2]),
    },
)
cases(
    masked_fill,
    lambda x, mask, value: x * ~mask + value * mask,
    {
        "same shape": lambda r: call(r.normal(size=(2, 3)), np.array([[1, 0, 0], [0, 1, 0]], bool), 1.5),
        "mask broadcasts": lambda r: call(r.normal(size=(2, 3)), np.array([True, False, False]), -2.0),
        "both broadcast": lambda r: call(r.normal(size=(2, 1)), np.array([[True, False, False]]), 0.5),
    },
)
