"""Softmax and its relatives at their limits: ±1000, masked rows, and what a masked row does to a gradient."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import minidl
from minidl.errors import ShapeError

INF = math.inf


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield request.param


def test_far_out():
    x = minidl.tensor([[1000.0, 999.0], [-1000.0, -1001.0]], dtype="float64", requires_grad=True)
    e = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(minidl.softmax(x, 1).detach(), [[e, 1 - e]] * 2, rtol=1e-14)
    np.testing.assert_allclose(minidl.log_softmax(x, 1).detach(), np.log([[e, 1 - e]] * 2), rtol=1e-13)
    np.testing.assert_allclose(minidl.logsumexp(x, 1).detach(), [1000 - math.log(e), -1000 - math.log(e)], rtol=1e-15)
    (g,) = minidl.grad(minidl.logsumexp(x, 1).sum(), x)
    np.testing.assert_allclose(g, [[e, 1 - e]] * 2, rtol=1e-12)


def test_a_fully_masked_row_gives_zeros_and_zero_gradients():
    x = minidl.tensor([[-INF, -INF], [-INF, 0.0]], dtype="float64", requires_grad=True)
    y = minidl.softmax(x, 1)
    np.testing.assert_array_equal(y.detach(), [[0, 0], [0, 1]])
    (g,) = minidl.grad((y * minidl.tensor([3.0, 5.0])).sum(), x, create_graph=True)
    np.testing.assert_array_equal(g.detach(), [[0, 0], [0, 0]])
    (gg,) = minidl.grad((g * minidl.tensor([3.0, 5.0])).sum(), x)
    np.testing.assert_array_equal(gg, [[0, 0], [0, 0]])


@pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax, minidl.logsumexp])
def test_a_masked_score_takes_no_part(function):
    """With a score of -inf the others, and their gradients, are as if it were not there; its own gradient is zero."""
    rng = np.random.default_rng(0)
    scores, weights, kept = rng.normal(size=4), rng.normal(size=4), np.array([0, 2, 3])
    masked = np.full(4, -INF)
    masked[kept] = scores[kept]
    x, z = minidl.tensor(masked, requires_grad=True), minidl.tensor(scores[kept], requires_grad=True)
    y, wanted = function(x, 0), function(z, 0)
    if y.ndim:
        y = y[kept]
        weights = weights[kept]
    else:
        weights = weights[0]
    np.testing.assert_allclose(y.detach(), wanted.detach(), rtol=1e-14)
    (g,) = minidl.grad((y * weights).sum(), x)
    (h,) = minidl.grad((wanted * weights).sum(), z)
    np.testing.assert_allclose(g[kept], h, rtol=1e-12, atol=1e-15)
    assert g[1].item() == 0


def test_logsumexp_of_a_masked_row():
    x = minidl.tensor([[-INF, -INF], [0.0, -INF]], requires_grad=True)
    y = minidl.logsumexp(x, 1)
    np.testing.assert_array_equal(y.detach(), [-INF, 0])
    y[1].backward()
    np.testing.assert_array_equal(x.grad, [[0, 0], [1, 0]])


@pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax])
def test_shapes(function):
    assert function(minidl.zeros(2, 0), 1).shape == (2, 0)
    assert function(minidl.zeros(0, 2), 1).shape == (0, 2)
    number = minidl.tensor(3.0, requires_grad=True)
    y = function(number, 0)
    assert y.shape == () and y.item() == (1 if function is minidl.softmax else 0)
    y.backward()
    assert number.grad.item() == 0
    with pytest.raises(ShapeError, match="softmax: expected dim from -2 to 1"):
        function(minidl.zeros(2, 2), 2)


@pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax, minidl.logsumexp])
def test_types(function):
    assert function(minidl.tensor([1, 2]), 0).dtype == np.float32
    assert function(minidl.tensor([1.0, 2.0]), 0).dtype == np.float32
    assert function(minidl.tensor([1.0, 2.0], dtype="float16"), 0).dtype == np.float16
