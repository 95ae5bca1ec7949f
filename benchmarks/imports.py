"""Suite "import": how long a fresh interpreter takes to import a library."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable

from benchmarks.compare import Arena, Row
from benchmarks.timing import ratio_of_rounds

__all__ = ["import_seconds", "measure"]


def import_seconds(module: str) -> float:
    """Seconds for importing `module` in a process of its own, the start of the interpreter not counted.

    Examples
    --------
    >>> 0 < import_seconds("json") < 60
    True
    """
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(result.stdout)


def measure(arena: Arena, selected: Callable[[str], bool], show: Callable[[Row], None]) -> list[Row]:
    """minidl against PyTorch, and against NumPy, which it contains."""
    peers = ("torch", "numpy")
    names = {peer: f"import minidl, against import {peer}" for peer in peers}
    if not any(map(selected, names.values())):
        return []
    modules = ("minidl", *peers)  # in the file cache already, and compiled to byte code: the contenders imported them
    rounds = [[import_seconds(module) for module in modules] for _ in range(1 if arena.settings.quick else 7)]
    ours, *others = zip(*rounds, strict=True)
    rows = []
    for peer, theirs in zip(peers, others, strict=True):
        row = Row(names[peer], statistics.median(ours), statistics.median(theirs), peer=peer)
        row.ratio = ratio_of_rounds(ours, theirs)
        row.level = 1.0 if peer == "torch" else None
        if selected(row.name):
            rows.append(row)
            show(row)
    return rows
