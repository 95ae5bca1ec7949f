"""Doors to the kernels of batch norm and layer norm."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.norm import Norm

__all__ = ["NormMixin"]


class NormMixin(Norm):
    """Batch norm and layer norm: statistics and result of a channel, or a row, while it is in the cache."""

    def batch_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        if not kernels.arrays.alike(x, weight, bias):
            return super().batch_norm(x, weight, bias, eps)
        return kernels.batchnorm.batch_norm(x, weight, bias, eps)

    def batch_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        if not kernels.arrays.alike(grad, x, weight, mean, var):
            return super().batch_norm_grad(grad, x, weight, mean, var, eps)
        return kernels.batchnorm.batch_norm_grad(grad, x, weight, mean, var, eps)

    def batch_norm_eval(
        self, x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> Array:
        if not kernels.arrays.alike(x, mean, var, weight, bias):
            return super().batch_norm_eval(x, mean, var, weight, bias, eps)
        return kernels.batchnorm.batch_norm_eval(x, mean, var, weight, bias, eps)

    def layer_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        if not kernels.arrays.alike(x, weight, bias):
            return super().layer_norm(x, weight, bias, eps)
        return kernels.layernorm.layer_norm(x, weight, bias, eps)

    def layer_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array
    ) -> tuple[Array, Array, Array]:
        if not kernels.arrays.alike(grad, x, weight, mean, rstd):
            return super().layer_norm_grad(grad, x, weight, mean, rstd)
        return kernels.layernorm.layer_norm_grad(grad, x, weight, mean, rstd)
