"""Layers that only change the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import integer

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Join the dimensions from `start_dim` to `end_dim` into one; by default all but the batch.

    Raises
    ------
    ShapeError
        When called: if the input lacks one of the dimensions, or they stand in the wrong order.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Flatten()(minidl.zeros(8, 16, 5, 5)).shape
    (8, 400)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer("Flatten", "start_dim", start_dim, least=None)
        self.end_dim = integer("Flatten", "end_dim", end_dim, least=None)

    def forward(self, x: Any) -> Any:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Cut the dimension `dim` into several, the opposite of `Flatten`.

    Parameters
    ----------
    dim : int
    unflattened_size : sequence of int
        One of them may be -1: what is left.

    Raises
    ------
    ShapeError
        When called: if the sizes do not multiply to that of the dimension.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Unflatten(1, (16, 5, -1))(minidl.zeros(8, 400)).shape
    (8, 16, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = integer("Unflatten", "dim", dim, least=None)
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise OptionError("Unflatten", expected="unflattened_size to be a tuple of sizes",
                              actual=repr(unflattened_size))  # fmt: skip
        self.unflattened_size = tuple(integer("Unflatten", "unflattened_size", n, least=-1) for n in unflattened_size)
        if self.unflattened_size.count(-1) > 1:
            raise OptionError("Unflatten", expected="at most one size -1", actual=str(self.unflattened_size))

    def forward(self, x: Any) -> Any:
        return F.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
