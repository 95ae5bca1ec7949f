"""Piecewise constant functions: sign, floor, ceil, round. Their slope is zero, and taken as zero at the jumps, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.tensor import Tensor

__all__ = ["ceil", "floor", "round", "sign"]


def flat(x: Any) -> Any:
    """The gradient of a flat function: zeros of the shape of `x`, an array for an array and a Tensor for a Tensor."""
    if isinstance(x, Tensor):
        return Tensor.of(backend_of(x.data).xp.zeros(x.shape, x.dtype))
    return backend_of(x).xp.zeros_like(x)


class Sign(Op):
    """y = -1, 0 or 1;  ∂L/∂x = 0."""

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.sign(x)

    def backward(self, grad: Any) -> Any:
        return flat(grad)


class Floor(Op):
    """y = ⌊x⌋;  ∂L/∂x = 0."""

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.floor(x)

    def backward(self, grad: Any) -> Any:
        return flat(grad)


class Ceil(Op):
    """y = ⌈x⌉;  ∂L/∂x = 0."""

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.ceil(x)

    def backward(self, grad: Any) -> Any:
        return flat(grad)


class Round(Op):
    """y = the nearest multiple of 10⁻ᵈ;  ∂L/∂x = 0."""

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, x: Any) -> Any:
        return backend_of(x).xp.round(x, self.decimals)

    def backward(self, grad: Any) -> Any:
        return flat(grad)


def sign(x: Any) -> Any:
    """Sign of each element: -1, 0 or 1, and NaN for NaN (where PyTorch gives 0). Its gradient is zero.

    Examples
    --------
    >>> import minidl
    >>> sign(minidl.tensor([-3.0, 0.0, 0.5]))
    tensor([-1.,  0.,  1.])
    """
    return Sign()(x)


def floor(x: Any) -> Any:
    """Largest whole number that is not above each element: ``y = ⌊x⌋``. Its gradient is zero.

    Examples
    --------
    >>> import minidl
    >>> floor(minidl.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return Floor()(x)


def ceil(x: Any) -> Any:
    """Smallest whole number that is not below each element: ``y = ⌈x⌉``. Its gradient is zero.

    Examples
    --------
    >>> import minidl
    >>> ceil(minidl.tensor([-1.5, 1.5]))
    tensor([-1.,  2.])
    """
    return Ceil()(x)


def round(x: Any, decimals: int = 0) -> Any:
    """Nearest whole number, or nearest number with `decimals` digits; halves go to the even neighbour.

    Its gradient is zero.

    Examples
    --------
    >>> import minidl
    >>> round(minidl.tensor([0.5, 1.5, -2.7]))
    tensor([ 0.,  2., -3.])
    """
    return Round(decimals)(x)


def _numbers(r: np.random.Generator) -> Any:
    return call(r.uniform(-5, 5, (3, 4)))


cases(sign, lambda x: np.where(x > 0, 1.0, -1.0), {"any": _numbers}, order=0, elementwise=True)
cases(floor, lambda x: x - np.mod(x, 1), {"any": _numbers}, order=0, elementwise=True)
cases(ceil, lambda x: x + np.mod(-x, 1), {"any": _numbers}, order=0, elementwise=True)
cases(
    round,
    lambda x, decimals=0: np.array([float(f"{v:.{decimals}f}") for v in x.ravel()]).reshape(x.shape),
    {"whole": _numbers, "digits": lambda r: call(r.uniform(-5, 5, (3, 4)), 2)},
    order=0,
    elementwise=True,
)
