"""Nonlinearities as layers. Formula, gradient and source of each stand with its operation in `minidl.ops`."""

from __future__ import annotations

from typing import Any

from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import choice, flag, integer, number

__all__ = [
    "ELU",
    "GELU",
    "Hardtanh",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class _Pointwise(Module):
    """Of any shape to the same shape.

    `inplace` is taken for the sake of programs written for PyTorch: the values are the same, the memory is new.
    """

    inplace = False

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = flag(type(self).__name__, "inplace", inplace)

    def _with_inplace(self, text: str = "") -> str:
        return ", ".join(part for part in (text, "inplace=True" if self.inplace else "") if part)

    def extra_repr(self) -> str:
        return self._with_inplace()


class ReLU(_Pointwise):
    """``y = max(x, 0)``, with slope 0 at 0. Of any shape to the same shape.

    Parameters
    ----------
    inplace : bool
        Taken for the sake of programs written for PyTorch: the values are the same, the memory is new.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.ReLU()(minidl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        return F.relu(x)


class ReLU6(_Pointwise):
    """``y = min(max(x, 0), 6)``. Of any shape to the same shape; `inplace` as for `ReLU`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.ReLU6()(minidl.tensor([-1.0, 2.0, 9.0]))
    tensor([0., 2., 6.])
    """

    def forward(self, x: Any) -> Any:
        return F.relu6(x)


class LeakyReLU(_Pointwise):
    """``y = x`` where x > 0, else ``negative_slope · x``. Of any shape to the same shape; `inplace` as for `ReLU`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.LeakyReLU(0.1)(minidl.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Any) -> Any:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class ELU(_Pointwise):
    """``y = x`` where x > 0, else ``alpha (eˣ - 1)``. Of any shape to the same shape; `inplace` as for `ReLU`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.ELU()(minidl.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = number("ELU", "alpha", alpha)

    def forward(self, x: Any) -> Any:
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class GELU(Module):
    """``y = x Φ(x)`` with the normal distribution function Φ, or its approximation by tanh. Of any shape.

    Parameters
    ----------
    approximate : {"none", "tanh"}

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.GELU()(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, x: Any) -> Any:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Pointwise):
    """``y = x · sigmoid(x)``, also called swish. Of any shape to the same shape; `inplace` as for `ReLU`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.SiLU()(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 0.7311])
    """

    def forward(self, x: Any) -> Any:
        return F.silu(x)


class Softplus(Module):
    """``y = ln(1 + exp(beta x)) / beta``, a smooth relu; ``y = x`` where ``beta x > threshold``. Of any shape.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Softplus()(minidl.tensor([0.0, 50.0]))
    tensor([ 0.6931, 50.    ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = number("Softplus", "beta", beta, above=0)
        self.threshold = number("Softplus", "threshold", threshold)

    def forward(self, x: Any) -> Any:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(_Pointwise):
    """``y = min(max(x, min_val), max_val)``. Of any shape to the same shape; `inplace` as for `ReLU`.

    Raises
    ------
    OptionError
        If `min_val` is not below `max_val`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Hardtanh()(minidl.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val = number("Hardtanh", "min_val", min_val)
        self.max_val = number("Hardtanh", "max_val", max_val)
        if not self.min_val < self.max_val:
            raise OptionError("Hardtanh", expected="min_val < max_val", actual=f"{min_val} and {max_val}")

    def forward(self, x: Any) -> Any:
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class Sigmoid(Module):
    """``y = 1 / (1 + e⁻ˣ)``. Of any shape to the same shape.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Sigmoid()(minidl.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """

    def forward(self, x: Any) -> Any:
        return F.sigmoid(x)


class Tanh(Module):
    """``y = tanh x``. Of any shape to the same shape.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Tanh()(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """

    def forward(self, x: Any) -> Any:
        return F.tanh(x)


class Softmax(Module):
    """``y = exp(x) / Σ exp(x)`` along `dim`: positive, with sum 1. Of any shape to the same shape.

    Parameters
    ----------
    dim : int
        The last by default; PyTorch's default picks dimension 0, 1 or 3 by a rule of its early days.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Softmax(dim=1)(minidl.zeros(1, 4))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = integer("Softmax", "dim", dim, least=None)

    def forward(self, x: Any) -> Any:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """``y = x - ln Σ exp(x)`` along `dim`, the logarithm of `Softmax`, exact where that would underflow.

    Parameters
    ----------
    dim : int
        The last by default, as for `Softmax`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.LogSoftmax(dim=1)(minidl.tensor([[0.0, -1000.0]]))
    tensor([[    0., -1000.]])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = integer("LogSoftmax", "dim", dim, least=None)

    def forward(self, x: Any) -> Any:
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
