"""The pool of large results, as a user sees it."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import minidl
from minidl import _kernels
from minidl.errors import OptionError

compiled = pytest.mark.skipif(_kernels.kernels is None, reason="the kernels are not built")


@compiled
def test_a_training_step_finds_its_memory_again():
    model = minidl.nn.Sequential(minidl.nn.Conv2d(3, 16, 3), minidl.nn.ReLU(), minidl.nn.MaxPool2d(2))
    x = minidl.randn(8, 3, 32, 32)

    def step():
        model(x).sum().backward()

    step()
    step()
    before = minidl.memory_stats()
    for _ in range(10):
        step()
    after = minidl.memory_stats()
    assert after["misses"] == before["misses"] and after["hits"] >= before["hits"] + 40
    assert after["live"] == before["live"]


@compiled
def test_results_belong_to_the_pool_and_return_to_it():
    minidl.empty_cache()
    gc.collect()
    live = minidl.memory_stats()["live"]
    y = minidl.relu(minidl.ones(1000, 1000))
    assert y.data.flags.owndata and minidl.memory_stats()["live"] >= live + y.data.nbytes
    size = y.data.nbytes
    del y
    stats = minidl.memory_stats()
    assert stats["live"] == live and stats["cached"] >= size
    assert minidl.empty_cache() >= size and minidl.memory_stats()["cached"] == 0


@compiled
def test_the_limit_holds():
    before = minidl.memory_stats()["limit"]
    try:
        minidl.set_memory_limit(0)
        y = minidl.relu(minidl.ones(1000, 1000))
        del y
        assert minidl.memory_stats()["cached"] == 0
    finally:
        minidl.set_memory_limit(before)


def test_numpys_own_arrays_stay_numpys():
    before = minidl.memory_stats()
    a = np.ones((1000, 1000), np.float32) * 2
    assert minidl.memory_stats()["live"] == before["live"] and a[0, 0] == 2


def test_without_kernels_there_is_nothing_to_count(monkeypatch):
    monkeypatch.setattr(_kernels, "kernels", None)
    assert set(minidl.memory_stats().values()) == {0} and minidl.empty_cache() == 0
    minidl.set_memory_limit(5)


@pytest.mark.parametrize("limit", [-1, 1.5, True, None])
def test_bad_limits(limit):
    with pytest.raises(OptionError, match="bytes"):
        minidl.set_memory_limit(limit)
