"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from minidl.creation import empty
from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.options import choice, flag, integer, sizes
from minidl.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

Size1: TypeAlias = "int | tuple[int]"
Size2: TypeAlias = "int | tuple[int, int]"


class _Conv(Module):
    """Options, weights and words that all four share."""

    axes: int
    transposed = False
    weight: Parameter
    bias: Parameter | None
    # Tuples with one entry for each axis.
    kernel_size: Any
    stride: Any
    padding: Any
    dilation: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
    ) -> None:
        name = type(self).__name__
        self.in_channels = integer(name, "in_channels", in_channels)
        self.out_channels = integer(name, "out_channels", out_channels)
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.axes)
        self.stride = sizes(name, "stride", stride, self.axes)
        self.padding = self._check_padding(name, padding)
        self.dilation = sizes(name, "dilation", dilation, self.axes)
        self.groups = integer(name, "groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise OptionError(
                name,
                expected="groups to divide in_channels and out_channels",
                actual=f"groups={groups}, in_channels={in_channels}, out_channels={out_channels}",
            )
        outer, inner = self.out_channels, self.in_channels
        if self.transposed:
            outer, inner = inner, outer
        self.weight = Parameter(empty(outer, inner // self.groups, *self.kernel_size))
        self.bias = Parameter(empty(self.out_channels)) if flag(name, "bias", bias) else None
        self.reset_parameters()

    def _check_padding(self, name: str, padding: Any) -> Any:
        if not isinstance(padding, str) or self.transposed:
            return sizes(name, "padding", padding, self.axes, least=0)
        choice(name, "padding", padding, ("valid", "same"))
        if padding == "same" and max(self.stride) > 1:
            raise OptionError(name, expected='stride 1 with padding="same"', actual=f"stride={self.stride}")
        return padding

    def reset_parameters(self) -> None:
        """Draw new first values: weights and bias uniform in ±1/√fan_in."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        # Each weight is used once for every output pixel; a transposed convolution's, for every input pixel.
        pixels = inputs[0] if self.transposed else output
        channels = self.in_channels if self.transposed else self.out_channels
        return pixels.size // channels * self.weight.size

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if isinstance(self.padding, str):
            text += f", padding={self.padding}"
        elif any(self.padding):
            text += f", padding={self.padding}"
        if max(self.dilation) > 1:
            text += f", dilation={self.dilation}"
        text += self._extra()
        if self.groups > 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"

    def _extra(self) -> str:
        return ""


class Conv2d(_Conv):
    """Two-dimensional convolution of images with learned kernels.

    ``y[n, o, i, j] = b[o] + Σ w[o, c, k, l] · x[n, c, s·i + d·k - p, s·j + d·l - p]``, summed over channels c of the
    group and kernel positions (k, l); s stride, d dilation, p padding. (Strictly a cross-correlation, as everywhere.)

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of ints
    padding : int, pair of ints, ``"valid"`` (0) or ``"same"`` (the output as large as the input, for stride 1)
        Zeros around the image.
    groups : int
        Channels are cut into this many groups, each with kernels of its own.
    bias : bool

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, height, width)
    bias : Parameter, shape (out_channels,), or None

    Notes
    -----
    Shapes: x (N, in_channels, H, W) → y (N, out_channels, H', W') with
    ``H' = ⌊(H + 2p - d (k - 1) - 1) / s⌋ + 1``; without the N for a single image.

    Raises
    ------
    OptionError
        If an option is out of range, or `groups` does not divide the channels.
    ShapeError
        When called: if the channels differ, or the kernel is larger than the padded image.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(minidl.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2,
        stride: Size2 = 1,
        padding: Size2 | str = 0,
        dilation: Size2 = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def forward(self, x: Any) -> Any:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """One-dimensional convolution of signals: `Conv2d` with a single spatial axis.

    Notes
    -----
    Shapes: x (N, in_channels, L) → y (N, out_channels, L'); weight (out_channels, in_channels / groups, kernel).
    Options and errors as for `Conv2d`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Conv1d(2, 4, 3, stride=2)(minidl.zeros(8, 2, 21)).shape
    (8, 4, 10)
    """

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size1,
        stride: Size1 = 1,
        padding: Size1 | str = 0,
        dilation: Size1 = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def forward(self, x: Any) -> Any:
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _ConvTranspose(_Conv):
    transposed = True
    output_padding: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        dilation: Any,
    ) -> None:
        name = type(self).__name__
        self.output_padding = sizes(name, "output_padding", output_padding, self.axes, least=0)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        if any(o >= max(s, d) for o, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True)):
            raise OptionError(
                name,
                expected="output_padding to be smaller than the stride or the dilation",
                actual=f"output_padding={self.output_padding}, stride={self.stride}, dilation={self.dilation}",
            )

    def _extra(self) -> str:
        return f", output_padding={self.output_padding}" if any(self.output_padding) else ""


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution: the gradient of a `Conv2d` with respect to its input, as a layer that enlarges.

    Each input pixel adds its value times the kernel to the output, `stride` pixels apart.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or pair of ints
        Those of the convolution that this one transposes: `padding` *removes* pixels from the border.
    output_padding : int or pair of ints
        Rows and columns added at one side of the output, to pick one of the sizes that the convolution maps to the
        same size.
    groups : int
    bias : bool

    Attributes
    ----------
    weight : Parameter, shape (in_channels, out_channels / groups, height, width)
    bias : Parameter, shape (out_channels,), or None

    Notes
    -----
    Shapes: x (N, in_channels, H, W) → y (N, out_channels, H', W') with
    ``H' = (H - 1) s - 2p + d (k - 1) + output_padding + 1``.

    Raises
    ------
    OptionError
        If an option is out of range, or `groups` does not divide the channels.
    ShapeError
        When called: if the channels differ, or nothing would be left of the output.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.ConvTranspose2d(16, 8, 2, stride=2)(minidl.zeros(1, 16, 7, 7)).shape
    (1, 8, 14, 14)
    """

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2,
        stride: Size2 = 1,
        padding: Size2 = 0,
        output_padding: Size2 = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size2 = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation
        )

    def forward(self, x: Any) -> Any:
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of signals: `ConvTranspose2d` with a single spatial axis.

    Notes
    -----
    Shapes: x (N, in_channels, L) → y (N, out_channels, L'). Options and errors as for `ConvTranspose2d`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.ConvTranspose1d(4, 2, 3, stride=2)(minidl.zeros(8, 4, 10)).shape
    (8, 2, 21)
    """

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size1,
        stride: Size1 = 1,
        padding: Size1 = 0,
        output_padding: Size1 = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size1 = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation
        )

    def forward(self, x: Any) -> Any:
        return F.conv_transpose1d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
