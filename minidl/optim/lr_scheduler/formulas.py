"""Schedules that are a formula in the number of steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from minidl.errors import OptionError
from minidl.nn.options import integer, number
from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "StepLR",
]


class StepLR(LRScheduler):
    """Multiply by `gamma` every `step_size` steps: ``base · gamma^⌊t / step_size⌋``.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = integer("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma, least=0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply by `gamma` at each of the `milestones`: ``base · gamma^(number of milestones ≤ t)``."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(integer("MultiStepLR", "milestones", m, least=0) for m in milestones)
        self.gamma = number("MultiStepLR", "gamma", gamma, least=0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """Multiply by `gamma` at every step: ``base · gamma^t``."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma, least=0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma**t


class ConstantLR(LRScheduler):
    """``base · factor`` for `total_iters` steps, then ``base``."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        self.factor = number("ConstantLR", "factor", factor, least=0, most=1)
        self.total_iters = integer("ConstantLR", "total_iters", total_iters, least=0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.factor if t < self.total_iters else base


class LinearLR(LRScheduler):
    """From ``base · start_factor`` in a straight line to ``base · end_factor`` in `total_iters` steps: a warm-up.

    Examples
    --------
    A warm-up of 3 steps, then a cosine:

    >>> from minidl import nn, optim
    >>> from minidl.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> warmup = LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> schedule = SequentialLR(optimizer, [warmup, CosineAnnealingLR(optimizer, T_max=4)], milestones=[3])
    >>> rates = []
    >>> for batch in range(8):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 3))
    ...     schedule.step()
    >>> rates
    [0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, above=0, most=1)
        self.end_factor = number("LinearLR", "end_factor", end_factor, least=0, most=1)
        self.total_iters = integer("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from ``base`` to `eta_min` in `T_max` steps: ``eta_min + (base - eta_min)(1 + cos πt/T_max)/2``.

    Source: I. Loshchilov, F. Hutter, SGDR: stochastic gradient descent with warm restarts, 2017 (without restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, least=0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """``base · lr_lambda(t)``, with a function of your own, or one for each group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, Sequence) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups or not all(callable(function) for function in self.lr_lambdas):
            raise OptionError("LambdaLR", expected=f"a function, or {groups} (one for each group)",
                              actual=repr(lr_lambda))  # fmt: skip
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.lr_lambdas[group](t)
