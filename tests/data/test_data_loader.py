"""The DataLoader in one process: order, random numbers, resuming, options."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
    current_generator,
)
from minidl.errors import DataError, OptionError
from minidl.tensor import Tensor


class Noisy(Dataset):
    """Items that carry a random number, as a random transform would make them."""

    def __init__(self, size=10):
        self.size = size
        self.read = []

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.read.append(index)
        return index, current_generator().random()


def indices(batches):
    return [batch[0].tolist() for batch in batches]


def values(batches):
    return [tuple(map(tuple, (batch[0].tolist(), batch[1].tolist()))) for batch in batches]


def test_sequential_batches():
    loader = DataLoader(TensorDataset(np.arange(7), np.arange(7.0)), batch_size=3)
    batches = list(loader)
    assert indices(batches) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == 3
    assert isinstance(batches[0], tuple) and isinstance(batches[0][0], Tensor)
    assert len(DataLoader(range(7), 3, drop_last=True)) == 2
    assert [b.tolist() for b in DataLoader(range(7), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]


@given(size=st.integers(0, 30), batch_size=st.integers(1, 8), drop_last=st.booleans(), seed=st.integers(0, 2**63))
def test_every_item_once(size, batch_size, drop_last, seed):
    loader = DataLoader(range(size), batch_size, shuffle=True, drop_last=drop_last, seed=seed)
    batches = [batch.tolist() for batch in loader]
    assert len(batches) == len(loader)
    flat = [index for batch in batches for index in batch]
    kept = size - size % batch_size if drop_last else size
    assert len(flat) == len(set(flat)) == kept and set(flat) <= set(range(size))
    assert all(len(batch) == batch_size for batch in batches[: size // batch_size])


def test_order_depends_on_seed_and_epoch_alone():
    def epochs(seed, count=3):
        loader = DataLoader(TensorDataset(np.arange(40)), batch_size=8, shuffle=True, seed=seed)
        return [indices(loader) for _ in range(count)]

    first = epochs(5)
    assert first == epochs(5)
    assert first != epochs(6)
    assert first[0] != first[1] != first[2]


def test_seed_comes_from_minidls_generator():
    minidl.manual_seed(3)
    a, b = DataLoader(range(9)).seed, DataLoader(range(9)).seed
    minidl.manual_seed(3)
    assert DataLoader(range(9)).seed == a != b
    assert DataLoader(range(9), generator=np.random.default_rng(1)).seed == int(
        np.random.default_rng(1).integers(2**63)
    )


def test_random_items_are_reproducible_and_differ_between_epochs_and_batches():
    def run():
        loader = DataLoader(Noisy(), batch_size=4, seed=8)
        return [values(loader), values(loader)]

    one, other = run(), run()
    assert one == other
    assert one[0] != one[1]
    drawn = [number for batch in one[0] for number in batch[1]]
    assert len(set(drawn)) == len(drawn)


def test_generator_of_a_batch_does_not_leak_out():
    loader = DataLoader(Noisy(), batch_size=4, seed=8)
    minidl.manual_seed(0)
    expected = np.random.Generator(np.random.PCG64(0)).random()
    next(iter(loader))
    assert current_generator().random() == expected


def test_reading_whole_batches_equals_reading_items():
    class Slow(TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)

    arrays = np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32), np.arange(20) % 3
    for fast, slow in zip(
        DataLoader(TensorDataset(*arrays), 6, shuffle=True, seed=1),
        DataLoader(Slow(*arrays), 6, shuffle=True, seed=1),
        strict=True,
    ):
        for a, b in zip(fast, slow, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("stop_after", [0, 1, 3, 4])
def test_resume_gives_the_same_batches_without_reading_the_earlier_ones(stop_after):
    whole = DataLoader(Noisy(), batch_size=3, shuffle=True, seed=2)
    expected = [values(whole) for _ in range(3)]

    loader = DataLoader(Noisy(), batch_size=3, shuffle=True, seed=2)
    assert values(loader) == expected[0]
    batches = iter(loader)
    seen = values([next(batches) for _ in range(stop_after)])
    state = loader.state_dict()
    assert all(type(value) is int for value in state.values())

    resumed = DataLoader(Noisy(), batch_size=3, shuffle=True, seed=999)
    resumed.load_state_dict(state)
    assert seen + values(resumed) == expected[1]
    assert len(resumed.dataset.read) == max(0, 10 - 3 * stop_after)
    assert values(resumed) == expected[2]


def test_state_after_whole_epochs():
    loader = DataLoader(range(6), batch_size=2, seed=1)
    assert loader.state_dict() == {"seed": 1, "epoch": 0, "position": 0}
    list(loader)
    assert loader.state_dict() == {"seed": 1, "epoch": 1, "position": 0}


def test_leaving_early_begins_the_next_epoch():
    loader = DataLoader(range(20), batch_size=4, shuffle=True, seed=7)
    reference = DataLoader(range(20), batch_size=4, shuffle=True, seed=7)
    epochs = [[batch.tolist() for batch in reference] for _ in range(2)]
    for batch in loader:
        assert batch.tolist() == epochs[0][0]
        break
    assert [batch.tolist() for batch in loader] == epochs[1]


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = DataLoader(range(8), batch_size=2)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([i, i + 1], [i, i + 1]) for i in range(0, 8, 2)]


def test_an_older_iteration_does_not_move_the_position():
    loader = DataLoader(range(8), batch_size=2, seed=1)
    older, newer = iter(loader), iter(loader)
    next(newer)
    list(older)
    assert loader.state_dict() == {"seed": 1, "epoch": 1, "position": 1}
    loader.load_state_dict({"seed": 1, "epoch": 5, "position": 3})
    list(newer)
    assert loader.state_dict() == {"seed": 1, "epoch": 5, "position": 3}


@pytest.mark.parametrize(
    "state",
    [
        {"seed": 1, "epoch": 0},
        {"seed": 1, "epoch": 0, "position": 4},
        {"seed": 1, "epoch": -1, "position": 0},
        {"seed": 1, "epoch": 0, "position": 0, "extra": 1},
    ],
)
def test_load_state_refuses_and_changes_nothing(state):
    loader = DataLoader(range(6), batch_size=2, seed=5)
    with pytest.raises(DataError, match="position"):
        loader.load_state_dict(state)
    assert loader.state_dict() == {"seed": 5, "epoch": 0, "position": 0}


def test_samplers():
    assert list(SequentialSampler("abcd")) == [0, 1, 2, 3]
    sampler = RandomSampler(range(100), replacement=True, num_samples=250, seed=0)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 250 and set(drawn) <= set(range(100)) and len(set(drawn)) < 100
    few = RandomSampler(range(100), num_samples=10, seed=0)
    assert len(set(few)) == len(few) == 10
    before = list(few)
    few.set_epoch(1)
    assert list(few) != before
    with pytest.raises(OptionError, match="replacement=True"):
        RandomSampler(range(5), num_samples=6)
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(Sampler())


def test_own_samplers():
    dataset = TensorDataset(np.arange(10))
    assert indices(DataLoader(dataset, 2, sampler=[9, 1, 5])) == [[9, 1], [5]]
    assert indices(DataLoader(dataset, batch_sampler=[[1], [2, 3, 4]])) == [[1], [2, 3, 4]]
    own = RandomSampler(dataset, seed=4)
    loader = DataLoader(dataset, 5, sampler=own, seed=1)
    first, second = indices(loader), indices(loader)
    assert first != second  # the loader moves the sampler on to the next epoch
    resumed = DataLoader(dataset, 5, sampler=RandomSampler(dataset, seed=4), seed=1)
    resumed.load_state_dict({"seed": 1, "epoch": 1, "position": 0})
    assert indices(resumed) == second
    assert list(BatchSampler([3, 4, 5], 2, False)) == [[3, 4], [5]]


def test_collate_fn_gets_the_items_and_its_result_is_left_alone():
    loader = DataLoader(TensorDataset(np.arange(4)), 2, collate_fn=lambda items: [int(item[0]) for item in items])
    assert list(loader) == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": True},
        {"batch_size": 2.0},
        {"num_workers": -1},
        {"prefetch_factor": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"seed": -1},
        {"seed": 1, "generator": np.random.default_rng()},
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "drop_last": True},
    ],
)
def test_bad_options(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        DataLoader(range(4), **options)


def test_dataset_without_length():
    with pytest.raises(OptionError, match="TensorDataset"):
        DataLoader(iter([1, 2]))
