"""The fully connected layer, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

from minidl.creation import empty
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.options import flag, integer
from minidl.nn.parameter import Parameter

__all__ = ["Identity", "Linear"]


class Linear(Module):
    """Fully connected layer: ``y = x Wᵀ + b``.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None
        Both begin uniform in ±1/√in_features.

    Notes
    -----
    Shapes: x (…, in_features) → y (…, out_features).

    Raises
    ------
    OptionError
        If a number of features is not a positive integer.
    ShapeError
        When called: if the last dimension is not `in_features`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Linear(20, 30)(minidl.zeros(128, 20)).shape
    (128, 30)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        self.weight = Parameter(empty(self.out_features, self.in_features))
        self.bias = Parameter(empty(self.out_features)) if flag("Linear", "bias", bias) else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new first values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        return output.size * self.in_features

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """The input itself: ``y = x``. Takes the place of a layer that is to be left out; arguments are ignored.

    Examples
    --------
    >>> from minidl import nn
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    >>> net[1] = nn.Identity()
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        return x
