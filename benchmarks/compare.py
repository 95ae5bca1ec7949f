"""A B A B: run each case of a table on minidl and on its peer, in turn, and judge the ratio."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.timing import Ratio, ratio_of_rounds
from benchmarks.workers import ADJUSTABLE, Case, Prepared, Worker, WorkerError

__all__ = ["Arena", "Row", "Settings", "agree"]


SAME_NUMBER = 1e-4
"""How far two single numbers, such as the losses of the first step, may be apart."""


@dataclass(frozen=True)
class Settings:
    """How long to measure: rounds of so many seconds and at least so many samples, by so many threads."""

    threads: int
    quick: bool = False

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 9

    @property
    def seconds(self) -> float:
        return 0.005 if self.quick else 0.2

    @property
    def samples(self) -> int:
        return 1 if self.quick else 3


@dataclass
class Row:
    """A line of a table. `ours` and `theirs` are in `unit`; `ratio` > 1 means that minidl is better.

    `level` is what `judged` has to reach (the ratio, if nothing else is said), or for ``at_most`` not to exceed.
    `verdict` judges rows for which it is no number that decides.
    """

    name: str
    ours: float | None = None
    theirs: float | None = None
    unit: str = "s"
    peer: str = "torch"
    ratio: Ratio | None = None
    level: float | None = None
    judged: float | None = None
    at_most: bool = False
    verdict: bool | None = None
    note: str = ""
    rounds: list[tuple[float, float]] = field(default_factory=list)
    flops: float = 0.0
    traffic: float = 0.0

    @property
    def hit(self) -> bool | None:
        """Whether the level is reached; None where there is no level. A row that failed reaches nothing."""
        if self.level is None:
            return self.verdict
        value = self.judged if self.judged is not None else self.ratio.median if self.ratio else None
        if value is None:
            return False
        return value <= self.level if self.at_most else value >= self.level


def agree(ours: Prepared, theirs: Prepared, tolerance: float) -> str:
    """Say how the first results differ, nothing if they agree (float32, sums in another order)."""
    if len(ours.fingerprint) != len(theirs.fingerprint):
        return f"{len(ours.fingerprint)} arrays against {len(theirs.fingerprint)}"
    for number, (mine, other) in enumerate(zip(ours.fingerprint, theirs.fingerprint, strict=True)):
        # The length bounds a projection's size, so it is what a difference has to be compared with.
        scale = max(mine.length, other.length, 1e-6)
        worst = max(abs(mine.length - other.length), abs(mine.projection - other.projection)) / scale
        if not worst <= (tolerance if mine.size > 1 else SAME_NUMBER):
            return f"results differ: array {number} by {worst:.1e} (relative)"
    return ""


class Arena:
    """The contenders' processes, started when first asked for, and the rounds between them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._workers: dict[tuple[str, int], Worker] = {}

    def worker(self, contender: str, threads: int | None = None) -> Worker:
        """The process of a contender, told to use so many threads (the run's, by default); a new one if it died.

        NumPy's BLAS reads the number once, at its start: so there is a process for each.
        """
        threads = threads or self.settings.threads
        adjustable = contender in ADJUSTABLE
        key = (contender, self.settings.threads if adjustable else threads)
        worker = self._workers.get(key)
        if worker is None or not worker.process.is_alive():
            worker = self._workers[key] = Worker(contender, key[1])
        if adjustable:
            worker.ask("threads", threads)
        return worker

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    @contextmanager
    def fresh(self, contender: str) -> Iterator[Worker]:
        """A process of its own for one measurement, such as a peak of memory."""
        worker = Worker(contender, self.settings.threads)
        try:
            yield worker
        finally:
            worker.close()

    def compare(self, cases: Iterable[Case], show: Callable[[Row], None]) -> list[Row]:
        """Measure cases one after the other; `show` is given each row as soon as it is known."""
        rows = []
        for case in cases:
            row = Row(case.name, peer=case.peer, level=case.level, flops=case.flops, traffic=case.traffic)
            try:
                self._compare(case, row)
            except WorkerError as error:
                row.note = str(error).splitlines()[0]
            rows.append(row)
            show(row)
        return rows

    def _compare(self, case: Case, row: Row) -> None:
        ours, theirs = (self.worker(contender, case.threads) for contender in ("minidl", case.peer))
        first = [worker.ask("prepare", case, self.settings.seconds / 2) for worker in (ours, theirs)]
        row.note = agree(first[0], first[1], case.tolerance)
        if row.note:
            return
        for _ in range(self.settings.rounds):
            pair = [worker.ask("measure", self.settings.seconds, self.settings.samples) for worker in (ours, theirs)]
            row.rounds.append((pair[0], pair[1]))
        mine, other = zip(*row.rounds, strict=True)
        row.ours, row.theirs = statistics.median(mine), statistics.median(other)
        row.ratio = ratio_of_rounds(mine, other)
