"""Doors to the kernels of convolution."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.conv import Conv

__all__ = ["ConvMixin"]


class ConvMixin(Conv):
    """conv2d and its two gradients: the micro-kernel of the matrix product over an offset table, no im2col."""

    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        if not kernels.arrays.alike(x, weight, bias):
            return super().conv2d(x, weight, bias, stride, padding, dilation, groups)
        return kernels.conv.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def conv2d_input_grad(
        self,
        grad: Array,
        weight: Array,
        input_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        if not kernels.arrays.alike(grad, weight):
            return super().conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, groups)
        return kernels.conv.conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, groups)

    def conv2d_weight_grad(
        self,
        grad: Array,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        if not kernels.arrays.alike(grad, x):
            return super().conv2d_weight_grad(grad, x, kernel_size, stride, padding, dilation, groups)
        return kernels.conv.conv2d_weight_grad(grad, x, kernel_size, stride, padding, dilation, groups)

    def conv2d_parameter_grads(
        self,
        grad: Array,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> tuple[Array, Array]:
        if not kernels.arrays.alike(grad, x):
            return super().conv2d_parameter_grads(grad, x, kernel_size, stride, padding, dilation, groups)
        return kernels.conv.conv2d_parameter_grads(grad, x, kernel_size, stride, padding, dilation, groups)
