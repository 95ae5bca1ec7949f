"""Figures that need no display: making one, and writing it in one step. matplotlib is imported when asked."""

from __future__ import annotations

import io
import os
import textwrap
from pathlib import Path
from typing import Any

from minidl.errors import OptionError
from minidl.io.atomic import write_atomically

__all__ = ["BLUE", "GREEN", "ORANGE", "PURPLE", "SKY", "YELLOW", "diverging", "new_figure", "save_figure"]

# Okabe and Ito's palette, told apart by colour-blind readers. Source: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, PURPLE, YELLOW = "#56B4E9", "#CC79A7", "#E69F00"


def new_figure(width: float = 6.0, height: float = 4.0) -> Any:
    """A matplotlib figure of its own, in inches, that leaves matplotlib's global state alone.

    Raises
    ------
    OptionError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError(
            "figure", expected="matplotlib for pictures", actual="it is not installed", hint="pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def diverging() -> Any:
    """A colour map from blue (negative) over white (zero) to orange (positive)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blue-white-orange", [BLUE, "white", ORANGE])


def save_figure(figure: Any, path: str | os.PathLike[str], caption: str = "", dpi: int = 130) -> None:
    """Write a figure in one step; the ending of `path` chooses the format (PNG, SVG, PDF).

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
    caption : str, optional
        A sentence below the picture that says what is to be seen; a PNG file carries it as metadata, too ("Caption").
    dpi : int
        Pixels per inch.
    """
    form = Path(path).suffix.lstrip(".") or "png"
    if caption:
        columns = max(30, int(figure.get_size_inches()[0] * 15))
        figure.supxlabel(textwrap.fill(caption, columns), fontsize=9, x=0.5, ha="center")
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=dpi, metadata={"Caption": caption} if caption and form == "png" else None)
    write_atomically(path, content.getvalue())
