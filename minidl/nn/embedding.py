"""Rows of a table, looked up by number."""

from __future__ import annotations

from typing import Any

from minidl.creation import empty
from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.options import integer
from minidl.nn.parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """A learned vector for each of a number of symbols: ``y[i…] = weight[x[i…]]``.

    Parameters
    ----------
    num_embeddings : int
        Number of symbols.
    embedding_dim : int
        Length of each vector.
    padding_idx : int, optional
        A symbol whose vector begins at zero and takes no gradient; negative counts from the end.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)
        Begins standard normal.

    Notes
    -----
    Shapes: integers of any shape → (…, embedding_dim).

    Raises
    ------
    OptionError
        If a size is not a positive integer or `padding_idx` is no symbol; when called: if an index is out of range.
    DTypeError
        When called: if the indices are not integers.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Embedding(10, 3)(minidl.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    (2, 4, 3)
    """

    weight: Parameter

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            position = integer("Embedding", "padding_idx", padding_idx, least=-self.num_embeddings)
            if position >= self.num_embeddings:
                raise OptionError("Embedding", expected=f"padding_idx < num_embeddings = {num_embeddings}",
                                  actual=f"padding_idx={padding_idx}")  # fmt: skip
            self.padding_idx = position % self.num_embeddings
        self.weight = Parameter(empty(self.num_embeddings, self.embedding_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new first values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, x: Any) -> Any:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
