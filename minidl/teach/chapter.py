"""Chapter: what every script in `tutorials/` needs: its mode, its figures with captions, and one line of results."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from minidl.errors import OptionError
from minidl.io.figure import new_figure, save_figure
from minidl.teach.notebook import in_notebook, show_picture

__all__ = ["MODES", "Chapter"]

MODES = ("smoke", "default", "full")

T = TypeVar("T")


class Chapter:
    """One chapter as it runs.

    Parameters
    ----------
    name : str
        The script without its ending, ``"08_convolution"``; also the name of the folder of its figures.
    title : str
        Printed as a heading.

    Attributes
    ----------
    name, title : str
    mode : str
        ``MINIDL_MODE``: ``"smoke"`` (a test that it runs), ``"default"`` or ``"full"`` (real data, more of everything).
    folder : Path
        Where figures go: ``figures/<name>``, or ``MINIDL_FIGURES/<name>``. May be set to another one.

    Raises
    ------
    OptionError
        If ``MINIDL_MODE`` is none of the three, the name is not of the form ``NN_name``, or figures cannot be written.
    """

    def __init__(self, name: str, title: str) -> None:
        if not re.fullmatch(r"\d\d_\w+", name):
            raise OptionError("Chapter", expected="a name such as '08_convolution'", actual=repr(name))
        self.name = name
        self.title = title
        self.mode = os.environ.get("MINIDL_MODE") or "default"
        if self.mode not in MODES:
            raise OptionError(
                "MINIDL_MODE", expected="smoke, default or full", actual=repr(self.mode),
                hint="default is what you get without it",
            )  # fmt: skip
        self.folder = Path(os.environ.get("MINIDL_FIGURES") or "figures") / name
        _refuse_unwritable(self.folder)
        self._started = time.perf_counter()
        heading = f"{int(name[:2])}. {title}"
        print(f"{heading}\n{'=' * len(heading)}")

    def pick(self, *, smoke: T, default: T, full: T) -> T:
        """The value for this mode.

        Examples
        --------
        ``epochs = chapter.pick(smoke=1, default=20, full=50)``
        """
        return {"smoke": smoke, "default": default, "full": full}[self.mode]

    def figure(self, width: float = 7.0, height: float = 4.0) -> Any:
        """A matplotlib figure that needs no display, in inches: ``axis = figure.subplots()``."""
        return new_figure(width, height)

    def save(self, figure: Any, name: str, caption: str) -> None:
        """Write a figure as ``<folder>/<name>.png``, its caption below the picture and in the file's metadata.

        In a notebook the picture is shown, too.

        Raises
        ------
        OptionError
            Without a caption: a picture that nobody explains teaches nothing.
        """
        if not caption.strip():
            raise OptionError(
                "Chapter.save", expected="a caption", actual="an empty one",
                hint="one or two sentences: what is to be seen here?",
            )  # fmt: skip
        path = self.folder / f"{name}.png"
        # A coarse picture is enough for a test that it can be drawn, and is drawn faster.
        save_figure(figure, path, caption, dpi=70 if self.mode == "smoke" else 130)
        self.show(name)

    def show(self, name: str) -> None:
        """Show a picture that was written into the chapter's folder, in a notebook; elsewhere do nothing."""
        show_picture(self.folder / f"{name}.png")

    def progress(self, iterable: Iterable[T], description: str = "", **options: Any) -> Iterable[T]:
        """A progress bar around an iterable; quiet where the output is not a terminal or a notebook.

        `options` are tqdm's: ``unit="epoch"``, ``total=…``.
        """
        from tqdm import tqdm

        silent = not (in_notebook() or sys.stderr.isatty())
        return tqdm(iterable, desc=description, leave=False, disable=silent, **options)

    def report(self, **metrics: float) -> None:
        """Print the chapter's results as one line, the last one; tests read it.

        Raises
        ------
        OptionError
            If a metric is not a number.

        Examples
        --------
        ``chapter.report(accuracy=0.981)`` prints
        ``report 08_convolution: accuracy=0.981 (mode default, 12.3 s)``.
        """
        seconds = time.perf_counter() - self._started
        words = " ".join(f"{name}={_number(name, value)}" for name, value in metrics.items())
        print(f"report {self.name}: {words} (mode {self.mode}, {seconds:.1f} s)")


def _refuse_unwritable(folder: Path) -> None:
    """Say now, not after minutes of training, that figures will have no place."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise OptionError(
            "MINIDL_FIGURES", expected="a folder that can be written to", actual=str(folder),
            hint="run the chapter from a folder of your own, or name one: MINIDL_FIGURES=/tmp/figures",
        )  # fmt: skip


def _number(name: str, value: Any) -> str:
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.5g}"
    raise OptionError("Chapter.report", expected=f"a number for {name}", actual=f"a {type(value).__name__}",
                      hint="float(x), or x.item() for a Tensor")  # fmt: skip
