"""Softmax, its logarithm and the cross entropy, shifted by the maximum so that no exponential overflows."""

from __future__ import annotations

from typing import Any

from minidl.backends.reference.base import Array
from minidl.backends.reference.reduce import Reduce

__all__ = ["Softmax"]


class Softmax(Reduce):
    """softmax, log_softmax and cross_entropy, with their gradients."""

    def softmax(self, x: Array, axis: int) -> Array:
        r"""Return the softmax along an axis.

        .. math:: y_i = e^{x_i - m} / \sum_j e^{x_j - m}, \qquad m = \max_j x_j

        Where all entries are -inf (a row masked entirely) the result is zero, not NaN.
        """
        shifted, total = self._shifted(x, axis)
        return self._dense(self.xp.exp(shifted) / total)

    def softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        r"""Return the gradient of `softmax`, :math:`y_i\,(g_i - \sum_j g_j y_j)` for y = softmax(x)."""
        return self._dense(y * (grad - (grad * y).sum(axis=axis, keepdims=True)))

    def log_softmax(self, x: Array, axis: int) -> Array:
        r"""Return the logarithm of the softmax along an axis.

        .. math:: y_i = x_i - m - \log \sum_j e^{x_j - m}, \qquad m = \max_j x_j

        Where all entries are -inf, so is the result: the logarithm of what `softmax` gives.
        """
        shifted, total = self._shifted(x, axis)
        return self._dense(shifted - self.xp.log(total))

    def log_softmax_grad(self, grad: Array, y: Array, axis: int) -> Array:
        r"""Return the gradient of `log_softmax`, :math:`g_i - e^{y_i} \sum_j g_j` for y = log_softmax(x)."""
        return self._dense(grad - self.xp.exp(y) * grad.sum(axis=axis, keepdims=True))

    def count_labels(self, labels: Array, classes: int, ignore_index: int) -> int:
        """Return how many labels (of any shape) are not `ignore_index`; -1 if one is not from 0 to classes - 1."""
        counted = labels != ignore_index
        fit = (labels >= 0) & (labels < classes)
        return int(counted.sum()) if bool((fit | ~counted).all()) else -1

    def cross_entropy(self, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        r"""Return the loss of each sample, or with a `share` the 0-d sum of them all times this number.

        .. math:: \ell_n = -\log \operatorname{softmax}(z_n)_{t_n}

        `logits` z is (N, C), `labels` t (N,) of integers, the result (N,): 0 where the label is
        `ignore_index`.
        """
        ignored = labels == ignore_index
        labels = self.xp.where(ignored, 0, labels)
        picked = self.xp.take_along_axis(self.log_softmax(logits, 1), labels[:, None], axis=1)[:, 0]
        losses = self.xp.where(ignored, 0, -picked)
        return losses if share is None else self._dense(self.sum(losses, (0,), False) * share)

    def cross_entropy_grad(self, grad: Array, logits: Array, labels: Array, ignore_index: int, share: Any) -> Array:
        r"""Return the gradient of `cross_entropy` in the logits, (N, C), for `grad` (N,), or 0-d with a `share`.

        .. math:: dz_{nc} = g_n\,(\operatorname{softmax}(z_n)_c - [c = t_n])

        and 0 in rows whose label is `ignore_index`.
        """
        xp = self.xp
        one_hot = xp.arange(logits.shape[1]) == labels[:, None]
        grad = grad if share is None else grad * share
        logits_grad = grad[..., None] * (self.softmax(logits, 1) - one_hot)
        return self._dense(xp.where((labels == ignore_index)[:, None], 0, logits_grad))

    def _shifted(self, x: Array, axis: int) -> tuple[Array, Array]:
        """Return x - max(x) along an axis, and the sum of its exponentials (1 where that is zero)."""
        xp = self.xp
        if x.size == 0:
            return xp.empty(x.shape, self._dtype(x)), xp.ones_like(x)
        largest = x.max(axis=axis, keepdims=True)
        shifted = x - xp.where(largest == -xp.inf, 0, largest)
        total = xp.exp(shifted).sum(axis=axis, keepdims=True)
        return shifted, xp.where(total == 0, 1, total)
