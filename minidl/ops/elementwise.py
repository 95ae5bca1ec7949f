"""Absolute value, sine and cosine; and the choice between two values: where, maximum, minimum, clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, OptionError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import astype, floating, promote
from minidl.ops.comparison import ge, gt, le, logical_and, logical_or, lt
from minidl.ops.rounding import sign
from minidl.tensor import as_array

__all__ = ["abs", "clamp", "clip", "cos", "maximum", "minimum", "sin", "where"]


class Abs(Op):
    """y = \\|x\\|;  ∂L/∂x = ∂L/∂y sign x."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return backend_of(x).xp.abs(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad * sign(x)


class Sin(Op):
    """y = sin x;  ∂L/∂x = ∂L/∂y cos x."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.sin(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad * cos(x)


class Cos(Op):
    """y = cos x;  ∂L/∂x = -∂L/∂y sin x."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        with np.errstate(all="ignore"):
            return backend_of(x).xp.cos(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return -grad * sin(x)


class Where(Op):
    """y = a where the condition c holds, else b;  ∂L/∂a = ∂L/∂y [c],  ∂L/∂b = ∂L/∂y [not c]."""

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        self.save(condition)
        self.before = np.shape(a), np.shape(b)
        return backend_of(condition).xp.where(condition, a, b)

    def backward(self, grad: Any) -> Any:
        (condition,) = self.saved
        a, b = self.before
        return (
            None,
            sum_to(where(condition, grad, 0), a) if self.needs[1] else None,
            sum_to(where(condition, 0, grad), b) if self.needs[2] else None,
        )


class Maximum(Op):
    """y = max(a, b);  ∂L/∂a = ∂L/∂y ([a > b] + [a ≥ b])/2: all where a is larger, half at a tie; the rest is b's."""

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        return backend_of(a if hasattr(a, "dtype") else b).xp.maximum(a, b)

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        return _split(self, grad, gt(a, b), ge(a, b), np.shape(a), np.shape(b))


class Minimum(Op):
    """y = min(a, b);  ∂L/∂a = ∂L/∂y ([a < b] + [a ≤ b])/2: all where a is smaller, half at a tie; the rest is b's."""

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        return backend_of(a if hasattr(a, "dtype") else b).xp.minimum(a, b)

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        return _split(self, grad, lt(a, b), le(a, b), np.shape(a), np.shape(b))


def _split(op: Op, grad: Any, strict: Any, loose: Any, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Any, Any]:
    share = 0.5 * (astype(strict, grad.dtype) + astype(loose, grad.dtype))
    return sum_to(grad * share, a) if op.needs[0] else None, sum_to(grad * (1 - share), b) if op.needs[1] else None


class Clip(Op):
    """y = min(max(x, l), u);  the gradient of y goes where y comes from:

    ∂L/∂x = ∂L/∂y [l ≤ x ≤ u],  ∂L/∂l = ∂L/∂y [x < l < u],  ∂L/∂u = ∂L/∂y [u < x or u < l].
    """

    def forward(self, x: Any, low: Any, high: Any) -> Any:
        self.save(x, low, high)
        xp = backend_of(x).xp
        return xp.minimum(xp.maximum(x, low), high)

    def backward(self, grad: Any) -> Any:
        x, low, high = self.saved
        grad_x = grad_low = grad_high = None
        if self.needs[0]:
            grad_x = sum_to(where(logical_and(ge(x, low), le(x, high)), grad, 0), x.shape)
        if self.needs[1]:
            grad_low = sum_to(where(logical_and(lt(x, low), lt(low, high)), grad, 0), np.shape(low))
        if self.needs[2]:
            grad_high = sum_to(where(logical_or(lt(high, x), lt(high, low)), grad, 0), np.shape(high))
        return grad_x, grad_low, grad_high


def abs(x: Any) -> Any:
    """Absolute value: ``y = |x|``. Its slope at 0 is taken as 0.

    Examples
    --------
    >>> import minidl
    >>> abs(minidl.tensor([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    return Abs()(x)


def sin(x: Any) -> Any:
    """Sine: ``y = sin x``, x in radians.

    Examples
    --------
    >>> import math, minidl
    >>> sin(minidl.tensor([0.0, math.pi / 2]))
    tensor([0., 1.])
    """
    return Sin()(floating(x))


def cos(x: Any) -> Any:
    """Cosine: ``y = cos x``, x in radians.

    Examples
    --------
    >>> import math, minidl
    >>> cos(minidl.tensor([0.0, math.pi]))
    tensor([ 1., -1.])
    """
    return Cos()(floating(x))


def where(condition: Any, a: Any, b: Any) -> Any:
    """Choose element by element: ``y = a`` where the condition is true, else ``y = b``.

    Parameters
    ----------
    condition : Tensor or array of bool
    a, b : Tensor, array or scalar
        The three shapes broadcast to each other; the types of `a` and `b` mix as in `add`.

    Raises
    ------
    DTypeError
        If the condition is not boolean.
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([-1.0, 2.0])
    >>> where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """
    if not hasattr(condition, "dtype"):
        condition = as_array(condition)
    if condition.dtype.kind != "b":
        raise DTypeError("where", expected="a boolean condition", actual=str(condition.dtype),
                         hint="compare, e.g. x != 0")  # fmt: skip
    return Where()(condition, *promote(a, b))


def maximum(a: Any, b: Any) -> Any:
    """Larger of two values, element by element: ``y = max(a, b)``; NaN if one of them is.

    At a tie each gets half of the gradient. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> maximum(minidl.tensor([1.0, 5.0]), 3)
    tensor([3., 5.])
    """
    return Maximum()(*promote(a, b))


def minimum(a: Any, b: Any) -> Any:
    """Smaller of two values, element by element: ``y = min(a, b)``; NaN if one of them is.

    At a tie each gets half of the gradient. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> minimum(minidl.tensor([1.0, 5.0]), 3)
    tensor([1., 3.])
    """
    return Minimum()(*promote(a, b))


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Bring each element into the range from `min` to `max`: ``y = min(max(x, l), u)``.

    The gradient passes where the element is inside, the bounds included; a bound that is a Tensor gets the gradient of
    the elements that it replaced. Where `min` exceeds `max`, the result is `max`. `clamp` is the same function.

    Parameters
    ----------
    x : Tensor or array
    min, max : scalar, Tensor, array or None
        The bounds; None is no bound. At least one is needed.

    Raises
    ------
    OptionError
        If there is no bound at all.
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> clip(minidl.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        raise OptionError("clip", expected="min, max or both", actual="neither")
    for bound in (min, max):
        if bound is not None:
            x, _ = promote(x, bound)
    lowest, highest = (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    _, min = promote(x, lowest if min is None else min)
    _, max = promote(x, highest if max is None else max)
    return Clip()(x, min, max)


clamp = clip


def _any(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)))


def _pair(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)), r.normal(size=(3, 4)))


cases(abs, lambda x: np.where(x < 0, -x, x), {"any": _any}, elementwise=True)
cases(sin, lambda x: np.exp(1j * x).imag, {"any": _any}, elementwise=True)
cases(cos, lambda x: np.exp(1j * x).real, {"any": _any}, elementwise=True)
cases(
    where,
    lambda c, a, b: c * a + ~c * b,
    {
        "same shape": lambda r: call(r.random((3, 4)) < 0.5, r.normal(size=(3, 4)), r.normal(size=(3, 4))),
        "broadcast": lambda r: call(np.arange(4) % 2 == 0, r.normal(size=(3, 1)), r.normal(size=(3, 4))),
        "number": lambda r: call(np.arange(4) % 2 == 0, 2.0, r.normal(size=(3, 4))),
    },
)
cases(
    maximum,
    lambda a, b: (a + b + np.sqrt((a - b) ** 2)) / 2,
    {"same shape": _pair, "number first": lambda r: call(0.1, r.normal(size=(3, 4)))},
    elementwise=True,
)
cases(
    minimum,
    lambda a, b: (a + b - np.sqrt((a - b) ** 2)) / 2,
    {"same shape": _pair, "number": lambda r: call(r.normal(size=(3, 4)), 0.1)},
    elementwise=True,
)


def _sorted_clip(x: np.ndarray, min: Any = None, max: Any = None) -> np.ndarray:
    """The middle one of three values; above it, where the bounds have changed places, the upper bound."""
    low = np.broadcast_to(-1e300 if min is None else min, x.shape)
    high = np.broadcast_to(1e300 if max is None else max, x.shape)
    return np.where(low <= high, np.sort([x, low, high], axis=0)[1], high)


cases(
    clip,
    _sorted_clip,
    {
        "both": lambda r: call(r.normal(size=(3, 4)), -0.5, 0.5),
        "lower": lambda r: call(r.normal(size=(3, 4)), min=-0.1),
        "upper": lambda r: call(r.normal(size=(3, 4)), max=0.1),
    },
    elementwise=True,
)
cases(
    clip,
    _sorted_clip,
    {
        "arrays": lambda r: call(r.normal(size=(3, 4)), r.uniform(-1.0, 0.0, 4), r.uniform(0.0, 1.0, (3, 1))),
        "crossed bounds": lambda r: call(r.normal(size=(8, 4)), r.uniform(-1.0, 0.5, (8, 4)), r.uniform(-0.5, 1.0, 4)),
    },
)
