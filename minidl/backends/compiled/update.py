"""Doors to the kernels of the optimizer steps: one call for all tensors of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.update import Arrays, Update

__all__ = ["UpdateMixin"]

_MEASURED = (1, 2, float("inf"))  # the norms that have a kernel


class UpdateMixin(Update):
    """SGD, Adam and AdamW, RMSprop, Adagrad; the norm of a gradient, and scaling.

    A kernel returns the positions of arrays that it could not take (another type, not contiguous); those go to
    the reference.
    """

    @property
    def empty(self) -> Any:
        """NumPy starts its arrays anywhere; a step over four of them takes half the time where cache lines begin."""
        return kernels.arrays.new

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
        if momentum == 0 or momenta is None:
            rest = kernels.update.sgd(params, grads, None, *options)
            if rest:
                super().sgd_update(_pick(params, rest), _pick(grads, rest), None, *options)
            return momenta
        for buffer in momenta:
            if buffer is None:
                return super().sgd_update(params, grads, momenta, *options)  # the first step makes the buffers
        rest = kernels.update.sgd(params, grads, momenta, *options)
        if rest:
            super().sgd_update(_pick(params, rest), _pick(grads, rest), _pick(momenta, rest), *options)
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
        options = (step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize)
        rest = kernels.update.adam(*arrays, *options)
        if rest:
            super().adam_update(*[_pick(each, rest) for each in arrays], *options)  # type: ignore[call-arg]  # counted

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
        options = (lr, alpha, eps, weight_decay, momentum, maximize)
        rest = kernels.update.rmsprop(*arrays, *options)
        if rest:
            super().rmsprop_update(*[_pick(each, rest) for each in arrays], *options)  # type: ignore[call-arg]  # counted

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
        arrays = (params, grads, state_sums)
        options = (step, lr, lr_decay, weight_decay, eps, maximize)
        rest = kernels.update.adagrad(*arrays, *options)
        if rest:
            super().adagrad_update(*[_pick(each, rest) for each in arrays], *options)  # type: ignore[call-arg]  # counted

    def grad_norm(self, grads: Arrays, norm_type: float) -> Any:
        if norm_type not in _MEASURED or not all(map(kernels.arrays.alike, grads)):
            return super().grad_norm(grads, norm_type)
        return kernels.update.norm(grads, norm_type)

    def scale_(self, arrays: Arrays, factor: Any) -> None:
        rest = kernels.update.scale(arrays, factor)
        if rest:
            super().scale_(_pick(arrays, rest), factor)


def _pick(arrays: Sequence[Array] | None, positions: list[int]) -> Any:
    return None if arrays is None else [arrays[i] for i in positions]
