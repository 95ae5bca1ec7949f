"""Transposed convolution: the adjoint of a convolution in its input, used as a layer that enlarges images."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends.geometry import conv_transpose_output_size
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.ops.cast import floats
from minidl.ops.conv import Conv2dInputGrad, Window, check_bias, checked_groups, to_kernels
from minidl.ops.images import axis_pair, from_images, to_images
from minidl.ops.padding import pad
from minidl.ops.shape import reshape

__all__ = ["conv_transpose1d", "conv_transpose2d"]


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int | tuple[int, int] = 0,
    groups: int = 1,
    dilation: int | tuple[int, int] = 1,
) -> Any:
    r"""Stamp kernels onto an image: the adjoint of `conv2d` in its input, used as a layer of its own.

    .. math:: \bar y_{n,\;o,\;p s_h + i d_h,\;q s_w + j d_w} \mathrel{+}= \sum_c w_{c,o,i,j}\; x_{n,c,p,q}

    for all n, o, i, j, p, q; then `padding` rows and columns are cut off on each side, and the bias is added.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (C, H, W)
    weight : Tensor or array, (C, O/groups, KH, KW)
        Note the order: channels of the input first.
    bias : Tensor or array, (O,), optional
    stride, padding, groups, dilation
        Those of the convolution that this one inverts in shape.
    output_padding : int or pair of ints
        Rows and columns to add at the end: with a stride several sizes convolve to the same, this picks one.

    Returns
    -------
    Tensor
        (N, O, OH, OW) with OH = (H - 1)·stride - 2·padding + dilation·(KH - 1) + 1 + output_padding.

    Raises
    ------
    ShapeError
        If the channels do not fit or nothing would be left.
    OptionError
        If an option is out of range.

    References
    ----------
    M. Zeiler et al., *Deconvolutional networks*, CVPR 2010; V. Dumoulin, F. Visin, *A guide to convolution arithmetic
    for deep learning*, arXiv:1603.07285.

    Examples
    --------
    >>> import minidl
    >>> conv_transpose2d(minidl.tensor([[[1.0, 2.0]]]), minidl.ones(1, 1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _convolve_transposed(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] = 0,
    output_padding: int | tuple[int] = 0,
    groups: int = 1,
    dilation: int | tuple[int] = 1,
) -> Any:
    r"""Stamp kernels onto a sequence; `conv_transpose2d` with one spatial axis.

    .. math:: \bar y_{n,\;o,\;p s + i d} \mathrel{+}= \sum_c w_{c,o,i}\; x_{n,c,p}

    `x` is (N, C, L) or (C, L), `weight` (C, O/groups, K), `bias` (O,) or None. Options and errors as in
    `conv_transpose2d`.

    Examples
    --------
    >>> import minidl
    >>> conv_transpose1d(minidl.tensor([[1.0, 2.0]]), minidl.tensor([[[1.0, 10.0, 100.0]]]))
    tensor([[  1.,  12., 120., 200.]])
    """
    return _convolve_transposed(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _convolve_transposed(
    name: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    x, weight, bias = floats(x, weight, bias)
    images, kernels = to_images(name, x, axes), to_kernels(name, weight, axes)
    channels, outputs = kernels.shape[0], kernels.shape[1] * checked_groups(name, groups)
    if images.shape[1] != channels or channels % groups:
        raise ShapeError(
            name,
            expected=f"an input of {channels} channels, as weight {weight.shape}, that groups={groups} divides",
            actual=f"shape {x.shape}",
            hint="the weight of a transposed convolution is (channels, outputs/groups, ...)",
        )
    check_bias(name, bias, outputs)
    stride = axis_pair(stride, name, "stride", axes, 1)
    padding = axis_pair(padding, name, "padding", axes, 0)
    dilation = axis_pair(dilation, name, "dilation", axes, 1)
    extra = axis_pair(output_padding, name, "output_padding", axes, 0)
    h, w = conv_transpose_output_size(name, images.shape[2:], kernels.shape[2:], stride, padding, extra, dilation)
    if any(e >= s for e, s in zip(extra, stride, strict=True)):
        # The larger image convolves to more than the input: say so with zeros, and the three stay adjoint.
        images = pad(images, (0, extra[1] // stride[1], 0, extra[0] // stride[0]))
    y = Conv2dInputGrad(Window(stride, padding, dilation, groups), (h, w))(images, kernels)
    if bias is not None:
        y = y + reshape(bias, (outputs, 1, 1))
    return from_images(y, x.ndim, axes)


def _loop_conv_transpose2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> np.ndarray:
    """One stamp at a time, cut by hand."""
    single = x.ndim == 3
    x = x[None] if single else x
    options = stride, padding, output_padding, dilation
    (sh, sw), (ph, pw), (eh, ew), (dh, dw) = (np.broadcast_to(option, 2) for option in options)
    channels, outputs, kh, kw = weight.shape
    full_h, full_w = (x.shape[2] - 1) * sh + dh * (kh - 1) + 1, (x.shape[3] - 1) * sw + dw * (kw - 1) + 1
    y = np.zeros((len(x), outputs * groups, full_h + eh, full_w + ew))
    for n, c, p, q in np.ndindex(*x.shape):
        first = c // (channels // groups) * outputs
        for i, j in np.ndindex(kh, kw):
            y[n, first : first + outputs, p * sh + i * dh, q * sw + j * dw] += x[n, c, p, q] * weight[c, :, i, j]
    y = y[:, :, ph : full_h + eh - ph, pw : full_w + ew - pw]
    y = y + (0 if bias is None else bias[:, None, None])
    return y[0] if single else y


def _loop_conv_transpose1d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, **options: Any
) -> np.ndarray:
    """One stamp at a time on images of height one."""
    neutral = {"stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
    pairs = {k: (neutral[k], v) if k in neutral else v for k, v in options.items()}
    return _loop_conv_transpose2d(x[..., None, :], weight[..., None, :], bias, **pairs)[..., 0, :]


cases(
    conv_transpose2d,
    _loop_conv_transpose2d,
    {
        "plain": lambda r: call(r.normal(size=(1, 2, 2, 3)), r.normal(size=(2, 2, 2, 2)), r.normal(size=2)),
        "stride, paddings": lambda r: call(
            r.normal(size=(1, 2, 2, 3)), r.normal(size=(2, 1, 3, 2)), None, (2, 3), (1, 0), (1, 2)
        ),
        "groups, dilation": lambda r: call(
            r.normal(size=(1, 4, 2, 2)), r.normal(size=(4, 1, 2, 2)), r.normal(size=2), groups=2, dilation=(1, 2)
        ),
        "output padding beyond the stride": lambda r: call(
            r.normal(size=(2, 2, 3)), r.normal(size=(2, 2, 2, 2)), None, (1, 2), (1, 2), (2, 1), dilation=3
        ),
    },
)
cases(
    conv_transpose1d,
    _loop_conv_transpose1d,
    {
        "stride, paddings": lambda r: call(
            r.normal(size=(2, 2, 3)), r.normal(size=(2, 2, 3)), r.normal(size=2), stride=2, padding=1, output_padding=1
        ),
        "groups, dilation": lambda r: call(r.normal(size=(4, 3)), r.normal(size=(4, 1, 2)), groups=2, dilation=2),
    },
)
