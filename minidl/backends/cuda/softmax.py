"""Softmax and cross entropy: a block of threads for each row."""

from __future__ import annotations

import math
from typing import Any

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.reference.base import Array
from minidl.backends.reference.softmax import Softmax

__all__ = ["SoftmaxMixin"]


class SoftmaxMixin(Softmax):
    """Maximum, exponentials and sum of a row in one launch. The host does not look at labels: a wrong one gives NaN."""

    def softmax(self, x: Array, axis: int) -> Array:
        return self._rows(x, axis, False) if fits(x) else super().softmax(x, axis)

    def log_softmax(self, x: Array, axis: int) -> Array:
        return self._rows(x, axis, True) if fits(x) else super().log_softmax(x, axis)

    def softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        return self._rows_grad(grad, y, axis, False) if fits(grad, y) else super().softmax_grad(grad, y, axis)

    def log_softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        return self._rows_grad(grad, y, axis, True) if fits(grad, y) else super().log_softmax_grad(grad, y, axis)

    def cross_entropy(self, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        if not fits(logits) or labels.dtype.name != "int64":
            return super().cross_entropy(logits, labels, ignore_index, share)
        losses = self.xp.empty(len(logits), logits.dtype)
        launch("softmax", "cross_entropy", logits.dtype, len(losses), self._dense(logits), self._dense(labels), losses,
               *logits.shape, ignore_index, blocks=len(losses))  # fmt: skip
        return losses if share is None else self.sum(losses, (0,), False) * share

    def cross_entropy_grad(self, grad: Array, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        if not fits(grad, logits) or labels.dtype.name != "int64":
            return super().cross_entropy_grad(grad, logits, labels, ignore_index, share)
        if share is not None:
            grad = self.xp.broadcast_to(grad * share, labels.shape)
        logits_grad = self.xp.empty(logits.shape, logits.dtype)
        launch("softmax", "cross_entropy_grad", logits.dtype, logits_grad.size, self._dense(grad), self._dense(logits),
               self._dense(labels), logits_grad, *logits.shape, ignore_index, blocks=len(logits))  # fmt: skip
        return logits_grad

    def _rows(self, x: Array, axis: int, logarithm: bool) -> Array:
        y = self.xp.empty(x.shape, x.dtype)
        rows, length, inner = _sizes(x, axis)
        launch("softmax", "softmax", x.dtype, x.size, self._dense(x), y, rows, length, inner, logarithm, blocks=rows)
        return y

    def _rows_grad(self, grad: Array, y: Array, axis: int, logarithm: bool) -> Array:
        x_grad = self.xp.empty(y.shape, y.dtype)
        rows, length, inner = _sizes(y, axis)
        launch("softmax", "softmax_grad", y.dtype, y.size, self._dense(grad), self._dense(y), x_grad, rows,
               length, inner,
               logarithm, blocks=rows)  # fmt: skip
        return x_grad


def _sizes(x: Array, axis: int) -> tuple[int, int, int]:
    """How many rows there are along an axis, their length, and how far apart their elements lie."""
    length = x.shape[axis]
    return x.size // max(length, 1), length, math.prod(x.shape[axis % x.ndim + 1 :])
