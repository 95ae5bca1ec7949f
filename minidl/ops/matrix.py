"""Parts of matrices: the triangles, the diagonal and its sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim
from minidl.ops.broadcast import sum_to

__all__ = ["diagonal", "trace", "tril", "triu"]


class Tril(Op):
    """y = x on and below a diagonal, 0 above;  ∂L/∂x is ∂L/∂y on the same triangle."""

    def __init__(self, diagonal: int) -> None:
        self.diagonal = diagonal

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.tril(x, self.diagonal)

    def backward(self, grad: Any) -> Any:
        return Tril(self.diagonal)(grad)


class Triu(Op):
    """y = x on and above a diagonal, 0 below;  ∂L/∂x is ∂L/∂y on the same triangle."""

    def __init__(self, diagonal: int) -> None:
        self.diagonal = diagonal

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.triu(x, self.diagonal)

    def backward(self, grad: Any) -> Any:
        return Triu(self.diagonal)(grad)


def _diagonal_of(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """The diagonal as a view that may be written to, as the last dimension."""
    xp = backend_of(x).xp
    matrices = xp.moveaxis(x, (dim1, dim2), (-2, -1))[..., max(-offset, 0) :, max(offset, 0) :]
    side = min(matrices.shape[-2:])
    return xp.einsum("...ii->...i", matrices[..., :side, :side])


class Diagonal(Op):
    """y[.., i] = x[.., i, i + offset];  ∂L/∂x is ∂L/∂y on the diagonal and 0 elsewhere."""

    def __init__(self, offset: int, dim1: int, dim2: int) -> None:
        self.place = offset, dim1, dim2

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        return _diagonal_of(x, *self.place)

    def backward(self, grad: Any) -> Any:
        return DiagonalPut(self.before, *self.place)(grad)


class DiagonalPut(Op):
    """y = 0 but for the diagonal, which is x;  ∂L/∂x is the diagonal of ∂L/∂y."""

    def __init__(self, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> None:
        self.shape = shape
        self.place = offset, dim1, dim2

    def forward(self, x: Any) -> Any:
        y = backend_of(x).xp.zeros(self.shape, x.dtype)
        _diagonal_of(y, *self.place)[...] = x
        return y

    def backward(self, grad: Any) -> Any:
        return Diagonal(*self.place)(grad)


def _need_matrix(name: str, x: Any) -> None:
    if x.ndim < 2:
        raise ShapeError(name, expected="at least two dimensions", actual=f"shape {tuple(x.shape)}")


def tril(x: Any, diagonal: int = 0) -> Any:
    """The lower triangle: ``y[.., i, j] = x[.., i, j]`` where ``j <= i + diagonal``, 0 elsewhere.

    Raises
    ------
    ShapeError
        If there are fewer than two dimensions.

    Examples
    --------
    >>> import minidl
    >>> tril(minidl.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    _need_matrix("tril", x)
    return Tril(diagonal)(x)


def triu(x: Any, diagonal: int = 0) -> Any:
    """The upper triangle: ``y[.., i, j] = x[.., i, j]`` where ``j >= i + diagonal``, 0 elsewhere.

    Raises
    ------
    ShapeError
        If there are fewer than two dimensions.

    Examples
    --------
    >>> import minidl
    >>> triu(minidl.ones(2, 3), 1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """
    _need_matrix("triu", x)
    return Triu(diagonal)(x)


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of the matrices that two dimensions span, as a view; it becomes the last dimension.

    Formula: ``y[.., i] = x[i, i + offset, ..]`` (below the main diagonal, for a negative offset, ``x[i - offset, i]``).

    Raises
    ------
    ShapeError
        If there are not two such dimensions.

    Examples
    --------
    >>> import minidl
    >>> diagonal(minidl.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    _need_matrix("diagonal", x)
    dim1, dim2 = normalize_dim("diagonal", dim1, x.ndim), normalize_dim("diagonal", dim2, x.ndim)
    if dim1 == dim2:
        raise ShapeError("diagonal", expected="two different dimensions", actual=f"dim {dim1} twice")
    return Diagonal(offset, dim1, dim2)(x)


def trace(x: Any) -> Any:
    """Sum of the main diagonal of a matrix: ``y = Σᵢ x[i, i]``.

    Raises
    ------
    ShapeError
        If `x` is no matrix.

    Examples
    --------
    >>> import minidl
    >>> trace(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if x.ndim != 2:
        raise ShapeError("trace", expected="a matrix", actual=f"shape {tuple(x.shape)}")
    return sum_to(diagonal(x), ())


def _loop_triangle(x: np.ndarray, keep: Any) -> np.ndarray:
    out = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        if keep(index[-2], index[-1]):
            out[index] = x[index]
    return out


def _loop_diagonal(x: np.ndarray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> np.ndarray:
    rows, columns = x.shape[dim1], x.shape[dim2]
    pairs = [(i, i + offset) for i in range(rows) if 0 <= i + offset < columns]
    return np.moveaxis(np.array([np.moveaxis(x, (dim1, dim2), (0, 1))[pair] for pair in pairs]), 0, -1)


cases(
    tril,
    lambda x, diagonal=0: _loop_triangle(x, lambda i, j: j <= i + diagonal),
    {"main": lambda r: call(r.normal(size=(3, 4))), "stack": lambda r: call(r.normal(size=(2, 3, 3)), -1)},
)
cases(
    triu,
    lambda x, diagonal=0: _loop_triangle(x, lambda i, j: j >= i + diagonal),
    {"main": lambda r: call(r.normal(size=(4, 3))), "stack": lambda r: call(r.normal(size=(2, 3, 3)), 1)},
)
cases(
    diagonal,
    _loop_diagonal,
    {
        "main": lambda r: call(r.normal(size=(3, 4))),
        "above": lambda r: call(r.normal(size=(3, 4)), 2),
        "below, other dimensions": lambda r: call(r.normal(size=(2, 3, 4)), -1, dim1=-1, dim2=0),
    },
)
cases(trace, lambda x: sum(x[i, i] for i in range(3)), {"wide": lambda r: call(r.normal(size=(3, 4)))})
