"""What every schedule shares: the base rates, the step, the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidl.errors import DataError, OptionError
from minidl.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "check_state"]


class LRScheduler:
    """Base of the schedules; a subclass defines `rate`.

    Parameters
    ----------
    optimizer : Optimizer
        The learning rates of its groups are the base of the schedule, kept as ``group["initial_lr"]``.

    Attributes
    ----------
    last_epoch : int
        Number of steps so far.
    base_lrs : list of float

    Notes
    -----
    If someone else changes a learning rate meanwhile, the schedule goes on from there in proportion. So two schedules
    of one optimizer, each stepped in turn, multiply, as in PyTorch.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise OptionError(type(self).__name__, expected="an Optimizer", actual=type(optimizer).__name__)
        self.optimizer = optimizer
        self.last_epoch = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._last_lr = list(self.base_lrs)
        self._apply()

    def rate(self, base: float, t: int, group: int) -> float:
        """Learning rate at step t of the group of this number, which began with `base`."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(self, base, t, group)")

    def step(self) -> None:
        """Go on by one step and set the learning rates."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        new_rates = [self.rate(base, self.last_epoch, group) for group, base in enumerate(self.base_lrs)]
        for group, old, new in zip(self.optimizer.param_groups, self._last_lr, new_rates, strict=False):
            group["lr"] = new if group["lr"] == old or old == 0 else group["lr"] * (new / old)
        self._last_lr = new_rates

    def get_last_lr(self) -> list[float]:
        """Learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """How far the schedule has come, in plain numbers; its options are those of the constructor."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs), "last_lr": list(self._last_lr)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another schedule stood. (The optimizer's own state_dict holds the learning rates.)

        Raises
        ------
        DataError
            If it is no state of a schedule with as many groups. Nothing has been changed then.
        """
        state = check_state(type(self).__name__, state_dict, self.state_dict())
        if len(state["base_lrs"]) != len(self.base_lrs) or len(state["last_lr"]) != len(self.base_lrs):
            raise DataError(f"{type(self).__name__}.load_state_dict", expected=f"{len(self.base_lrs)} learning rate(s)",
                            actual=f"{len(state['base_lrs'])}")  # fmt: skip
        self.last_epoch = int(state["last_epoch"])
        self.base_lrs = [float(rate) for rate in state["base_lrs"]]
        self._last_lr = [float(rate) for rate in state["last_lr"]]


def check_state(name: str, state: Any, like: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state itself, if it has all the keys of another one.

    Raises
    ------
    DataError
        If it has not.
    """
    missing = [key for key in like if not isinstance(state, Mapping) or key not in state]
    if missing:
        raise DataError(f"{name}.load_state_dict", expected=f"the keys {', '.join(like)}",
                        actual=f"no {', '.join(missing)}")  # fmt: skip
    return state
