"""Convolution and its family: three bilinear operations, each the derivative of the others.

A convolution y = conv(x, w) is linear in the image and linear in the kernels. So there are only three operations, and
differentiating any of them, any number of times, never leaves the family:

    Conv2d            (x, w)  -> y      differentiates to  InputGrad(g, w),   WeightGrad(g, x)
    Conv2dInputGrad   (g, w)  -> dx     differentiates to  Conv2d(v, w),      WeightGrad(g, v)
    Conv2dWeightGrad  (g, x)  -> dw     differentiates to  Conv2d(x, v),      InputGrad(g, v)

A bias b makes y = conv(x, w) + b, and its gradient is a second result of the third: `Conv2dParameterGrads`,
(g, x) -> (dw, db), which differentiates to Conv2d(x, v) + u and InputGrad(g, v).

`conv_transpose2d`, in the next file, is `Conv2dInputGrad` under another name, and a 1-d convolution is a 2-d one of
images of height one.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from minidl.backends import backend_of
from minidl.backends.geometry import conv_output_size
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats
from minidl.ops.images import axis_pair, from_images, to_images
from minidl.ops.padding import pad
from minidl.ops.reduce import Sum
from minidl.ops.shape import reshape

__all__ = ["Conv2dInputGrad", "Window", "check_bias", "checked_groups", "conv1d", "conv2d", "to_kernels"]


class Window(NamedTuple):
    """How the kernel moves over the image: what all three operations are told."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Conv2d(Op):
    """y = conv(x, w) + b;  ∂L/∂x and ∂L/∂w are the family's other two,  ∂L/∂b = Σ ∂L/∂y over images and pixels."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        self.save(x, weight)
        return backend_of(x).conv2d(x, weight, bias, *self.window)

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved
        _, with_weight, with_bias = self.needs
        grad_x = grad_weight = grad_bias = None
        if self.needs[0]:
            grad_x = Conv2dInputGrad(self.window, x.shape[2:])(grad, weight)
        if with_weight and with_bias:
            grad_weight, grad_bias = Conv2dParameterGrads(self.window, weight.shape[2:])(grad, x)
        elif with_weight:
            grad_weight = Conv2dWeightGrad(self.window, weight.shape[2:])(grad, x)
        elif with_bias:
            grad_bias = Sum((0, 2, 3), False)(grad)
        return grad_x, grad_weight, grad_bias


class Conv2dInputGrad(Op):
    """The adjoint of `Conv2d` in x: from a gradient g of the output and the kernels to an image of `input_size`."""

    def __init__(self, window: Window, input_size: tuple[int, int]) -> None:
        self.window = window
        self.input_size = input_size

    def forward(self, grad: Any, weight: Any) -> Any:
        self.save(grad, weight)
        return backend_of(grad).conv2d_input_grad(grad, weight, self.input_size, *self.window)

    def backward(self, direction: Any) -> Any:
        grad, weight = self.saved
        return (
            Conv2d(self.window)(direction, weight, None) if self.needs[0] else None,
            Conv2dWeightGrad(self.window, weight.shape[2:])(grad, direction) if self.needs[1] else None,
        )


class Conv2dWeightGrad(Op):
    """The adjoint of `Conv2d` in w: from a gradient g of the output and the images to kernels of `kernel_size`."""

    def __init__(self, window: Window, kernel_size: tuple[int, int]) -> None:
        self.window = window
        self.kernel_size = kernel_size

    def forward(self, grad: Any, x: Any) -> Any:
        self.save(grad, x)
        return backend_of(x).conv2d_weight_grad(grad, x, self.kernel_size, *self.window)

    def backward(self, direction: Any, bias_direction: Any = None) -> Any:
        grad, x = self.saved
        return (
            Conv2d(self.window)(x, direction, bias_direction) if self.needs[0] else None,
            Conv2dInputGrad(self.window, x.shape[2:])(grad, direction) if self.needs[1] else None,
        )


class Conv2dParameterGrads(Conv2dWeightGrad):
    """The adjoint of y = conv(x, w) + b in (w, b): the kernels' gradient and, in the same call, the bias's."""

    def forward(self, grad: Any, x: Any) -> Any:
        self.save(grad, x)
        return backend_of(x).conv2d_parameter_grads(grad, x, self.kernel_size, *self.window)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Any:
    r"""Slide kernels over images and take the inner product at every place.

    .. math:: y_{n,o,p,q} = b_o + \sum_{c,i,j} w_{o,c,i,j}\; \bar x_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w}

    with x̄ the zero-padded input, s the stride and d the dilation. (Strictly a cross-correlation: the kernel is not
    flipped, as in all deep-learning libraries.)

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    weight : Tensor or array, (O, C/groups, KH, KW)
    bias : Tensor or array, (O,), optional
    stride, dilation : int or pair of ints
        Step between windows, and between the pixels of one window.
    padding : int, pair of ints, "valid" or "same"
        Zeros around the image. "valid" is none; "same" keeps the size (stride 1 only), with the odd one at the end.
    groups : int
        The first O/groups kernels see the first C/groups channels, and so on.

    Returns
    -------
    Tensor
        (N, O, OH, OW) with OH = ⌊(H + 2·padding - dilation·(KH - 1) - 1) / stride⌋ + 1.

    Raises
    ------
    ShapeError
        If the channels do not fit, or the kernel is larger than the padded image.
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> import minidl
    >>> conv2d(minidl.ones(1, 1, 3, 3), minidl.ones(1, 1, 2, 2), padding=1)
    tensor([[[[1., 2., 2., 1.],
              [2., 4., 4., 2.],
              [2., 4., 4., 2.],
              [1., 2., 2., 1.]]]])
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Any:
    r"""Slide kernels over sequences; `conv2d` with one spatial axis.

    .. math:: y_{n,o,p} = b_o + \sum_{c,i} w_{o,c,i}\; \bar x_{n,\;c,\;p s + i d}

    `x` is (N, C, L) or (C, L), `weight` (O, C/groups, K), `bias` (O,) or None. Options and errors as in `conv2d`.

    Examples
    --------
    >>> import minidl
    >>> conv1d(minidl.tensor([[1.0, 2.0, 4.0, 8.0]]), minidl.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2., 4.]])
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def _convolve(
    name: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    x, weight, bias = floats(x, weight, bias)
    images, kernels = to_images(name, x, axes), to_kernels(name, weight, axes)
    shape = kernels.shape
    check_bias(name, bias, shape[0])
    groups = checked_groups(name, groups)
    stride = axis_pair(stride, name, "stride", axes, 1)
    dilation = axis_pair(dilation, name, "dilation", axes, 1)
    if isinstance(padding, str):
        images, padding = _named_padding(name, images, padding, shape[2:], stride, dilation)
    else:
        padding = axis_pair(padding, name, "padding", axes, 0)
    window = _window(name, axes, images.shape, shape, stride, padding, dilation, groups)
    y = Conv2d(window)(images, kernels, bias)
    return y if images is x else from_images(y, x.ndim, axes)


@functools.lru_cache(maxsize=1024)  # a network asks for the same few in every step
def _window(
    name: str,
    axes: int,
    images: tuple[int, ...],
    kernels: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Window:
    """The options of a convolution of these shapes, (N, C, H, W) and (O, C, KH, KW), if they fit together."""
    outputs, channels = kernels[0], kernels[1] * groups
    if images[1] != channels:
        raise ShapeError(
            name,
            expected=f"an input of {channels} channels (weight of shape {_of_axes(kernels, axes)}, groups={groups})",
            actual=f"shape {_of_axes(images, axes)}",
            hint="channels come before the spatial axes, and weight is (outputs, channels/groups, ...)",
        )
    if outputs % groups:
        raise ShapeError(name, expected=f"a number of kernels that groups={groups} divides", actual=f"{outputs}")
    conv_output_size(name, images[2:], kernels[2:], stride, padding, dilation)
    return Window(stride, padding, dilation, groups)


def _of_axes(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """A shape as it came, before `to_images` gave it a height of one."""
    return shape[:2] + shape[4 - axes :]


def to_kernels(name: str, weight: Any, axes: int) -> Any:
    """The weight as (O, C, KH, KW)."""
    shape = weight.shape
    if len(shape) != axes + 2 or 0 in shape:
        raise ShapeError(
            name,
            expected=f"a weight of {axes + 2} dimensions, none of them empty",
            actual=f"weight of shape {weight.shape}",
        )
    return weight if axes == 2 else reshape(weight, (*shape[:2], 1, shape[2]))


def checked_groups(name: str, groups: Any) -> int:
    if type(groups) is int and groups >= 1:
        return groups
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
        raise OptionError(f"{name} groups", expected="a positive integer", actual=repr(groups))
    return int(groups)


def check_bias(name: str, bias: Any, outputs: int) -> None:
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(name, expected=f"a bias of shape ({outputs},)", actual=f"bias of shape {bias.shape}")


def _named_padding(
    name: str, images: Any, padding: str, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[Any, tuple[int, int]]:
    """The images (padded where the two sides differ) and the padding that "valid" or "same" stands for."""
    if padding == "valid":
        return images, (0, 0)
    if padding != "same":
        raise OptionError(f"{name} padding", expected='integers, "valid" or "same"', actual=repr(padding))
    if stride != (1, 1):
        raise OptionError(name, expected='stride 1 with padding="same"', actual=f"stride {stride}",
                          hint="give the padding as a number")  # fmt: skip
    missing = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if missing[0] % 2 or missing[1] % 2:
        images = pad(images, (0, missing[1] % 2, 0, missing[0] % 2))
    return images, (missing[0] // 2, missing[1] // 2)


def _loop_conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> np.ndarray:
    """One window at a time, after padding by hand."""
    single = x.ndim == 3
    x = x[None] if single else x
    (sh, sw), (dh, dw) = np.broadcast_to(stride, 2), np.broadcast_to(dilation, 2)
    outputs, channels, kh, kw = weight.shape
    if padding == "same":
        sides = [((d * (k - 1)) // 2, (d * (k - 1) + 1) // 2) for k, d in ((kh, dh), (kw, dw))]
    else:
        sides = [(p, p) for p in np.broadcast_to(0 if padding == "valid" else padding, 2)]
    x = np.pad(x, [(0, 0), (0, 0), *sides])
    oh, ow = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1, (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((len(x), outputs, oh, ow))
    for n, o, p, q in np.ndindex(*y.shape):
        first = o // (outputs // groups) * channels
        window = x[n, first : first + channels, p * sh : p * sh + dh * kh : dh, q * sw : q * sw + dw * kw : dw]
        y[n, o, p, q] = (window * weight[o]).sum() + (0 if bias is None else bias[o])
    return y[0] if single else y


def _loop_conv1d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, **options: Any) -> np.ndarray:
    """One window at a time on images of height one."""
    neutral = {"stride": 1, "dilation": 1, "padding": 0}
    pairs = {k: (neutral[k], v) if k in neutral and not isinstance(v, str) else v for k, v in options.items()}
    return _loop_conv2d(x[..., None, :], weight[..., None, :], bias, **pairs)[..., 0, :]


cases(
    conv2d,
    _loop_conv2d,
    {
        "plain": lambda r: call(r.normal(size=(2, 2, 3, 4)), r.normal(size=(2, 2, 2, 2))),
        "bias, stride, padding": lambda r: call(
            r.normal(size=(1, 2, 4, 5)), r.normal(size=(2, 2, 3, 2)), r.normal(size=2), (2, 1), (1, 2)
        ),
        "dilation, groups": lambda r: call(
            r.normal(size=(1, 4, 4, 3)), r.normal(size=(4, 2, 2, 2)), r.normal(size=4), dilation=(2, 1), groups=2
        ),
        "rows left over": lambda r: call(r.normal(size=(1, 1, 6, 5)), r.normal(size=(2, 1, 2, 2)), stride=3),
        "padding=same": lambda r: call(
            r.normal(size=(1, 1, 4, 3)), r.normal(size=(2, 1, 2, 3)), padding="same", dilation=(1, 2)
        ),
        "one image, valid": lambda r: call(r.normal(size=(2, 3, 3)), r.normal(size=(1, 2, 2, 2)), padding="valid"),
    },
)
cases(
    conv1d,
    _loop_conv1d,
    {
        "stride, padding": lambda r: call(
            r.normal(size=(2, 2, 5)), r.normal(size=(3, 2, 3)), r.normal(size=3), stride=2, padding=1
        ),
        "dilation, groups": lambda r: call(r.normal(size=(4, 6)), r.normal(size=(2, 2, 2)), dilation=3, groups=2),
        "padding=same": lambda r: call(r.normal(size=(1, 2, 4)), r.normal(size=(1, 2, 4)), padding="same"),
    },
)
