"""Dropout."""

from __future__ import annotations

from typing import Any

from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import flag, number

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, set each element to zero with probability p and divide the others by 1 - p; else do nothing.

    The expected value stays the same, so nothing has to be scaled when the network is used.
    Source: N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.

    Parameters
    ----------
    p : float
        In [0, 1].
    inplace : bool
        Taken for the sake of programs written for PyTorch: the values are the same, the memory is new.

    Raises
    ------
    OptionError
        If p is not in [0, 1].

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Dropout(0.5).eval()(minidl.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = number("Dropout", "p", p, least=0, most=1)
        self.inplace = flag("Dropout", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
