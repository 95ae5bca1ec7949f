"""Datasets, ways to cut and join them, and making batches of items."""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import ConcatDataset, Dataset, Subset, TensorDataset, default_collate, random_split
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.tensor import Tensor


def numbers(n):
    return TensorDataset(np.arange(n), np.arange(n) * 10)


def test_tensor_dataset_items_and_batches():
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    dataset = TensorDataset(x, Tensor(np.array([5, 6, 7, 8])))
    assert len(dataset) == 4
    row, label = dataset[2]
    assert row.tolist() == [6, 7, 8] and int(label) == 7
    rows, labels = dataset.get_batch([3, 0])
    assert rows.tolist() == [[9, 10, 11], [0, 1, 2]] and labels.tolist() == [8, 5]
    rows[...] = -1  # a batch is a copy: writing into it leaves the data alone
    assert x.min() == 0
    with pytest.raises(IndexError):
        dataset[4]


@pytest.mark.parametrize("arrays", [(), (np.zeros(3), np.zeros(4)), (np.float32(1.0),)])
def test_tensor_dataset_refuses_arrays_that_do_not_fit(arrays):
    with pytest.raises(ShapeError, match="same length"):
        TensorDataset(*arrays)


def test_a_subclass_that_changes_items_changes_batches():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * value for value in super().__getitem__(index))

    class Negated(Subset):
        def __getitem__(self, index):
            return tuple(-value for value in super().__getitem__(index))

    doubled = Doubled(np.arange(5))
    assert doubled.get_batch([1, 2])[0].tolist() == [2, 4]
    assert Subset(doubled, [4, 3]).get_batch([0, 1])[0].tolist() == [8, 6]
    assert Negated(numbers(5), [4, 3]).get_batch([1])[0].tolist() == [-3]


def test_subset():
    part = Subset(numbers(10), [7, -1, 2])
    assert [int(item[0]) for item in part] == [7, 9, 2]
    assert part.get_batch([2, 1])[1].tolist() == [20, 90]
    assert Subset(list("abc"), [1]).get_batch([0]) == ["b"]
    with pytest.raises(IndexError, match="10 items"):
        Subset(numbers(10), [0, 10])


def test_concat_dataset():
    joined = numbers(2) + numbers(0) + numbers(3)
    assert len(joined) == 5
    assert [int(item[0]) for item in joined] == [0, 1, 0, 1, 2]
    assert int(joined[-5][0]) == 0
    for index in (5, -6):
        with pytest.raises(IndexError, match="5 items"):
            joined[index]
    with pytest.raises(OptionError, match="at least one"):
        ConcatDataset([])


def test_a_dataset_without_its_methods_says_which():
    with pytest.raises(NotImplementedError, match="__len__"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 2**32))
def test_random_split_is_a_partition(sizes, seed):
    total = sum(sizes)
    parts = random_split(list(range(total)), sizes, np.random.default_rng(seed))
    assert [len(part) for part in parts] == sizes
    assert sorted(item for part in parts for item in part) == list(range(total))


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [([0.5, 0.5], [6, 5]), ([0.8, 0.1, 0.1], [9, 1, 1]), ([1 / 3] * 3, [4, 4, 3]), ([1.0], [11])],
)
def test_random_split_by_shares(shares, sizes):
    assert [len(part) for part in random_split(numbers(11), shares)] == sizes
    torch_data = pytest.importorskip("torch.utils.data")
    assert [len(part) for part in torch_data.random_split(range(11), shares)] == sizes


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.6], [12, -1], []])
def test_random_split_refuses_what_does_not_add_up(lengths):
    with pytest.raises(OptionError, match="add up"):
        random_split(numbers(11), lengths)


def test_random_split_is_reproducible_and_random():
    def first(seed):
        return list(random_split(range(50), [25, 25], np.random.default_rng(seed))[0])

    assert first(1) == first(1) != first(2)


Item = namedtuple("Item", "x name")


def test_collate_keeps_structure_and_types():
    items = [
        {"a": np.float16(i), "b": [i, float(i)], "c": Item(Tensor(np.full(2, i)), f"n{i}"), "d": i > 0}
        for i in range(3)
    ]
    batch = default_collate(items)
    assert list(batch) == ["a", "b", "c", "d"]
    assert isinstance(batch["a"], Tensor) and batch["a"].dtype == np.float16
    whole, real = batch["b"]
    assert isinstance(batch["b"], list) and whole.dtype == np.int64 and real.dtype == np.float32
    assert isinstance(batch["c"], Item) and batch["c"].name == ["n0", "n1", "n2"]
    assert batch["c"].x.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert batch["d"].dtype == bool and batch["d"].tolist() == [False, True, True]


def test_collate_refuses_what_makes_no_batch():
    with pytest.raises(ShapeError, match=r"\(2,\), \(3,\)"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ShapeError, match=r"\[1, 2\] fields"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(DTypeError, match="NoneType"):
        default_collate([(1, None)])
    image = pytest.importorskip("PIL.Image").new("L", (2, 2))
    with pytest.raises(DTypeError, match="ToTensor"):
        default_collate([image])
