"""The chapters in `tutorials/`: where they are, what their first cell says of them, running one, making a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minidl.errors import DataError, OptionError
from minidl.io.atomic import write_atomically

__all__ = ["Script", "find_scripts", "make_notebook", "run_script", "tutorials_folder"]

_PACKAGE = Path(__file__).parents[1]
_TITLE = re.compile(r"^# # (\d+)\. (.+)$", re.MULTILINE)
# A paragraph of its own: it ends at the next empty line.
_NEEDS = re.compile(r"^# \*\*Time\*\*: (.+?)\. \*\*Data\*\*: (.+?)\.?\s*(?=^#?\s*$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Script:
    """A chapter's script and what its first markdown cell says.

    Attributes
    ----------
    path : Path
    number : int
    title, time, data : str
        Empty where the cell does not say.
    """

    path: Path
    number: int
    title: str
    time: str
    data: str


def tutorials_folder() -> Path:
    """The folder of the scripts: ``MINIDL_TUTORIALS``, or `tutorials` beside the package in a checkout.

    Raises
    ------
    DataError
        If there are no chapters in it.
    """
    named = os.environ.get("MINIDL_TUTORIALS")
    folder = Path(named).expanduser() if named else _PACKAGE.parent / "tutorials"
    if not any(folder.glob("[0-9][0-9]_*.py")):
        raise DataError(
            "chapters", expected="a folder with chapters such as 08_convolution.py", actual=f"none in {folder}",
            hint="the chapters are part of the source, not of the installed package: clone the repository and run "
            "there, or set MINIDL_TUTORIALS to its folder tutorials",
        )  # fmt: skip
    return folder


def find_scripts() -> list[Script]:
    """Every chapter, in order."""
    return [_read(path) for path in sorted(tutorials_folder().glob("[0-9][0-9]_*.py"))]


def _read(path: Path) -> Script:
    first_cell = path.read_text(encoding="utf-8").split("\n# %%")[0]
    title = _TITLE.search(first_cell)
    needs = _NEEDS.search(first_cell)
    return Script(
        path,
        int(path.name[:2]),
        title.group(2) if title else path.stem[3:].replace("_", " "),
        _joined(needs.group(1)) if needs else "",
        _joined(needs.group(2)) if needs else "",
    )


def _joined(comment: str) -> str:
    """The lines of a comment as one."""
    return re.sub(r"\s*\n# ?", " ", comment)


def _script(number: int) -> Script:
    scripts = {script.number: script for script in find_scripts()}
    if number not in scripts:
        there = ", ".join(map(str, scripts))
        raise OptionError("chapter", expected=f"one of the chapters {there}", actual=str(number))
    return scripts[number]


def run_script(number: int, mode: str | None = None, arguments: Sequence[str] = ()) -> int:
    """Run a chapter in a Python of its own; returns its exit status.

    Parameters
    ----------
    number : int
    mode : str, optional
        ``MINIDL_MODE`` for this run.
    arguments : sequence of str
        Passed on to the script.
    """
    environment = dict(os.environ)
    if mode is not None:
        environment["MINIDL_MODE"] = mode
    # The script's own folder comes first on Python's path, not this one: let it find the minidl that runs here.
    known = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = str(_PACKAGE.parent) + (os.pathsep + known if known else "")
    command = [sys.executable, str(_script(number).path), *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def make_notebook(number: int, path: str | os.PathLike[str] | None = None) -> Path:
    """Write a chapter as a Jupyter notebook, by default into the working folder under the script's name.

    Raises
    ------
    OptionError
        If jupytext is not installed.
    """
    try:
        import jupytext
    except ImportError as error:
        raise OptionError(
            "tutorials notebook", expected="jupytext, which makes notebooks of scripts", actual="it is not installed",
            hint='pip install jupytext, or minidl with the extra "tutorials"',
        ) from error  # fmt: skip
    source = _script(number).path
    target = Path(path) if path is not None else Path(f"{source.stem}.ipynb")
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    write_atomically(target, jupytext.writes(notebook, fmt="ipynb").encode())
    return target
