"""Datasets: things with a length and items, and ways to cut and join them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minidl.data.collate import stack_items
from minidl.errors import OptionError, ShapeError
from minidl.random import default_generator
from minidl.tensor import Tensor

__all__ = ["ConcatDataset", "Dataset", "Subset", "TensorDataset", "random_split"]


class Dataset:
    """A collection of items: subclasses give ``dataset[i]`` and ``len(dataset)``.

    Anything with these two methods can be loaded; the class adds ``a + b`` and `get_batch`.

    Examples
    --------
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> Squares()[3]
    (3, 9)
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__(self)")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(self, index)")

    def get_batch(self, indices: Sequence[int]) -> Any:
        """The items at `indices` as one batch of NumPy arrays.

        A dataset that holds arrays overrides this to index all of them at once; it must give what joining the
        single items gives.
        """
        return stack_items([self[index] for index in indices])

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Arrays or Tensors of the same length, item by item.

    ``dataset[i]`` is ``(tensors[0][i], tensors[1][i], …)``. A `DataLoader` reads whole batches from it with
    one indexing operation for each array, which makes it the fastest way to feed data that fits in memory. No
    gradient flows through a loader into the arrays.

    Parameters
    ----------
    *tensors : Tensor or ndarray
        Each of shape (N, ...).

    Raises
    ------
    ShapeError
        The lengths differ, or there is no array.

    Examples
    --------
    >>> import numpy as np
    >>> dataset = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
    >>> len(dataset), dataset[1][0].tolist()
    (3, [2.0, 3.0])
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        shapes = [np.shape(tensor) if not isinstance(tensor, Tensor) else tensor.shape for tensor in tensors]
        if not shapes or any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                "TensorDataset",
                expected="one or more arrays of the same length, shape (N, ...)",
                actual=f"shapes {shapes}",
                hint="inputs and targets need one row for each item",
            )
        self.tensors = tuple(tensor if isinstance(tensor, Tensor) else np.asarray(tensor) for tensor in tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(Tensor(t.data[index]) if isinstance(t, Tensor) else t[index] for t in self.tensors)

    def get_batch(self, indices: Sequence[int]) -> Any:
        if type(self).__getitem__ is not TensorDataset.__getitem__:  # a subclass that changes the items
            return super().get_batch(indices)
        rows = np.asarray(indices, dtype=np.intp)
        return tuple((t.data if isinstance(t, Tensor) else t)[rows] for t in self.tensors)


class Subset(Dataset):
    """The items of `dataset` at `indices`.

    Parameters
    ----------
    dataset : Dataset
        The whole.
    indices : sequence of int
        Which items, in which order.

    Raises
    ------
    IndexError
        An index lies outside of the dataset.
    """

    def __init__(self, dataset: Any, indices: Iterable[int]) -> None:
        self.dataset = dataset
        self.indices = np.fromiter(indices, dtype=np.int64)
        size = len(dataset)
        outside = (self.indices < -size) | (self.indices >= size)
        if outside.any():
            raise IndexError(
                f"Subset: expected indices into {size} items; got {int(self.indices[outside][0])} among them"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def get_batch(self, indices: Sequence[int]) -> Any:
        if type(self).__getitem__ is not Subset.__getitem__ or not hasattr(self.dataset, "get_batch"):
            return super().get_batch(indices)
        return self.dataset.get_batch(self.indices[np.asarray(indices, dtype=np.intp)].tolist())


class ConcatDataset(Dataset):
    """Several datasets, one after the other.

    Parameters
    ----------
    datasets : iterable of Dataset
        At least one.

    Examples
    --------
    >>> import numpy as np
    >>> both = TensorDataset(np.arange(3)) + TensorDataset(np.arange(10, 12))
    >>> [int(item[0]) for item in both]
    [0, 1, 2, 10, 11]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise OptionError("ConcatDataset", expected="at least one dataset", actual="none")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"ConcatDataset: expected an index into {size} items; got {index}")
        index %= size
        which = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


def random_split(
    dataset: Any, lengths: Sequence[int] | Sequence[float], generator: np.random.Generator | None = None
) -> list[Subset]:
    """Split a dataset at random into parts that do not overlap.

    Parameters
    ----------
    dataset : Dataset
        The whole.
    lengths : sequence of int or of float
        The sizes of the parts, which add up to ``len(dataset)``; or their shares, which add up to 1. Shares
        are rounded down and what is left over is dealt out one by one from the first part on, as in PyTorch.
    generator : numpy.random.Generator, optional
        Default: minidl's own, which `minidl.manual_seed` seeds.

    Raises
    ------
    OptionError
        The sizes do not add up.

    Examples
    --------
    >>> import numpy as np
    >>> parts = random_split(TensorDataset(np.arange(10)), [0.7, 0.3], np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [7, 3]
    """
    size = len(dataset)
    sizes = _part_sizes(size, lengths)
    order = (default_generator() if generator is None else generator).permutation(size)
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - part : end]) for part, end in zip(sizes, ends, strict=True)]


def _part_sizes(size: int, lengths: Sequence[int] | Sequence[float]) -> list[int]:
    if all(isinstance(length, (int, np.integer)) for length in lengths) and sum(lengths) == size:
        sizes = [int(length) for length in lengths]
    elif all(0 <= length <= 1 for length in lengths) and math.isclose(sum(lengths), 1):
        sizes = [math.floor(size * length) for length in lengths]
        for extra in range(size - sum(sizes)):
            sizes[extra % len(sizes)] += 1
    else:
        sizes = []
    if not sizes or min(sizes) < 0:
        raise OptionError(
            "random_split",
            expected=f"sizes that add up to {size}, or shares that add up to 1",
            actual=f"{list(lengths)}, which add up to {sum(lengths)}",
        )
    return sizes
