"""The pool: blocks come back, stay within bounds, are clean when they must be, and survive threads, forks and exit."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minidl import _kernels

if _kernels.kernels is None:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

memory = _kernels.kernels.memory
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def pool():
    was_installed, limit = memory.installed(), memory.stats()["limit"]
    memory.install(64 * MEGABYTE)
    memory.empty_cache()
    yield
    memory.empty_cache()
    if was_installed:
        memory.install(limit)
    else:
        memory.uninstall()


def address(array):
    return array.__array_interface__["data"][0]


def run(program):
    """Run a program in a fresh interpreter."""
    lines = ["import numpy as np", "from minidl._kernels import kernels", "memory = kernels.memory", program]
    root = Path(_kernels.__file__).parents[2]
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)


def test_a_block_is_handed_out_again():
    x = np.empty(MEGABYTE, np.uint8)
    first, before = address(x), memory.stats()
    del x
    assert memory.stats()["cached"] == before["live"] - memory.stats()["live"] >= MEGABYTE
    y = np.empty(MEGABYTE, np.uint8)
    after = memory.stats()
    assert address(y) == first
    assert after["hits"] == before["hits"] + 1 and after["misses"] == before["misses"]
    assert after["live"] == before["live"] and after["cached"] == 0


def test_a_little_smaller_fits_too_but_not_much_smaller():
    """Small blocks, that is; large ones are cut."""
    first = address(np.empty(100_000, np.uint8))
    assert address(np.empty(95_000, np.uint8)) == first
    assert address(np.empty(50_000, np.uint8)) != first


def test_a_large_block_is_cut_and_joined_again():
    whole = np.empty(8 * MEGABYTE, np.uint8)
    start, live, misses = address(whole), memory.stats()["live"], memory.stats()["misses"]
    del whole
    parts = [np.empty(2 * MEGABYTE, np.uint8) for _ in range(3)]
    for number in range(3):
        parts[number].fill(number)
    assert sorted(map(address, parts))[0] == start
    assert all(start <= address(part) < start + 8 * MEGABYTE for part in parts)
    assert [part.sum(dtype=int) for part in parts] == [2 * MEGABYTE * number for number in range(3)]
    for number in (1, 0, 2):  # the middle one first: joined from both sides
        parts[number] = None
    assert address(np.empty(8 * MEGABYTE, np.uint8)) == start
    assert memory.stats()["misses"] == misses and memory.stats()["cached"] <= live


def test_a_large_block_is_not_split_by_little():
    """The small array may live long, and the next large one would find no room."""
    start = address(np.empty(8 * MEGABYTE, np.uint8))
    little = np.empty(MEGABYTE // 2, np.uint8)
    assert not start <= address(little) < start + 8 * MEGABYTE
    assert address(np.empty(8 * MEGABYTE, np.uint8)) == start
    assert address(np.empty(2 * MEGABYTE, np.uint8)) == start


def test_what_is_in_use_keeps_its_segment():
    whole = np.empty(8 * MEGABYTE, np.uint8)
    del whole
    part = np.empty(2 * MEGABYTE, np.uint8)
    part.fill(7)
    assert memory.empty_cache() == 0 and memory.stats()["cached"] >= 5 * MEGABYTE
    assert (part == 7).all()
    del part
    assert memory.empty_cache() >= 8 * MEGABYTE and memory.stats()["cached"] == 0


@pytest.mark.parametrize("size", [0, 1, 63, 1000, 2**14 - 1, 2**14, 2**14 + 1, 100_000, MEGABYTE, 5 * MEGABYTE + 3])
def test_every_block_is_aligned(size):
    arrays = [np.empty(size, np.uint8) for _ in range(5)]
    assert all(address(a) % 64 == 0 for a in arrays)


def test_zeros_are_zero_in_used_memory():
    for size in (100, 20_000, MEGABYTE):
        np.empty(size, np.uint8).fill(255)
        assert not np.zeros(size, np.uint8).any()


def test_growing_keeps_the_contents():
    for small, large in ((10, 10_000), (10, 100_000), (50_000, 51_000), (50_000, MEGABYTE), (MEGABYTE, 5)):
        x = np.arange(small, dtype=np.float32)
        x.resize(large, refcheck=False)
        kept = min(small, large)
        np.testing.assert_array_equal(x[:kept], np.arange(kept, dtype=np.float32))
        assert not x[kept:].any()


def test_the_cache_is_bounded():
    arrays = [np.empty(9 * MEGABYTE, np.uint8) for _ in range(12)]
    assert memory.stats()["live"] >= 108 * MEGABYTE
    del arrays
    assert 40 * MEGABYTE < memory.stats()["cached"] <= 64 * MEGABYTE
    memory.install(10 * MEGABYTE)
    assert memory.stats()["cached"] <= 10 * MEGABYTE
    memory.install(0)
    assert memory.stats()["cached"] == 0
    del_me = np.empty(MEGABYTE)
    del del_me
    assert memory.stats()["cached"] == 0


def test_sizes_not_asked_for_lately_leave_first():
    old, new = np.empty(30 * MEGABYTE, np.uint8), np.empty(20 * MEGABYTE, np.uint8)
    new_address = address(new)
    del old, new
    third = np.empty(40 * MEGABYTE, np.uint8)
    del third  # 90 MB would be too much: the 30 MB block goes
    assert memory.stats()["cached"] <= 64 * MEGABYTE
    assert address(np.empty(20 * MEGABYTE, np.uint8)) == new_address


def test_empty_cache_gives_everything_back():
    np.empty(MEGABYTE, np.uint8)
    cached = memory.stats()["cached"]
    assert cached >= MEGABYTE
    assert memory.empty_cache() == cached
    assert memory.stats()["cached"] == 0 and memory.empty_cache() == 0


def test_peak():
    base = memory.stats()["live"]
    memory.reset_peak()
    x = np.empty(3 * MEGABYTE, np.uint8)
    del x
    assert base + 3 * MEGABYTE <= memory.stats()["peak"] <= base + 4 * MEGABYTE
    memory.reset_peak()
    assert memory.stats()["peak"] == base


def test_arrays_outlive_the_installation():
    x = np.arange(100_000.0)
    memory.uninstall()
    assert not memory.installed()
    outside = np.arange(100_000.0)
    memory.install(64 * MEGABYTE)
    assert x.sum() == outside.sum()
    live = memory.stats()["live"]
    del outside  # was never the pool's
    assert memory.stats()["live"] == live
    memory.uninstall()
    del x  # is the pool's, installed or not
    assert memory.stats()["live"] < live


def test_impossible_requests_are_refused():
    for shape in ((2**60,), (2**31, 2**31), (2**48,)):
        with pytest.raises((MemoryError, ValueError)):
            np.empty(shape, np.uint8)
        with pytest.raises((MemoryError, ValueError)):
            np.zeros(shape, np.float64)
    with pytest.raises(ValueError):
        memory.install(-1)


def test_random_use_keeps_contents_and_books():
    rng = np.random.default_rng(1)
    base, held = memory.stats()["live"], []
    for step in range(3000):
        if held and rng.random() < 0.5:
            array, value = held.pop(rng.integers(len(held)))
            assert (array == value).all()
        else:
            array = np.empty(int(2 ** rng.uniform(0, 19)), np.uint8)
            array.fill(step % 251)
            held.append((array, step % 251))
    del array
    held.clear()
    assert memory.stats()["live"] == base


def test_a_kernel_may_run_while_an_array_is_being_made():
    """So may one in another thread, or in a fork of the process: no allocation keeps others from the pool."""
    kernels, large = _kernels.kernels, np.ones(5000, np.float32)
    results = []

    class Length:
        def __index__(self):
            results.append(kernels.pointwise.relu(large))
            return 3

    misses = memory.stats()["misses"] + memory.stats()["hits"]
    assert kernels.arrays.new((Length(),), np.dtype(np.float32)).shape == (3,)
    np.testing.assert_array_equal(results[0], large)
    assert memory.stats()["misses"] + memory.stats()["hits"] > misses  # large results come from the pool all the same


def test_threads_share_the_pool():
    failures = []

    def work(seed):
        memory.install(64 * MEGABYTE)  # a thread starts with NumPy's own allocator
        rng = np.random.default_rng(seed)
        for _ in range(300):
            arrays = [np.full(int(rng.integers(1, 300_000)), seed, np.uint8) for _ in range(4)]
            sums = [np.square(a.astype(np.float32)).sum() for a in arrays]
            if any(s != seed * seed * a.size for s, a in zip(sums, arrays, strict=True)):
                failures.append(seed)

    gc.collect()
    live = memory.stats()["live"]
    threads = [threading.Thread(target=work, args=(seed,)) for seed in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    gc.collect()
    assert memory.stats()["live"] == live


def test_another_thread_may_free():
    held = [np.ones(MEGABYTE, np.uint8) for _ in range(10)]
    live = memory.stats()["live"]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert memory.stats()["live"] <= live - 10 * MEGABYTE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on():
    result = run(
        """
import os
memory.install()
kept = np.arange(200_000.0)
np.empty(5_000_000)
child = os.fork()
total = sum(np.full(300_000 + i, 1.0).sum() for i in range(20)) + kept.sum()
del kept
memory.empty_cache()
if child == 0:
    os._exit(0 if total > 0 else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert result.returncode == 0, result.stderr


def test_the_interpreter_exits_quietly_with_arrays_alive():
    result = run(
        """
import atexit, threading
memory.install()
class Holder: pass
holder = Holder(); holder.me = holder; holder.array = np.ones(1_000_000)
builtins_array = np.ones(50_000)
import builtins
builtins.kept = builtins_array
atexit.register(lambda: np.empty(3_000_000))
threading.Thread(target=lambda: np.ones(1_000_000)).start()
"""
    )
    assert result.returncode == 0 and result.stderr == ""
