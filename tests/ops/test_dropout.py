"""Dropout: its mask, its mean, its gradient, and what makes it repeatable."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl.errors import OptionError


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param):
        yield request.param


def test_share_of_zeros_and_mean():
    minidl.manual_seed(0)
    y = minidl.dropout(minidl.ones(100_000), 0.3).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    # Within four standard deviations of a fair draw.
    assert abs((y == 0).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 100_000)


def test_neighbours_are_independent():
    minidl.manual_seed(1)
    kept = minidl.dropout(np.ones(100_000), 0.5) > 0
    for lag in (1, 2, 3, 4, 5, 64):
        assert abs((kept[lag:] == kept[:-lag]).mean() - 0.5) < 4 * 0.5 / math.sqrt(100_000)


def test_the_gradient_has_the_same_mask():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(7, 5)), requires_grad=True)
    y = minidl.dropout(x, 0.4)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy() * x.detach().numpy(), y.detach(), rtol=1e-14)


def test_repeatable_and_fresh():
    x = minidl.ones(64)
    minidl.manual_seed(5)
    first, second = minidl.dropout(x), minidl.dropout(x)
    minidl.manual_seed(5)
    assert minidl.dropout(x).tolist() == first.tolist() != second.tolist()


def test_same_numbers_on_every_backend(backend):
    minidl.manual_seed(3)
    y = minidl.dropout(minidl.ones(37), 0.5)
    minidl.manual_seed(3)
    with minidl.use_backend("reference"):
        assert minidl.dropout(minidl.ones(37), 0.5).tolist() == y.tolist()


def test_all_nothing_and_evaluation():
    x = minidl.tensor([1.0, math.inf, math.nan], requires_grad=True)
    assert minidl.dropout(x, 0.0) is x
    assert minidl.dropout(x, 0.9, training=False) is x
    y = minidl.dropout(x, 1.0)
    assert y.tolist() == [0, 0, 0]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_evaluation_draws_nothing():
    minidl.manual_seed(0)
    before = minidl.random.get_rng_state()
    minidl.dropout(minidl.ones(3), 0.5, training=False)
    assert minidl.random.get_rng_state() == before


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, "half", None])
def test_errors(p):
    with pytest.raises(OptionError, match="dropout: expected a probability"):
        minidl.dropout(minidl.ones(3), p)
