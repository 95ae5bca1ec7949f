"""What was measured, for people (a table) and for programs (JSON)."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import Row

__all__ = ["format_head", "format_row", "format_summary", "machine", "write_json"]

NAME = 58


def processor_name() -> str:
    """The processor as the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def machine(facts: Mapping[str, Mapping[str, str]], threads: int) -> dict[str, Any]:
    """Where and with what this was measured; `facts` is what the contenders' processes said of themselves."""
    versions: dict[str, str] = {}
    for each in facts.values():
        versions |= each
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.platform(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load at the start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        **versions,
    }


def format_value(value: float | None, unit: str) -> str:
    """A measured value with three digits that count.

    Examples
    --------
    >>> format_value(0.00123, "s"), format_value(1.5e-06, "s"), format_value(12.3456, "MB"), format_value(None, "s")
    ('1.23 ms', '1.50 µs', '12.3 MB', '-')
    """
    if value is None:
        return "-"
    if unit == "s":
        factor, unit = next(
            (factor, unit) for least, factor, unit in ((1, 1, "s"), (1e-3, 1e3, "ms"), (0, 1e6, "µs")) if value >= least
        )
        value *= factor
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{decimals}f} {unit}"


def format_head(suite: str) -> str:
    """Title and head of a suite's table."""
    head = f"{suite:{NAME}} {'minidl':>9} {'peer':>16} {'ratio [quartiles]':>20} {'level':>6}"
    return f"\n{head}\n{'-' * (len(head) + 6)}"


def format_row(row: Row) -> str:
    """A row of the table: both values, the ratio with its quartiles, the level and whether it was hit."""
    peer = f"{row.peer} {format_value(row.theirs, row.unit)}"
    ratio = f"{row.ratio.median:.2f} [{row.ratio.lower:.2f} {row.ratio.upper:.2f}]" if row.ratio else "-"
    level = "" if row.level is None else f"{'<=' if row.at_most else ''}{row.level:g}"
    mark = {None: "", True: "hit", False: "MISS"}[row.hit]
    ours = format_value(row.ours, row.unit)
    return f"{row.name:{NAME}} {ours:>9} {peer:>16} {ratio:>20} {level:>6} {mark:4} {row.note}".rstrip()


def format_summary(suites: Mapping[str, Sequence[Row]]) -> str:
    """How many levels were hit, and the names of those missed."""
    judged = [row for rows in suites.values() for row in rows if row.hit is not None]
    missed = [row for row in judged if not row.hit]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} levels hit"]
    for row in missed:
        reached = row.judged if row.judged is not None else row.ratio.median if row.ratio else None
        text = row.note if reached is None else f"{reached:.2f}, level {row.level:g}"
        lines.append(f"  missed: {row.name}: {text}")
    return "\n".join(lines)


def write_json(
    path: str | os.PathLike[str],
    facts: Mapping[str, Any],
    settings: Mapping[str, Any],
    suites: Mapping[str, Sequence[Row]],
) -> None:
    """Write everything, each round included, as JSON (times in seconds where no other unit is named)."""

    def plain(row: Row) -> dict[str, Any]:
        fields = dataclasses.asdict(row)
        fields["ratio"] = dict(row.ratio._asdict()) if row.ratio else None
        return {**fields, "hit": row.hit}

    content = {
        "machine": dict(facts),
        "settings": dict(settings),
        "suites": {suite: [plain(row) for row in rows] for suite, rows in suites.items()},
    }
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
