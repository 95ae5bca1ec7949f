"""Powers, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import astype, floating, promote
from minidl.ops.comparison import eq, ge, logical_and, lt
from minidl.ops.rounding import flat

__all__ = ["exp", "expm1", "log", "log1p", "log2", "pow", "rsqrt", "sqrt"]


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
            return flat(grad)  # also at x = 0, where n xⁿ⁻¹ would be 0 · ∞
        return grad * (n * (x if n == 2 else pow(x, n - 1)))


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
            # At x = n = 0, where n xⁿ⁻¹ is 0 · ∞, the exponent 1 makes it 0.
            lift = 2 * astype(logical_and(eq(x, 0), eq(n, 0)), x.dtype)
            grad_x = sum_to(grad * (n * pow(x, n - 1 + lift)), x.shape)
        if self.needs[1]:
            lift = astype(logical_and(ge(n, 0), eq(x, 0) if hasattr(x, "dtype") else x == 0), n.dtype)
            grad_n = sum_to(grad * (pow(x, n) * log(x + lift)), n.shape)
        return grad_x, grad_n


class Exp(Op):
    """y = eˣ;  ∂L/∂x = ∂L/∂y y."""

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            y = backend_of(x).xp.exp(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return grad * y


class Expm1(Op):
    """y = eˣ - 1;  ∂L/∂x = ∂L/∂y (y + 1)."""

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            y = backend_of(x).xp.expm1(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return grad * (y + 1)


class Log(Op):
    """y = ln x;  ∂L/∂x = ∂L/∂y / x."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.log(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad / x


class Log1p(Op):
    """y = ln(1 + x);  ∂L/∂x = ∂L/∂y / (1 + x)."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.log1p(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad / (1 + x)


class Log2(Op):
    """y = ln x / ln 2;  ∂L/∂x = ∂L/∂y / (x ln 2)."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.log2(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad / (x * math.log(2))


class Sqrt(Op):
    """y = √x;  ∂L/∂x = ∂L/∂y / 2y."""

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            y = backend_of(x).xp.sqrt(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return grad / (2 * y)


class Rsqrt(Op):
    """y = 1/√x;  ∂L/∂x = -∂L/∂y y³/2."""

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            y = 1 / backend_of(x).xp.sqrt(x)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return grad * (-0.5 * (y * y * y))


def pow(x: Any, exponent: Any) -> Any:
    """Power: ``y = x ** exponent``, with a number or an array as the exponent.

    The gradient with respect to the exponent, ``xⁿ ln x``, is taken as 0 at x = 0 for n ≥ 0, as in PyTorch; a
    negative base with an exponent that is no integer gives NaN. Shapes and errors as in `add`.

    Raises
    ------
    OptionError
        If integers are raised to negative integers, which gives no integers.

    Examples
    --------
    >>> import minidl
    >>> pow(minidl.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    x, exponent = promote(x, exponent)
    if _is_whole(x) and _is_whole(exponent) and _has_negative(exponent):
        raise OptionError(
            "pow",
            expected="exponents >= 0 for integers",
            actual="a negative exponent",
            hint="convert the base first: x.astype(minidl.float32)",
        )
    if isinstance(exponent, (int, float)):
        return PowScalar(exponent)(x)
    return Pow()(x, exponent)


def _is_whole(value: Any) -> bool:
    return value.dtype.kind in "iub" if hasattr(value, "dtype") else isinstance(value, int)


def _has_negative(value: Any) -> bool:
    return bool(lt(value, 0).any()) if hasattr(value, "dtype") else value < 0


def exp(x: Any) -> Any:
    """Exponential: ``y = eˣ``.

    Examples
    --------
    >>> import minidl
    >>> exp(minidl.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return Exp()(floating(x))


def expm1(x: Any) -> Any:
    """Exponential less one: ``y = eˣ - 1``, accurate near zero.

    Examples
    --------
    >>> import minidl
    >>> expm1(minidl.tensor([0.0, 1.0]))
    tensor([0.    , 1.7183])
    """
    return Expm1()(floating(x))


def log(x: Any) -> Any:
    """Natural logarithm: ``y = ln x``; -inf at 0, NaN below.

    Examples
    --------
    >>> import minidl
    >>> log(minidl.tensor([1.0, 2.718281828]))
    tensor([0., 1.])
    """
    return Log()(floating(x))


def log1p(x: Any) -> Any:
    """Logarithm of one more: ``y = ln(1 + x)``, accurate near zero; -inf at -1, NaN below.

    Examples
    --------
    >>> import minidl
    >>> log1p(minidl.tensor([0.0, 1.718281828]))
    tensor([0., 1.])
    """
    return Log1p()(floating(x))


def log2(x: Any) -> Any:
    """Logarithm to base 2: ``y = log₂ x``; -inf at 0, NaN below.

    Examples
    --------
    >>> import minidl
    >>> log2(minidl.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """
    return Log2()(floating(x))


def sqrt(x: Any) -> Any:
    """Square root: ``y = √x``; NaN below 0. At 0 the slope is infinite.

    Examples
    --------
    >>> import minidl
    >>> sqrt(minidl.tensor([0.0, 9.0]))
    tensor([0., 3.])
    """
    return Sqrt()(floating(x))


def rsqrt(x: Any) -> Any:
    """One over the square root: ``y = 1/√x``; infinite at 0, NaN below.

    Examples
    --------
    >>> import minidl
    >>> rsqrt(minidl.tensor([4.0, 16.0]))
    tensor([0.5 , 0.25])
    """
    return Rsqrt()(floating(x))


def _any(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)))


def _positive(r: np.random.Generator) -> Any:
    return call(r.uniform(0.2, 3, (3, 4)))


cases(
    pow,
    lambda x, n: np.exp(n * np.log(x)),
    {
        "array exponent": lambda r: call(r.uniform(0.5, 2, (3, 4)), r.uniform(-2, 3, (3, 4))),
        "number": lambda r: call(r.uniform(0.5, 2, (3, 4)), 1.7),
        "number as the base": lambda r: call(1.7, r.normal(size=(3, 4))),
        "square": lambda r: call(r.uniform(0.5, 2, (3, 4)), 2),
    },
    elementwise=True,
)
cases(pow, lambda x, n: x * x * x, {"negative base": lambda r: call(r.normal(size=(3, 4)), 3)})
cases(exp, lambda x: np.power(np.e, x), {"any": _any}, elementwise=True)
cases(expm1, lambda x: 2 * np.exp(x / 2) * np.sinh(x / 2), {"any": _any}, elementwise=True)
cases(log, lambda x: np.log2(x) / np.log2(np.e), {"positive": _positive}, elementwise=True)
cases(log1p, lambda x: 2 * np.arctanh(x / (2 + x)), {"positive": _positive}, elementwise=True)
cases(log2, lambda x: np.log(x) / np.log(2), {"positive": _positive}, elementwise=True)
cases(sqrt, lambda x: np.power(x, 0.5), {"positive": _positive}, elementwise=True)
cases(rsqrt, lambda x: np.power(x, -0.5), {"positive": _positive}, elementwise=True)
