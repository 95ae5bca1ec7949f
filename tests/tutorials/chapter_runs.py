"""Running a chapter as its reader does, but without a network, and reading what it reports.

``metrics = run_chapter("08_convolution")`` runs the script in smoke mode in a folder of its own, insists that it ends
with one report line, and that each figure is there, is not blank, and has a caption.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "tutorials"

# Python imports a module of this name by itself when it starts; workers that it starts inherit it.
NO_NETWORK = """
import socket

def _refuse(*arguments, **options):
    raise OSError("there is no network in tests")

def _unless_local(method):
    def connect(self, *arguments):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse()
        return method(self, *arguments)
    return connect

socket.socket.connect = _unless_local(socket.socket.connect)
socket.socket.connect_ex = _unless_local(socket.socket.connect_ex)
socket.getaddrinfo = _refuse
"""

NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)"
REPORT = re.compile(rf"report (\S+): ((?:\w+={NUMBER} )+)\(mode (\w+), [\d.]+ s\)")


class Metrics(dict):
    """``{metric: number}`` of the report line; `output` is what was printed, `figures` the pictures' names."""

    output: str = ""
    figures: Sequence[str] = ()


def run_script(
    script: Path,
    folder: Path,
    *arguments: str,
    mode: str = "smoke",
    timeout: float = 120,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a script in `folder`, without a network and without the user's data; returns what it printed."""
    with tempfile.TemporaryDirectory() as blocked:
        Path(blocked, "sitecustomize.py").write_text(NO_NETWORK)
        inherited = {k: v for k, v in os.environ.items() if k not in ("MINIDL_DATA", "MINIDL_FIGURES", "DISPLAY")}
        paths = [blocked, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        child = {
            **inherited,
            "MINIDL_MODE": mode,
            "MINIDL_PROGRESS": str(folder / "exercises.json"),
            "PYTHONPATH": os.pathsep.join(paths),
            **(environment or {}),
        }
        result = subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True, text=True, env=child, cwd=folder, timeout=timeout,
        )  # fmt: skip
    assert result.returncode == 0, f"{script.name} failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def read_report(output: str, name: str, mode: str) -> Metrics:
    """The metrics of the one report line, which must be the last."""
    lines = output.strip().splitlines()
    reports = [line for line in lines if line.startswith("report ")]
    assert len(reports) == 1 and lines[-1] == reports[0], f"expected one report as the last line, got {lines[-3:]}"
    match = REPORT.fullmatch(lines[-1])
    assert match, f"not a report: {lines[-1]!r}"
    assert match.group(1) == name and match.group(3) == mode
    metrics = Metrics((key, float(value)) for key, value in (word.split("=") for word in match.group(2).split()))
    metrics.output = output
    return metrics


def check_figures(folder: Path) -> list[str]:
    """Names of the pictures in a folder, each of them looked at: size, content, caption."""
    paths = sorted(folder.glob("*.png"))
    assert paths, f"no figure in {folder}"
    for path in paths:
        with Image.open(path) as image:
            caption = image.text.get("Caption", "")
            pixels = np.asarray(image.convert("L"), dtype=float)
        assert len(caption.split()) >= 4, f"{path.name} has no caption: {caption!r}"
        assert min(pixels.shape) >= 100, f"{path.name} has {pixels.shape} pixels"
        # Without the caption, which is drawn at the bottom: an empty sheet with a caption is still blank.
        assert pixels[: int(0.7 * len(pixels))].std() > 4, f"{path.name} is blank"
    return [path.stem for path in paths]


def run_chapter(
    name: str,
    *arguments: str,
    mode: str = "smoke",
    timeout: float = 120,
    environment: dict[str, str] | None = None,
) -> Metrics:
    """Run ``tutorials/<name>.py`` and return its metrics; its figures are checked on the way."""
    with tempfile.TemporaryDirectory() as folder:
        output = run_script(
            TUTORIALS / f"{name}.py", Path(folder), *arguments, mode=mode, timeout=timeout, environment=environment
        )
        metrics = read_report(output, name, mode)
        metrics.figures = check_figures(Path(folder) / "figures" / name)
    return metrics
