"""Doors to the kernels of softmax and cross-entropy."""

from __future__ import annotations

from typing import Any

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.softmax import Softmax

__all__ = ["SoftmaxMixin"]


class SoftmaxMixin(Softmax):
    """softmax, log_softmax and cross_entropy: maximum, exponential and sum of a row while it is in the cache."""

    def softmax(self, x: Array, axis: int) -> Array:
        return kernels.softmax.softmax(x, axis) if kernels.arrays.alike(x) else super().softmax(x, axis)

    def softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        if not kernels.arrays.alike(grad, y):
            return super().softmax_grad(grad, y, axis)
        return kernels.softmax.softmax_grad(grad, y, axis)

    def log_softmax(self, x: Array, axis: int) -> Array:
        return kernels.softmax.log_softmax(x, axis) if kernels.arrays.alike(x) else super().log_softmax(x, axis)

    def log_softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        if not kernels.arrays.alike(grad, y):
            return super().log_softmax_grad(grad, y, axis)
        return kernels.softmax.log_softmax_grad(grad, y, axis)

    def count_labels(self, labels: Array, classes: int, ignore_index: int) -> int:
        count = kernels.softmax.count_labels(labels, classes, ignore_index)
        return super().count_labels(labels, classes, ignore_index) if count is None else count

    def cross_entropy(self, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        if not kernels.arrays.alike(logits):
            return super().cross_entropy(logits, labels, ignore_index, share)
        return kernels.softmax.cross_entropy(logits, labels, ignore_index, share)

    def cross_entropy_grad(self, grad: Array, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        if not kernels.arrays.alike(logits, grad if share is None else None):
            return super().cross_entropy_grad(grad, logits, labels, ignore_index, share)
        return kernels.softmax.cross_entropy_grad(grad, logits, labels, ignore_index, share)
