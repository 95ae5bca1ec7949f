"""The one-cycle policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from minidl.errors import OptionError
from minidl.nn.options import choice, flag, integer, number
from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.optimizer import Optimizer

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """Up to a large learning rate and down to almost nothing, once, while the momentum goes the other way.

    From ``max_lr / div_factor`` up to `max_lr` in the first `pct_start` of the steps, then down to ``max_lr /
    div_factor / final_div_factor``. Step it after every batch.
    Source: L. Smith, N. Topin, Super-convergence, 2018.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or one for each group
    total_steps : int, optional
        Number of batches; or give `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        In [0, 1].
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool
        Whether ``momentum`` (or the first of ``betas``) goes from `max_momentum` to `base_momentum` and back.
    base_momentum, max_momentum : float
    div_factor, final_div_factor : float
    three_phase : bool
        Come down to the first rate as fast as up, then on to the last.

    Raises
    ------
    OptionError
        If an option is out of range, `cycle_momentum` is asked of an optimizer without momentum, or a step is taken
        beyond the last.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    >>> schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, anneal_strategy="linear")
    >>> for batch in range(3):
    ...     print(round(optimizer.param_groups[0]["lr"], 2), round(optimizer.param_groups[0]["momentum"], 2))
    ...     schedule.step()
    0.04 0.95
    0.52 0.9
    1.0 0.85
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        name = "OneCycleLR"
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError(name, expected="total_steps, or epochs and steps_per_epoch", actual="neither")
            total_steps = integer(name, "epochs", epochs) * integer(name, "steps_per_epoch", steps_per_epoch)
        self.total_steps = integer(name, "total_steps", total_steps)
        pct_start = number(name, "pct_start", pct_start, least=0, most=1)
        self.anneal_strategy = choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.cycle_momentum = flag(name, "cycle_momentum", cycle_momentum)
        low = number(name, "base_momentum", base_momentum, least=0, below=1)
        high = number(name, "max_momentum", max_momentum, least=low, below=1)
        self.div_factor = number(name, "div_factor", div_factor, above=0)
        self.final_div_factor = number(name, "final_div_factor", final_div_factor, above=0)
        groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
        peaks = list(max_lr) if isinstance(max_lr, Sequence) else [max_lr] * len(groups)
        if len(peaks) != len(groups):
            raise OptionError(name, expected=f"max_lr for each of {len(groups)} group(s)", actual=f"{len(peaks)}")
        self.max_lrs = [number(name, "max_lr", peak, above=0) for peak in peaks]
        if self.cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise OptionError(name, expected="an optimizer with momentum or betas", actual=type(optimizer).__name__,
                              hint="cycle_momentum=False")  # fmt: skip

        # Each phase: its last step, and how the rate and the momentum go, as (from, to).
        rise = float(pct_start * self.total_steps) - 1
        last = self.total_steps - 1
        self._ends = [rise, 2 * rise, last] if flag(name, "three_phase", three_phase) else [rise, last]
        self._levels = [("first", "peak"), ("peak", "first"), ("first", "last")] if three_phase else [
            ("first", "peak"), ("peak", "last")]  # fmt: skip
        self._momenta = [(high, low), (low, high), (high, high)] if three_phase else [(high, low), (low, high)]

        for group, peak in zip(groups, self.max_lrs, strict=True):
            group["initial_lr"] = group["lr"] = peak / self.div_factor
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        phase, done = self._phase(t)
        levels = {"first": base, "peak": self.max_lrs[group], "last": base / self.final_div_factor}
        start, end = self._levels[phase]
        return self._between(levels[start], levels[end], done)

    def _phase(self, t: int) -> tuple[int, float]:
        """The phase of step t, and which part of it is done."""
        if t > self.total_steps:
            raise OptionError("OneCycleLR", expected=f"at most {self.total_steps} steps", actual=f"step {t}",
                              hint="total_steps counts batches: epochs times batches per epoch")  # fmt: skip
        begin = 0.0
        for phase, end in enumerate(self._ends):
            if t <= end or phase == len(self._ends) - 1:
                return phase, (t - begin) / (end - begin) if end > begin else 1.0
            begin = end
        raise AssertionError("the last phase takes every step")

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * done
        return end + (start - end) / 2 * (1 + math.cos(math.pi * done))

    def _apply(self) -> None:
        super()._apply()
        if not self.cycle_momentum:
            return
        phase, done = self._phase(self.last_epoch)
        momentum = self._between(*self._momenta[phase], done)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
