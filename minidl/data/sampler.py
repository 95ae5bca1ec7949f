"""Samplers: in which order the items of a dataset are visited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized

import numpy as np

from minidl.data.seeding import ORDER, draw_seed, keyed_generator
from minidl.errors import OptionError

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler"]


class Sampler:
    """Yields the indices of one epoch; subclasses give ``__iter__`` and ``__len__``.

    A sampler whose order changes has a method ``set_epoch(epoch)``. The `DataLoader` calls it before every
    epoch; when the order depends on nothing else, a run can be resumed in the middle of an epoch.
    """

    def __iter__(self) -> Iterator[int]:
        raise NotImplementedError(f"{type(self).__name__} needs a method __iter__(self)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__(self)")


class SequentialSampler(Sampler):
    """0, 1, 2, …

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Every index once in random order, or random indices with repetition.

    The order is a pure function of `seed` and of the epoch given to `set_epoch`.

    Parameters
    ----------
    data_source : sized
        The dataset.
    replacement : bool
        Draw each index independently, so that some come twice and some not at all.
    num_samples : int, optional
        How many indices; default all. Without replacement at most ``len(data_source)``.
    seed : int, optional
        Default: drawn from minidl's generator.

    Examples
    --------
    >>> sampler = RandomSampler(range(5), seed=0)
    >>> sorted(sampler), list(sampler) == list(sampler)
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        seed: int | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = len(data_source) if num_samples is None else num_samples
        self.seed = draw_seed() if seed is None else seed
        self.epoch = 0
        most = "" if replacement else f" of at most {len(data_source)}"
        if self.num_samples < 0 or (not replacement and self.num_samples > len(data_source)):
            raise OptionError(
                "RandomSampler",
                expected=f"a num_samples{most}, not negative",
                actual=num_samples.__repr__(),
                hint="replacement=True draws more indices than there are items",
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = keyed_generator(self.seed, ORDER, self.epoch)
        size = len(self.data_source)
        if self.replacement:
            order: np.ndarray = generator.integers(size, size=self.num_samples)
        else:
            order = generator.permutation(size)[: self.num_samples]
        return iter(order.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Joins the indices of another sampler into lists of `batch_size`.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=True))
    [[0, 1], [2, 3]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to the sampler underneath."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        size = len(self.sampler)  # type: ignore[arg-type]
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
