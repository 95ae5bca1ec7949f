"""Rectifiers, made of pieces that are straight or exponential: relu, leaky_relu, elu, hardtanh, relu6.

The slope at a kink follows PyTorch. Where a slope is constant its own derivative is zero, and it is returned as zeros,
so that a second derivative exists (`flat`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floating
from minidl.ops.comparison import gt
from minidl.ops.elementwise import where
from minidl.ops.powers import exp
from minidl.ops.rounding import flat

__all__ = ["elu", "hardtanh", "leaky_relu", "relu", "relu6"]


class Relu(Op):
    """y = max(x, 0);  ∂L/∂x = ∂L/∂y [y > 0]."""

    def forward(self, x: Any) -> Any:
        y = backend_of(x).relu(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return ReluGrad()(grad, y)


class ReluGrad(Op):
    """z = g [y > 0];  ∂L/∂g = ∂L/∂z [y > 0],  ∂L/∂y = 0."""

    def forward(self, g: Any, y: Any) -> Any:
        self.save(y)
        return backend_of(g).relu_grad(g, y)

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return ReluGrad()(grad, y) if self.needs[0] else None, flat(y) if self.needs[1] else None


class LeakyRelu(Op):
    """y = x where x > 0, else a x;  ∂L/∂x = ∂L/∂y, or a ∂L/∂y where x ≤ 0."""

    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        self.save(x)
        return backend_of(x).xp.where(x > 0, x, x * self.negative_slope)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return LeakyReluGrad(self.negative_slope)(grad, x)


class LeakyReluGrad(Op):
    """z = g where x > 0, else a g;  ∂L/∂g is the same of ∂L/∂z,  ∂L/∂x = 0."""

    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def forward(self, g: Any, x: Any) -> Any:
        self.save(x)
        return backend_of(g).xp.where(x > 0, g, g * self.negative_slope)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        grad_g = LeakyReluGrad(self.negative_slope)(grad, x) if self.needs[0] else None
        return grad_g, flat(x) if self.needs[1] else None


class Hardtanh(Op):
    """y = min(max(x, l), u);  ∂L/∂x = ∂L/∂y [l < x < u]."""

    def __init__(self, low: float, high: float) -> None:
        self.bounds = low, high

    def forward(self, x: Any) -> Any:
        self.save(x)
        low, high = self.bounds
        xp = backend_of(x).xp
        return xp.minimum(xp.maximum(x, low), high)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return HardtanhGrad(*self.bounds)(grad, x)


class HardtanhGrad(Op):
    """z = g [l < x < u];  ∂L/∂g = ∂L/∂z [l < x < u],  ∂L/∂x = 0."""

    def __init__(self, low: float, high: float) -> None:
        self.bounds = low, high

    def forward(self, g: Any, x: Any) -> Any:
        self.save(x)
        low, high = self.bounds
        return backend_of(g).xp.where((low < x) & (x < high), g, 0)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return HardtanhGrad(*self.bounds)(grad, x) if self.needs[0] else None, flat(x) if self.needs[1] else None


class Elu(Op):
    """y = x where x > 0, else a (eˣ - 1);  ∂L/∂x = ∂L/∂y, or ∂L/∂y a eˣ where x ≤ 0."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        self.save(x)
        xp = backend_of(x).xp
        return xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, 0)))

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        positive = gt(x, 0)
        # The exponential of a large x is not wanted, but 0 · ∞ would be NaN: it is taken of 0 instead.
        return where(positive, grad, grad * (self.alpha * exp(where(positive, 0, x))))


def relu(x: Any) -> Any:
    """Rectified linear unit: ``y = max(x, 0)``. Its slope at 0 is taken as 0.

    Examples
    --------
    >>> import minidl
    >>> relu(minidl.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return Relu()(floating(x))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """Rectifier that leaks: ``y = x`` where x > 0, else ``a x`` with a = `negative_slope`, also the slope at 0.

    Examples
    --------
    >>> import minidl
    >>> leaky_relu(minidl.tensor([-1.0, 0.0, 2.0]), 0.1)
    tensor([-0.1,  0. ,  2. ])
    """
    return LeakyRelu(negative_slope)(floating(x))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Exponential linear unit: ``y = x`` where x > 0, else ``α (eˣ - 1)``. Its slope at 0 is α.

    Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, Exponential linear units (2015),
    https://arxiv.org/abs/1511.07289.

    Examples
    --------
    >>> import minidl
    >>> elu(minidl.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.6321,  0.    ,  2.    ])
    """
    return Elu(alpha)(floating(x))


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Straight between two bounds and flat outside: ``y = min(max(x, l), u)``.

    Unlike `clip`, the slope at the bounds themselves is taken as 0, as in PyTorch.

    Raises
    ------
    OptionError
        If `min_val` exceeds `max_val`.

    Examples
    --------
    >>> import minidl
    >>> hardtanh(minidl.tensor([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if not min_val <= max_val:
        raise OptionError("hardtanh", expected="min_val <= max_val", actual=f"{min_val} and {max_val}")
    return Hardtanh(min_val, max_val)(floating(x))


def relu6(x: Any) -> Any:
    """Rectifier with a ceiling: ``y = min(max(x, 0), 6)``. Its slope at 0 and at 6 is taken as 0.

    Examples
    --------
    >>> import minidl
    >>> relu6(minidl.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return Hardtanh(0, 6)(floating(x))


def _any(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)))


cases(relu, lambda x: (x + np.sqrt(x * x)) / 2, {"any": _any}, elementwise=True)
cases(
    leaky_relu,
    lambda x, slope=0.01: np.array([v if v > 0 else slope * v for v in x.ravel()]).reshape(x.shape),
    {"any": _any, "slope": lambda r: call(r.normal(size=(3, 4)), 0.3)},
    elementwise=True,
)
cases(
    elu,
    lambda x, alpha=1.0: np.array([v if v > 0 else alpha * (np.exp(v) - 1) for v in x.ravel()]).reshape(x.shape),
    {"any": _any, "alpha": lambda r: call(r.normal(size=(3, 4)), 1.7)},
    elementwise=True,
)
cases(
    hardtanh,
    lambda x, low=-1.0, high=1.0: np.sort([x, np.full_like(x, low), np.full_like(x, high)], axis=0)[1],
    {"any": _any, "bounds": lambda r: call(r.normal(size=(3, 4)), -0.3, 0.7)},
    elementwise=True,
)
cases(
    relu6,
    lambda x: np.sort([x, np.zeros_like(x), np.full_like(x, 6)], axis=0)[1],
    {"any": lambda r: call(r.uniform(-4, 10, (3, 4)))},
    elementwise=True,
)
