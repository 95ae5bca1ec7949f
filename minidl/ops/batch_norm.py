r"""Batch normalisation: subtract the mean of the batch, divide by its standard deviation, then scale and shift.

The mean and the deviation depend on the input, and a gradient that forgets it is wrong. In the first derivative all
textbooks remember; in the second it is easy to lose: `BatchNormGrad` computes from the mean and the variance that the
forward pass found, but to its own derivative these are no numbers, they are functions of x. So the statistics may only
save time in a forward, and every backward starts from x again: see `_gradient`, the formula that `differentiate` takes
the second derivative of.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import Constant, call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import astype, floats, plain
from minidl.ops.composite import differentiate
from minidl.ops.layer_norm import normalise, per_channel
from minidl.ops.powers import rsqrt
from minidl.ops.shape import reshape

__all__ = ["batch_norm"]


class BatchNorm(Op):
    """y = x̂ w + b with x̂ = (x - mean) / √(var + ε) over each channel;  the gradient is `BatchNormGrad`."""

    mean: Any
    var: Any

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        self.save(x, weight)
        y, self.mean, self.var = backend_of(x).batch_norm(x, weight, bias, self.eps)
        return y

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved
        return BatchNormGrad(self.eps, self.mean, self.var)(grad, x, weight)


class BatchNormGrad(Op):
    """The gradients of `BatchNorm` in x, w and b;  its own gradient is that of the formula `_gradient`.

    `mean` and `var` are those of x, to save the forward pass the computation; nothing else may use them.
    """

    def __init__(self, eps: float, mean: Any, var: Any) -> None:
        self.eps = eps
        self.statistics = mean, var

    def forward(self, grad: Any, x: Any, weight: Any) -> Any:
        self.save(grad, x, weight)
        return backend_of(x).batch_norm_grad(grad, x, weight, *self.statistics, self.eps)

    def backward(self, *directions: Any) -> Any:
        eps = self.eps
        return differentiate(
            lambda grad, x, weight: _gradient(grad, x, weight, eps), self.saved, directions, self.needs
        )


class BatchNormEval(Op):
    """y = (x - mean) w / √(var + ε) + b for given statistics;  linear in x."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, mean: Any, var: Any, weight: Any, bias: Any) -> Any:
        self.save(x, mean, var, weight)
        return backend_of(x).batch_norm_eval(x, mean, var, weight, bias, self.eps)

    def backward(self, grad: Any) -> Any:
        x, mean, var, weight = self.saved
        row, channels = per_channel(x), mean.shape
        rstd = rsqrt(var + self.eps)
        scale = rstd if weight is None else rstd * weight
        x_grad = grad * reshape(scale, row) if self.needs[0] else None
        bias_grad = reshape(sum_to(grad, row), channels)
        weight_grad = reshape(sum_to(grad * (x - reshape(mean, row)), row), channels) * rstd
        return x_grad, -bias_grad * scale, weight_grad * scale * rstd * -0.5, weight_grad, bias_grad


def _gradient(grad: Any, x: Any, weight: Any, eps: float) -> tuple[Any, Any, Any]:
    """What the kernel `batch_norm_grad` computes, in basic operations that show how all of it depends on x."""
    row, channels = per_channel(x), x.shape[1:2]
    count = max(x.size // max(x.shape[1], 1), 1)
    normalised, rstd = normalise(x, row, count, eps)
    bias_grad, weight_grad = sum_to(grad, row), sum_to(grad * normalised, row)
    scale = rstd if weight is None else rstd * reshape(weight, row)
    x_grad = (grad - bias_grad / count - normalised * weight_grad / count) * scale
    return x_grad, reshape(weight_grad, channels), reshape(bias_grad, channels)


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    r"""Normalise every channel over the batch and its pixels.

    .. math:: y = \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}\, w_c + b_c

    In training μ and σ² are the mean and the (biased) variance of this batch, and the running ones move towards them:
    ``running = (1 - momentum) · running + momentum · batch``, with the unbiased variance, in place. Otherwise μ and σ²
    are the running ones.

    Parameters
    ----------
    x : Tensor or array, (N, C, *spatial)
    running_mean, running_var : Tensor or array, (C,), or None
        None is allowed in training only.
    weight, bias : Tensor or array, (C,), optional
    training : bool
    momentum : float
        Share of the new batch in the running statistics.
    eps : float

    Returns
    -------
    Tensor, of the shape of `x`

    Raises
    ------
    ShapeError
        If a shape does not fit, or in training there is only one value per channel (its variance is 0).
    OptionError
        If the running statistics are missing outside training.

    References
    ----------
    S. Ioffe, C. Szegedy, *Batch normalization*, ICML 2015.

    Examples
    --------
    >>> import minidl
    >>> mean, var = minidl.zeros(1), minidl.ones(1)
    >>> batch_norm(minidl.tensor([[1.0], [3.0]]), mean, var, training=True)
    tensor([[-1.],
            [ 1.]])
    >>> mean, var
    (tensor([0.2]), tensor([1.1]))
    """
    x, weight, bias = floats(x, weight, bias)
    if x.ndim < 2:
        raise ShapeError("batch_norm", expected="an input (N, C, ...)", actual=f"shape {x.shape}")
    channels = x.shape[1:2]
    for label, value in zip(
        ("running_mean", "running_var", "weight", "bias"), (running_mean, running_var, weight, bias), strict=True
    ):
        if value is not None and value.shape != channels:
            raise ShapeError("batch_norm", expected=f"a {label} of shape {channels} for an input of shape {x.shape}",
                             actual=f"shape {value.shape}", hint="channels are the second axis")  # fmt: skip
    if not training:
        if running_mean is None or running_var is None:
            raise OptionError("batch_norm", expected="running_mean and running_var", actual="None with training=False")
        return BatchNormEval(eps)(x, astype(running_mean, x.dtype), astype(running_var, x.dtype), weight, bias)
    count = x.size // max(x.shape[1], 1)
    if count == 1:
        raise ShapeError(
            "batch_norm", expected="more than one value per channel in training", actual=f"shape {x.shape}",
            hint="use a larger batch, or model.eval()",
        )  # fmt: skip
    op = BatchNorm(eps)
    y = op(x, weight, bias)
    if count:
        _move(running_mean, op.mean, momentum)
        _move(running_var, op.var * (count / (count - 1)), momentum)
    return y


def _move(running: Any, batch: Any, momentum: float) -> None:
    if running is not None:
        running[...] = (1 - momentum) * plain(running) + momentum * batch


def _loop_batch_norm(
    x: np.ndarray,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    eps: float = 1e-5,
) -> np.ndarray:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        channel = x[:, c]
        if training:
            y[:, c] = (channel - np.mean(channel)) / np.sqrt(np.std(channel) ** 2 + eps)
        else:
            y[:, c] = (channel - running_mean[c]) / math.sqrt(running_var[c] + eps)
        y[:, c] = y[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


cases(
    batch_norm,
    _loop_batch_norm,
    {
        "training": lambda r: call(
            r.normal(size=(3, 2, 2, 1)), None, None, r.normal(size=2), r.normal(size=2), training=True, eps=0.1
        ),
        "training, running statistics, bare": lambda r: call(
            r.normal(size=(4, 2)), Constant(np.zeros(2)), Constant(np.ones(2)), training=True
        ),
        "training, sequences": lambda r: call(r.normal(size=(2, 2, 3)), None, None, None, r.normal(size=2), True),
        "evaluation": lambda r: call(
            r.normal(size=(2, 2, 2, 2)), r.normal(size=2), r.uniform(0.5, 2, 2), r.normal(size=2), r.normal(size=2)
        ),
        "evaluation, bare": lambda r: call(r.normal(size=(3, 2)), r.normal(size=2), r.uniform(0.5, 2, 2), eps=0.1),
    },
)
