"""Smooth activations: tanh, sigmoid, silu, gelu, softplus, and the error function.

Where the backend has a fused kernel for the gradient, that kernel is an operation of its own (`TanhGrad`), so that it
can be differentiated in turn.
"""

from __future__ import annotations

import math
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

__all__ = ["erf", "gelu", "sigmoid", "silu", "softplus", "tanh"]


class Tanh(Op):
    """y = tanh x;  ∂L/∂x = ∂L/∂y (1 - y²)."""

    def forward(self, x: Any) -> Any:
        y = backend_of(x).tanh(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return TanhGrad()(grad, y)


class TanhGrad(Op):
    """z = g (1 - y²);  ∂L/∂g = ∂L/∂z (1 - y²),  ∂L/∂y = -2 ∂L/∂z g y."""

    def forward(self, g: Any, y: Any) -> Any:
        self.save(g, y)
        return backend_of(g).tanh_grad(g, y)

    def backward(self, grad: Any) -> Any:
        g, y = self.saved
        return TanhGrad()(grad, y) if self.needs[0] else None, -2 * grad * g * y if self.needs[1] else None


class Sigmoid(Op):
    """y = σ(x) = 1 / (1 + e⁻ˣ);  ∂L/∂x = ∂L/∂y y (1 - y)."""

    def forward(self, x: Any) -> Any:
        y = backend_of(x).sigmoid(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return SigmoidGrad()(grad, y)


class SigmoidGrad(Op):
    """z = g y (1 - y);  ∂L/∂g = ∂L/∂z y (1 - y),  ∂L/∂y = ∂L/∂z g (1 - 2y)."""

    def forward(self, g: Any, y: Any) -> Any:
        self.save(g, y)
        return backend_of(g).sigmoid_grad(g, y)

    def backward(self, grad: Any) -> Any:
        g, y = self.saved
        return SigmoidGrad()(grad, y) if self.needs[0] else None, grad * g * (1 - 2 * y) if self.needs[1] else None


class Silu(Op):
    """y = x σ(x);  ∂L/∂x = ∂L/∂y σ (1 + x (1 - σ))."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return backend_of(x).silu(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return SiluGrad()(grad, x)


class SiluGrad(Op):
    """z = g σ (1 + x (1 - σ)) with σ = σ(x);  ∂L/∂x = ∂L/∂z g σ (1 - σ) (2 + x (1 - 2σ))."""

    def forward(self, g: Any, x: Any) -> Any:
        self.save(g, x)
        return backend_of(g).silu_grad(g, x)

    def backward(self, grad: Any) -> Any:
        g, x = self.saved
        grad_x = None
        if self.needs[1]:
            s = sigmoid(x)
            grad_x = grad * g * (s * (1 - s) * (2 + x * (1 - 2 * s)))
        return SiluGrad()(grad, x) if self.needs[0] else None, grad_x


class Gelu(Op):
    """y = x Φ(x), Φ the normal distribution function, or its approximation by tanh;  ∂L/∂x = ∂L/∂y (Φ + x Φ')."""

    def __init__(self, approximate: str) -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        self.save(x)
        return backend_of(x).gelu(x, self.approximate)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return GeluGrad(self.approximate)(grad, x)


class GeluGrad(Op):
    """z = g (Φ + x Φ');  ∂L/∂x = ∂L/∂z g (2Φ' + x Φ'')."""

    def __init__(self, approximate: str) -> None:
        self.approximate = approximate

    def forward(self, g: Any, x: Any) -> Any:
        self.save(g, x)
        return backend_of(g).gelu_grad(g, x, self.approximate)

    def backward(self, grad: Any) -> Any:
        g, x = self.saved
        grad_x = None
        if self.needs[1]:
            grad_x = grad * g * (_tanh_curvature(x) if self.approximate == "tanh" else _curvature(x))
        return GeluGrad(self.approximate)(grad, x) if self.needs[0] else None, grad_x


def _curvature(x: Any) -> Any:
    """2Φ' + x Φ'' = φ(x) (2 - x²), since Φ' is the normal density φ and φ' = -x φ."""
    return exp(-0.5 * (x * x)) * (2 - x * x) * (1 / math.sqrt(2 * math.pi))


def _tanh_curvature(x: Any) -> Any:
    """2Φ' + x Φ'' for Φ = (1 + t)/2, t = tanh u, u = k (x + c x³): (1 - t²) (u' - x t u'² + x u''/2)."""
    k, c = math.sqrt(2 / math.pi), 0.044715
    t = tanh(k * (x + c * (x * x * x)))
    slope = k * (1 + 3 * c * (x * x))
    return (1 - t * t) * (slope - x * t * (slope * slope) + (3 * k * c) * (x * x))


class Softplus(Op):
    """y = ln(1 + e^βx)/β, and x itself where βx exceeds the threshold;  ∂L/∂x = ∂L/∂y σ(βx), there ∂L/∂y."""

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        self.save(x)
        xp = backend_of(x).xp
        z = x * self.beta
        # ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|), which cannot overflow.
        y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / self.beta
        return xp.where(z > self.threshold, x, y)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        z = x * self.beta
        return where(gt(z, self.threshold), grad, grad * sigmoid(z))


class Erf(Op):
    """y = erf x;  ∂L/∂x = ∂L/∂y 2/√π exp(-x²)."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return backend_of(x).erf(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad * (2 / math.sqrt(math.pi) * exp(-(x * x)))


def tanh(x: Any) -> Any:
    """Hyperbolic tangent: ``y = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)``.

    Examples
    --------
    >>> import minidl
    >>> tanh(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """
    return Tanh()(floating(x))


def sigmoid(x: Any) -> Any:
    """Logistic function: ``y = 1 / (1 + e⁻ˣ)``, without overflow for any x.

    Examples
    --------
    >>> import minidl
    >>> sigmoid(minidl.tensor([-1000.0, 0.0, 1.0]))
    tensor([0.    , 0.5   , 0.7311])
    """
    return Sigmoid()(floating(x))


def silu(x: Any) -> Any:
    """Sigmoid linear unit, also called swish: ``y = x σ(x)``.

    Source: S. Elfwing, E. Uchibe, K. Doya, Sigmoid-weighted linear units (2017), https://arxiv.org/abs/1702.03118.

    Examples
    --------
    >>> import minidl
    >>> silu(minidl.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.    ,  0.7311])
    """
    return Silu()(floating(x))


def gelu(x: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit: ``y = x Φ(x)``, where Φ is the normal distribution function.

    Parameters
    ----------
    x : Tensor or array
    approximate : {"none", "tanh"}
        With "tanh", ``Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2``.

    Raises
    ------
    OptionError
        If `approximate` is something else.

    Source: D. Hendrycks, K. Gimpel, Gaussian error linear units (2016), https://arxiv.org/abs/1606.08415.

    Examples
    --------
    >>> import minidl
    >>> gelu(minidl.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.    ,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise OptionError("gelu", expected='approximate "none" or "tanh"', actual=repr(approximate))
    return Gelu(approximate)(floating(x))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth rectifier: ``y = ln(1 + e^βx) / β``.

    Parameters
    ----------
    x : Tensor or array
    beta : float
        Sharpness; not zero.
    threshold : float
        Where ``βx`` is above it, ``y = x``, as in PyTorch.

    Raises
    ------
    OptionError
        If `beta` is zero.

    Examples
    --------
    >>> import minidl
    >>> softplus(minidl.tensor([-1000.0, 0.0, 30.0]))
    tensor([ 0.    ,  0.6931, 30.    ])
    """
    if beta == 0:
        raise OptionError("softplus", expected="a beta that is not zero", actual=str(beta))
    return Softplus(beta, threshold)(floating(x))


def erf(x: Any) -> Any:
    """Error function: ``y = 2/√π ∫₀ˣ exp(-t²) dt``.

    Examples
    --------
    >>> import minidl
    >>> erf(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 0.8427])
    """
    return Erf()(floating(x))


def _any(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)))


def _normal_distribution(x: np.ndarray) -> np.ndarray:
    """Φ, number by number from the standard library."""
    return np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.ravel()]).reshape(x.shape)


cases(tanh, lambda x: 1 - 2 / (np.exp(2 * x) + 1), {"any": _any}, elementwise=True)
cases(sigmoid, lambda x: (1 + np.tanh(x / 2)) / 2, {"any": _any}, elementwise=True)
cases(silu, lambda x: x / (1 + np.exp(-x)), {"any": _any}, elementwise=True)
cases(gelu, lambda x: x * _normal_distribution(x), {"exact": _any}, elementwise=True)
cases(
    gelu,
    lambda x, approximate: x / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (x + 0.044715 * np.power(x, 3)))),
    {"tanh": lambda r: call(r.normal(size=(3, 4)), "tanh")},
    elementwise=True,
)
cases(
    softplus,
    lambda x, beta=1.0, threshold=20.0: np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta),
    {
        "any": _any,
        "sharp": lambda r: call(r.normal(size=(3, 4)), beta=2.5),
        "above the threshold": lambda r: call(r.normal(size=(3, 4)), beta=2.0, threshold=0.5),
        "negative beta": lambda r: call(r.normal(size=(3, 4)), -1.5),
    },
    elementwise=True,
)
cases(erf, lambda x: 2 * _normal_distribution(x * math.sqrt(2)) - 1, {"any": _any}, elementwise=True)
