"""Suite "memory": how much a training step needs at its peak, and whether a thousand steps need more than a hundred.

Each number comes from a process of its own: memory that was once used is rarely given back, so a second measurement in
the same process would see the first. The peak is the operating system's (everything resident, whoever asked for it).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.compare import Arena, Row
from benchmarks.steps import training_step
from benchmarks.timing import Ratio
from benchmarks.workers import WorkerError

__all__ = ["Peak", "growth_of_training", "measure", "peak_of_training"]

MEGABYTE = 2**20


class Peak(NamedTuple):
    """Bytes resident: with the library imported, at the peak of training, and how much above the former."""

    imported: int
    peak: int

    @property
    def added(self) -> int:
        return self.peak - self.imported


def resident() -> tuple[int, int]:
    """Bytes of this process in memory now, and at its peak so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: that is inherited from the parent when the process starts.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmRSS"].split()[0]) * 1024, int(fields["VmHWM"].split()[0]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = largest if sys.platform == "darwin" else largest * 1024
    return peak, peak


def forget_peak() -> None:
    """Let the peak begin at what is resident now, where the system knows how (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_of_training(contender: str, network: str, batch: int, optimizer: str, steps: int) -> Peak:
    """Train for some steps in this (fresh) process; runs in the worker."""
    training_step(contender, "lenet", 1, "SGD").run()  # thread pools and lazily loaded libraries are not the network's
    forget_peak()
    imported, _ = resident()
    work = training_step(contender, network, batch, optimizer)
    for _ in range(steps):
        work.run()
    return Peak(imported, resident()[1])


def growth_of_training(contender: str, network: str, batch: int, optimizer: str, steps: int) -> int:
    """Bytes resident after `steps` more steps, minus before, after a tenth as many to warm up; runs in the worker."""
    work = training_step(contender, network, batch, optimizer)
    for _ in range(steps // 10):
        work.run()
    before, _ = resident()
    for _ in range(steps):
        work.run()
    return resident()[0] - before


NETWORKS = [
    ("LeNet-5, batch 64", "lenet", 64, "SGD"),
    ("CIFAR CNN, batch 256", "cifar_cnn", 256, "Adam"),
    ("ResNet-20, batch 64", "resnet20", 64, "SGD"),
    ("ResNet-18, batch 4", "resnet18", 4, "SGD"),
]


def measure(arena: Arena, selected: Callable[[str], bool], show: Callable[[Row], None]) -> list[Row]:
    """All rows of the suite whose names are selected."""
    rows = []
    quick = arena.settings.quick
    for title, network, batch, optimizer in NETWORKS[1:2] if quick else NETWORKS:
        rows.append(Row(f"peak of training above the import, {title}", unit="MB", level=1.0))
        if selected(rows[-1].name):
            _peak(arena, rows[-1], (network, batch, optimizer, 3 if quick else 10))
            show(rows[-1])
    steps = 100 if quick else 1000
    rows.append(Row(f"growth over {steps} steps, LeNet-5, batch 64", unit="MB", level=1.0, at_most=True))
    if selected(rows[-1].name):
        contenders = ("minidl",) if quick else ("minidl", "torch")  # a process each, and starting PyTorch takes seconds
        _growth(arena, rows[-1], contenders, ("lenet", 64, "SGD", steps))
        show(rows[-1])
    return [row for row in rows if selected(row.name)]


def _peak(arena: Arena, row: Row, arguments: tuple[object, ...]) -> None:
    peaks = []
    try:
        for contender in ("minidl", "torch"):
            with arena.fresh(contender) as worker:
                peaks.append(worker.ask("call", "benchmarks.memory", "peak_of_training", (contender, *arguments)))
    except WorkerError as error:
        row.note = str(error).splitlines()[0]
        return
    ours, theirs = peaks
    row.ours, row.theirs = ours.added / MEGABYTE, theirs.added / MEGABYTE
    row.ratio = Ratio(*[theirs.added / max(ours.added, 1)] * 3)
    row.note = f"whole process {ours.peak / MEGABYTE:.0f} and {theirs.peak / MEGABYTE:.0f} MB"


def _growth(arena: Arena, row: Row, contenders: tuple[str, ...], arguments: tuple[object, ...]) -> None:
    grown: list[float | None] = []
    try:
        for contender in contenders:
            with arena.fresh(contender) as worker:
                added = worker.ask("call", "benchmarks.memory", "growth_of_training", (contender, *arguments))
            grown.append(added / MEGABYTE)
    except WorkerError as error:
        row.note = str(error).splitlines()[0]
        return
    row.ours, row.theirs = grown if len(grown) > 1 else (grown[0], None)
    row.judged = row.ours
