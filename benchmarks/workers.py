"""A contender in a process of its own: it builds what it is told, and measures while all others sleep.

The parent sends a command through a pipe and waits for the answer, so at any time one process works at most::

    parent   prepare ->          measure ->           measure ->
    minidl             build               (works)                 (sleeps)
    torch                                  (sleeps)                 (works)

Processes start by spawn, not by fork: a forked child would inherit a thread pool without its threads.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import multiprocessing
import os
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import calls_per_sample, median_seconds, warm_up

__all__ = ["Case", "Prepared", "Work", "Worker", "WorkerError", "as_arrays", "fingerprint"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
FALL_ASLEEP = 0.01
"""Seconds. OpenMP's threads go on spinning for some milliseconds after their work; let them fall asleep first."""
SPIN = {"OPENBLAS_THREAD_TIMEOUT": "20"}
"""OpenBLAS's would spin for a tenth of a second and take a core from whoever is measured then: 2**20 cycles instead."""


class WorkerError(RuntimeError):
    """What went wrong in a contender's process, with its traceback."""


@dataclass(frozen=True)
class Work:
    """What a contender does: `run` is timed; `inspect` makes arrays to compare of what its first call returned."""

    run: Callable[[], Any]
    inspect: Callable[[Any], list[np.ndarray]]


@dataclass(frozen=True)
class Case:
    """A row of a table: the same work for minidl and for its peer.

    `build(contender, *arguments)` runs in the contender's process and returns its `Work`. `level` is the ratio to
    reach, None where a row is told for information. `threads` differs from the run's for a few rows. `flops` and
    `traffic` (bytes read and written at least) place a kernel on the roofline. First results that differ by more than
    `tolerance`, relative to their length, are an error; single numbers (a loss) must agree to 1e-4.
    """

    name: str
    build: Callable[..., Work]
    arguments: tuple[Any, ...] = ()
    level: float | None = None
    peer: str = "torch"
    threads: int | None = None
    flops: float = 0.0
    traffic: float = 0.0
    tolerance: float = 1e-3


@dataclass(frozen=True)
class Prepared:
    """A built case: seconds of a call, and the first result as a fingerprint and as a digest of its bits."""

    seconds: float
    fingerprint: list[Fingerprint]
    digest: str


def as_arrays(value: Any) -> list[np.ndarray]:
    """NumPy arrays of what a contender returns: arrays, Tensors of either library, numbers, tuples of those, None."""
    if value is None:
        return []
    if isinstance(value, (tuple, list)):
        return [array for each in value for array in as_arrays(each)]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return [np.asarray(value)]


class Fingerprint(NamedTuple):
    """Of an array: how many numbers, their length as a vector, and its projection on a fixed random direction.

    Enough to see wrong elements, a permutation or a wrong sign, and cheap to send.
    """

    size: int
    length: float
    projection: float


def fingerprint(arrays: Sequence[np.ndarray]) -> list[Fingerprint]:
    """The fingerprint of each array."""
    prints = []
    for array in arrays:
        flat = array.astype(np.float64).ravel()
        projection = float(flat @ _direction(flat.size.bit_length())[: flat.size])
        prints.append(Fingerprint(flat.size, float(np.sqrt(flat @ flat)), projection))
    return prints


@functools.cache
def _direction(bits: int) -> np.ndarray:
    """Noise for arrays of fewer than 2**bits numbers: drawing it takes longer than most kernels do."""
    return np.random.default_rng(0).standard_normal(2**bits)


ADJUSTABLE = ("minidl", "torch")
"""Contenders whose number of threads can change while they run."""


def set_threads(contender: str, threads: int) -> None:
    """Tell a library how many threads to use; the others read the environment, once, at their start."""
    if contender == "torch":
        import torch

        torch.set_num_threads(threads)
    elif contender == "minidl":
        import minidl

        minidl.set_num_threads(threads)


def describe(contender: str) -> dict[str, str]:
    """What computes in this process."""
    facts = {"python": platform.python_version(), "numpy": np.__version__}
    if contender == "torch":
        import torch

        return {**facts, "torch": torch.__version__}
    if contender == "minidl":
        from minidl.config import config

        chosen = config()
        return {**facts, **{name: chosen[name] for name in ("minidl", "kernels", "instruction set", "OpenMP")}}
    return facts


def serve(connection: Connection, contender: str) -> None:
    """Answer the parent's commands until it goes away; the main loop of a contender's process."""
    work: Work | None = None
    calls = 1
    while True:
        try:
            command, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer: Any = None
            if command == "describe":
                answer = describe(contender)
            elif command == "threads":
                set_threads(contender, *arguments)
            elif command == "prepare":
                work = None  # the memory of the case before is free again before the next is built
                case, seconds = arguments
                work = case.build(contender, *case.arguments)
                arrays = work.inspect(work.run())
                bits = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
                prints = fingerprint(arrays)  # now: the next calls may change the arrays in place
                fastest = warm_up(work.run, seconds)
                calls = calls_per_sample(fastest)
                answer = Prepared(fastest, prints, bits.hexdigest())
            elif command == "measure" and work is not None:
                answer = median_seconds(work.run, calls, *arguments)
            elif command == "call":
                module, function, rest = arguments
                answer = getattr(importlib.import_module(module), function)(*rest)
            connection.send((True, answer))
        except Exception:
            connection.send((False, traceback.format_exc()))


class Worker:
    """A contender's process, seen from the parent.

    Parameters
    ----------
    contender : {"minidl", "torch", "numpy", "reference", "loops", "peak"}
    threads : int
    """

    def __init__(self, contender: str, threads: int) -> None:
        self.contender = contender
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        changed = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **SPIN}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            self.process = context.Process(target=serve, args=(theirs, contender), daemon=True)
            self.process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()
        try:
            self.ask("threads", threads)
        except WorkerError:  # the library is missing
            self.close()
            raise

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send a command, wait for its answer, and let the threads there fall asleep."""
        try:
            self.connection.send((command, arguments))
            fine, answer = self.connection.recv()
        except (EOFError, BrokenPipeError) as error:
            self.process.join()
            raise WorkerError(f"{self.contender}: the process ended with code {self.process.exitcode}") from error
        if not fine:
            raise WorkerError(f"{self.contender}: {answer.strip().splitlines()[-1]}\n{answer}")
        if command in ("prepare", "measure"):
            time.sleep(FALL_ASLEEP)
        return answer

    def close(self) -> None:
        """Let the process end."""
        self.connection.close()
        self.process.join()
