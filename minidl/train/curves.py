"""Learning curves as a picture."""

from __future__ import annotations

import os

from minidl.errors import OptionError
from minidl.io.figure import BLUE, ORANGE, new_figure, save_figure
from minidl.train.history import History

__all__ = ["plot_history"]


def plot_history(
    history: History, path: str | os.PathLike[str], title: str = "Learning curves", caption: str = ""
) -> None:
    """Draw the loss and each metric over the epochs, training beside validation.

    Parameters
    ----------
    history : History
        At least one epoch.
    path : path
        Its ending chooses the format: ``.png``, ``.svg`` or ``.pdf``.
    title, caption : str
        Above and below the curves.

    Raises
    ------
    OptionError
        If matplotlib is not installed or the history is empty.
    """
    if not len(history):
        raise OptionError("plot_history", expected="at least one epoch", actual="an empty history")
    figure = new_figure()
    names = [
        name
        for name in history.names
        if not name.startswith("val_") and name not in ("epoch", "seconds", "lr") and _numbers(history, name)
    ]
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    figure.set_size_inches(4.5 * len(names), 3.4)
    for axis, name in zip(axes, names, strict=True):
        for column, label, colour in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
            if column in history.names:
                axis.plot(history["epoch"], history[column], label=label, color=colour, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss (mean per sample)" if name == "loss" else name)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    save_figure(figure, path, caption)


def _numbers(history: History, name: str) -> bool:
    return all(isinstance(value, (int, float)) for value in history[name])
