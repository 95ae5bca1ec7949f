"""Reductions by a sum: sum, mean, variance, standard deviation; and the tests of many elements: all, any, counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import reduced_dims, restore_dims
from minidl.ops.broadcast import broadcast_to
from minidl.ops.cast import floating
from minidl.ops.comparison import eq, ne
from minidl.ops.elementwise import where
from minidl.ops.oracles import over_groups

__all__ = ["all", "any", "count_nonzero", "mean", "std", "sum", "var"]


def _total(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """The sum; of integers as int64, for smaller ones would soon overflow."""
    if x.dtype.kind != "f":
        return x.sum(axis=dims, keepdims=keepdim, dtype=np.int64)
    return backend_of(x).sum(x, dims, keepdim)


class Reduction(Op):
    """What removes dimensions, or keeps them with size one."""

    def __init__(self, dims: tuple[int, ...], keepdim: bool) -> None:
        self.dims = dims
        self.keepdim = keepdim

    def count(self, shape: tuple[int, ...]) -> int:
        """How many elements become one."""
        return math.prod([shape[i] for i in self.dims])

    def restored(self, y: Any) -> Any:
        """A result or its gradient with the removed dimensions back, of size one."""
        return restore_dims(y, self.dims, self.keepdim)


class Sum(Reduction):
    """y = Σ xᵢ;  ∂L/∂xᵢ = ∂L/∂y."""

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        return _total(x, self.dims, self.keepdim)

    def backward(self, grad: Any) -> Any:
        return broadcast_to(self.restored(grad), self.before)


class Mean(Reduction):
    """y = Σ xᵢ / n;  ∂L/∂xᵢ = ∂L/∂y / n."""

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        with np.errstate(all="ignore"):
            return _mean(x, self.dims, self.keepdim, self.count(x.shape))

    def backward(self, grad: Any) -> Any:
        return broadcast_to(self.restored(grad) / max(self.count(self.before), 1), self.before)


def _mean(x: Any, dims: tuple[int, ...], keepdim: bool, count: int) -> Any:
    if x.dtype == np.float16:
        return (x.sum(axis=dims, keepdims=keepdim, dtype=np.float32) / count).astype(np.float16)
    return backend_of(x).sum(x, dims, keepdim) / count


class Var(Reduction):
    """y = Σ (xᵢ - x̄)² / (n - c), c the correction;  ∂L/∂xᵢ = ∂L/∂y 2 (xᵢ - x̄) / (n - c)."""

    def __init__(self, dims: tuple[int, ...], keepdim: bool, correction: float) -> None:
        super().__init__(dims, keepdim)
        self.correction = correction

    def forward(self, x: Any) -> Any:
        self.save(x)
        return self.variance(x)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return self.gradient(grad, x)

    def freedom(self, shape: tuple[int, ...]) -> float:
        """Degrees of freedom, n - c, but not below zero."""
        return max(self.count(shape) - self.correction, 0)

    def variance(self, x: Any) -> Any:
        """Variance of an array, from the differences to the mean: the squares of large numbers would cancel."""
        with np.errstate(all="ignore"):
            difference = x - _mean(x, self.dims, True, self.count(x.shape))
            return _total(difference * difference, self.dims, self.keepdim) / self.freedom(x.shape)

    def gradient(self, grad: Any, x: Any) -> Any:
        """Gradient of the variance; what goes by way of the mean adds up to zero."""
        freedom = self.freedom(x.shape)
        return self.restored(grad) * (2 / freedom if freedom else math.inf) * (x - mean(x, self.dims or None, True))


class Std(Var):
    """y = √(Σ (xᵢ - x̄)² / (n - c));  ∂L/∂xᵢ = ∂L/∂y (xᵢ - x̄) / (y (n - c)), taken as 0 where y = 0."""

    def forward(self, x: Any) -> Any:
        y = backend_of(x).xp.sqrt(self.variance(x))
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        zero = eq(y, 0)
        return self.gradient(where(zero, 0, grad) / where(zero, 1, 2 * y), x)


class AnyTrue(Reduction):
    """y = whether one of the elements is true."""

    def forward(self, x: Any) -> Any:
        return x.any(axis=self.dims, keepdims=self.keepdim)


class AllTrue(Reduction):
    """y = whether each of the elements is true."""

    def forward(self, x: Any) -> Any:
        return x.all(axis=self.dims, keepdims=self.keepdim)


def sum(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Sum over some or all dimensions: ``y = Σᵢ xᵢ``.

    Parameters
    ----------
    x : Tensor or array
    dim : int, tuple of int or None
        The dimensions to sum over; None, or an empty tuple as in PyTorch, is all of them.
    keepdim : bool
        Keep the summed dimensions, with size one.

    Returns
    -------
    Tensor
        Of the type of `x`; booleans and integers give int64.

    Raises
    ------
    ShapeError
        If there is no such dimension, or it is named twice.
    DTypeError
        If `dim` is no integer.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> sum(x), sum(x, dim=0)
    (tensor(10.), tensor([4., 6.]))
    """
    return Sum(reduced_dims("sum", dim, x.ndim), keepdim)(x)


def mean(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Mean over some or all dimensions: ``y = Σᵢ xᵢ / n``; NaN of no elements.

    Arguments and errors as in `sum`; integers are converted to the default dtype first.

    Examples
    --------
    >>> import minidl
    >>> mean(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
    tensor([[1.5],
            [3.5]])
    """
    return Mean(reduced_dims("mean", dim, x.ndim), keepdim)(floating(x))


def var(
    x: Any,
    dim: int | Sequence[int] | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    correction: float | None = None,
) -> Any:
    """Variance over some or all dimensions: ``y = Σᵢ (xᵢ - x̄)² / (n - c)``.

    Parameters
    ----------
    x : Tensor or array
    dim, keepdim
        As in `sum`.
    unbiased : bool, optional
        PyTorch's older spelling: True is ``correction=1``, False ``correction=0``.
    correction : number, optional
        c above: 1 by default (the unbiased estimate), 0 for the variance of the elements themselves. With c ≥ n the
        result is NaN or infinite.

    Raises
    ------
    OptionError
        If both `unbiased` and `correction` are given.
    ShapeError
        If there is no such dimension, or it is named twice.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0, 3.0, 4.0])
    >>> var(x), var(x, correction=0)
    (tensor(1.6667), tensor(1.25))
    """
    c = _correction("var", unbiased, correction)
    return Var(reduced_dims("var", dim, x.ndim), keepdim, c)(floating(x))


def std(
    x: Any,
    dim: int | Sequence[int] | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    correction: float | None = None,
) -> Any:
    """Standard deviation over some or all dimensions: ``y = √(Σᵢ (xᵢ - x̄)² / (n - c))``.

    Its slope is taken as 0 where all elements are equal. Arguments and errors as in `var`.

    Examples
    --------
    >>> import minidl
    >>> std(minidl.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    c = _correction("std", unbiased, correction)
    return Std(reduced_dims("std", dim, x.ndim), keepdim, c)(floating(x))


def _correction(name: str, unbiased: bool | None, correction: float | None) -> float:
    if unbiased is not None and correction is not None:
        raise OptionError(name, expected="unbiased or correction", actual="both")
    if correction is None:
        return 1 if unbiased is None else int(unbiased)
    return correction


def any(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Whether at least one element is true (not zero). Arguments and errors as in `sum`.

    Examples
    --------
    >>> import minidl
    >>> any(minidl.tensor([[0, 1], [0, 0]]), dim=1)
    tensor([ True, False])
    """
    return AnyTrue(reduced_dims("any", dim, x.ndim), keepdim)(x)


def all(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Whether every element is true (not zero). Arguments and errors as in `sum`.

    Examples
    --------
    >>> import minidl
    >>> all(minidl.tensor([[0, 1], [2, 3]]), dim=1)
    tensor([False,  True])
    """
    return AllTrue(reduced_dims("all", dim, x.ndim), keepdim)(x)


def count_nonzero(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """How many elements are not zero, as int64. Arguments and errors as in `sum`.

    Examples
    --------
    >>> import minidl
    >>> count_nonzero(minidl.tensor([[0, 1], [2, 3]]), dim=1)
    tensor([1, 2])
    """
    return Sum(reduced_dims("count_nonzero", dim, x.ndim), False)(ne(x, 0))


def _mean_of(numbers: list[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def _variance_of(numbers: list[float], correction: float = 1, unbiased: bool = True) -> float:
    """From the differences of all pairs: n Σ (xᵢ - x̄)² = Σ (xᵢ - xⱼ)² over the pairs i < j."""
    n = len(numbers)
    pairs = math.fsum([(a - b) ** 2 for i, a in enumerate(numbers) for b in numbers[:i]])
    return pairs / n / (n - (correction if unbiased else 0))


_SAMPLES = {
    "all": lambda r: call(r.normal(size=(2, 3))),
    "one": lambda r: call(r.normal(size=(2, 3, 2)), 1),
    "several": lambda r: call(r.normal(size=(2, 3, 2)), (-1, 0)),
    "keepdim": lambda r: call(r.normal(size=(2, 3, 2)), dim=(0, 2), keepdim=True),
}
_CORRECTIONS = {
    "population": lambda r: call(r.normal(size=(2, 3)), 1, correction=0),
    "biased": lambda r: call(r.normal(size=(2, 3)), 1, unbiased=False),
    "fraction": lambda r: call(r.normal(size=(4, 2)), 0, correction=1.5),
}
cases(sum, over_groups(math.fsum), _SAMPLES)
cases(mean, over_groups(_mean_of), _SAMPLES)
cases(var, over_groups(_variance_of), {**_SAMPLES, **_CORRECTIONS})
cases(std, over_groups(lambda *a, **k: math.sqrt(_variance_of(*a, **k))), {**_SAMPLES, **_CORRECTIONS})


def _sparse(r: np.random.Generator) -> np.ndarray:
    return r.integers(-1, 2, (3, 2, 2))


_TESTS = {
    "all": lambda r: call(_sparse(r)),
    "one": lambda r: call(_sparse(r), 1),
    "several": lambda r: call(_sparse(r), (0, 2)),
}
cases(any, over_groups(lambda numbers: numbers.count(0) < len(numbers)), _TESTS, order=0)
cases(all, over_groups(lambda numbers: 0 not in numbers), _TESTS, order=0)
cases(count_nonzero, over_groups(lambda numbers: len(numbers) - numbers.count(0)), _TESTS, order=0)
