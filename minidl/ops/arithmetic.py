"""The four operations of arithmetic: the pattern that every operation of minidl follows.

An operation is four things that stand together: a class with `forward` and `backward`; a public function that checks
and converts its arguments; its docstring; its gradient-check cases. Read `Mul` first.

Broadcasting needs one idea: where an input was repeated, its gradient is the *sum* over the repeats (`sum_to`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import floating, promote

__all__ = ["add", "div", "mul", "neg", "sub"]


class Add(Op):
    """y = a + b;  ∂L/∂a = ∂L/∂b = ∂L/∂y."""

    def forward(self, a: Any, b: Any) -> Any:
        self.before = getattr(a, "shape", ()), getattr(b, "shape", ())
        return a + b

    def backward(self, grad: Any) -> Any:
        a, b = self.before
        return sum_to(grad, a) if self.needs[0] else None, sum_to(grad, b) if self.needs[1] else None


class Sub(Op):
    """y = a - b;  ∂L/∂a = ∂L/∂y,  ∂L/∂b = -∂L/∂y."""

    def forward(self, a: Any, b: Any) -> Any:
        self.before = getattr(a, "shape", ()), getattr(b, "shape", ())
        return a - b

    def backward(self, grad: Any) -> Any:
        a, b = self.before
        return sum_to(grad, a) if self.needs[0] else None, sum_to(-grad, b) if self.needs[1] else None


class Mul(Op):
    """y = a b;  ∂L/∂a = ∂L/∂y b,  ∂L/∂b = ∂L/∂y a."""

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        return a * b

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        return (
            sum_to(grad * b, a.shape) if self.needs[0] else None,
            sum_to(grad * a, b.shape) if self.needs[1] else None,
        )


class Div(Op):
    """y = a / b;  ∂L/∂a = ∂L/∂y / b,  ∂L/∂b = -∂L/∂y a / b²."""

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        with np.errstate(all="ignore"):
            return a / b

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        return (
            sum_to(grad / b, a.shape) if self.needs[0] else None,
            sum_to(-grad * a / (b * b), b.shape) if self.needs[1] else None,
        )


class Neg(Op):
    """y = -x;  ∂L/∂x = -∂L/∂y."""

    def forward(self, x: Any) -> Any:
        return -x

    def backward(self, grad: Any) -> Any:
        return -grad


def add(a: Any, b: Any) -> Any:
    """Sum, element by element: ``y = a + b``.

    Parameters
    ----------
    a, b : Tensor, array or scalar
        Of shapes that broadcast to each other.

    Returns
    -------
    Tensor
        Of the broadcast shape; types mix by PyTorch's rules (see `promote`).

    Raises
    ------
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> add(minidl.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return Add()(*promote(a, b))


def sub(a: Any, b: Any) -> Any:
    """Difference, element by element: ``y = a - b``. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> sub(minidl.tensor([1.0, 2.0]), minidl.tensor([[1.0], [2.0]]))
    tensor([[ 0.,  1.],
            [-1.,  0.]])
    """
    return Sub()(*promote(a, b))


def mul(a: Any, b: Any) -> Any:
    """Product, element by element: ``y = a · b``. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> mul(minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0]))
    tensor([3., 8.])
    """
    a, b = promote(a, b)
    return Mul()(a, b)


def div(a: Any, b: Any) -> Any:
    """Quotient, element by element: ``y = a / b``; integers are converted to the default dtype first.

    Division by zero gives an infinity or NaN as in IEEE arithmetic. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> div(minidl.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    """
    a, b = promote(a, b)
    return Div()(floating(a), floating(b))


def neg(x: Any) -> Any:
    """Opposite: ``y = -x``.

    Examples
    --------
    >>> import minidl
    >>> neg(minidl.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return Neg()(x)


def _pair(r: np.random.Generator) -> Any:
    return call(r.normal(size=(3, 4)), r.normal(size=(3, 4)))


cases(add, np.add, {"same shape": _pair}, elementwise=True)
cases(sub, np.subtract, {"same shape": _pair}, elementwise=True)
cases(mul, np.multiply, {"same shape": _pair}, elementwise=True)
cases(
    div,
    lambda a, b: a * np.power(b, -1.0),
    {"away from zero": lambda r: call(r.normal(size=(3, 4)), r.uniform(0.5, 2, (3, 4)) * r.choice([-1, 1], (3, 4)))},
    elementwise=True,
)
cases(neg, np.negative, {"any": lambda r: call(r.normal(size=(3, 4)))}, elementwise=True)
