"""Enlarging images and sequences."""

from __future__ import annotations

from typing import Any

from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import choice, number, sizes

__all__ = ["Upsample"]


class Upsample(Module):
    """Resize images, or sequences, to a size or by a factor.

    Parameters
    ----------
    size : int or tuple of ints, optional
    scale_factor : float or tuple of floats, optional
        One of the two is needed.
    mode : {"nearest", "linear", "bilinear"}
        Copy the nearest pixel, or mix the nearest two (of a sequence) or four (of an image).
    align_corners : bool, optional
        For the linear modes: keep the centres of the corner pixels in place, instead of the outer edges.

    Notes
    -----
    Shapes: x (N, C, H, W) → y (N, C, *size), or (N, C, ⌊H·f⌋, ⌊W·f⌋); (N, C, L) likewise.

    Raises
    ------
    OptionError
        If none or both of `size` and `scale_factor` are given, or one is not positive.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.Upsample(scale_factor=2)(minidl.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise OptionError("Upsample", expected="either size or scale_factor",
                              actual=f"size={size!r}, scale_factor={scale_factor!r}")  # fmt: skip
        self.mode = choice("Upsample", "mode", mode, ("nearest", "linear", "bilinear"))
        self.align_corners = choice("Upsample", "align_corners", align_corners, (None, True, False))
        if align_corners is not None and mode == "nearest":
            raise OptionError("Upsample", expected="align_corners only with a linear mode", actual=f"mode={mode!r}")
        self.size = size
        if size is not None:
            sizes("Upsample", "size", size, len(size) if isinstance(size, (tuple, list)) else 1)
        self.scale_factor: float | tuple[float, ...] | None = None
        if isinstance(scale_factor, (tuple, list)):
            self.scale_factor = tuple(float(number("Upsample", "scale_factor", f, above=0)) for f in scale_factor)
        elif scale_factor is not None:
            self.scale_factor = float(number("Upsample", "scale_factor", scale_factor, above=0))

    def forward(self, x: Any) -> Any:
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        target = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{target}, mode={self.mode!r}"
