"""Pooling: the largest or the mean pixel of every window.

The gradient of a maximum goes to the pixel that won, and the forward pass notes which one that was (an integer index
per window). For fixed indices max-pooling only moves numbers: `MaxPool2dGrad` puts each back in its place and
`MaxPool2dTake` fetches them, two linear maps that are each other's adjoint. Averages are linear to begin with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.backends.geometry import pool_output_size
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats, plain
from minidl.ops.images import axis_pair, from_images, to_images

__all__ = ["MaxPool2dGrad", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]

Pair = tuple[int, int]


class MaxPool2d(Op):
    """Maximum of each window, and on request its flat index;  ∂L/∂x: each gradient goes to the pixel that won."""

    def __init__(self, window: tuple[Pair, Pair, Pair, Pair, bool], return_indices: bool) -> None:
        self.window = window  # kernel_size, stride, padding, dilation, ceil_mode
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        values, indices = backend_of(x).max_pool2d(x, *self.window)
        self.save(indices)
        return (values, indices.astype("int64")) if self.return_indices else values

    def backward(self, grad: Any, _: Any = None) -> Any:
        (indices,) = self.saved
        return MaxPool2dGrad(plain(indices), self.input_size)(grad)


class MaxPool2dGrad(Op):
    """Put numbers back to fixed pixels, adding where they meet;  ∂L/∂g = MaxPool2dTake(∂L/∂y)."""

    def __init__(self, indices: Any, input_size: Pair) -> None:
        self.indices = indices
        self.input_size = input_size

    def forward(self, grad: Any) -> Any:
        return backend_of(grad).max_pool2d_grad(grad, self.indices, self.input_size)

    def backward(self, direction: Any) -> Any:
        return MaxPool2dTake(self.indices)(direction)


class MaxPool2dTake(Op):
    """Fetch numbers from fixed pixels;  ∂L/∂x = MaxPool2dGrad(∂L/∂y)."""

    def __init__(self, indices: Any) -> None:
        self.indices = indices

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).max_pool2d_take(x, self.indices)

    def backward(self, grad: Any) -> Any:
        return MaxPool2dGrad(self.indices, self.input_size)(grad)


class AvgPool2d(Op):
    """Mean of each window;  ∂L/∂x = AvgPool2dGrad(∂L/∂y), equal shares."""

    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, include_pad: bool) -> None:
        self.window = kernel_size, stride, padding, ceil_mode, include_pad

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).avg_pool2d(x, *self.window)

    def backward(self, grad: Any) -> Any:
        return AvgPool2dGrad(self.input_size, *self.window)(grad)


class AvgPool2dGrad(Op):
    """The adjoint of `AvgPool2d`, and so its gradient is `AvgPool2d`."""

    def __init__(self, input_size: Pair, *window: Any) -> None:
        self.input_size = input_size
        self.window = window

    def forward(self, grad: Any) -> Any:
        return backend_of(grad).avg_pool2d_grad(grad, self.input_size, *self.window)

    def backward(self, direction: Any) -> Any:
        return AvgPool2d(*self.window)(direction)


def max_pool2d(
    x: Any,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    r"""Take the largest pixel of every window.

    .. math:: y_{n,c,p,q} = \max_{i,j}\; x_{n,\;c,\;p s_h - p_h + i d_h,\;q s_w - p_w + j d_w}

    over the pixels inside the image. Among equals the first wins, and gets the whole gradient.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    kernel_size, padding, dilation : int or pair of ints
        Padding is at most half the window; padded pixels never win.
    stride : int or pair of ints, optional
        Default: the kernel size.
    ceil_mode : bool
        Let the last window hang over the edge, as long as it starts inside.
    return_indices : bool
        Also return where each maximum stands, as the flat index h·W + w.

    Returns
    -------
    Tensor, or a pair of Tensors
        (N, C, OH, OW), and with `return_indices` the int64 indices of the same shape.

    Raises
    ------
    ShapeError
        If no window fits.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 0.0]]])
    >>> max_pool2d(x, 2, stride=1, return_indices=True)
    (tensor([[[4., 5.]]]), tensor([[[3, 2]]]))
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d(
    x: Any,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    r"""Take the largest value of every window of a sequence; `max_pool2d` with one spatial axis.

    .. math:: y_{n,c,p} = \max_i\; x_{n,\;c,\;p s - \text{padding} + i d}

    `x` is (N, C, L) or (C, L). Options and errors as in `max_pool2d`.

    Examples
    --------
    >>> import minidl
    >>> max_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool2d(
    x: Any,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    r"""Take the mean of every window.

    .. math:: y_{n,c,p,q} = \frac{1}{m_{p,q}} \sum_{i,j} \bar x_{n,\;c,\;p s_h + i,\;q s_w + j}

    with x̄ the zero-padded input. The divisor m counts the pixels of the window inside the padded image, or, without
    `count_include_pad`, those inside the image.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    kernel_size, padding : int or pair of ints
    stride : int or pair of ints, optional
        Default: the kernel size.
    ceil_mode : bool
        Let the last window hang over the edge, as long as it starts inside.
    count_include_pad : bool

    Returns
    -------
    Tensor, (N, C, OH, OW)

    Raises
    ------
    ShapeError
        If no window fits.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> import minidl
    >>> avg_pool2d(minidl.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5]]])
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool1d(
    x: Any,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    r"""Take the mean of every window of a sequence; `avg_pool2d` with one spatial axis.

    .. math:: y_{n,c,p} = \frac{1}{m_p} \sum_i \bar x_{n,\;c,\;p s + i}

    `x` is (N, C, L) or (C, L). Options and errors as in `avg_pool2d`.

    Examples
    --------
    >>> import minidl
    >>> avg_pool1d(minidl.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _max_pool(
    name: str,
    axes: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    (x,) = floats(x)
    images = to_images(name, x, axes)
    kernel, stride, padding = _window(name, axes, kernel_size, stride, padding)
    dilation = axis_pair(dilation, name, "dilation", axes, 1)
    if axes == 1:  # of images the backend says the same
        pool_output_size(name, images.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    results = MaxPool2d((kernel, stride, padding, dilation, ceil_mode), return_indices)(images)
    if images is x:
        return results
    if not return_indices:
        return from_images(results, x.ndim, axes)
    return tuple([from_images(result, x.ndim, axes) for result in results])


def _avg_pool(
    name: str, axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, include_pad: bool
) -> Any:
    (x,) = floats(x)
    images = to_images(name, x, axes)
    kernel, stride, padding = _window(name, axes, kernel_size, stride, padding)
    if axes == 1:  # of images the backend says the same
        pool_output_size(name, images.shape[2:], kernel, stride, padding, (1, 1), ceil_mode)
    return from_images(AvgPool2d(kernel, stride, padding, ceil_mode, include_pad)(images), x.ndim, axes)


def _window(name: str, axes: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Pair, Pair]:
    kernel = axis_pair(kernel_size, name, "kernel_size", axes, 1)
    return (
        kernel,
        kernel if stride is None else axis_pair(stride, name, "stride", axes, 1),
        axis_pair(padding, name, "padding", axes, 0),
    )


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> list[list[int]]:
    """By loops, along one axis: the taps of each window, which may lie in the padding."""
    found: list[list[int]] = []
    start = -padding
    while True:
        taps = [start + i * dilation for i in range(kernel)]
        hangs_over = taps[-1] >= size + padding
        if hangs_over and (not ceil_mode or taps[-1] - stride >= size + padding - 1 or start >= size):
            return found
        found.append(taps)
        start += stride


def _pool_by_loops(x: np.ndarray, rows: list[list[int]], columns: list[list[int]], take: Any) -> np.ndarray:
    """Apply ``take(pixels inside, [rows, columns])`` to each window of each image."""
    h, w = x.shape[2:]
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for n, c, p, q in np.ndindex(*y.shape):
        places = [(i, j) for i in rows[p] for j in columns[q] if 0 <= i < h and 0 <= j < w]
        y[n, c, p, q] = take({place: x[n, c][place] for place in places}, (rows[p], columns[q]))
    return y


def _loop_max_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    rows, columns = (
        _windows(*axis, ceil_mode) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    values = _pool_by_loops(x, rows, columns, lambda pixels, _: max(pixels.values()))
    if not return_indices:
        return values
    places = _pool_by_loops(x, rows, columns, lambda pixels, _: np.dot(max(pixels, key=pixels.get), [x.shape[3], 1]))
    return values, places.astype(int)


def _loop_avg_pool2d(
    x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, include_pad: bool
) -> np.ndarray:
    def mean(pixels: dict[Any, float], taps: Any) -> float:
        padded = [len([t for t in ts if t < n + p]) for ts, n, p in zip(taps, x.shape[2:], padding, strict=True)]
        return sum(pixels.values()) / (np.prod(padded) if include_pad else len(pixels))

    axes = zip(x.shape[2:], kernel, stride, padding, (1, 1), strict=True)
    rows, columns = (_windows(*axis, ceil_mode) for axis in axes)
    return _pool_by_loops(x, rows, columns, mean)


cases(
    max_pool2d,
    _loop_max_pool2d,
    {
        "plain": lambda r: call(r.normal(size=(1, 2, 4, 4)), (2, 2), (2, 2)),
        "overlapping, padded": lambda r: call(r.normal(size=(2, 1, 4, 5)), (3, 2), (1, 2), (1, 1)),
        "dilation, ceil_mode, indices": lambda r: call(
            r.normal(size=(1, 1, 5, 6)), (2, 3), (2, 2), (0, 1), (2, 1), True, return_indices=True
        ),
    },
)
cases(
    max_pool1d,
    lambda x, kernel, stride: _loop_max_pool2d(x[..., None, :], (1, kernel), (1, stride))[..., 0, :],
    {"overlapping": lambda r: call(r.normal(size=(2, 2, 5)), 3, 2)},
)
cases(
    avg_pool2d,
    _loop_avg_pool2d,
    {
        "plain": lambda r: call(r.normal(size=(1, 2, 4, 4)), (2, 2), (2, 2), (0, 0), False, True),
        "padded": lambda r: call(r.normal(size=(1, 2, 3, 4)), (3, 2), (1, 2), (1, 1), False, True),
        "ceil_mode": lambda r: call(r.normal(size=(1, 1, 5, 6)), (2, 3), (2, 2), (1, 1), True, True),
        "ceil_mode, padding not counted": lambda r: call(
            r.normal(size=(1, 1, 5, 6)), (2, 3), (2, 2), (1, 1), True, False
        ),
    },
)
cases(
    avg_pool1d,
    lambda x, kernel: np.stack([x[..., i : i + kernel].sum(-1) / kernel for i in (0, kernel)], -1),
    {"plain": lambda r: call(r.normal(size=(2, 2, 5)), 2)},
)
