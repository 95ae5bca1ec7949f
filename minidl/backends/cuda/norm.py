"""Batch norm and layer norm: a block of threads for each channel or row."""

from __future__ import annotations

import math

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.reference.base import Array
from minidl.backends.reference.norm import Norm

__all__ = ["NormMixin"]


class NormMixin(Norm):
    """Mean and variance in two passes, as in the reference; the sums of a block are taken in a fixed order."""

    def batch_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        if not fits(x, weight, bias) or x.size == 0:
            return super().batch_norm(x, weight, bias, eps)
        x = self._dense(x)
        channels, pixels, length = _sizes(x)
        mean, var = self.xp.empty(channels, x.dtype), self.xp.empty(channels, x.dtype)
        launch(
            "norm", "batch_norm_statistics", x.dtype, x.size, x, mean, var, channels, pixels, length, blocks=channels
        )
        return self.batch_norm_eval(x, mean, var, weight, bias, eps), mean, var

    def batch_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        if not fits(grad, x, weight, mean, var) or x.size == 0:
            return super().batch_norm_grad(grad, x, weight, mean, var, eps)
        grad, x, weight, mean, var = self._all_dense(grad, x, weight, mean, var)
        channels, pixels, length = _sizes(x)
        x_grad = self.xp.empty(x.shape, x.dtype)
        weight_grad, bias_grad = self.xp.empty(channels, x.dtype), self.xp.empty(channels, x.dtype)
        launch("norm", "batch_norm_grad", x.dtype, x.size, grad, x, weight, mean, var, x_grad, weight_grad, bias_grad,
               channels, pixels, length, weight is not None, eps, blocks=channels)  # fmt: skip
        return x_grad, weight_grad, bias_grad

    def batch_norm_eval(
        self, x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> Array:
        if not fits(x, mean, var, weight, bias):
            return super().batch_norm_eval(x, mean, var, weight, bias, eps)
        x, mean, var, weight, bias = self._all_dense(x, mean, var, weight, bias)
        y = self.xp.empty(x.shape, x.dtype)
        channels, pixels, _ = _sizes(x)
        launch("norm", "batch_norm_apply", x.dtype, y.size, x, mean, var, weight, bias, y, y.size, channels, pixels,
               weight is not None, bias is not None, eps)  # fmt: skip
        return y

    def layer_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        if not fits(x, weight, bias) or x.size == 0:
            return super().layer_norm(x, weight, bias, eps)
        x, weight, bias = self._all_dense(x, weight, bias)
        rows, length = x.shape
        y, mean, rstd = self.xp.empty(x.shape, x.dtype), self.xp.empty(rows, x.dtype), self.xp.empty(rows, x.dtype)
        launch("norm", "layer_norm", x.dtype, x.size, x, weight, bias, y, mean, rstd, rows, length, weight is not None,
               bias is not None, eps, blocks=rows)  # fmt: skip
        return y, mean, rstd

    def layer_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array
    ) -> tuple[Array, Array, Array]:
        if not fits(grad, x, weight, mean, rstd) or x.size == 0:
            return super().layer_norm_grad(grad, x, weight, mean, rstd)
        grad, x, weight, mean, rstd = self._all_dense(grad, x, weight, mean, rstd)
        rows, length = x.shape
        x_grad = self.xp.empty(x.shape, x.dtype)
        weight_grad, bias_grad = self.xp.empty(length, x.dtype), self.xp.empty(length, x.dtype)
        launch("norm", "layer_norm_grad", x.dtype, x.size, grad, x, weight, mean, rstd, x_grad, rows, length,
               weight is not None, blocks=rows)  # fmt: skip
        launch("norm", "layer_norm_parameter_grad", x.dtype, length, grad, x, mean, rstd, weight_grad, bias_grad, rows,
               length)  # fmt: skip
        return x_grad, weight_grad, bias_grad

    def _all_dense(self, *arrays: Array | None) -> list[Array | None]:
        return [None if array is None else self._dense(array) for array in arrays]


def _sizes(x: Array) -> tuple[int, int, int]:
    """Channels, pixels of an image, and values of a channel of x (N, C, *spatial)."""
    pixels = math.prod(x.shape[2:])
    return x.shape[1], pixels, x.shape[0] * pixels
