"""Callbacks that write down the history: as a table, as lines of JSON, as a picture.

Each writes its whole file anew after every epoch, in one step: a killed run leaves a whole file, and a resumed one
neither repeats nor loses an epoch.
"""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any

from minidl.io import write_atomically
from minidl.train.callbacks import Callback
from minidl.train.curves import plot_history

if TYPE_CHECKING:
    from minidl.train.trainer import Trainer

__all__ = ["CSVLog", "Curves", "JSONLinesLog"]


class CSVLog(Callback):
    """The history as comma-separated values with a header line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, trainer.history.names, restval="")
        writer.writeheader()
        writer.writerows(trainer.history.rows)
        write_atomically(self.path, text.getvalue().encode())


class JSONLinesLog(Callback):
    """The history as one JSON object a line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        lines = "".join(json.dumps(entry) + "\n" for entry in trainer.history)
        write_atomically(self.path, lines.encode())


class Curves(Callback):
    """The learning curves as a picture (PNG, SVG or PDF by the file's ending); needs matplotlib."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_epoch_end(self, trainer: Trainer, row: dict[str, Any]) -> None:
        plot_history(trainer.history, self.path)
