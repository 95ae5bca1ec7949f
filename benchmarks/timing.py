"""Time a function: long enough samples, the median of them, and ratios with quartiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["Ratio", "calls_per_sample", "median_seconds", "ratio_of_rounds", "warm_up"]

SHORTEST_SAMPLE = 100e-6
"""Seconds: a thousand times what it takes to read the clock, so reading it adds 0.1 % at most."""
LONG = 0.1
"""Seconds: a thousand times what it takes to wake a thread."""


def warm_up(run: Callable[[], Any], seconds: float, calls: int = 3) -> float:
    """Call `run` for so long and at least so often (once is enough if long); return the seconds of the fastest call."""
    fastest = float("inf")
    started = time.perf_counter()
    done = 0
    while not done or (done < calls and fastest < LONG) or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - before)
        done += 1
    return fastest


def calls_per_sample(seconds_per_call: float) -> int:
    """How many calls make a sample that is long against the resolution of the clock.

    Examples
    --------
    >>> calls_per_sample(2e-6), calls_per_sample(0.5)
    (50, 1)
    """
    return max(1, round(SHORTEST_SAMPLE / max(seconds_per_call, 1e-9)))


def median_seconds(run: Callable[[], Any], calls: int, seconds: float, samples: int) -> float:
    """Measure one round: samples of so many calls, for `seconds` and at least `samples` of them. Return the median.

    The first call wakes the threads that fell asleep while the other contender was measured; it counts only where it
    is so long that waking up does not.
    """
    started = time.perf_counter()
    run()
    first = time.perf_counter() - started
    times = [first] if first > LONG else []
    if not times:
        started += first
    while len(times) < samples or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        for _ in range(calls):
            run()
        times.append((time.perf_counter() - before) / calls)
    return statistics.median(times)


class Ratio(NamedTuple):
    """Median and quartiles of the ratios of neighbouring rounds."""

    median: float
    lower: float
    upper: float


def ratio_of_rounds(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Their time over ours, round by round.

    Examples
    --------
    A machine that is half as fast in the last round spoils neither ratio nor quartiles:

    >>> ratio_of_rounds([1.0, 1.0, 2.0], [3.0, 3.0, 6.0])
    Ratio(median=3.0, lower=3.0, upper=3.0)
    """
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, lower, upper)
