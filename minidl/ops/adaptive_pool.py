"""Adaptive pooling: windows that adapt to the image, so that the output has one size whatever came in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats, plain
from minidl.ops.images import axis_pair, from_images, to_images
from minidl.ops.pool import MaxPool2dGrad

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"]

Pair = tuple[int, int]


class AdaptiveAvgPool2d(Op):
    """Mean of each cell of a grid;  ∂L/∂x = AdaptiveAvgPool2dGrad(∂L/∂y)."""

    def __init__(self, output_size: Pair) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).adaptive_avg_pool2d(x, self.output_size)

    def backward(self, grad: Any) -> Any:
        return AdaptiveAvgPool2dGrad(self.input_size)(grad)


class AdaptiveAvgPool2dGrad(Op):
    """The adjoint of `AdaptiveAvgPool2d`, and so its gradient is `AdaptiveAvgPool2d`."""

    def __init__(self, input_size: Pair) -> None:
        self.input_size = input_size

    def forward(self, grad: Any) -> Any:
        self.output_size = grad.shape[2:]
        return backend_of(grad).adaptive_avg_pool2d_grad(grad, self.input_size)

    def backward(self, direction: Any) -> Any:
        return AdaptiveAvgPool2d(self.output_size)(direction)


class AdaptiveMaxPool2d(Op):
    """Maximum of each cell of a grid and its flat index;  the gradient is that of `MaxPool2d`."""

    def __init__(self, output_size: Pair) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        values, indices = backend_of(x).adaptive_max_pool2d(x, self.output_size)
        self.save(indices)
        return values, indices.astype("int64")

    def backward(self, grad: Any, _: Any) -> Any:
        (indices,) = self.saved
        return MaxPool2dGrad(plain(indices), self.input_size)(grad)


def adaptive_avg_pool2d(x: Any, output_size: int | tuple[int | None, int | None]) -> Any:
    r"""Take the means over a grid of `output_size` windows that covers the image, whatever its size.

    Window i of OH reaches from row ⌊i·H/OH⌋ to row ⌈(i + 1)·H/OH⌉, and the same for columns; where the sizes do not
    divide, neighbours overlap.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    output_size : int or pair of ints
        None in the pair keeps the size of that axis.

    Returns
    -------
    Tensor, (N, C, OH, OW)

    Raises
    ------
    ShapeError
        If the image has no pixels.
    OptionError
        If `output_size` is not positive.

    Examples
    --------
    >>> import minidl
    >>> adaptive_avg_pool2d(minidl.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[1.5, 2.5]]])
    """
    return _adaptive("adaptive_avg_pool2d", 2, AdaptiveAvgPool2d, x, output_size)


def adaptive_avg_pool1d(x: Any, output_size: int | tuple[int | None]) -> Any:
    """Take the means over `output_size` windows that cover a sequence (N, C, L) or (C, L); see `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import minidl
    >>> adaptive_avg_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]), 1)
    tensor([[1.5]])
    """
    return _adaptive("adaptive_avg_pool1d", 1, AdaptiveAvgPool2d, x, output_size)


def adaptive_max_pool2d(x: Any, output_size: int | tuple[int | None, int | None], return_indices: bool = False) -> Any:
    """Take the maxima over a grid of `output_size` windows that covers the image, whatever its size.

    The windows, shapes and errors are those of `adaptive_avg_pool2d`, ties and indices those of `max_pool2d`.

    Examples
    --------
    >>> import minidl
    >>> adaptive_max_pool2d(minidl.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[2., 3.]]])
    """
    return _adaptive("adaptive_max_pool2d", 2, AdaptiveMaxPool2d, x, output_size, return_indices)


def adaptive_max_pool1d(x: Any, output_size: int | tuple[int | None], return_indices: bool = False) -> Any:
    """Take the maxima over `output_size` windows that cover a sequence (N, C, L) or (C, L); see `adaptive_max_pool2d`.

    Examples
    --------
    >>> import minidl
    >>> adaptive_max_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _adaptive("adaptive_max_pool1d", 1, AdaptiveMaxPool2d, x, output_size, return_indices)


def _adaptive(name: str, axes: int, op: Any, x: Any, output_size: Any, return_indices: bool = False) -> Any:
    (x,) = floats(x)
    images = to_images(name, x, axes)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    kept = [n if o is None else o for o, n in zip(given, images.shape[4 - axes :], strict=False)]
    size = axis_pair(kept if len(given) == axes else output_size, name, "output_size", axes, 1)
    if min(size) < 1:
        raise OptionError(name, expected="an output_size of at least 1", actual=repr(output_size))
    if min(images.shape[2:]) < 1:
        raise ShapeError(name, expected="an input of at least one pixel", actual=f"shape {x.shape}")
    result = op(size)(images)
    if not isinstance(result, tuple):
        return from_images(result, x.ndim, axes)
    values, indices = (from_images(part, x.ndim, axes) for part in result)
    return (values, indices) if return_indices else values


def _loop_adaptive(x: np.ndarray, size: Pair, take: Any) -> np.ndarray:
    """One window at a time, its ends by rounding a fraction down and up."""
    (h, w), (oh, ow) = x.shape[2:], size
    y = np.zeros((*x.shape[:2], oh, ow))
    for n, c, p, q in np.ndindex(*y.shape):
        rows = slice(math.floor(p * h / oh), math.ceil((p + 1) * h / oh))
        columns = slice(math.floor(q * w / ow), math.ceil((q + 1) * w / ow))
        y[n, c, p, q] = take(x[n, c, rows, columns])
    return y


cases(
    adaptive_avg_pool2d,
    lambda x, size: _loop_adaptive(x, size, np.mean),
    {
        "overlapping": lambda r: call(r.normal(size=(1, 2, 5, 4)), (3, 2)),
        "larger than the input": lambda r: call(r.normal(size=(2, 1, 2, 3)), (3, 5)),
    },
)
cases(
    adaptive_avg_pool1d,
    lambda x, size: np.stack([x[..., :2].mean(-1), x[..., 1:].mean(-1)], -1),
    {"overlapping": lambda r: call(r.normal(size=(2, 2, 3)), 2)},
)
cases(
    adaptive_max_pool2d,
    lambda x, size: _loop_adaptive(x, size, np.max),
    {"overlapping": lambda r: call(r.normal(size=(1, 2, 5, 4)), (3, 2))},
)
cases(
    adaptive_max_pool1d,
    lambda x, size: np.stack([x[..., :2].max(-1), x[..., 1:].max(-1)], -1),
    {"overlapping": lambda r: call(r.normal(size=(2, 2, 3)), 2)},
)
