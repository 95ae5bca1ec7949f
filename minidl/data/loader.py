"""DataLoader: batches, epoch by epoch, in this process or with the help of others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minidl.data.collate import stack_items, to_tensors
from minidl.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from minidl.data.seeding import BATCH, draw_seed, randomness_of
from minidl.data.workers import Job, WorkerPool
from minidl.errors import DataError, OptionError

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches.

    Each ``for batch in loader`` is one epoch. A batch has the structure of an item, with arrays and numbers
    stacked into Tensors (`default_collate`).

    **Random numbers.** The loader owns one `seed`. The order of epoch `e` and the random transforms of its
    batch `b` follow from ``(seed, e)`` and ``(seed, e, b)`` alone, so the batches are the same for any number
    of workers. This differs from PyTorch, where a second ``manual_seed`` would bring the first epoch's order
    back: here, make a new loader, or give `seed`. In workers `random`, `numpy.random` and minidl's generator
    are seeded for each batch too.

    **Resuming.** `state_dict` tells seed, epoch and position; a loader that loads it goes on with the next
    batch of that epoch, without reading the items before it.

    **Workers.** ``num_workers > 0`` starts fresh Python processes (spawn), each with one thread; dataset and
    functions are sent to them, so they must be picklable, and a script needs ``if __name__ == "__main__":``.
    Leaving the loop early ends them.

    Parameters
    ----------
    dataset : Dataset
        Anything with ``len(dataset)`` and ``dataset[i]``. One with a method ``get_batch(indices)``
        (`TensorDataset`, `MNIST`, …) is read a batch at a time.
    batch_size : int
        Items in a batch.
    shuffle : bool
        A new random order every epoch.
    sampler : iterable of int, optional
        Which items, in which order, in place of `shuffle`.
    batch_sampler : iterable of list of int, optional
        Which items make up each batch, in place of `batch_size`, `shuffle`, `sampler` and `drop_last`.
    num_workers : int
        Processes that build batches ahead; 0 builds them here.
    collate_fn : callable, optional
        Makes a batch of a list of items; default `default_collate`.
    drop_last : bool
        Leave out the last batch if it is smaller than the others.
    timeout : float
        Seconds to wait for a worker's batch; 0 waits for ever.
    worker_init_fn : callable, optional
        Called in each worker with its number (0, 1, …) before it starts.
    generator : numpy.random.Generator, optional
        Where the seed is drawn from when `seed` is not given; default minidl's own (`minidl.manual_seed`).
    seed : int, optional
        The seed itself.
    prefetch_factor : int
        Batches that each worker builds ahead.
    persistent_workers : bool
        Keep the workers for the next epoch in place of starting new ones.

    Attributes
    ----------
    epoch, position : int
        The epoch that runs or comes next, and how many of its batches were delivered.

    Raises
    ------
    OptionError
        An option is out of range or contradicts another.
    WorkerError
        While iterating: a worker died, or `timeout` passed.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data import TensorDataset
    >>> dataset = TensorDataset(np.arange(10, dtype=np.float32), np.arange(10) % 2)
    >>> loader = DataLoader(dataset, batch_size=4, shuffle=True, seed=0)
    >>> [inputs.shape for inputs, labels in loader]
    [(4,), (4,), (2,)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        generator: np.random.Generator | None = None,
        seed: int | None = None,
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
    ) -> None:
        _check_dataset(dataset)
        _check_count("batch_size", batch_size, 1)
        _check_count("num_workers", num_workers, 0)
        _check_count("prefetch_factor", prefetch_factor, 1)
        if not timeout >= 0:
            raise OptionError("DataLoader", expected="a timeout >= 0 seconds", actual=repr(timeout))
        if seed is not None:
            _check_count("seed", seed, 0)
            _exclude("seed", generator=generator is not None)
        if sampler is not None:
            _exclude("sampler", shuffle=shuffle)
        if batch_sampler is not None:
            _exclude(
                "batch_sampler",
                batch_size=batch_size != 1,
                shuffle=shuffle,
                sampler=sampler is not None,
                drop_last=drop_last,
            )
        self.dataset = dataset
        self.seed = draw_seed(generator) if seed is None else int(seed)
        self._shuffler = RandomSampler(dataset, seed=self.seed) if shuffle else None
        if sampler is None:
            sampler = SequentialSampler(dataset) if self._shuffler is None else self._shuffler
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last) if batch_sampler is None else batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.epoch = 0
        self.position = 0
        self._begun = False  # an epoch was begun and neither finished nor loaded
        self._running: object | None = None  # the latest iteration: the one that `position` follows
        self._idle_pool: WorkerPool | None = None

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self._begun:  # the epoch before was left early
            self.epoch, self.position = self.epoch + 1, 0
        self._begun = True
        running = self._running = object()
        return self._batches(running, self.epoch, self.position)

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: plain integers, to be saved with the weights."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a saved state: the next ``for`` begins with the batch after the last one delivered.

        An epoch whose last batch was delivered goes on with no batch at all, then the next one begins.

        Raises
        ------
        DataError
            The state lacks an entry, or belongs to a loader with fewer batches.
        """
        wanted = {"seed", "epoch", "position"}
        if set(state) != wanted or min(int(state[key]) for key in wanted) < 0 or state["position"] > len(self):
            raise DataError(
                "DataLoader.load_state_dict",
                expected=f"seed, epoch and a position of at most {len(self)} batches",
                actual=repr(dict(state)),
                hint="the loader must have the dataset, batch_size and drop_last that it was saved with",
            )
        self.seed, self.epoch, self.position = (int(state[key]) for key in ("seed", "epoch", "position"))
        if self._shuffler is not None:
            self._shuffler.seed = self.seed
        self._begun = False
        self._running = None

    def _batches(self, running: object, epoch: int, position: int) -> Iterator[Any]:
        """One epoch, from batch number `position` on."""
        if hasattr(self.batch_sampler, "set_epoch"):
            self.batch_sampler.set_epoch(epoch)
        rest = islice(self.batch_sampler, position, None)
        jobs = (Job(self.seed, epoch, number, indices) for number, indices in enumerate(rest, position))
        for batch in self._from_workers(jobs) if self.num_workers else map(self._build, jobs):
            position += 1
            if self._running is running:
                self.position = position
            yield to_tensors(batch) if self.collate_fn is None else batch
        if self._running is running:
            self.epoch, self.position, self._begun = epoch + 1, 0, False

    def _build(self, job: Job) -> Any:
        with randomness_of(job.seed, BATCH, job.epoch, job.batch):
            return self._fetch(job.indices)

    @property
    def _fetch(self) -> Callable[[Sequence[int]], Any]:
        """What makes a batch of indices, free of the loader so that it can be sent to a worker."""
        if self.collate_fn is None and hasattr(self.dataset, "get_batch"):
            return self.dataset.get_batch
        return _ItemByItem(self.dataset, stack_items if self.collate_fn is None else self.collate_fn)

    def _from_workers(self, jobs: Iterator[Job]) -> Iterator[Any]:
        pool, self._idle_pool = self._idle_pool, None
        if pool is None:
            pool = WorkerPool(self.num_workers, self._fetch, self.worker_init_fn, self.timeout)
        finished = False
        try:
            waiting: deque[int] = deque()
            for job in islice(jobs, self.num_workers * self.prefetch_factor):
                pool.submit(job)
                waiting.append(job.batch)
            while waiting:
                batch = pool.result(waiting.popleft())
                for job in islice(jobs, 1):
                    pool.submit(job)
                    waiting.append(job.batch)
                yield batch
            finished = True
        finally:
            if finished and self.persistent_workers:
                self._idle_pool = pool
            else:
                pool.close()


class _ItemByItem:
    def __init__(self, dataset: Any, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn

    def __call__(self, indices: Sequence[int]) -> Any:
        return self.collate_fn([self.dataset[index] for index in indices])


def _check_dataset(dataset: Any) -> None:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise OptionError(
            "DataLoader",
            expected="a dataset with len(dataset) and dataset[i]",
            actual=f"a {type(dataset).__name__}",
            hint="wrap arrays as TensorDataset(inputs, targets)",
        )


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError("DataLoader", expected=f"an integer {name} >= {least}", actual=repr(value))


def _exclude(option: str, **others: bool) -> None:
    given = [name for name, is_given in others.items() if is_given]
    if given:
        raise OptionError(
            "DataLoader", expected=f"{option} without {', '.join(others)}", actual=f"{', '.join(given)} too"
        )
