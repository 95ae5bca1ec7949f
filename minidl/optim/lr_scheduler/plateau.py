"""A schedule that watches a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl.errors import OptionError
from minidl.nn.options import choice, integer, number
from minidl.optim.lr_scheduler.base import check_state
from minidl.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` once a number has not become better for more than `patience` steps.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether smaller is better (a loss) or larger (an accuracy).
    factor : float
        In [0, 1).
    patience : int
        Steps without improvement that are borne.
    threshold : float
        What counts as an improvement on the best so far.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a part of the best, or an amount.
    cooldown : int
        Steps after a reduction in which nothing is counted.
    min_lr : float, or one for each group
    eps : float
        Smaller changes of the rate are left out.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        if not isinstance(optimizer, Optimizer):
            raise OptionError(name, expected="an Optimizer", actual=type(optimizer).__name__)
        self.optimizer = optimizer
        self.mode = choice(name, "mode", mode, ("min", "max"))
        self.factor = number(name, "factor", factor, least=0, below=1)
        self.patience = integer(name, "patience", patience, least=0)
        self.threshold = number(name, "threshold", threshold, least=0)
        self.threshold_mode = choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = integer(name, "cooldown", cooldown, least=0)
        groups = len(optimizer.param_groups)
        floors = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr] * groups
        if len(floors) != groups:
            raise OptionError(name, expected=f"min_lr for each of {groups} group(s)", actual=f"{len(floors)}")
        self.min_lrs = [number(name, "min_lr", floor, least=0) for floor in floors]
        self.eps = number(name, "eps", eps, least=0)
        self.last_epoch = 0
        self.best: float | None = None
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:
        """Look at the number (a float or a Tensor with one element) after an epoch; NaN counts as no improvement."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return value == value
        relative = self.threshold_mode == "rel"
        if self.mode == "min":
            return value < (self.best * (1 - self.threshold) if relative else self.best - self.threshold)
        return value > (self.best * (1 + self.threshold) if relative else self.best + self.threshold)

    def _reduce(self) -> None:
        for group, floor in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
            new = max(group["lr"] * self.factor, floor)
            if group["lr"] - new > self.eps:
                group["lr"] = new

    def get_last_lr(self) -> list[float]:
        """Learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What it has seen so far, in plain numbers; its options are those of the constructor."""
        names = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another one stood.

        Raises
        ------
        DataError
            If it is not the state of such a schedule. Nothing has been changed then.
        """
        state = check_state("ReduceLROnPlateau", state_dict, self.state_dict())
        best = None if state["best"] is None else float(state["best"])
        last_epoch, bad, cooldown = (int(state[n]) for n in ("last_epoch", "num_bad_epochs", "cooldown_counter"))
        self.best, self.last_epoch, self.num_bad_epochs, self.cooldown_counter = best, last_epoch, bad, cooldown
