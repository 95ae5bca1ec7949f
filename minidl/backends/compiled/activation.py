"""Doors to the kernels of the activations."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.activation import Activation
from minidl.backends.reference.base import Array

__all__ = ["ActivationMixin"]


class ActivationMixin(Activation):
    """relu, sigmoid, tanh, gelu, silu and erf: one threaded pass each, vectorised."""

    def relu(self, x: Array) -> Array:
        return kernels.pointwise.relu(x) if kernels.arrays.alike(x) else super().relu(x)

    def relu_grad(self, grad: Array, y: Array) -> Array:
        return kernels.pointwise.relu_grad(grad, y) if kernels.arrays.alike(grad, y) else super().relu_grad(grad, y)

    def sigmoid(self, x: Array) -> Array:
        return kernels.pointwise.sigmoid(x) if kernels.arrays.alike(x) else super().sigmoid(x)

    def sigmoid_grad(self, grad: Array, y: Array) -> Array:
        if not kernels.arrays.alike(grad, y):
            return super().sigmoid_grad(grad, y)
        return kernels.pointwise.sigmoid_grad(grad, y)

    def tanh(self, x: Array) -> Array:
        return kernels.pointwise.tanh(x) if kernels.arrays.alike(x) else super().tanh(x)

    def tanh_grad(self, grad: Array, y: Array) -> Array:
        return kernels.pointwise.tanh_grad(grad, y) if kernels.arrays.alike(grad, y) else super().tanh_grad(grad, y)

    def gelu(self, x: Array, approximate: str) -> Array:
        if not kernels.arrays.alike(x):
            return super().gelu(x, approximate)
        return kernels.pointwise.gelu_tanh(x) if approximate == "tanh" else kernels.pointwise.gelu(x)

    def gelu_grad(self, grad: Array, x: Array, approximate: str) -> Array:
        if not kernels.arrays.alike(grad, x):
            return super().gelu_grad(grad, x, approximate)
        if approximate == "tanh":
            return kernels.pointwise.gelu_tanh_grad(grad, x)
        return kernels.pointwise.gelu_grad(grad, x)

    def silu(self, x: Array) -> Array:
        return kernels.pointwise.silu(x) if kernels.arrays.alike(x) else super().silu(x)

    def silu_grad(self, grad: Array, x: Array) -> Array:
        return kernels.pointwise.silu_grad(grad, x) if kernels.arrays.alike(grad, x) else super().silu_grad(grad, x)

    def erf(self, x: Array) -> Array:
        return kernels.pointwise.erf(x) if kernels.arrays.alike(x) else super().erf(x)
