"""Lengths of vectors: the p-norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.gradcheck import call, cases
from minidl.ops.axes import reduced_dims
from minidl.ops.cast import astype, floating
from minidl.ops.comparison import eq, logical_or, ne
from minidl.ops.elementwise import abs, where
from minidl.ops.extrema import amax, amin
from minidl.ops.oracles import over_groups
from minidl.ops.powers import pow
from minidl.ops.reduce import Reduction, sum
from minidl.ops.rounding import sign

__all__ = ["norm"]


class EuclideanNorm(Reduction):
    """y = √(Σ xᵢ²);  ∂L/∂xᵢ = ∂L/∂y xᵢ / y, taken as 0 where y = 0."""

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            y = backend_of(x).xp.sqrt((x * x).sum(axis=self.dims, keepdims=self.keepdim))
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        length = where(eq(y, 0), 1, y)
        return self.restored(grad / length) * x


class PowerNorm(Reduction):
    """y = (Σ |xᵢ|ᵖ)^(1/p);  ∂L/∂xᵢ = ∂L/∂y sign(xᵢ) (|xᵢ| / y)ᵖ⁻¹, taken as 0 where xᵢ = 0."""

    def __init__(self, dims: tuple[int, ...], keepdim: bool, p: float) -> None:
        super().__init__(dims, keepdim)
        self.p = p

    def forward(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            powers = backend_of(x).xp.abs(x) ** self.p
            y = powers.sum(axis=self.dims, keepdims=self.keepdim) ** (1 / self.p)
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        y = self.restored(y)
        zero = logical_or(eq(x, 0), eq(y, 0))
        share = where(zero, 1, abs(x)) / where(zero, 1, y)
        return self.restored(grad) * where(zero, 0, sign(x) * pow(share, self.p - 1))


def norm(x: Any, p: float | str = "fro", dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Length of the vector along some or all dimensions: ``y = (Σᵢ |xᵢ|ᵖ)^(1/p)``.

    Its slope is taken as 0 where it has none: at a vector of zeros, and at the zeros of a vector for p < 2. For
    p = ±∞ elements that tie share the gradient in equal parts. All as in PyTorch.

    Parameters
    ----------
    x : Tensor or array
    p : number, inf, -inf or "fro"
        2, or "fro", is the Euclidean norm; 1 the sum and inf the maximum of ``|x|``; 0 counts what is not zero, and
        has no gradient.
    dim : int, tuple of int or None
        The dimensions that hold a vector; None is all of them.
    keepdim : bool
        Keep the reduced dimensions, with size one.

    Raises
    ------
    OptionError
        If `p` is something else.
    ShapeError
        If there is no such dimension, it is named twice, or there is no element where p is infinite.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([3.0, -4.0])
    >>> norm(x), norm(x, p=1), norm(x, p=float("inf"))
    (tensor(5.), tensor(7.), tensor(4.))
    """
    if isinstance(p, str) and p == "fro":
        p = 2
    if isinstance(p, str) or math.isnan(p):
        raise OptionError("norm", expected='a number or "fro" as p', actual=repr(p))
    x = floating(x)
    dims = reduced_dims("norm", dim, x.ndim)
    if p == 2:
        return EuclideanNorm(dims, keepdim)(x)
    if p == 1:
        return sum(abs(x), dims, keepdim)
    if p == 0:
        return astype(sum(ne(x, 0), dims, keepdim), x.dtype)
    if math.isinf(p):
        return (amax if p > 0 else amin)(abs(x), dims, keepdim)
    return PowerNorm(dims, keepdim, p)(x)


def _norm_of(numbers: list[float], p: float | str = 2) -> float:
    """By logarithms, or from the definition."""
    sizes = [math.sqrt(v * v) for v in numbers]
    if p in (2, "fro"):
        return math.hypot(*numbers)
    if math.isinf(p):  # type: ignore[arg-type]  # a number
        return sorted(sizes)[-1 if p > 0 else 0]  # type: ignore[operator]
    return math.exp(math.log(math.fsum([math.exp(p * math.log(v)) for v in sizes])) / p)  # type: ignore[operator]


def _vectors(p: float | str, **options: Any) -> Any:
    return lambda r: call(r.normal(size=(2, 3, 2)), p=p, **options)


cases(
    norm,
    over_groups(_norm_of),
    {
        "Euclidean": lambda r: call(r.normal(size=(2, 3))),
        "Euclidean of rows": _vectors(2, dim=1),
        "several, keepdim": _vectors(2, dim=(0, -1), keepdim=True),
        "p = 1": _vectors(1, dim=1),
        "p = 3": _vectors(3, dim=1, keepdim=True),
        "p = 1.5": _vectors(1.5, dim=(0, 1)),
        "p = 1/2": _vectors(0.5),
        "p = -1": _vectors(-1.0, dim=1),
        "p = inf": _vectors(math.inf, dim=1),
        "p = -inf": _vectors(-math.inf, dim=-2),
    },
)
cases(
    norm,
    over_groups(lambda numbers, p: float(len(numbers) - numbers.count(0))),
    {"p = 0": lambda r: call(r.integers(-1, 2, (2, 3)).astype(float), p=0, dim=1)},
    order=0,
)
