"""Sums over axes: right for every pattern of axes, accurate in float32, the same bits on any number of threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import _kernels
from minidl.backends import backend_of

pytestmark = pytest.mark.skipif(_kernels.kernels is None, reason="the kernels are not built")


def by_hand(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Exact sums, one result at a time."""
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = np.moveaxis(x.astype(np.float64), kept, range(len(kept)))
    shape = moved.shape[: len(kept)]
    out = np.array([math.fsum(moved[i].ravel()) for i in np.ndindex(*shape)]).reshape(shape)
    return np.expand_dims(out, axes) if keepdims else out


@settings(max_examples=150)
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), keepdims=st.booleans(), seed=st.integers(0, 99))
def test_against_exact_sums(data, dtype, keepdims, seed):
    shape = tuple(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=4)))
    axes = tuple(i for i in range(len(shape)) if data.draw(st.booleans()))
    x = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    if data.draw(st.booleans()):
        x = np.asfortranarray(x)
    y = backend_of(x).sum(x, axes, keepdims)
    wanted = by_hand(x, axes, keepdims)
    assert y.shape == wanted.shape and y.dtype == dtype
    np.testing.assert_allclose(y, wanted, rtol=0, atol=(np.abs(x).sum() + 1) * np.finfo(dtype).eps)


LARGE = [
    ((200_000, 8), (0,)),
    ((64, 6, 24, 24), (0, 2, 3)),
    ((1_000_000,), (0,)),
    ((300, 40_000), (1,)),
    ((40_000, 3), (0, 1)),
    ((5, 7, 9000), (0, 2)),
    ((70_000, 1), (0,)),
]


@pytest.mark.parametrize(("shape", "axes"), LARGE)
def test_large_sums_stay_accurate_and_threads_change_no_bit(shape, axes):
    x = (np.random.default_rng(0).random(shape) + 1).astype(np.float32)
    threads = minidl.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            minidl.set_num_threads(count)
            found.append(backend_of(x).sum(x, axes, False))
    finally:
        minidl.set_num_threads(threads)
    np.testing.assert_allclose(found[0], x.sum(axis=axes, dtype=np.float64), rtol=1e-6)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_infinities_and_nan_pass_through():
    x = np.ones((50, 40), np.float32)
    x[3, 5], x[4, 6] = np.inf, np.nan
    y = backend_of(x).sum(x, (0,), False)
    assert np.isinf(y[5]) and np.isnan(y[6]) and y[0] == 50


def test_the_kernel_refuses_axes_out_of_range():
    with pytest.raises(ValueError, match="expected 0 <= first"):
        _kernels.kernels.reduction.sum_around(np.ones((2, 2)), 1, 3)
    assert _kernels.kernels.reduction.sum_around(np.ones((2, 2), np.int64), 0, 1) is None
