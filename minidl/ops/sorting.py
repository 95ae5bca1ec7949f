"""Order: sort, argsort and topk. The order itself has no gradient; the sorted values are gathered by it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.ops.axes import normalize_dim
from minidl.ops.scatter import Gather
from minidl.tensor import Tensor

__all__ = ["argsort", "sort", "topk"]


class Sorted(NamedTuple):
    """What `sort` and `topk` return: the values, and where they stood."""

    values: Any
    indices: Any


def _order(x: Any, dim: int, descending: bool) -> Any:
    """Indices that sort an array; equal elements keep their order, and NaN counts as the largest number."""
    xp = backend_of(x).xp
    if x.ndim == 0:
        return xp.zeros((), np.int64)
    if not descending:
        return xp.argsort(x, axis=dim, kind="stable")
    # Sorted from the back and read from the back: descending, and still stable.
    return x.shape[dim] - 1 - xp.flip(xp.argsort(xp.flip(x, dim), axis=dim, kind="stable"), dim)


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that put the elements in order along a dimension: ``take_along_axis(x, argsort(x), -1)`` is sorted.

    Equal elements always keep their order (`stable` is there for PyTorch's signature); NaN counts as the largest.

    Raises
    ------
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> argsort(minidl.tensor([0.3, 0.1, 0.2]))
    tensor([1, 2, 0])
    """
    order = _order(_plain(x), normalize_dim("argsort", dim, x.ndim), descending)
    return Tensor.of(order) if isinstance(x, Tensor) else order


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Sorted:
    """The elements in order along a dimension, and where they stood: ``values, indices = sort(x)``.

    The gradient of each value goes to the place from which it came. Ties and NaN as in `argsort`.

    Raises
    ------
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> sort(minidl.tensor([0.3, 0.1, 0.2]), descending=True)
    Sorted(values=tensor([0.3, 0.2, 0.1]), indices=tensor([0, 2, 1]))
    """
    dim = normalize_dim("sort", dim, x.ndim)
    indices = argsort(x, dim, descending)
    return Sorted(Gather(dim)(x, indices), indices)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The `k` largest (or smallest) elements along a dimension, in order, and where they stood.

    The gradient of each value goes to the place from which it came. They are in order whatever `sorted` says (it is
    there for PyTorch's signature). Ties and NaN as in `argsort`.

    Raises
    ------
    ShapeError
        If `x` has no such dimension.
    OptionError
        If `k` is negative or larger than the dimension.

    Examples
    --------
    >>> import minidl
    >>> values, indices = topk(minidl.tensor([0.3, 0.1, 0.2]), 2)
    >>> indices
    tensor([0, 2])
    """
    dim = normalize_dim("topk", dim, x.ndim)
    size = x.shape[dim] if x.ndim else 1
    if not 0 <= k <= size:
        raise OptionError("topk", expected=f"k from 0 to {size}, the size of dim {dim}", actual=str(k))
    if x.ndim == 0:
        raise ShapeError("topk", expected="at least one dimension", actual="a 0-d Tensor")
    order = _order(_plain(x), dim, largest)[(slice(None),) * dim + (slice(k),)]
    indices = Tensor.of(order) if isinstance(x, Tensor) else order
    return Sorted(Gather(dim)(x, indices), indices)


def _loop_order(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    rows = np.moveaxis(x, dim, -1)
    out = np.empty(rows.shape, np.int64)
    for place in np.ndindex(*rows.shape[:-1]):
        pairs = sorted((-value if descending else value, i) for i, value in enumerate(rows[place].tolist()))
        out[place] = [i for _, i in pairs]
    return np.moveaxis(out, -1, dim)


def _loop_topk(x: np.ndarray, k: int, dim: int = -1, largest: bool = True) -> list[np.ndarray]:
    order = np.take(_loop_order(x, dim, largest), np.arange(k), axis=dim)
    return [np.take_along_axis(x, order, dim), order]


cases(
    argsort,
    lambda x, dim=-1, descending=False: _loop_order(x, dim, descending),
    {
        "rising": lambda r: call(r.normal(size=(2, 5))),
        "falling": lambda r: call(r.normal(size=(5, 2)), 0, descending=True),
    },
    order=0,
)
cases(
    sort,
    lambda x, dim=-1, descending=False: _loop_topk(x, x.shape[dim], dim, descending),
    {
        "rising": lambda r: call(r.normal(size=(2, 5))),
        "falling": lambda r: call(r.normal(size=(5, 2)), 0, descending=True),
    },
)
cases(
    topk,
    _loop_topk,
    {
        "largest": lambda r: call(r.normal(size=(2, 5)), 3),
        "smallest": lambda r: call(r.normal(size=(5, 2)), 2, dim=0, largest=False),
    },
)
