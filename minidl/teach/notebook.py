"""Whether this runs in a notebook, and showing a picture there."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["in_notebook", "show_picture"]


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this code."""
    return "ipykernel" in sys.modules


def show_picture(path: Path) -> None:
    """Show a PNG file below the cell, in a notebook; elsewhere do nothing."""
    if in_notebook():
        from IPython.display import Image, display

        display(Image(filename=str(path)))
