"""Suite "peak": the kernels that live on arithmetic, as a fraction of what the registers alone reach in the same run.

The peer is no library but the loop of multiply-adds of `peaks.py`, which reads no memory and does as many operations.
So the ratio is the fraction of the measured peak: 1 would mean that packing, loading and storing cost nothing. A
convolution by Winograd's algorithm is counted with the operations that it saves, so it may exceed 1.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
from pathlib import Path

from benchmarks.kernels import LARGE_CONVOLUTIONS, conv_flops, conv_title, convolution, product
from benchmarks.peaks import compile_library, flops_of_a_round
from benchmarks.workers import Case, Work

__all__ = ["CASES"]

LONG_ENOUGH = 4e9
"""Operations of a sample: against them the start of a thread is nothing."""


def repeated(contender: str, work: str, arguments: tuple[object, ...], flops: float) -> Work:
    """A kernel as often as makes a long sample, or as many multiply-adds in registers."""
    times = math.ceil(LONG_ENOUGH / flops)
    if contender == "peak":
        return _registers_only(times * flops, int(os.environ["OMP_NUM_THREADS"]))
    run = {"product": product, "convolution": convolution}[work](contender, *arguments).run
    return Work(lambda: [run() for _ in range(times)], lambda _: [])


def _registers_only(flops: float, threads: int) -> Work:
    from minidl._kernels import isa

    with tempfile.TemporaryDirectory() as folder:
        library = compile_library(Path(folder), isa)
    if library is None:
        raise RuntimeError("no C compiler here, and the peak is measured in C")
    rounds = round(flops / threads / flops_of_a_round(isa))

    def run() -> None:
        running = [threading.Thread(target=library.fma_chains, args=(rounds, 0.0)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return Work(run, lambda _: [])


def _case(name: str, work: str, arguments: tuple[object, ...], flops: float, level: float, threads: int | None) -> Case:
    return Case(name, repeated, (work, arguments, flops), level, peer="peak", threads=threads)


CASES = [
    _case("matmul 512x512x512, one thread", "product", (512, 512, 512, 1), 2.0 * 512**3, 0.9, 1),
    *[
        _case(f"conv {conv_title(shape)}, forward", "convolution", ("forward", shape), conv_flops(shape), 0.8, None)
        for shape in LARGE_CONVOLUTIONS
    ],
]
