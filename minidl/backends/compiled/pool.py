"""Doors to the kernels of pooling."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.geometry import pool_output_size
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.pool import Pool

__all__ = ["PoolMixin"]


class PoolMixin(Pool):
    """Max, average and adaptive pooling: threads share out the images; 2x2 max pooling has a vectorised kernel."""

    def max_pool2d(
        self, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
    ) -> tuple[Array, Array]:
        results = None
        if kernels.arrays.alike(x) and x.ndim == 4:
            size = pool_output_size("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
            results = kernels.maxpool.max_pool2d(x, size, kernel_size, stride, padding, dilation)
        return results or super().max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool2d_grad(self, grad: Array, indices: Array, input_size: Pair) -> Array:
        if not kernels.arrays.alike(grad):
            return super().max_pool2d_grad(grad, indices, input_size)
        return kernels.maxpool.max_pool2d_grad(grad, indices, input_size)

    def max_pool2d_take(self, x: Array, indices: Array) -> Array:
        if not kernels.arrays.alike(x):
            return super().max_pool2d_take(x, indices)
        return kernels.maxpool.max_pool2d_take(x, indices)

    def avg_pool2d(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Array:
        if not kernels.arrays.alike(x) or x.ndim != 4:
            return super().avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad)
        size = pool_output_size("avg_pool2d", x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
        return kernels.avgpool.avg_pool2d(x, size, kernel_size, stride, padding, count_include_pad)

    def avg_pool2d_grad(
        self,
        grad: Array,
        input_size: Pair,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Array:
        size = pool_output_size("avg_pool2d", input_size, kernel_size, stride, padding, (1, 1), ceil_mode)
        if not kernels.arrays.alike(grad) or grad.shape[2:] != size:
            return super().avg_pool2d_grad(grad, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad)
        return kernels.avgpool.avg_pool2d_grad(grad, input_size, kernel_size, stride, padding, count_include_pad)

    def adaptive_avg_pool2d(self, x: Array, output_size: Pair) -> Array:
        if not kernels.arrays.alike(x):
            return super().adaptive_avg_pool2d(x, output_size)
        return kernels.avgpool.adaptive_avg_pool2d(x, output_size)

    def adaptive_avg_pool2d_grad(self, grad: Array, input_size: Pair) -> Array:
        if not kernels.arrays.alike(grad):
            return super().adaptive_avg_pool2d_grad(grad, input_size)
        return kernels.avgpool.adaptive_avg_pool2d_grad(grad, input_size)

    def adaptive_max_pool2d(self, x: Array, output_size: Pair) -> tuple[Array, Array]:
        results = kernels.maxpool.adaptive_max_pool2d(x, output_size) if kernels.arrays.alike(x) else None
        return results or super().adaptive_max_pool2d(x, output_size)
