"""Suites "threads" and "scaling": what more cores bring, and whether time and memory grow in step with the batch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.compare import Arena, Row
from benchmarks.kernels import LARGE_CONVOLUTIONS, convolution, product
from benchmarks.memory import MEGABYTE
from benchmarks.primitives import primitive
from benchmarks.steps import training_step
from benchmarks.timing import Ratio, ratio_of_rounds
from benchmarks.workers import Case, WorkerError

__all__ = ["deviation_from_a_line", "measure_scaling", "measure_threads"]

ALLOWED = 0.15
"""How far time and memory may stray from a straight line in the batch."""

CASES = [
    Case("LeNet-5, batch 64", training_step, ("lenet", 64, "SGD")),
    Case("CIFAR CNN, batch 64", training_step, ("cifar_cnn", 64, "Adam")),
    Case("MLP, batch 128", training_step, ("mlp", 128, "Adam")),
    Case("ResNet-20, batch 64", training_step, ("resnet20", 64, "SGD")),
    *[
        Case(f"conv 64 to 64 @ 56, {what}", convolution, (what, LARGE_CONVOLUTIONS[0]))
        for what in ("forward", "input gradient", "weight gradient")
    ],
    Case("matmul 1024", product, (1024, 1024, 1024, 1)),
    Case("batch norm (64,32,30), backward", primitive, ("batch norm (64,32,30)", "backward")),
]
QUICK_CASES = [case for case in CASES if case.name in ("LeNet-5, batch 64", "conv 64 to 64 @ 56, forward")]


def measure_threads(arena: Arena, selected: Callable[[str], bool], show: Callable[[Row], None]) -> list[Row]:
    """Speed-up from one thread to all of them, for both; and whether minidl's results are the same to the last bit."""
    settings = arena.settings
    threads = settings.threads
    rows: list[Row] = []
    if threads == 1:  # one against one would prove nothing
        return rows
    for case in QUICK_CASES if settings.quick else CASES:
        name = f"{case.name}: 1 to {threads} threads"
        if not selected(name):
            continue
        row = Row(name, unit="x")
        try:
            measured = [_speedup(arena, contender, case, threads) for contender in ("minidl", "torch")]
        except WorkerError as error:
            row.note = str(error).splitlines()[0]
        else:
            (row.ours, row.verdict), (row.theirs, _) = measured
            row.note = "bit-equal" if row.verdict else "minidl's bits DIFFER"
        rows.append(row)
        show(row)
    return rows


def _speedup(arena: Arena, contender: str, case: Case, threads: int) -> tuple[float, bool]:
    settings = arena.settings
    digests = [arena.worker(contender, count).ask("prepare", case, 0.0).digest for count in (1, threads)]
    rounds = []
    for _ in range(max(3, settings.rounds // 2)):
        rounds.append(
            [
                arena.worker(contender, count).ask("measure", settings.seconds, settings.samples)
                for count in (1, threads)
            ]
        )
    one, many = zip(*rounds, strict=True)
    return ratio_of_rounds(many, one).median, digests[0] == digests[1]


def deviation_from_a_line(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Largest relative distance of `values` from the best line a + b * size, in relative least squares.

    Relative, so that the small batches count as much as the large ones.

    Examples
    --------
    >>> deviation_from_a_line([1, 2, 4], [5.0, 7.0, 11.0]) < 1e-9
    True
    >>> deviation_from_a_line([1, 2, 4, 8], [1.0, 4.0, 16.0, 64.0]) > 0.15
    True
    """
    x, y = np.array(sizes, float), np.array(values, float)
    design = np.stack([np.ones_like(x), x], axis=1) / y[:, None]
    line, *_ = np.linalg.lstsq(design, np.ones_like(y), rcond=None)
    return float(np.abs(design @ line - 1).max())


def measure_scaling(arena: Arena, selected: Callable[[str], bool], show: Callable[[Row], None]) -> list[Row]:
    """Time and memory of a training step at batches of 16 to 1024: rows for each size, and a verdict on the line.

    A quick run leaves out the memory, which takes a fresh process for each number.
    """
    sizes = [16, 128, 1024] if arena.settings.quick else [16, 32, 64, 128, 256, 512, 1024]
    rows = []
    for what, unit in (("time", "ms"),) if arena.settings.quick else (("time", "ms"), ("memory", "MB")):
        measured: list[tuple[float, float]] = []
        names = [f"{what} of a LeNet-5 step, batch {size}" for size in sizes]
        verdict = f"{what}: distance from a straight line in the batch"
        if not any(map(selected, [*names, verdict])):
            continue
        for name, size in zip(names, sizes, strict=True):
            row = Row(name, unit=unit)
            try:
                ours, theirs = (_time if what == "time" else _memory)(arena, size)
            except WorkerError as error:
                row.note = str(error).splitlines()[0]
            else:
                measured.append((ours, theirs))
                row.ours, row.theirs = ours, theirs
                row.ratio = Ratio(*[theirs / ours] * 3)
            rows.append(row)
            show(row)
        row = Row(verdict, unit="%", level=100 * ALLOWED, at_most=True)
        if len(measured) == len(sizes):
            ours, theirs = (100 * deviation_from_a_line(sizes, values) for values in zip(*measured, strict=True))
            row.ours, row.theirs, row.judged = ours, theirs, ours
        rows.append(row)
        show(row)
    return rows


def _time(arena: Arena, batch: int) -> tuple[float, float]:
    """Milliseconds of a training step."""
    settings = arena.settings
    case = Case("", training_step, ("lenet", batch, "SGD"))
    workers = [arena.worker("minidl"), arena.worker("torch")]
    for worker in workers:
        worker.ask("prepare", case, settings.seconds)
    rounds = [
        [1e3 * worker.ask("measure", settings.seconds, settings.samples) for worker in workers]
        for _ in range(settings.rounds)
    ]
    ours, theirs = map(statistics.median, zip(*rounds, strict=True))
    return ours, theirs


def _memory(arena: Arena, batch: int) -> tuple[float, float]:
    """Megabytes that a training step adds at its peak, each in a fresh process."""
    peaks = []
    for contender in ("minidl", "torch"):
        with arena.fresh(contender) as worker:
            arguments = (contender, "lenet", batch, "SGD", 3)
            peaks.append(worker.ask("call", "benchmarks.memory", "peak_of_training", arguments).added / MEGABYTE)
    return peaks[0], peaks[1]
