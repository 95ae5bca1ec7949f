"""Windows as columns: `unfold` copies every window of an image out, `fold`, its adjoint, adds them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.backends.geometry import conv_output_size, pair
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats
from minidl.ops.images import from_images, to_images
from minidl.ops.shape import reshape

__all__ = ["fold", "unfold"]

Pair = tuple[int, int]


class Unfold(Op):
    """Copy windows out as columns;  ∂L/∂x = Fold(∂L/∂y)."""

    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
        self.window = kernel_size, stride, padding, dilation

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).unfold(x, *self.window)

    def backward(self, grad: Any) -> Any:
        return Fold(self.input_size, *self.window)(grad)


class Fold(Op):
    """Add columns back where their windows lay;  ∂L/∂x = Unfold(∂L/∂y)."""

    def __init__(self, output_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
        self.output_size = output_size
        self.window = kernel_size, stride, padding, dilation

    def forward(self, columns: Any) -> Any:
        return backend_of(columns).fold(columns, self.output_size, *self.window)

    def backward(self, grad: Any) -> Any:
        return Unfold(*self.window)(grad)


def unfold(
    x: Any,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Any:
    r"""Copy every window of an image into a column (also known as im2col).

    .. math:: y_{n,\;(c\,K_h + i)\,K_w + j,\;p\,O_w + q} = \bar x_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w}

    with x̄ the zero-padded input, s the stride and d the dilation. A convolution is the product of its kernels, as
    rows, with these columns.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int or pair of ints

    Returns
    -------
    Tensor
        (N, C·KH·KW, OH·OW), or without N.

    Raises
    ------
    ShapeError
        If the kernel is larger than the padded image.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> import minidl
    >>> unfold(minidl.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[1., 2.],
            [2., 3.]])
    """
    (x,) = floats(x)
    images = to_images("unfold", x, 2)
    window = _window("unfold", kernel_size, stride, padding, dilation)
    conv_output_size("unfold", images.shape[2:], *window)
    columns = Unfold(*window)(images)
    return columns if x.ndim == 4 else reshape(columns, columns.shape[1:])


def fold(
    x: Any,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Any:
    r"""Add columns back into an image, where `unfold` would have taken them from; overlaps are summed.

    .. math:: \bar y_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w} \mathrel{+}= x_{n,\;(c\,K_h + i)\,K_w + j,\;p\,O_w + q}

    Parameters
    ----------
    x : Tensor or array, (N, C·KH·KW, L) or (C·KH·KW, L)
        With one column for each of the L windows of an image of `output_size`.
    output_size : int or pair of ints
    kernel_size, dilation, padding, stride : int or pair of ints

    Returns
    -------
    Tensor
        (N, C, H, W) with (H, W) = `output_size`, or without N.

    Raises
    ------
    ShapeError
        If rows or columns do not fit the window and the size.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> import minidl
    >>> fold(minidl.tensor([[1.0, 2.0], [2.0, 3.0]]), (1, 3), (1, 2))
    tensor([[[1., 4., 3.]]])
    """
    (x,) = floats(x)
    if x.ndim not in (2, 3):
        raise ShapeError("fold", expected="columns (N, C·KH·KW, L) or (C·KH·KW, L)", actual=f"shape {x.shape}")
    size = pair(output_size, "fold output_size")
    window = _window("fold", kernel_size, stride, padding, dilation)
    oh, ow = conv_output_size("fold", size, *window)
    kh, kw = window[0]
    if x.shape[-2] % (kh * kw) or x.shape[-1] != oh * ow:
        raise ShapeError(
            "fold",
            expected=f"a multiple of {kh * kw} rows (kernel {kh}x{kw}) and {oh * ow} columns ({oh}x{ow} windows)",
            actual=f"shape {x.shape}",
            hint="give kernel_size, dilation, padding and stride as to unfold, and its input size",
        )
    images = Fold(size, *window)(x if x.ndim == 3 else reshape(x, (1, *x.shape)))
    return from_images(images, x.ndim + 1, 2)


def _window(name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Pair, Pair, Pair, Pair]:
    return (
        pair(kernel_size, f"{name} kernel_size"),
        pair(stride, f"{name} stride"),
        pair(padding, f"{name} padding"),
        pair(dilation, f"{name} dilation"),
    )


def _places(size: Pair, *options: Pair) -> Iterator[tuple[int, int, Pair]]:
    """By loops: the row and the column of `columns` that hold each pixel of the image (the padding is left out)."""
    axes = list(zip(size, *options, strict=True))
    oh, ow = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in axes)
    for i, j, p, q in np.ndindex(*options[0], oh, ow):
        (h, _, dh, ph, sh), (w, kw, dw, pw, sw) = axes
        row, column = p * sh + i * dh - ph, q * sw + j * dw - pw
        if 0 <= row < h and 0 <= column < w:
            yield i * kw + j, p * ow + q, (row, column)


def _loop_unfold(x: np.ndarray, *options: Pair, windows: int) -> np.ndarray:
    taps = options[0][0] * options[0][1]
    y = np.zeros((len(x), x.shape[1] * taps, windows))
    for tap, window, (row, column) in _places(x.shape[2:], *options):
        y[:, tap::taps, window] = x[:, :, row, column]
    return y


def _loop_fold(x: np.ndarray, size: Pair, *options: Pair) -> np.ndarray:
    taps = options[0][0] * options[0][1]
    y = np.zeros((len(x), x.shape[1] // taps, *size))
    for tap, window, (row, column) in _places(size, *options):
        y[:, :, row, column] += x[:, tap::taps, window]
    return y


cases(
    unfold,
    lambda x, *options: _loop_unfold(x, *options, windows=4),
    {
        "overlapping": lambda r: call(r.normal(size=(2, 2, 3, 3)), (2, 2), (1, 1), (0, 0), (1, 1)),
        "all options": lambda r: call(r.normal(size=(1, 2, 4, 3)), (2, 3), (2, 1), (1, 1), (3, 2)),
    },
)
cases(
    fold,
    _loop_fold,
    {
        "overlapping": lambda r: call(r.normal(size=(2, 4, 6)), (3, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
        "all options": lambda r: call(r.normal(size=(1, 12, 16)), (4, 5), (2, 3), (2, 1), (1, 2), (1, 2)),
    },
)
