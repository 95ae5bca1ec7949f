"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import reduce

from minidl.errors import OptionError
from minidl.nn.options import integer
from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.lr_scheduler.onecycle import OneCycleLR
from minidl.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


def _check_parts(name: str, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> list[LRScheduler]:
    parts = list(schedulers)
    for part in parts:
        if not isinstance(part, LRScheduler) or part.optimizer is not optimizer:
            raise OptionError(name, expected="schedules of this optimizer", actual=repr(part))
        if isinstance(part, OneCycleLR) and part.cycle_momentum:
            raise OptionError(name, expected="parts that change nothing but learning rates",
                              actual="a OneCycleLR with cycle_momentum=True")  # fmt: skip
    if not parts:
        raise OptionError(name, expected="at least one schedule", actual="none")
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]  # what the parts set when they were made
    return parts


class SequentialLR(LRScheduler):
    """One schedule after the other; each begins anew, with t = 0, at its milestone.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
    milestones : sequence of int
        Increasing; the step at which the second schedule begins, the third, and so on.

    Examples
    --------
    See `LinearLR`.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        self.milestones = [integer("SequentialLR", "milestones", m) for m in milestones]
        if len(self.milestones) != len(schedulers) - 1 or sorted(set(self.milestones)) != self.milestones:
            raise OptionError("SequentialLR", expected=f"{len(schedulers) - 1} increasing milestone(s)",
                              actual=str(milestones))  # fmt: skip
        self.schedulers = _check_parts("SequentialLR", optimizer, schedulers)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        now = bisect_right(self.milestones, t)
        return self.schedulers[now].rate(base, t - (self.milestones[now - 1] if now else 0), group)


class ChainedScheduler(LRScheduler):
    """All schedules at once, each working on what the one before it gives: ``rateₙ(… rate₁(base, t) …, t)``.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        That of the schedules.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise OptionError("ChainedScheduler", expected="at least one schedule", actual="none")
        optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        self.schedulers = _check_parts("ChainedScheduler", optimizer, schedulers)
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        return reduce(lambda rate, schedule: schedule.rate(rate, t, group), self.schedulers, base)
