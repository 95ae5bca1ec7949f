"""Pooling: one kernel for each operation."""

from __future__ import annotations

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.geometry import pool_output_size
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.pool import Pool

__all__ = ["PoolMixin"]


class PoolMixin(Pool):
    """Max, average and adaptive pooling, and their gradients."""

    def max_pool2d(
        self, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
    ) -> tuple[Array, Array]:
        if not fits(x):
            return super().max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
        size = pool_output_size("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
        y, indices = self._results(x, size)
        launch("pool", "max_pool", x.dtype, y.size, self._dense(x), y, indices, y.size, *x.shape[2:],
               *kernel_size, *size,
               *stride, *padding, *dilation)  # fmt: skip
        return y, indices

    def max_pool2d_grad(self, grad: Array, indices: Array, input_size: Pair) -> Array:
        if not fits(grad):
            return super().max_pool2d_grad(grad, indices, input_size)
        n, c, oh, ow = grad.shape
        x_grad = self.xp.empty((n, c, *input_size), grad.dtype)
        launch("pool", "max_pool_grad", grad.dtype, x_grad.size, self._dense(grad),
               self._dense(indices.astype(self.xp.int64, copy=False)), x_grad, n * c, oh * ow,
               input_size[0] * input_size[1], blocks=n * c)  # fmt: skip
        return x_grad

    def avg_pool2d(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Array:
        if not fits(x):
            return super().avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad)
        size = pool_output_size("avg_pool2d", x.shape[2:], kernel_size, stride, padding, (1, 1), ceil_mode)
        y = self.xp.empty((*x.shape[:2], *size), x.dtype)
        launch("pool", "avg_pool", x.dtype, y.size, self._dense(x), y, y.size, *x.shape[2:], *kernel_size,
               *size, *stride,
               *padding, count_include_pad)  # fmt: skip
        return y

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
        if not fits(grad):
            return super().avg_pool2d_grad(grad, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad)
        x_grad = self.xp.empty((*grad.shape[:2], *input_size), grad.dtype)
        launch("pool", "avg_pool_grad", grad.dtype, x_grad.size, self._dense(grad), x_grad, x_grad.size, *input_size,
               *kernel_size, *grad.shape[2:], *stride, *padding, count_include_pad)  # fmt: skip
        return x_grad

    def adaptive_avg_pool2d(self, x: Array, output_size: Pair) -> Array:
        if not fits(x):
            return super().adaptive_avg_pool2d(x, output_size)
        y = self.xp.empty((*x.shape[:2], *output_size), x.dtype)
        launch("pool", "adaptive_avg_pool", x.dtype, y.size, self._dense(x), y, y.size, *x.shape[2:], *output_size)
        return y

    def adaptive_avg_pool2d_grad(self, grad: Array, input_size: Pair) -> Array:
        if not fits(grad):
            return super().adaptive_avg_pool2d_grad(grad, input_size)
        x_grad = self.xp.empty((*grad.shape[:2], *input_size), grad.dtype)
        launch("pool", "adaptive_avg_pool_grad", grad.dtype, x_grad.size, self._dense(grad), x_grad, x_grad.size,
               *input_size, *grad.shape[2:])  # fmt: skip
        return x_grad

    def adaptive_max_pool2d(self, x: Array, output_size: Pair) -> tuple[Array, Array]:
        if not fits(x):
            return super().adaptive_max_pool2d(x, output_size)
        y, indices = self._results(x, output_size)
        launch(
            "pool", "adaptive_max_pool", x.dtype, y.size, self._dense(x), y, indices, y.size, *x.shape[2:], *output_size
        )
        return y, indices

    def _results(self, x: Array, size: tuple[int, ...]) -> tuple[Array, Array]:
        shape = (*x.shape[:2], *size)
        return self.xp.empty(shape, x.dtype), self.xp.empty(shape, self.xp.int64)
