"""Reading and adding along one dimension at places that an integer array names element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import IndexingError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.arithmetic import add
from minidl.ops.axes import normalize_dim
from minidl.ops.broadcast import broadcast_to
from minidl.ops.cast import promote
from minidl.ops.index import checked_indices
from minidl.ops.shape import ravel
from minidl.tensor import Tensor, as_array

__all__ = ["gather", "scatter_add", "take_along_axis"]


class Gather(Op):
    """y[i, j] = x[index[i, j], j], for dim 0;  ∂L/∂x adds ∂L/∂y up at the same places."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any) -> Any:
        self.save(index)
        self.before = x.shape
        return x.reshape(-1)[_places(x.shape, self.dim, index)]

    def backward(self, grad: Any) -> Any:
        (index,) = self.saved
        return Scatter(self.dim, self.before)(grad, index), None


class Scatter(Op):
    """y = 0 but for y[index[i, j], j] += x[i, j], for dim 0;  ∂L/∂x reads ∂L/∂y at the same places."""

    def __init__(self, dim: int, shape: tuple[int, ...]) -> None:
        self.dim = dim
        self.shape = shape

    def forward(self, x: Any, index: Any) -> Any:
        self.save(index)
        places = _places(self.shape, self.dim, index)
        return backend_of(x).scatter_add(x, places, math.prod(self.shape)).reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        (index,) = self.saved
        return Gather(self.dim)(grad, index), None


def _places(shape: tuple[int, ...], dim: int, index: Any) -> Any:
    """Flat places, in an array of this shape, of the elements that `index` names along `dim`."""
    xp = backend_of(index).xp
    places = xp.zeros(index.shape, np.int64)
    step = 1
    for d in range(len(shape) - 1, -1, -1):
        here = index if d == dim else xp.arange(index.shape[d]).reshape(-1, *[1] * (len(shape) - 1 - d))
        places += here * step
        step *= shape[d]
    return places


def _check(name: str, shape: tuple[int, ...], dim: int, index: Any, source: tuple[int, ...] | None = None) -> None:
    """Refuse an index that is larger than the array, except along `dim`, or than the source."""
    fits = index.ndim == len(shape) and all(
        n <= m for d, (n, m) in enumerate(zip(index.shape, shape, strict=True)) if d != dim
    )
    if not fits:
        raise ShapeError(
            name,
            expected=f"an index of {len(shape)} dimensions, within {tuple(shape)} but for dim {dim}",
            actual=f"an index of shape {tuple(index.shape)}",
        )
    if source is not None and (
        len(source) != index.ndim or any(n > m for n, m in zip(index.shape, source, strict=True))
    ):
        raise ShapeError(
            name, expected=f"a source at least as large as the index, {tuple(index.shape)}", actual=f"{tuple(source)}"
        )


def gather(x: Any, dim: int, index: Any) -> Any:
    """Elements along a dimension, one for each element of the index: ``y[i, j] = x[index[i, j], j]`` for dim 0.

    Parameters
    ----------
    x : Tensor or array
    dim : int
    index : integer Tensor or array
        With as many dimensions as `x`; no larger than `x` but in `dim`. The result has its shape.

    Raises
    ------
    ShapeError
        If the index does not fit.
    DTypeError
        If it holds no integers.
    IndexingError
        If an index is negative or too large.

    Examples
    --------
    The score that each row gives to its label:

    >>> import minidl
    >>> gather(minidl.tensor([[0.1, 0.9], [0.8, 0.2]]), 1, minidl.tensor([[1], [0]]))
    tensor([[0.9],
            [0.8]])
    """
    dim = normalize_dim("gather", dim, x.ndim)
    index = checked_indices("gather", index, x.shape[dim] if x.ndim else 1)
    _check("gather", x.shape, dim, index)
    return Gather(dim)(x, index)


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """`x` with the elements of `src` added at places along a dimension: ``y[index[i, j], j] += src[i, j]`` for dim 0.

    Parameters
    ----------
    x : Tensor or array
    dim : int
    index : integer Tensor or array
        With as many dimensions as `x`; no larger than `x` but in `dim`, and no larger than `src`.
    src : Tensor or array
        What lies outside the shape of the index is not used.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the index holds no integers.
    IndexingError
        If an index is negative or too large.

    Examples
    --------
    >>> import minidl
    >>> scatter_add(minidl.zeros(3), 0, minidl.tensor([0, 2, 0]), minidl.tensor([1.0, 2.0, 3.0]))
    tensor([4., 0., 2.])
    """
    dim = normalize_dim("scatter_add", dim, x.ndim)
    index = checked_indices("scatter_add", index, x.shape[dim] if x.ndim else 1)
    _check("scatter_add", x.shape, dim, index, src.shape)
    x, src = promote(x, src)
    if src.shape != index.shape:
        src = src[tuple([slice(size) for size in index.shape])]
    return add(x, Scatter(dim, tuple(x.shape))(src, index))


def take_along_axis(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with NumPy's rules: the other dimensions broadcast, and negative indices count from the end.

    (PyTorch's name is `take_along_dim`.)

    Parameters
    ----------
    x : Tensor or array
    indices : integer Tensor or array
        With as many dimensions as `x`, such as `argsort` and `argmax` with ``keepdim=True`` give.
    dim : int, optional
        Without it both are flattened first.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast.
    DTypeError
        If the indices are no integers.
    IndexingError
        If one is outside the dimension.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[3, 1, 2], [6, 4, 5]])
    >>> take_along_axis(x, minidl.tensor([[0, -1]]), 1)
    tensor([[3, 2],
            [6, 5]])
    """
    if not isinstance(indices, Tensor):
        indices = as_array(indices)
    if dim is None:
        x, indices, dim = ravel(x), ravel(indices), 0
    dim = normalize_dim("take_along_axis", dim, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError("take_along_axis", expected=f"indices of {x.ndim} dimensions", actual=f"{indices.ndim}")
    size = x.shape[dim] if x.ndim else 1
    plain = indices.data if isinstance(indices, Tensor) else indices
    if plain.dtype.kind == "i" and plain.size and plain.min() < 0:
        if plain.min() < -size:
            raise IndexingError("take_along_axis", expected=f"indices from {-size}", actual=str(int(plain.min())))
        plain = plain + size * (plain < 0)
    plain = checked_indices("take_along_axis", plain, size)
    try:
        common = list(np.broadcast_shapes(*[(*a.shape[:dim], 1, *a.shape[dim + 1 :]) for a in (x, plain)]))
    except ValueError:
        raise ShapeError(
            "take_along_axis",
            expected=f"indices that broadcast with shape {tuple(x.shape)} but for dim {dim}",
            actual=f"shape {tuple(plain.shape)}",
        ) from None
    if not x.ndim:
        return Gather(0)(x, plain)
    wide = broadcast_to(x, (*common[:dim], size, *common[dim + 1 :]))
    return Gather(dim)(wide, broadcast_to(plain, (*common[:dim], plain.shape[dim], *common[dim + 1 :])))


def _loop_gather(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    out = np.empty(index.shape)
    for place in np.ndindex(*index.shape):
        source = list(place)
        source[dim] = index[place]
        out[place] = x[tuple(source)]
    return out


def _loop_scatter_add(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    out = x.copy()
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = index[place]
        out[tuple(target)] += src[place]
    return out


cases(
    gather,
    _loop_gather,
    {
        "dim 0": lambda r: call(r.normal(size=(3, 4)), 0, r.integers(0, 3, (5, 4))),
        "dim -1, smaller": lambda r: call(r.normal(size=(2, 3, 4)), -1, r.integers(0, 4, (2, 2, 3))),
        "1-d": lambda r: call(r.normal(size=(4,)), 0, np.array([3, 3, 0])),
    },
)
cases(
    scatter_add,
    _loop_scatter_add,
    {
        "dim 0": lambda r: call(r.normal(size=(3, 4)), 0, r.integers(0, 3, (5, 4)), r.normal(size=(5, 4))),
        "dim 1, larger source": lambda r: call(
            r.normal(size=(2, 3)), 1, np.array([[0, 0, 2, 1]]), r.normal(size=(2, 5))
        ),
    },
)
cases(
    take_along_axis,
    lambda x, indices, dim=None: np.take_along_axis(x, indices, dim),
    {
        "flattened": lambda r: call(r.normal(size=(2, 3)), np.array([5, 0, -6])),
        "dim": lambda r: call(r.normal(size=(3, 4)), r.integers(-4, 4, (3, 2)), 1),
        "indices broadcast": lambda r: call(r.normal(size=(3, 4)), np.array([[1, 3, 3]]), -1),
        "both broadcast": lambda r: call(r.normal(size=(1, 4)), np.array([[1], [0]]), 1),
    },
)
