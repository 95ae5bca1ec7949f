"""Joining arrays and cutting them up: concat with split, stack with unbind. Each is the other's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim
from minidl.ops.cast import promote

__all__ = ["cat", "chunk", "concat", "split", "stack", "unbind"]


class Concat(Op):
    """The arrays one after the other along a dimension;  ∂L/∂xᵢ is the i-th piece of ∂L/∂y."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *arrays: Any) -> Any:
        self.sizes = tuple([array.shape[self.dim] for array in arrays])
        return backend_of(arrays[0]).xp.concatenate(arrays, axis=self.dim)

    def backward(self, grad: Any) -> Any:
        return Split(self.sizes, self.dim)(grad)


class Split(Op):
    """Pieces of given sizes along a dimension, as views;  ∂L/∂x joins their gradients."""

    def __init__(self, sizes: tuple[int, ...], dim: int) -> None:
        self.sizes = sizes
        self.dim = dim

    def forward(self, x: Any) -> Any:
        before = (slice(None),) * self.dim
        return tuple(
            [x[before + (slice(end - n, end),)] for n, end in zip(self.sizes, accumulate(self.sizes), strict=True)]
        )

    def backward(self, *grads: Any) -> Any:
        return Concat(self.dim)(*grads)


class Stack(Op):
    """The arrays along a new dimension;  ∂L/∂xᵢ is slice i of ∂L/∂y."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *arrays: Any) -> Any:
        return backend_of(arrays[0]).xp.stack(arrays, axis=self.dim)

    def backward(self, grad: Any) -> Any:
        return Unbind(self.dim)(grad)


class Unbind(Op):
    """The slices along a dimension, as views without it;  ∂L/∂x stacks their gradients."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        before = (slice(None),) * self.dim
        return tuple([x[before + (i, ...)] for i in range(x.shape[self.dim])])

    def backward(self, *grads: Any) -> Any:
        return Stack(self.dim)(*grads)


def _common(name: str, tensors: Sequence[Any]) -> list[Any]:
    """The arrays, brought to one type, and in an error if there is none."""
    arrays = list(tensors)
    if not arrays:
        raise ShapeError(name, expected="at least one Tensor", actual="an empty sequence")
    if len({array.dtype for array in arrays}) > 1:
        common = arrays[0]
        for array in arrays[1:]:
            common = promote(common, array)[0]
        arrays = [promote(array, common)[0] for array in arrays]
    return arrays


def concat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join Tensors along a dimension that they have: ``concat([a, b], dim=1)``. `cat` is the same function.

    Shapes: equal but for the size of `dim`, which adds up. Types mix as in `add`.

    Raises
    ------
    ShapeError
        If there is no Tensor, one has no dimensions, or the other sizes differ.

    Examples
    --------
    >>> import minidl
    >>> concat([minidl.zeros(2, 1), minidl.ones(2, 2)], dim=1)
    tensor([[0., 1., 1.],
            [0., 1., 1.]])
    """
    arrays = _common("concat", tensors)
    shapes = [array.shape for array in arrays]
    if not shapes[0]:
        raise ShapeError("concat", expected="at least one dimension", actual="a 0-d Tensor", hint="stack joins those")
    dim = normalize_dim("concat", dim, len(shapes[0]))
    if len({(len(shape), shape[:dim], shape[dim + 1 :]) for shape in shapes}) > 1:
        raise ShapeError(
            "concat", expected=f"shapes that are equal but for dim {dim}", actual=", ".join(map(str, shapes))
        )
    return Concat(dim)(*arrays)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """`concat` under its other PyTorch name.

    Examples
    --------
    >>> import minidl
    >>> cat([minidl.zeros(1), minidl.ones(2)])
    tensor([0., 1., 1.])
    """
    return concat(tensors, dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join Tensors of equal shapes along a new dimension, which is number `dim` of the result.

    Raises
    ------
    ShapeError
        If there is no Tensor, or the shapes differ.

    Examples
    --------
    >>> import minidl
    >>> stack([minidl.zeros(2), minidl.ones(2)], dim=1)
    tensor([[0., 1.],
            [0., 1.]])
    """
    arrays = _common("stack", tensors)
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        raise ShapeError("stack", expected="equal shapes", actual=", ".join(map(str, shapes)))
    return Stack(normalize_dim("stack", dim, arrays[0].ndim + 1))(*arrays)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Cut into pieces along a dimension, as views.

    Parameters
    ----------
    x : Tensor or array
    split_size_or_sections : int or sequence of int
        One size for all pieces (the last may be smaller), or the size of each, adding up to that of the dimension.
    dim : int

    Raises
    ------
    ShapeError
        If the sizes do not add up, or `x` has no such dimension.
    OptionError
        If a size is negative, or the one size is 0.

    Examples
    --------
    >>> import minidl
    >>> split(minidl.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> split(minidl.arange(5), [1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    dim = _dim_to_cut("split", x, dim)
    total = x.shape[dim]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = tuple(split_size_or_sections)
        if min(sizes, default=0) < 0:
            raise OptionError("split", expected="sizes of at least 0", actual=str(sizes))
        if sum(sizes) != total:
            raise ShapeError(
                "split", expected=f"sizes that add up to {total}, the size of dim {dim}", actual=str(sizes)
            )
    else:
        size = int(split_size_or_sections)  # type: ignore[arg-type]  # not a sequence here
        if size < 0 or size == 0 < total:
            raise OptionError("split", expected="a positive size", actual=str(size))
        sizes = tuple([min(size, total - start) for start in range(0, total, size)]) if total else (0,)
    return Split(sizes, dim)(x) if sizes else ()


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Cut into `chunks` pieces of equal size along a dimension, as views.

    As in PyTorch the size is rounded up: the last piece may be smaller, and there may be fewer pieces.

    Raises
    ------
    OptionError
        If `chunks` is not positive.
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> [len(piece) for piece in chunk(minidl.arange(10), 4)]
    [3, 3, 3, 1]
    """
    if chunks < 1:
        raise OptionError("chunk", expected="at least one chunk", actual=str(chunks))
    dim = _dim_to_cut("chunk", x, dim)
    total = x.shape[dim]
    return split(x, -(-total // chunks), dim) if total else split(x, [0] * chunks, dim)


def unbind(x: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension, as views without that dimension.

    Raises
    ------
    ShapeError
        If `x` has no such dimension.

    Examples
    --------
    >>> import minidl
    >>> unbind(minidl.tensor([[1, 2], [3, 4]]), dim=1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    dim = _dim_to_cut("unbind", x, dim)
    return Unbind(dim)(x) if x.shape[dim] else ()


def _dim_to_cut(name: str, x: Any, dim: int) -> int:
    if x.ndim == 0:
        raise ShapeError(name, expected="at least one dimension", actual="a 0-d Tensor")
    return normalize_dim(name, dim, x.ndim)


def _loop_concat(arrays: list[np.ndarray], dim: int = 0) -> np.ndarray:
    first = np.moveaxis(arrays[0], dim, 0)
    rows = [np.moveaxis(array, dim, 0)[i] for array in arrays for i in range(array.shape[dim])]
    return np.moveaxis(np.array(rows).reshape(len(rows), *first.shape[1:]), 0, dim)


def _loop_split(x: np.ndarray, sizes: Any, dim: int = 0) -> list[np.ndarray]:
    total = x.shape[dim]
    ends = np.cumsum(sizes) if isinstance(sizes, list) else np.append(np.arange(sizes, total, sizes), total)
    starts = [0, *ends[:-1]]
    return [np.take(x, np.arange(a, b), axis=dim) for a, b in zip(starts, ends, strict=True)]


cases(
    concat,
    _loop_concat,
    {
        "dim 0": lambda r: call([r.normal(size=(2, 3)), r.normal(size=(1, 3)), r.normal(size=(3, 3))]),
        "dim -1": lambda r: call([r.normal(size=(2, 1)), r.normal(size=(2, 4))], dim=-1),
    },
)
cases(cat, _loop_concat, {"dim 1": lambda r: call([r.normal(size=(2, 1)), r.normal(size=(2, 2))], 1)})
cases(
    stack,
    lambda arrays, dim=0: np.moveaxis(np.array(arrays), 0, dim),
    {
        "dim 0": lambda r: call([r.normal(size=(2, 3)), r.normal(size=(2, 3))]),
        "dim -1": lambda r: call([r.normal(size=(2, 3)), r.normal(size=(2, 3))], -1),
        "scalars": lambda r: call([r.normal(size=()), r.normal(size=())]),
    },
)
cases(
    split,
    _loop_split,
    {
        "one size": lambda r: call(r.normal(size=(5, 2)), 2),
        "sections": lambda r: call(r.normal(size=(2, 6)), [1, 3, 2], dim=-1),
    },
)
cases(
    chunk,
    lambda x, chunks, dim=0: _loop_split(x, -(-x.shape[dim] // chunks), dim),
    {"even": lambda r: call(r.normal(size=(4, 2)), 2), "uneven": lambda r: call(r.normal(size=(2, 5)), 3, 1)},
)
cases(
    unbind,
    lambda x, dim=0: [np.take(x, i, axis=dim) for i in range(x.shape[dim])],
    {"dim 0": lambda r: call(r.normal(size=(3, 2))), "dim 1": lambda r: call(r.normal(size=(2, 3)), 1)},
)
