"""Pooling: the largest or the mean value of each window."""

from __future__ import annotations

from typing import Any

from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import flag, sizes

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


class _Pool(Module):
    """Window options that max and average pooling share; they are kept as given."""

    axes: int
    kernel_size: Any
    stride: Any
    padding: Any

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> None:
        name = type(self).__name__
        kernel = sizes(name, "kernel_size", kernel_size, self.axes)
        gaps = sizes(name, "dilation", dilation, self.axes)
        border = sizes(name, "padding", padding, self.axes, least=0)
        if stride is not None:
            sizes(name, "stride", stride, self.axes)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = flag(name, "ceil_mode", ceil_mode)
        if any(2 * p > d * (k - 1) + 1 for p, k, d in zip(border, kernel, gaps, strict=True)):
            raise OptionError(name, expected="a padding of at most half the window",
                              actual=f"padding={padding}, kernel_size={kernel_size}")  # fmt: skip


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.dilation = dilation
        self.return_indices = flag(type(self).__name__, "return_indices", return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool2d(_MaxPool):
    """The largest value of each window: ``y[n, c, i, j] = max x[n, c, s·i + d·k - p, s·j + d·l - p]`` over (k, l).

    Parameters
    ----------
    kernel_size : int or pair of ints
    stride : int or pair of ints, optional
        The kernel size if not given: windows side by side.
    padding : int or pair of ints
        Border that never wins, at most half the window.
    dilation : int or pair of ints
        Distance between the pixels of a window.
    return_indices : bool
        Also return where each maximum was found, counted within the image.
    ceil_mode : bool
        Also take a last window that hangs over the edge.

    Notes
    -----
    Shapes: x (N, C, H, W) → y (N, C, H', W') with ``H' = ⌊(H + 2p - d (k - 1) - 1) / s⌋ + 1``. Of equal values the
    first wins, and takes the gradient.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When called: if the window is larger than the padded image.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.MaxPool2d(2)(minidl.zeros(8, 6, 28, 28)).shape
    (8, 6, 14, 14)
    """

    axes = 2

    def forward(self, x: Any) -> Any:
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window of a signal: `MaxPool2d` with a single spatial axis, (N, C, L) → (N, C, L').

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.MaxPool1d(2)(minidl.tensor([[[1.0, 5.0, 2.0, 3.0]]]))
    tensor([[[5., 3.]]])
    """

    axes = 1

    def forward(self, x: Any) -> Any:
        return F.max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = flag(type(self).__name__, "count_include_pad", count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window.

    Parameters
    ----------
    kernel_size : int or pair of ints
    stride : int or pair of ints, optional
        The kernel size if not given.
    padding : int or pair of ints
        Zeros around the image, at most half the window.
    ceil_mode : bool
        Also take a last window that hangs over the edge.
    count_include_pad : bool
        Whether the padding counts in the number that is divided by.

    Notes
    -----
    Shapes: x (N, C, H, W) → y (N, C, H', W') with ``H' = ⌊(H + 2p - k) / s⌋ + 1``.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When called: if the window is larger than the padded image.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.AvgPool2d(2)(minidl.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[3.]]]])
    """

    axes = 2

    def forward(self, x: Any) -> Any:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool1d(_AvgPool):
    """The mean of each window of a signal: `AvgPool2d` with a single spatial axis, (N, C, L) → (N, C, L').

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.AvgPool1d(2)(minidl.tensor([[[1.0, 5.0, 2.0, 3.0]]]))
    tensor([[[3. , 2.5]]])
    """

    axes = 1

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        # As tuples, like PyTorch's.
        self.kernel_size = sizes("AvgPool1d", "kernel_size", self.kernel_size, 1)
        self.stride = sizes("AvgPool1d", "stride", self.stride, 1)
        self.padding = sizes("AvgPool1d", "padding", self.padding, 1, least=0)

    def forward(self, x: Any) -> Any:
        return F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AdaptivePool(Module):
    axes: int

    def __init__(self, output_size: Any) -> None:
        wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * self.axes
        # None keeps the size of the input along an axis.
        sizes(type(self).__name__, "output_size", tuple(1 if n is None else n for n in wanted), self.axes)
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean of windows that are chosen to give a certain output size.

    Window i of n reaches from ``⌊i·H/n⌋`` to ``⌈(i + 1)·H/n⌉``. With size 1 this is global average pooling.

    Parameters
    ----------
    output_size : int or pair of ints
        None keeps the size of an axis.

    Notes
    -----
    Shapes: x (N, C, H, W) → y (N, C, *output_size).

    Raises
    ------
    OptionError
        If a size is not a positive integer or None.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.AdaptiveAvgPool2d(1)(minidl.zeros(8, 512, 7, 7)).shape
    (8, 512, 1, 1)
    """

    axes = 2

    def forward(self, x: Any) -> Any:
        return F.adaptive_avg_pool2d(x, self.output_size)


class AdaptiveAvgPool1d(_AdaptivePool):
    """`AdaptiveAvgPool2d` with a single spatial axis, (N, C, L) → (N, C, output_size).

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.AdaptiveAvgPool1d(2)(minidl.tensor([[[1.0, 5.0, 2.0, 3.0]]]))
    tensor([[[3. , 2.5]]])
    """

    axes = 1

    def forward(self, x: Any) -> Any:
        return F.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest value of windows that are chosen to give a certain output size; windows as in `AdaptiveAvgPool2d`.

    Parameters
    ----------
    output_size : int or pair of ints
        None keeps the size of an axis.
    return_indices : bool
        Also return where each maximum was found, counted within the image.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.AdaptiveMaxPool2d((2, 1))(minidl.zeros(8, 3, 7, 7)).shape
    (8, 3, 2, 1)
    """

    axes = 2

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = flag("AdaptiveMaxPool2d", "return_indices", return_indices)

    def forward(self, x: Any) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)
