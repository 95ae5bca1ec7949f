"""Layer and group normalisation: each sample is normalised for itself, so training and evaluation are the same.

How a fused gradient gets its own derivative is told in batch_norm.py; it is the same here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import floats
from minidl.ops.composite import differentiate
from minidl.ops.powers import rsqrt
from minidl.ops.shape import reshape

__all__ = ["group_norm", "layer_norm", "normalise", "per_channel"]


class LayerNorm(Op):
    """y = x̂ w + b with x̂ = (x - mean) / √(var + ε) over the last axes;  the gradient is `LayerNormGrad`."""

    def __init__(self, axes: int, eps: float) -> None:
        self.axes = axes
        self.eps = eps

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        self.save(x, weight)
        y, *self.statistics = backend_of(x).layer_norm(_rows(x, self.axes), _flat(weight), _flat(bias), self.eps)
        return y.reshape(x.shape)

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved
        return LayerNormGrad(self.axes, self.eps, *self.statistics)(grad, x, weight)


class LayerNormGrad(Op):
    """The gradients of `LayerNorm` in x, w and b;  its own gradient is that of the formula `_gradient`.

    `mean` and `rstd` are those of x, to save the forward pass the computation; nothing else may use them.
    """

    def __init__(self, axes: int, eps: float, mean: Any, rstd: Any) -> None:
        self.axes = axes
        self.eps = eps
        self.statistics = mean, rstd

    def forward(self, grad: Any, x: Any, weight: Any) -> Any:
        self.save(grad, x, weight)
        x_grad, *others = backend_of(x).layer_norm_grad(
            _rows(grad, self.axes), _rows(x, self.axes), _flat(weight), *self.statistics
        )
        return x_grad.reshape(x.shape), *[other.reshape(x.shape[x.ndim - self.axes :]) for other in others]

    def backward(self, *directions: Any) -> Any:
        axes, eps = self.axes, self.eps
        return differentiate(
            lambda grad, x, weight: _gradient(grad, x, weight, axes, eps),
            self.saved,
            directions,
            self.needs,
        )


def _gradient(grad: Any, x: Any, weight: Any, axes: int, eps: float) -> tuple[Any, Any, Any]:
    """What the kernel `layer_norm_grad` computes, in basic operations that show how all of it depends on x."""
    shape = x.shape[x.ndim - axes :]
    column = (*x.shape[: x.ndim - axes], *[1] * axes)
    count = max(math.prod(shape), 1)
    normalised, rstd = normalise(x, column, count, eps)
    scaled = grad if weight is None else grad * weight
    mean_part, variance_part = sum_to(scaled, column) / count, sum_to(scaled * normalised, column) / count
    x_grad = (scaled - mean_part - normalised * variance_part) * rstd
    return x_grad, sum_to(grad * normalised, shape), sum_to(grad, shape)


def normalise(x: Any, shape: tuple[int, ...], count: int, eps: float) -> tuple[Any, Any]:
    """x̂ and 1/√(var + ε), with statistics of the given shape, each over `count` values."""
    centred = x - sum_to(x, shape) / count
    rstd = rsqrt(sum_to(centred * centred, shape) / count + eps)
    return centred * rstd, rstd


def per_channel(x: Any) -> tuple[int, ...]:
    """The shape in which a vector of channels broadcasts against (N, C, *spatial)."""
    return (x.shape[1], *[1] * (x.ndim - 2))


def _rows(x: Any, axes: int) -> Any:
    """The array as a matrix whose rows are the last `axes` axes."""
    return x.reshape(math.prod(x.shape[: x.ndim - axes]), math.prod(x.shape[x.ndim - axes :]))


def _flat(vector: Any) -> Any:
    return None if vector is None else vector.reshape(vector.size)


def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    r"""Normalise over the last axes, each sample for itself.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}\, w + b

    with μ and σ² the mean and the (biased) variance over the axes of `normalized_shape`.

    Parameters
    ----------
    x : Tensor or array, (..., *normalized_shape)
    normalized_shape : int or sequence of ints
    weight, bias : Tensor or array, of shape `normalized_shape`, optional
    eps : float

    Returns
    -------
    Tensor, of the shape of `x`

    Raises
    ------
    ShapeError
        If `x` does not end in `normalized_shape`, or weight or bias are of another shape.

    References
    ----------
    J. Ba, J. Kiros, G. Hinton, *Layer normalization*, arXiv:1607.06450.

    Examples
    --------
    >>> import minidl
    >>> layer_norm(minidl.tensor([[1.0, 3.0], [10.0, 10.0]]), 2, eps=0.0)[0]
    tensor([-1.,  1.])
    """
    x, weight, bias = floats(x, weight, bias)
    shape = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    if not shape or x.shape[x.ndim - len(shape) :] != shape or len(shape) > x.ndim:
        raise ShapeError(
            "layer_norm", expected=f"an input (..., {', '.join(map(str, shape))})", actual=f"shape {x.shape}",
            hint="normalized_shape names the sizes of the last axes",
        )  # fmt: skip
    for label, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != shape:
            raise ShapeError("layer_norm", expected=f"a {label} of shape {shape}", actual=f"shape {value.shape}")
    return LayerNorm(len(shape), eps)(x, weight, bias)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    r"""Normalise over groups of neighbouring channels, each sample for itself.

    .. math:: y = \frac{x - \mu_{n,g}}{\sqrt{\sigma_{n,g}^2 + \epsilon}}\, w_c + b_c

    with μ and σ² the mean and the (biased) variance over the C/num_groups channels of group g and their pixels.

    Parameters
    ----------
    x : Tensor or array, (N, C, *spatial)
    num_groups : int
    weight, bias : Tensor or array, (C,), optional
    eps : float

    Returns
    -------
    Tensor, of the shape of `x`

    Raises
    ------
    ShapeError
        If `num_groups` does not divide the channels, or a shape does not fit.
    OptionError
        If `num_groups` is not a positive integer.

    References
    ----------
    Y. Wu, K. He, *Group normalization*, ECCV 2018.

    Examples
    --------
    >>> import minidl
    >>> group_norm(minidl.tensor([[1.0, 3.0, 0.0, 4.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    x, weight, bias = floats(x, weight, bias)
    if isinstance(num_groups, bool) or not isinstance(num_groups, (int, np.integer)) or num_groups < 1:
        raise OptionError("group_norm num_groups", expected="a positive integer", actual=repr(num_groups))
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ShapeError("group_norm", expected=f"an input (N, C, ...) with C a multiple of {num_groups}",
                         actual=f"shape {x.shape}")  # fmt: skip
    for label, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != x.shape[1:2]:
            raise ShapeError("group_norm", expected=f"a {label} of shape {x.shape[1:2]}", actual=f"shape {value.shape}")
    groups = reshape(x, (x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:]))
    y = reshape(LayerNorm(groups.ndim - 2, eps)(groups, None, None), x.shape)
    if weight is not None:
        y = y * reshape(weight, per_channel(x))
    return y if bias is None else y + reshape(bias, per_channel(x))


def _loop_normalise(lines: np.ndarray, eps: float) -> np.ndarray:
    """Each row of a matrix by the textbook: NumPy's mean and standard deviation."""
    return np.stack([(line - np.mean(line)) / np.sqrt(np.std(line) ** 2 + eps) for line in lines])


def _loop_layer_norm(x: np.ndarray, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    y = _loop_normalise(x.reshape(-1, int(np.prod(shape))), eps).reshape(x.shape)
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


def _loop_group_norm(x: np.ndarray, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> np.ndarray:
    y = _loop_normalise(x.reshape(len(x) * groups, -1), eps).reshape(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = y[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


cases(
    layer_norm,
    _loop_layer_norm,
    {
        "last axis": lambda r: call(r.normal(size=(2, 2, 4)), 4, r.normal(size=4), r.normal(size=4)),
        "two axes": lambda r: call(r.normal(size=(3, 2, 3)), (2, 3), r.normal(size=(2, 3)), None, 0.1),
        "bare": lambda r: call(r.normal(size=(2, 5)), (5,)),
    },
)
cases(
    group_norm,
    _loop_group_norm,
    {
        "images": lambda r: call(r.normal(size=(2, 4, 2, 1)), 2, r.normal(size=4), r.normal(size=4)),
        "bare": lambda r: call(r.normal(size=(2, 6)), 2, eps=0.1),
    },
)
