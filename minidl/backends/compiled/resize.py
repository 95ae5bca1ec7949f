"""Doors to the kernels of interpolation."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.resize import Resize, Scale, _ratios

__all__ = ["ResizeMixin"]


class ResizeMixin(Resize):
    """Nearest-neighbour and bilinear interpolation: rows are mixed first, then columns picked."""

    def upsample_nearest2d(self, x: Array, size: Pair, scale: Scale) -> Array:
        if not kernels.arrays.alike(x) or x.ndim != 4:
            return super().upsample_nearest2d(x, size, scale)
        return kernels.resize.upsample_nearest2d(x, size, _ratios(x.shape[2:], size, scale))

    def upsample_nearest2d_grad(self, grad: Array, input_size: Pair, scale: Scale) -> Array:
        if not kernels.arrays.alike(grad) or grad.ndim != 4:
            return super().upsample_nearest2d_grad(grad, input_size, scale)
        return kernels.resize.upsample_nearest2d_grad(grad, input_size, _ratios(input_size, grad.shape[2:], scale))

    def upsample_bilinear2d(self, x: Array, size: Pair, align_corners: bool, scale: Scale) -> Array:
        if not kernels.arrays.alike(x) or x.ndim != 4:
            return super().upsample_bilinear2d(x, size, align_corners, scale)
        return kernels.resize.upsample_bilinear2d(x, size, align_corners, _ratios(x.shape[2:], size, scale))

    def upsample_bilinear2d_grad(self, grad: Array, input_size: Pair, align_corners: bool, scale: Scale) -> Array:
        if not kernels.arrays.alike(grad) or grad.ndim != 4:
            return super().upsample_bilinear2d_grad(grad, input_size, align_corners, scale)
        ratios = _ratios(input_size, grad.shape[2:], scale)
        return kernels.resize.upsample_bilinear2d_grad(grad, input_size, align_corners, ratios)
