"""Doors to the kernels of matrix products."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.products import Products

__all__ = ["ProductsMixin"]


class ProductsMixin(Products):
    """matmul and linear: packed panels through one micro-kernel, threaded. Any strides are read where they are."""

    def matmul(self, a: Array, b: Array) -> Array:
        return kernels.gemm.matmul(a, b) if kernels.arrays.alike(a, b) else super().matmul(a, b)

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        if not kernels.arrays.alike(x, weight, bias):
            return super().linear(x, weight, bias)
        return kernels.gemm.linear(x, weight, bias)

    def linear_parameter_grads(self, grad: Array, x: Array) -> tuple[Array, Array]:
        if not kernels.arrays.alike(grad, x):
            return super().linear_parameter_grads(grad, x)
        return kernels.gemm.linear_parameter_grads(grad, x)
