"""Resizing images: nearest neighbour and bilinear, both linear maps with an adjoint of their own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats
from minidl.ops.images import axis_pair, from_images, to_images

__all__ = ["interpolate"]

Pair = tuple[int, int]
Scale = tuple[float, float] | None

_MODES = {"nearest": (1, 2), "linear": (1,), "bilinear": (2,)}


class UpsampleNearest2d(Op):
    """Each output pixel copies one input pixel;  ∂L/∂x = UpsampleNearest2dGrad(∂L/∂y)."""

    def __init__(self, size: Pair, scale: Scale) -> None:
        self.size = size
        self.scale = scale

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).upsample_nearest2d(x, self.size, self.scale)

    def backward(self, grad: Any) -> Any:
        return UpsampleNearest2dGrad(self.input_size, self.scale)(grad)


class UpsampleNearest2dGrad(Op):
    """The adjoint of `UpsampleNearest2d`, and so its gradient is `UpsampleNearest2d`."""

    def __init__(self, input_size: Pair, scale: Scale) -> None:
        self.input_size = input_size
        self.scale = scale

    def forward(self, grad: Any) -> Any:
        self.size = grad.shape[2:]
        return backend_of(grad).upsample_nearest2d_grad(grad, self.input_size, self.scale)

    def backward(self, direction: Any) -> Any:
        return UpsampleNearest2d(self.size, self.scale)(direction)


class UpsampleBilinear2d(Op):
    """Each output pixel is a weighted mean of four;  ∂L/∂x = UpsampleBilinear2dGrad(∂L/∂y)."""

    def __init__(self, size: Pair, align_corners: bool, scale: Scale) -> None:
        self.size = size
        self.options = align_corners, scale

    def forward(self, x: Any) -> Any:
        self.input_size = x.shape[2:]
        return backend_of(x).upsample_bilinear2d(x, self.size, *self.options)

    def backward(self, grad: Any) -> Any:
        return UpsampleBilinear2dGrad(self.input_size, *self.options)(grad)


class UpsampleBilinear2dGrad(Op):
    """The adjoint of `UpsampleBilinear2d`, and so its gradient is `UpsampleBilinear2d`."""

    def __init__(self, input_size: Pair, align_corners: bool, scale: Scale) -> None:
        self.input_size = input_size
        self.options = align_corners, scale

    def forward(self, grad: Any) -> Any:
        self.size = grad.shape[2:]
        return backend_of(grad).upsample_bilinear2d_grad(grad, self.input_size, *self.options)

    def backward(self, direction: Any) -> Any:
        return UpsampleBilinear2d(self.size, *self.options)(direction)


def interpolate(
    x: Any,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    r"""Resize images (N, C, H, W), or sequences (N, C, L), to `size` or by `scale_factor`.

    Output pixel p looks at the place u in the input, along each axis:

    - nearest: :math:`u = \lfloor p\,r \rfloor`, and copies the pixel there;
    - (bi)linear: :math:`u = \max(0, (p + \tfrac12)\,r - \tfrac12)`, or with `align_corners` :math:`u = p\,(\text{in} -
      1)/(\text{out} - 1)`, and mixes the neighbours ⌊u⌋ and ⌊u⌋ + 1 in proportion to their closeness

    with r = in/out, or 1/scale_factor where that was given.

    Parameters
    ----------
    x : Tensor or array, (N, C, H, W) or (N, C, L)
    size : int or tuple of ints
        Of the output; give this or `scale_factor`.
    scale_factor : float or tuple of floats
        out = ⌊in · scale_factor⌋.
    mode : {"nearest", "linear", "bilinear"}
        "linear" is for sequences, "bilinear" for images.
    align_corners : bool, optional
        For the linear modes: keep the centres of the corner pixels in place, instead of the outer edges.

    Raises
    ------
    OptionError
        If not exactly one of `size` and `scale_factor` is given, or one of the options does not fit.
    ShapeError
        If the input is no batch of images or sequences, or nothing would be left of it.

    Examples
    --------
    >>> import minidl
    >>> interpolate(minidl.tensor([[[1.0, 3.0]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    >>> interpolate(minidl.tensor([[[1.0, 3.0]]]), size=3, mode="linear", align_corners=True)
    tensor([[[1., 2., 3.]]])
    """
    (x,) = floats(x)
    axes = x.ndim - 2
    if axes not in (1, 2):
        raise ShapeError(
            "interpolate", expected="images (N, C, H, W) or sequences (N, C, L)", actual=f"shape {x.shape}"
        )
    if mode not in _MODES or axes not in _MODES[mode]:
        fitting = [name for name, dimensions in _MODES.items() if axes in dimensions]
        raise OptionError("interpolate mode", expected=f"one of {fitting} for shape {x.shape}", actual=repr(mode))
    if mode == "nearest" and align_corners is not None:
        raise OptionError("interpolate", expected="align_corners with a linear mode", actual='mode="nearest"')
    images = to_images("interpolate", x, axes)
    size, scale = _target(images.shape[2:], axes, size, scale_factor)
    if min(size) < 1 or min(images.shape[2:]) < 1:
        raise ShapeError(
            "interpolate", expected="an input and an output of at least one pixel",
            actual=f"input {tuple(images.shape[4 - axes :])}, output {size[2 - axes :]}",
        )  # fmt: skip
    op: Any = (
        UpsampleNearest2d(size, scale) if mode == "nearest" else UpsampleBilinear2d(size, bool(align_corners), scale)
    )
    return from_images(op(images), x.ndim, axes)


def _target(input_size: Pair, axes: int, size: Any, scale_factor: Any) -> tuple[Pair, Scale]:
    """The output size, and the scale where the user gave one."""
    if (size is None) == (scale_factor is None):
        raise OptionError(
            "interpolate", expected="either size or scale_factor",
            actual="neither" if size is None else f"size={size!r} and scale_factor={scale_factor!r}",
        )  # fmt: skip
    if size is not None:
        return axis_pair(size, "interpolate", "size", axes, 1), None
    factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * axes
    if len(factors) != axes or not all(isinstance(f, (int, float, np.number)) and 0 < f < math.inf for f in factors):
        raise OptionError("interpolate scale_factor", expected=f"one positive number, or {axes}",
                          actual=repr(scale_factor))  # fmt: skip
    sh, sw = (1.0, *factors)[-2:]
    return (math.floor(input_size[0] * sh), math.floor(input_size[1] * sw)), (float(sh), float(sw))


def _loop_interpolate(
    x: np.ndarray, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool = False
) -> np.ndarray:
    """One axis after the other, one line at a time."""
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        o = size[axis - 2] if size else int(n * scale_factor[axis - 2])
        ratio = n / o if size else 1 / scale_factor[axis - 2]
        lines = []
        for p in range(o):
            if mode == "nearest":
                lines.append(np.take(x, min(int(p * ratio), n - 1), axis))
                continue
            place = p * (n - 1) / max(o - 1, 1) if align_corners else max((p + 0.5) * ratio - 0.5, 0)
            closeness = [max(0.0, 1 - abs(min(place, n - 1) - i)) for i in range(n)]
            lines.append(sum(w * np.take(x, i, axis) for i, w in enumerate(closeness)))
        x = np.stack(lines, axis)
    return x


cases(
    interpolate,
    _loop_interpolate,
    {
        "nearest, up": lambda r: call(r.normal(size=(1, 2, 2, 3)), (5, 4)),
        "nearest, by a factor": lambda r: call(r.normal(size=(2, 1, 4, 3)), scale_factor=(0.6, 2.4)),
        "nearest, sequence": lambda r: call(r.normal(size=(2, 2, 5)), (3,)),
        "bilinear, up": lambda r: call(r.normal(size=(1, 2, 2, 3)), (4, 5), mode="bilinear"),
        "bilinear, down": lambda r: call(r.normal(size=(1, 1, 6, 5)), (2, 3), mode="bilinear", align_corners=False),
        "bilinear, by a factor": lambda r: call(r.normal(size=(1, 1, 3, 4)), scale_factor=(1.7, 0.6), mode="bilinear"),
        "bilinear, corners aligned": lambda r: call(
            r.normal(size=(2, 1, 3, 2)), (5, 1), mode="bilinear", align_corners=True
        ),
        "linear": lambda r: call(r.normal(size=(2, 2, 3)), (5,), mode="linear"),
    },
)
