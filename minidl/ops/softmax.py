"""Softmax, its logarithm, and the logarithm of a sum of exponentials; none of them overflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, reduced_dims, restore_dims
from minidl.ops.cast import floating
from minidl.ops.comparison import eq
from minidl.ops.elementwise import where
from minidl.ops.powers import exp
from minidl.ops.reduce import sum
from minidl.ops.shape import reshape

__all__ = ["log_softmax", "logsumexp", "softmax"]


class Softmax(Op):
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;  ∂L/∂xᵢ = yᵢ (gᵢ - Σⱼ gⱼ yⱼ) with g = ∂L/∂y."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        y = backend_of(x).softmax(x, self.axis)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return SoftmaxGrad(self.axis)(grad, y)


class SoftmaxGrad(Op):
    """zᵢ = yᵢ (gᵢ - Σⱼ gⱼ yⱼ), symmetric in what it does to g;  with h = ∂L/∂z:

    ∂L/∂g = y (h - Σ h y),  ∂L/∂y = h (g - Σ g y) - g Σ h y.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, g: Any, y: Any) -> Any:
        self.save(g, y)
        return backend_of(g).softmax_grad(g, y, self.axis)

    def backward(self, grad: Any) -> Any:
        g, y = self.saved
        grad_y = None
        if self.needs[1]:
            grad_y = grad * (g - sum(g * y, self.axis, True)) - g * sum(grad * y, self.axis, True)
        return SoftmaxGrad(self.axis)(grad, y) if self.needs[0] else None, grad_y


class LogSoftmax(Op):
    """yᵢ = xᵢ - ln Σⱼ exp xⱼ;  ∂L/∂xᵢ = gᵢ - exp(yᵢ) Σⱼ gⱼ with g = ∂L/∂y."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        y = backend_of(x).log_softmax(x, self.axis)
        self.save(y)
        return y

    def backward(self, grad: Any) -> Any:
        (y,) = self.saved
        return LogSoftmaxGrad(self.axis)(grad, y)


class LogSoftmaxGrad(Op):
    """zᵢ = gᵢ - exp(yᵢ) Σⱼ gⱼ;  with h = ∂L/∂z: ∂L/∂gᵢ = hᵢ - Σⱼ hⱼ exp yⱼ,  ∂L/∂yᵢ = -hᵢ exp(yᵢ) Σⱼ gⱼ."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, g: Any, y: Any) -> Any:
        self.save(g, y)
        return backend_of(g).log_softmax_grad(g, y, self.axis)

    def backward(self, grad: Any) -> Any:
        g, y = self.saved
        weighted = grad * exp(y)
        return (
            grad - sum(weighted, self.axis, True) if self.needs[0] else None,
            -weighted * sum(g, self.axis, True) if self.needs[1] else None,
        )


class LogSumExp(Op):
    """y = ln Σⱼ exp xⱼ;  ∂L/∂xᵢ = ∂L/∂y exp(xᵢ - y), which is 0 where every x is -∞."""

    def __init__(self, dims: tuple[int, ...], keepdim: bool) -> None:
        self.dims = dims
        self.keepdim = keepdim

    def forward(self, x: Any) -> Any:
        xp = backend_of(x).xp
        if 0 in [x.shape[dim] for dim in self.dims]:  # a sum of nothing
            largest = xp.zeros([1 if i in self.dims else size for i, size in enumerate(x.shape)], x.dtype)
        else:
            largest = x.max(axis=self.dims, keepdims=True)
            largest = xp.where(xp.isfinite(largest), largest, 0)
        with np.errstate(all="ignore"):
            total = xp.exp(x - largest).sum(axis=self.dims, keepdims=True)
            y = xp.log(total) + largest
        if not self.keepdim:
            y = y.reshape([size for i, size in enumerate(x.shape) if i not in self.dims])
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        y = restore_dims(y, self.dims, self.keepdim)
        shift = where(eq(y, -np.inf), 0, y)
        return restore_dims(grad, self.dims, self.keepdim) * exp(x - shift)


def softmax(x: Any, dim: int) -> Any:
    """Softmax along a dimension: ``yᵢ = exp xᵢ / Σⱼ exp xⱼ``: positive numbers that sum to one.

    A row of -inf alone (fully masked attention) gives zeros and zero gradients, where PyTorch gives NaN.

    Parameters
    ----------
    x : Tensor or array
    dim : int

    Raises
    ------
    ShapeError
        If there is no such dimension.

    Examples
    --------
    >>> import minidl
    >>> softmax(minidl.tensor([[0.0, 1.0], [1000.0, 0.0]]), dim=1)
    tensor([[0.2689, 0.7311],
            [1.    , 0.    ]])
    """
    return _along(Softmax, "softmax", x, dim)


def log_softmax(x: Any, dim: int) -> Any:
    """Logarithm of the softmax: ``yᵢ = xᵢ - ln Σⱼ exp xⱼ``, exact also where the softmax is all but zero.

    A row of -inf alone gives -inf, where PyTorch gives NaN. Errors as in `softmax`.

    Examples
    --------
    >>> import minidl
    >>> log_softmax(minidl.tensor([1000.0, 0.0]), dim=0)
    tensor([    0., -1000.])
    """
    return _along(LogSoftmax, "log_softmax", x, dim)


def _along(op: type[Softmax] | type[LogSoftmax], name: str, x: Any, dim: int) -> Any:
    """The operation along a dimension; a single number, without dimensions, counts as a row of one."""
    axis = normalize_dim(name, dim, x.ndim)
    return op(axis)(floating(x)) if x.ndim else reshape(op(0)(floating(reshape(x, (1,)))), ())


def logsumexp(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Logarithm of a sum of exponentials: ``y = ln Σⱼ exp xⱼ``.

    Parameters
    ----------
    x : Tensor or array
    dim : int, tuple of int or None
        What to sum over; None is every dimension.
    keepdim : bool
        Keep the summed dimensions, with size one.

    Raises
    ------
    ShapeError
        If there is no such dimension, or it is named twice.

    Examples
    --------
    >>> import minidl
    >>> logsumexp(minidl.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    return LogSumExp(reduced_dims("logsumexp", dim, x.ndim), keepdim)(floating(x))


def _softmax_by_loops(x: np.ndarray, dim: int) -> np.ndarray:
    def of_row(row: np.ndarray) -> list[float]:
        return [1 / float(np.sum([np.exp(other - v) for other in row])) for v in row]

    return np.apply_along_axis(of_row, dim, x)


_SAMPLES = {
    "last": lambda r: call(r.normal(size=(3, 4)), -1),
    "first": lambda r: call(r.normal(size=(3, 2)), 0),
    "middle": lambda r: call(r.normal(size=(2, 3, 2)), 1),
}
cases(softmax, _softmax_by_loops, _SAMPLES)
cases(log_softmax, lambda x, dim: np.log(_softmax_by_loops(x, dim)), _SAMPLES)
cases(
    logsumexp,
    lambda x, dim=None, keepdim=False: np.logaddexp.reduce(x, axis=dim, keepdims=keepdim),
    {
        "all": lambda r: call(r.normal(size=(2, 3))),
        "one": lambda r: call(r.normal(size=(2, 3, 2)), 1),
        "keepdim": lambda r: call(r.normal(size=(2, 3)), -1, keepdim=True),
    },
)
cases(
    logsumexp,
    lambda x, dim, keepdim=False: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim)),
    {"several": lambda r: call(r.normal(size=(2, 3, 2)), (0, -1), True)},
)
