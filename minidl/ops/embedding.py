"""Tables of vectors: embedding looks rows up, one_hot writes the indices as vectors themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floating
from minidl.ops.index import checked_indices, masked_fill
from minidl.tensor import Tensor

__all__ = ["embedding", "one_hot"]


class Embedding(Op):
    """y[i] = weight[indices[i]];  ∂L/∂weight adds the rows of ∂L/∂y up by index, but for the padding row."""

    def __init__(self, padding_idx: int | None = None) -> None:
        self.padding_idx = padding_idx

    def forward(self, weight: Any, indices: Any) -> Any:
        self.save(indices)
        self.rows = weight.shape[0]
        return backend_of(weight).embedding(weight, indices)

    def backward(self, grad: Any) -> Any:
        (indices,) = self.saved
        if self.padding_idx is not None:
            plain = indices.data if isinstance(indices, Tensor) else indices
            grad = masked_fill(grad, (plain == self.padding_idx)[..., None], 0.0)
        return EmbeddingGrad(self.rows)(grad, indices), None


class EmbeddingGrad(Op):
    """y[v] = Σ x[i] over all i with indices[i] = v;  ∂L/∂x looks the rows of ∂L/∂y up."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def forward(self, x: Any, indices: Any) -> Any:
        self.save(indices)
        return backend_of(x).embedding_grad(x, indices, self.rows)

    def backward(self, grad: Any) -> Any:
        (indices,) = self.saved
        return Embedding()(grad, indices), None


class OneHot(Op):
    """y[i, v] = 1 where indices[i] = v, else 0; integers, without a gradient."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def forward(self, indices: Any) -> Any:
        xp = backend_of(indices).xp
        return (indices[..., None] == xp.arange(self.num_classes)).astype(np.int64)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table: ``y[.., :] = weight[input[..], :]``.

    Parameters
    ----------
    input : integer Tensor or array (...)
        Indices from 0 to V - 1.
    weight : Tensor or array (V, D)
    padding_idx : int, optional
        The row that gets no gradient; may count from the end.

    Returns
    -------
    Tensor (..., D)

    Raises
    ------
    ShapeError
        If the table is no matrix.
    DTypeError
        If the indices are no integers.
    IndexingError
        If an index is negative or at least V.
    OptionError
        If `padding_idx` is no row.

    Examples
    --------
    >>> import minidl
    >>> table = minidl.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> embedding(minidl.tensor([2, 0, 2]), table)
    tensor([[3., 4.],
            [0., 0.],
            [3., 4.]])
    """
    if weight.ndim != 2:
        raise ShapeError("embedding", expected="a weight of shape (V, D)", actual=f"shape {tuple(weight.shape)}")
    rows = weight.shape[0]
    indices = checked_indices("embedding", input, rows)
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise OptionError("embedding", expected=f"padding_idx within {rows} rows", actual=str(padding_idx))
        padding_idx %= rows
    return Embedding(padding_idx)(floating(weight), indices)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """Indices as vectors of zeros with a single one, in int64: ``y[.., input[..]] = 1``.

    Parameters
    ----------
    input : integer Tensor or array (...)
    num_classes : int
        Length of the vectors; -1 for one more than the largest index.

    Raises
    ------
    DTypeError
        If the input holds no integers.
    IndexingError
        If an index is negative or too large.
    OptionError
        If `num_classes` is not positive, or -1 with an empty input.

    Examples
    --------
    >>> import minidl
    >>> one_hot(minidl.tensor([1, 0]), 3)
    tensor([[0, 1, 0],
            [1, 0, 0]])
    """
    plain = input.data if isinstance(input, Tensor) else input
    if not hasattr(plain, "dtype") or plain.dtype.kind not in "iu":
        raise DTypeError(
            "one_hot", expected="integer indices", actual=str(getattr(plain, "dtype", type(plain).__name__))
        )
    if num_classes == -1 and plain.size:
        num_classes = int(plain.max()) + 1 if plain.max() >= 0 else 1
    if num_classes < 1:
        raise OptionError("one_hot", expected="a positive num_classes", actual=f"{num_classes} for shape {plain.shape}")
    checked_indices("one_hot", plain, num_classes)
    return OneHot(num_classes)(input)


def _loop_one_hot(indices: np.ndarray, num_classes: int = -1) -> np.ndarray:
    out = np.zeros((*indices.shape, num_classes if num_classes > 0 else indices.max() + 1), np.int64)
    for place in np.ndindex(*indices.shape):
        out[place + (indices[place],)] = 1
    return out


def _loop_embedding(indices: np.ndarray, weight: np.ndarray, padding_idx: int | None = None) -> np.ndarray:
    return np.array([weight[i] for i in indices.ravel()]).reshape(*indices.shape, weight.shape[1])


cases(
    embedding,
    _loop_embedding,
    {
        "matrix of indices": lambda r: call(np.array([[4, 0, 4], [1, 1, 0]]), r.normal(size=(5, 3))),
        # Differences see the padding row wherever it is read, so it is not read here.
        "padding": lambda r: call(np.array([4, 0, 4]), r.normal(size=(5, 3)), padding_idx=1),
        "one index": lambda r: call(np.array(2), r.normal(size=(3, 4))),
    },
)
cases(
    one_hot,
    _loop_one_hot,
    {
        "given": lambda r: call(r.integers(0, 4, (2, 3)), 5),
        "counted": lambda r: call(r.integers(0, 4, (5,))),
    },
    order=0,
)
