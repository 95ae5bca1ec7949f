"""The steps of the optimizers: every tensor of a network in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.reference.base import Array
from minidl.backends.reference.update import Arrays, Update

__all__ = ["UpdateMixin"]


class UpdateMixin(Update):
    """SGD, Adam and AdamW, RMSprop, Adagrad; scaling. A kernel is given the addresses of all arrays in a table."""

    def sgd_update(
        self,
        params: Arrays,
        grads: Arrays,
        momenta: list[Array | None] | None,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> list[Array | None] | None:
        options = (lr, momentum, dampening, weight_decay, nesterov, maximize)
        buffers = None if momenta is None or momentum == 0 else list(momenta)
        if buffers is not None and any(buffer is None for buffer in buffers):
            return super().sgd_update(params, grads, momenta, *options)  # the first step makes the buffers
        if not self._step("sgd", (params, grads, buffers), *options):
            return super().sgd_update(params, grads, momenta, *options)
        return momenta

    def adam_update(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        exp_avg_sqs: Arrays,
        max_exp_avg_sqs: Arrays | None,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        arrays = (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs)
        shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
        options = (lr / (1 - beta1**step), (1 - beta2**step) ** 0.5, beta1, beta2, eps, shrink, decay, maximize)
        if not self._step("adam", arrays, *options):
            super().adam_update(*arrays, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize)

    def rmsprop_update(
        self,
        params: Arrays,
        grads: Arrays,
        square_avgs: Arrays,
        grad_avgs: Arrays | None,
        momenta: Arrays | None,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        arrays = (params, grads, square_avgs, grad_avgs, momenta)
        options = (lr, alpha, eps, weight_decay, momentum)
        if not self._step("rmsprop", arrays, *options, grad_avgs is not None, momenta is not None, maximize):
            super().rmsprop_update(*arrays, *options, maximize)

    def adagrad_update(
        self,
        params: Arrays,
        grads: Arrays,
        state_sums: Arrays,
        step: int,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        eps: float,
        maximize: bool,
    ) -> None:
        rate = lr / (1 + (step - 1) * lr_decay)
        if not self._step("adagrad", (params, grads, state_sums), rate, weight_decay, eps, maximize):
            super().adagrad_update(params, grads, state_sums, step, lr, lr_decay, weight_decay, eps, maximize)

    def grad_norm(self, grads: Arrays, norm_type: float) -> Any:
        return self._grad_norm(grads, norm_type)

    def scale_(self, arrays: Arrays, factor: Any) -> None:
        if not arrays or not self._step("scale", (arrays,), self.xp.asarray(factor, arrays[0].dtype)):
            super().scale_(arrays, factor)

    def _step(self, kernel: str, columns: Sequence[Any], *options: Any) -> bool:
        """Run a kernel over the tensors; False, and nothing is done, where it cannot take one of them."""
        rows = list(zip(*[column for column in columns if column is not None], strict=True))
        every = [array for row in rows for array in row]
        if not every or not fits(*every) or not all(array.flags.c_contiguous for array in every):
            return False
        # One small copy to the device; the arrays themselves stay where they are.
        addresses = [array.data.ptr for array in every]
        ends = list(accumulate(row[0].size for row in rows))
        table = self.xp.asarray(np.array([*addresses, *ends], np.int64))
        launch("update", kernel, every[0].dtype, ends[-1], table[: len(addresses)], table[len(addresses) :], len(rows),
               len(rows[0]), ends[-1], *options)  # fmt: skip
        return True
