"""What the machine can do at most: multiply-adds a second, and bytes a second from memory and from the cache.

Both are measured, by a few lines of C, because nothing else is true: the clock depends on the instructions, and the
neighbours in a virtual machine are in no data sheet. Without a C compiler the best of NumPy's own products stands in.
"""

from __future__ import annotations

import ctypes
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Peaks", "measure_peaks"]

# Sixteen independent chains of multiply-adds: two units, each with a latency of four, need eight at least. They stay in
# registers, so nothing else is measured. `triad` is the loop of the STREAM benchmark: two arrays read, one written.
SOURCE = """
typedef float vec __attribute__((vector_size(WIDTH)));

float fma_chains(long rounds, float start) {
    vec c[16], x, y;
    for (int j = 0; j < WIDTH / 4; j++) { x[j] = 0.5f + start; y[j] = 0.25f + start; }
    for (int i = 0; i < 16; i++) c[i] = x * (float)i;
    for (long k = 0; k < rounds; k++) {
        c[0] = c[0] * x + y;   c[1] = c[1] * x + y;   c[2] = c[2] * x + y;   c[3] = c[3] * x + y;
        c[4] = c[4] * x + y;   c[5] = c[5] * x + y;   c[6] = c[6] * x + y;   c[7] = c[7] * x + y;
        c[8] = c[8] * x + y;   c[9] = c[9] * x + y;   c[10] = c[10] * x + y; c[11] = c[11] * x + y;
        c[12] = c[12] * x + y; c[13] = c[13] * x + y; c[14] = c[14] * x + y; c[15] = c[15] * x + y;
    }
    for (int i = 1; i < 16; i++) c[0] += c[i];
    float sum = 0;
    for (int j = 0; j < WIDTH / 4; j++) sum += c[0][j];
    return sum;
}

void triad(const float* restrict a, const float* restrict b, float* restrict c, long size, long repeats, float s) {
    for (long r = 0; r < repeats; r++) {
        for (long i = 0; i < size; i++) c[i] = a[i] + s * b[i];
        __asm__ volatile("" : : "r"(c) : "memory");  /* so that no repeat is left out */
    }
}
"""

# As setup.py compiles the variants, so that the peak is that of the instructions in use.
VARIANTS = {
    "v4": (64, ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
    "v3": (32, ["-march=x86-64-v3"]),
}


MEMORY, CACHE = 2**25, 2**15
"""Floats of an array that is far larger than what a core has to itself, and of one that fits its second-level cache."""


class Peaks(NamedTuple):
    """GFLOP/s (a multiply-add counts as two) of one thread and of all; GB/s from memory and from cache, on all."""

    one_thread: float
    all_threads: float
    memory: float
    cache: float
    how: str


def compile_library(folder: Path, isa: str) -> ctypes.CDLL | None:
    """The C above as a library, or None where that does not work."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    if not compiler or shutil.which(compiler[0]) is None:
        return None
    width, flags = VARIANTS.get(isa, (16, []))
    source, library = folder / "peak.c", folder / "peak.so"
    source.write_text(SOURCE)
    command = [*compiler, "-O3", "-shared", "-fPIC", f"-DWIDTH={width}", *flags, str(source), "-o", str(library)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return None
    loaded = ctypes.CDLL(str(library))
    loaded.fma_chains.argtypes, loaded.fma_chains.restype = [ctypes.c_long, ctypes.c_float], ctypes.c_float
    pointer = ctypes.c_void_p
    loaded.triad.argtypes = [pointer, pointer, pointer, ctypes.c_long, ctypes.c_long, ctypes.c_float]
    loaded.triad.restype = None
    return loaded


def flops_of_a_round(isa: str) -> float:
    """Operations of one round of `fma_chains`: a multiply-add, two operations, in each lane of sixteen registers."""
    return 2.0 * 16 * (VARIANTS.get(isa, (16, []))[0] // 4)


def best_seconds(work: Callable[[int], Any], threads: int, tries: int) -> float:
    """Shortest time of `work(thread)` on all threads at once (ctypes frees the GIL). A peak is a best, not a median."""
    best = float("inf")
    for _ in range(tries):
        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        started = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        best = min(best, time.perf_counter() - started)
    return best


def measure_peaks(isa: str, threads: int, quick: bool = False) -> Peaks:
    """Measure with the instructions of a variant: ``"v4"``, ``"v3"``, anything else for the plain compiler."""
    tries = 3 if quick else 15
    with tempfile.TemporaryDirectory() as folder:
        library = compile_library(Path(folder), isa)
        if library is None:
            return _peaks_without_a_compiler(threads, tries)
        rounds = 2_000_000
        flops = rounds * flops_of_a_round(isa)
        one, many = (
            count * flops / best_seconds(lambda _: library.fma_chains(rounds, 0.0), count, tries) / 1e9
            for count in (1, threads)
        )
        memory, cache = (
            _bandwidth(library, threads, size, repeats, tries) for size, repeats in ((MEMORY, 1), (CACHE, 2000))
        )
    return Peaks(one, many, memory, cache, "multiply-adds in registers, and a triad, in C")


def _bandwidth(library: ctypes.CDLL, threads: int, size: int, repeats: int, tries: int) -> float:
    """GB/s of the triad on arrays of `size` floats a thread."""
    arrays = [[np.ones(size, np.float32) for _ in range(3)] for _ in range(threads)]

    def work(number: int) -> None:
        a, b, c = (array.ctypes.data for array in arrays[number])
        library.triad(a, b, c, size, repeats, 0.5)

    return threads * 3 * 4 * size * repeats / best_seconds(work, threads, tries) / 1e9


def _peaks_without_a_compiler(threads: int, tries: int) -> Peaks:
    """NumPy's products and additions: near the peak where its BLAS is good, on as many threads as NumPy takes."""
    a = np.ones((1024, 1024), np.float32)
    small, large = np.ones(CACHE, np.float32), np.ones(MEMORY, np.float32)
    peak = 2 * 1024**3 / best_seconds(lambda _: np.matmul(a, a), 1, tries) / 1e9

    def add(array: np.ndarray, repeats: int) -> float:
        out = np.empty_like(array)
        seconds = best_seconds(lambda _: [np.add(array, array, out) for _ in range(repeats)], threads, tries)
        return threads * 2 * array.nbytes * repeats / seconds / 1e9

    return Peaks(peak / threads, peak, add(large, 1), add(small, 1000), "NumPy's products and sums")
