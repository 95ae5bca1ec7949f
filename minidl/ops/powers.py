"""Powers, exponentials and logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import floating, promote
from minidl.tensor import Tensor

__all__ = ["log", "pow"]


class PowScalar(Op):
    """y = xⁿ for a number n;  ∂L/∂x = ∂L/∂y n xⁿ⁻¹."""

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return x * x if self.exponent == 2 else x**self.exponent

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        n = self.exponent
        if n == 0:
            return grad * 0.0  # also at x = 0, where n xⁿ⁻¹ would be 0 · ∞
        return grad * (n * pow(x, n - 1))


class Pow(Op):
    """y = xⁿ;  ∂L/∂x = ∂L/∂y n xⁿ⁻¹,  ∂L/∂n = ∂L/∂y xⁿ ln x, which is 0 at x = 0 for n ≥ 0."""

    def forward(self, x: Any, n: Any) -> Any:
        self.save(x, n)
        with np.errstate(all="ignore"):
            return x**n

    def backward(self, grad: Any) -> Any:
        x, n = self.saved
        grad_x = grad_n = None
        if self.needs[0]:
            # Where n = 0 the factor n is 0, and the power is kept finite by the exponent 1.
            lift = (2 * (_plain(n) == 0)).astype(n.dtype)
            grad_x = sum_to(grad * (n * pow(x, n - 1 + lift)), x.shape)
        if self.needs[1]:
            lift = ((_plain(x) == 0) & (_plain(n) >= 0)).astype(x.dtype)
            grad_n = sum_to(grad * (pow(x, n) * log(x + lift)), n.shape)
        return grad_x, grad_n


class Log(Op):
    """y = ln x;  ∂L/∂x = ∂L/∂y / x."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.log(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad / x


def _plain(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def pow(x: Any, exponent: Any) -> Any:
    """Power: ``y = x ** exponent``, with a number or an array as the exponent.

    The gradient with respect to the exponent, ``xⁿ ln x``, is taken as 0 at x = 0 for n ≥ 0, as in PyTorch; a
    negative base with an exponent that is no integer gives NaN. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> pow(minidl.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    x, exponent = promote(x, exponent)
    if isinstance(exponent, (int, float)):
        return PowScalar(exponent)(x)
    return Pow()(x, exponent)


def log(x: Any) -> Any:
    """Natural logarithm: ``y = ln x``; -inf at 0, NaN below.

    Examples
    --------
    >>> import minidl
    >>> log(minidl.tensor([1.0, 2.718281828]))
    tensor([0., 1.])
    """
    return Log()(floating(x))


cases(
    pow,
    lambda x, n: np.exp(n * np.log(x)),
    {
        "array exponent": lambda r: call(r.uniform(0.5, 2, (3, 4)), r.uniform(-2, 3, (3, 4))),
        "number": lambda r: call(r.uniform(0.5, 2, (3, 4)), 1.7),
    },
    elementwise=True,
)
cases(pow, lambda x, n: x * x * x, {"negative base": lambda r: call(r.normal(size=(3, 4)), 3)})
cases(log, lambda x: np.log2(x) / np.log2(np.e), {"positive": lambda r: call(r.uniform(0.2, 3, (3, 4)))}, elementwise=True)
