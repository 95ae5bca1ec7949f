"""Callbacks: what happens around the training loop without being part of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.errors import OptionError
from minidl.io import save

if TYPE_CHECKING:
    from minidl.train.trainer import Trainer

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "Schedule"]


class Callback:
    """Base of the callbacks: each method is called at its moment with the trainer; override what you need.

    Attributes
    ----------
    order : int
        Callbacks of a higher order are called later; equal ones in the order in which they were given.
    """

    order = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch (also when a run is resumed)."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After the optimizer's step."""

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """After validation; `row` is the epoch's row of the history. ``trainer.stop = True`` ends the run."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback must remember to resume a run."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""


def _watched(callback: str, row: Mapping[str, Any], monitor: str) -> float:
    if not isinstance(row.get(monitor), (int, float)):
        raise OptionError(
            callback, expected=f"a column {monitor!r} in the history", actual=", ".join(row),
            hint="val_… needs validation data in fit()",
        )  # fmt: skip
    return float(row[monitor])


def _check_mode(name: str, mode: str) -> None:
    if mode not in ("min", "max"):
        raise OptionError(name, expected='mode "min" or "max"', actual=repr(mode))


class EarlyStopping(Callback):
    """Stop when a number no longer improves, and put the best weights back.

    Parameters
    ----------
    monitor : str
        Column of the history.
    patience : int
        Epochs without improvement that are borne.
    min_delta : float
        An improvement must be larger than this.
    mode : {"min", "max"}
        Whether less or more is better.
    restore_best : bool
        Whether the model gets the weights of the best epoch at the end.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ) -> None:
        _check_mode("EarlyStopping", mode)
        if patience < 0 or not min_delta >= 0:
            raise OptionError("EarlyStopping", expected="patience >= 0 and min_delta >= 0",
                              actual=f"{patience} and {min_delta}")  # fmt: skip
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.restore_best = restore_best
        self.best = math.inf if mode == "min" else -math.inf
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.waited > self.patience:  # a finished run that is resumed
            trainer.stop = True

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        value = _watched("EarlyStopping", row, self.monitor)
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_epoch, self.waited = value, row["epoch"], 0
            if self.restore_best:
                state = trainer.model.state_dict()
                self._weights = {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in state.items()}
            return
        self.waited += 1
        if self.waited > self.patience:
            trainer.stop = True

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self._weights = state["weights"]


class Checkpoint(Callback):
    """Save everything a run needs to go on with the same bits: ``fit(..., resume_from=path)`` reads it.

    Parameters
    ----------
    path : path
        Conventionally ends in ``.safetensors``. It is replaced in one step; a kill never leaves half a file.
    every_epochs : int
        Save at the end of every n-th epoch.
    every_batches : int, optional
        Save after every n-th batch of an epoch, too.
    monitor : str, optional
        Save only when this column of the history is the best so far, among the epochs that `every_epochs` picks.
    mode : {"min", "max"}
        Whether less or more of it is better.
    """

    order = 1  # after schedules and early stopping: it must save what they have changed

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_epochs: int = 1,
        every_batches: int | None = None,
        monitor: str | None = None,
        mode: str = "min",
    ) -> None:
        _check_mode("Checkpoint", mode)
        if every_epochs < 1 or (every_batches is not None and every_batches < 1):
            raise OptionError("Checkpoint", expected="every_epochs >= 1 and every_batches >= 1",
                              actual=f"{every_epochs} and {every_batches}")  # fmt: skip
        self.path = path
        self.every_epochs = every_epochs
        self.every_batches = every_batches
        self.monitor = monitor
        self.mode = mode
        self.best = math.inf if mode == "min" else -math.inf

    def on_batch_end(self, trainer: Trainer) -> None:
        if self.every_batches is not None and trainer.batch % self.every_batches == 0:
            save(trainer.state_dict(), self.path)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if row["epoch"] % self.every_epochs != 0:
            return
        if self.monitor is not None:
            value = _watched("Checkpoint", row, self.monitor)
            if not (value < self.best if self.mode == "min" else value > self.best):
                return
            self.best = value
        save(trainer.state_dict(), self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]


class Schedule(Callback):
    """Step a learning-rate schedule after each epoch or each batch.

    Parameters
    ----------
    scheduler : LRScheduler or ReduceLROnPlateau
    per : {"epoch", "batch"}
    monitor : str, optional
        Column of the history that is handed to ``scheduler.step`` (for `ReduceLROnPlateau`).
    """

    def __init__(self, scheduler: Any, per: str = "epoch", monitor: str | None = None) -> None:
        if per not in ("epoch", "batch") or (per == "batch" and monitor is not None):
            raise OptionError("Schedule", expected='per "epoch" or "batch", monitor only with "epoch"',
                              actual=f"{per!r}, monitor {monitor!r}")  # fmt: skip
        self.scheduler = scheduler
        self.per = per
        self.monitor = monitor

    def on_batch_end(self, trainer: Trainer) -> None:
        if self.per == "batch":
            self.scheduler.step()

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if self.per == "epoch":
            if self.monitor is None:
                self.scheduler.step()
            else:
                self.scheduler.step(_watched("Schedule", row, self.monitor))

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(state)
