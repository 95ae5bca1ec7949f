"""Worker processes that build batches: started fresh (spawn), one thread each, watched while they work.

Each worker has a pipe of its own. Batch `k` goes to worker `k mod n`, and a worker answers in the order in
which it was asked; so reading the pipes in turn gives the batches in order, with no queue that a dying
process could leave locked. The parent waits for the pipe *and* the process, which is how it notices a worker
that was killed.
"""

from __future__ import annotations

import os
import queue
import random
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context
from typing import Any, NamedTuple

import numpy as np

from minidl._kernels import set_num_threads
from minidl.data.messages import Message, pack, receive, send, unpack
from minidl.data.seeding import BATCH, GLOBALS, keyed_generator, randomness_of
from minidl.errors import MinidlError, OptionError
from minidl.random import manual_seed

__all__ = ["Job", "WorkerError", "WorkerPool"]

# Set while a worker starts, so that the libraries it loads (BLAS, OpenMP) begin with one thread.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# How long workers may take to finish what they are doing before they are ended by force.
_GRACE_SECONDS = 2.0


class WorkerError(MinidlError, RuntimeError):
    """A worker process of a DataLoader died, or gave no answer in time."""


class Job(NamedTuple):
    """What a worker needs for one batch: the items, and the key of its random numbers."""

    seed: int
    epoch: int
    batch: int
    indices: Sequence[int]


class _RemoteTraceback(Exception):
    """Shown as the cause of an error that was raised in a worker."""

    def __init__(self, worker: int, text: str) -> None:
        super().__init__(f'\n"""in worker {worker}:\n{text}"""')


class WorkerPool:
    """`count` processes that call ``fetch(indices)``.

    Parameters
    ----------
    count : int
        How many processes.
    fetch : callable
        Makes a batch of a list of indices; carried to every worker once.
    worker_init_fn : callable or None
        Called in each worker with its number before the first batch.
    timeout : float
        Seconds to wait for a batch; 0 waits for ever.
    """

    def __init__(
        self,
        count: int,
        fetch: Callable[[Sequence[int]], Any],
        worker_init_fn: Callable[[int], None] | None,
        timeout: float,
    ) -> None:
        self.count = count
        self.timeout = timeout
        package = pack((fetch, worker_init_fn), "a dataset, collate_fn and worker_init_fn")
        context = get_context("spawn")
        self._processes: list[Any] = []
        self._pipes: list[connection.Connection] = []
        self._end = weakref.finalize(self, _end_workers, self._processes, self._pipes)
        try:
            with _one_thread_each():
                for number in range(count):
                    here, there = context.Pipe()
                    process = context.Process(target=_work, args=(number, there), daemon=True)
                    self._processes.append(process)
                    self._pipes.append(here)
                    process.start()
                    there.close()  # the worker's copy is now the only one: the pipe ends when the worker does
            for number in range(count):
                self._send(number, package)
        except BaseException:
            self.close()
            raise

    def submit(self, job: Job) -> None:
        """Hand a batch to the worker whose turn it is."""
        self._send(job.batch % self.count, pack(job, "indices"))

    def result(self, batch: int) -> Any:
        """Wait for a batch; an error in the worker is raised here, caused by the worker's traceback."""
        number = batch % self.count
        pipe, process = self._pipes[number], self._processes[number]
        ready = connection.wait([pipe, process.sentinel], self.timeout or None)
        if not ready:
            raise WorkerError(
                "DataLoader",
                expected=f"a batch from worker {number} within timeout={self.timeout} seconds",
                actual="no answer",
                hint="raise timeout, or look for what blocks in the dataset (num_workers=0 shows it)",
            )
        try:
            if pipe not in ready and not pipe.poll():
                raise EOFError
            error, traceback_text, content = unpack(receive(pipe))
        except (EOFError, OSError):
            raise self._death(number) from None
        if traceback_text is None:
            return content
        if error is None:
            raise WorkerError(
                "DataLoader",
                expected=f"a batch from worker {number}",
                actual=f"an error that cannot be sent between processes:\n{traceback_text}",
            )
        raise error from _RemoteTraceback(number, traceback_text)

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._end()

    def _send(self, number: int, message: Message) -> None:
        try:
            send(self._pipes[number], message)
        except OSError:
            raise self._death(number) from None

    def _death(self, number: int) -> WorkerError:
        process = self._processes[number]
        process.join(_GRACE_SECONDS)
        code = process.exitcode
        if code is not None and code < 0:
            how = f"it was killed by signal {-code} ({signal.Signals(-code).name})"
            hint = "out of memory, perhaps: use fewer workers, a smaller batch or prefetch_factor=1"
        else:
            how = f"it ended with exit code {code}"
            hint = 'a script that uses workers needs `if __name__ == "__main__":` around its main part'
        return WorkerError(
            "DataLoader", expected=f"worker {number} (pid {process.pid}) to be alive", actual=how, hint=hint
        )


def _end_workers(processes: list[Any], pipes: list[connection.Connection]) -> None:
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + _GRACE_SECONDS
    started = [process for process in processes if process.pid is not None]
    for end in ("terminate", "kill"):
        for process in started:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in started:
            if process.is_alive():
                getattr(process, end)()
        deadline = time.monotonic() + _GRACE_SECONDS
    for process in started:
        process.join()
        process.close()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# In the worker


def _work(number: int, pipe: connection.Connection) -> None:
    """The life of a worker: receive the dataset, then answer one job after the other until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends its workers
    set_num_threads(1)
    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    # A thread keeps the pipe empty: the parent can always hand over a job, even while this end sends a batch.
    threading.Thread(target=_fill, args=(inbox, pipe), daemon=True).start()
    package = inbox.get()
    if package is None:
        return
    fetch, failure = _set_up(number, package)
    while (message := inbox.get()) is not None:
        answer = failure or _answer(fetch, Job(*unpack(message)))
        try:
            send(pipe, answer)
        except OSError:  # the parent is gone, or wants no more
            return


def _fill(inbox: queue.SimpleQueue[Message | None], pipe: connection.Connection) -> None:
    try:
        while True:
            inbox.put(receive(pipe))
    except (EOFError, OSError):
        inbox.put(None)


def _set_up(number: int, package: Message) -> tuple[Any, Message | None]:
    """The function that makes batches, or what went wrong on the way to it."""
    try:
        fetch, worker_init_fn = unpack(package)
    except AttributeError as error:
        refused = OptionError(
            "DataLoader",
            expected="a dataset that a fresh process can import",
            actual=str(error),
            hint="put classes and functions of a notebook into a module (.py), or use num_workers=0",
        )
        return None, _failure(refused)
    except Exception as error:
        return None, _failure(error)
    try:
        if worker_init_fn is not None:
            worker_init_fn(number)
    except Exception as error:
        return None, _failure(error)
    return fetch, None


def _answer(fetch: Callable[[Sequence[int]], Any], job: Job) -> Message:
    try:
        # Code that uses the global generators is reproducible in a worker as well.
        seed = int(keyed_generator(job.seed, GLOBALS, job.epoch, job.batch).integers(2**32))
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        manual_seed(seed)
        with randomness_of(job.seed, BATCH, job.epoch, job.batch):
            batch = fetch(job.indices)
        return pack((None, None, batch), "a batch")
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Message:
    """An error and its traceback, as a message; the traceback alone where the error itself cannot travel."""
    text = "".join(traceback.format_exception(error))
    try:
        message = pack((error, text, None), "an error")
        unpack(message)
    except Exception:
        message = pack((None, text, None), "a traceback")
    return message
