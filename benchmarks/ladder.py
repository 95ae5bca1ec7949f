"""The ladder: one product and one convolution by plain loops, by NumPy, by the kernels on one thread and on all."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.compare import Arena
from benchmarks.kernels import LARGE_CONVOLUTIONS, conv_flops, convolution, output_size, product
from benchmarks.primitives import noise
from benchmarks.workers import Case, Work

__all__ = ["RUNGS", "climb"]


class Rung(NamedTuple):
    """A way to compute: what stands under its bar, the process that runs it, whether on all threads."""

    title: str
    contender: str
    all_threads: bool


RUNGS = (
    Rung("plain Python\nloops", "loops", False),
    Rung("NumPy reference,\nall threads", "reference", True),
    Rung("compiled,\none thread", "minidl", False),
    Rung("compiled,\nall threads", "minidl", True),
)

PRODUCT = (512, 512, 512, 1)
CONVOLUTION = LARGE_CONVOLUTIONS[0]


def loops_product(_: str, m: int, k: int, n: int) -> Work:
    """C[i][j] = Σ A[i][p] B[p][j], as one would write it first."""
    a, b = noise(m, k).tolist(), noise(k, n, seed=1).tolist()

    def run() -> list[list[float]]:
        return [[sum(a[i][p] * b[p][j] for p in range(k)) for j in range(n)] for i in range(m)]

    return Work(run, lambda _: [])


def loops_convolution(_: str, channels: int, size: int, outputs: int, kernel: int) -> Work:
    """The seven nested loops of a convolution (six here: one picture)."""
    x, weight = noise(channels, size, size).tolist(), noise(outputs, channels, kernel, kernel, seed=1).tolist()
    out = output_size(size, kernel, 1, 0)

    def run() -> list[list[list[float]]]:
        y = [[[0.0] * out for _ in range(out)] for _ in range(outputs)]
        for o in range(outputs):
            for i in range(out):
                for j in range(out):
                    total = 0.0
                    for c in range(channels):
                        for k in range(kernel):
                            for m in range(kernel):
                                total += x[c][i + k][j + m] * weight[o][c][k][m]
                    y[o][i][j] = total
        return y

    return Work(run, lambda _: [])


def climb(arena: Arena) -> dict[str, list[float]]:
    """GFLOP/s of each rung, for a product and for a convolution."""
    batch, channels, size, outputs, kernel, *_ = CONVOLUTION
    m, k, n, _ = PRODUCT
    whole = {
        f"matrix product {m}³": (2.0 * m * k * n, Case("", product, PRODUCT)),
        f"convolution {channels} to {outputs}, {kernel}×{kernel}, {size}×{size} pixels, batch {batch}": (
            conv_flops(CONVOLUTION),
            Case("", convolution, ("forward", CONVOLUTION)),
        ),
    }
    corners = [
        (2.0 * 24**3, Case("", loops_product, (24, 24, 24))),
        (2.0 * 4 * 4 * 9 * 8**2, Case("", loops_convolution, (4, 10, 4, 3))),
    ]
    return {
        name: [_rate(arena, rung, *(corner if rung.contender == "loops" else full)) for rung in RUNGS]
        for (name, full), corner in zip(whole.items(), corners, strict=True)
    }


def _rate(arena: Arena, rung: Rung, flops: float, case: Case) -> float:
    """GFLOP/s: the median of the rounds."""
    settings = arena.settings
    worker = arena.worker(rung.contender, settings.threads if rung.all_threads else 1)
    worker.ask("prepare", case, settings.seconds)
    rounds = [worker.ask("measure", settings.seconds, settings.samples) for _ in range(settings.rounds)]
    return flops / statistics.median(rounds) / 1e9
