"""Softmax and cross entropy against their definitions in exact order, at the extremes, and against PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()


def softmax_by_loops(row):
    exponentials = [math.exp(v) for v in row]
    return [e / math.fsum(exponentials) for e in exponentials]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_softmax_and_its_logarithm_against_the_definition(axis):
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    expected = np.apply_along_axis(softmax_by_loops, axis, x)
    np.testing.assert_allclose(backend.softmax(x, axis), expected, rtol=1e-13)
    np.testing.assert_allclose(backend.log_softmax(x, axis), np.log(expected), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_gradients_against_torch(axis):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, grad = rng.standard_normal((2, 3, 4, 5))
    for name in ("softmax", "log_softmax"):
        x_t = torch.tensor(x, requires_grad=True)
        getattr(torch, name)(x_t, axis).backward(torch.tensor(grad))
        y = getattr(backend, name)(x, axis)
        x_grad = getattr(backend, f"{name}_grad")(grad, y, axis)
        np.testing.assert_allclose(x_grad, x_t.grad, rtol=1e-11, atol=1e-13)


@pytest.mark.filterwarnings("error")
def test_stable_at_a_thousand():
    x = np.array([[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, -1001.0]])
    e = 1 / (2 + math.exp(-1))
    np.testing.assert_allclose(backend.softmax(x, 1), [[1, 0, 0], [e, e, e * math.exp(-1)]], rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(
        backend.log_softmax(x, 1),
        [[0, -1000, -2000], [math.log(e), math.log(e), math.log(e) - 1]],
        rtol=1e-13,
    )
    losses = backend.cross_entropy(x, np.array([2, 0]), -100, None)
    np.testing.assert_allclose(losses, [2000, -math.log(e)], rtol=1e-13)


@pytest.mark.filterwarnings("error")
def test_minus_infinity_masks():
    inf = math.inf
    x = np.array([[0.0, -inf, 0.0], [-inf, -inf, -inf]])
    y = backend.softmax(x, 1)
    np.testing.assert_array_equal(y, [[0.5, 0, 0.5], [0, 0, 0]])
    np.testing.assert_array_equal(backend.softmax_grad(np.array([[1.0, 2, 3]] * 2), y, 1)[1], [0, 0, 0])
    np.testing.assert_allclose(backend.log_softmax(x, 1), [[-math.log(2), -inf, -math.log(2)], [-inf] * 3], rtol=1e-15)


def test_nan_stays_in_its_row():
    x = np.array([[1.0, math.nan], [0.0, 0.0]])
    np.testing.assert_array_equal(backend.softmax(x, 1), [[math.nan, math.nan], [0.5, 0.5]])


def test_cross_entropy_against_the_definition():
    rng = np.random.default_rng(2)
    logits, labels, grad = rng.standard_normal((6, 4)), np.array([0, 3, -7, 1, 1, -7]), rng.standard_normal(6)
    losses = backend.cross_entropy(logits, labels, -7, None)
    logits_grad = backend.cross_entropy_grad(grad, logits, labels, -7, None)
    for n, label in enumerate(labels.tolist()):
        probabilities = softmax_by_loops(logits[n].tolist())
        if label == -7:
            assert losses[n] == 0 and (logits_grad[n] == 0).all()
            continue
        assert losses[n] == pytest.approx(-math.log(probabilities[label]), rel=1e-12)
        expected = [grad[n] * (p - (c == label)) for c, p in enumerate(probabilities)]
        np.testing.assert_allclose(logits_grad[n], expected, rtol=1e-11, atol=1e-14)


def test_a_share_makes_one_loss_of_all():
    rng = np.random.default_rng(7)
    logits, labels = rng.standard_normal((6, 4)), np.array([0, 3, -7, 1, 1, -7])
    losses = backend.cross_entropy(logits, labels, -7, None)
    loss = backend.cross_entropy(logits, labels, -7, 0.25)
    assert loss.shape == () and loss == pytest.approx(sum(losses.tolist()) / 4, rel=1e-12)
    each = backend.cross_entropy_grad(np.full(6, 0.5), logits, labels, -7, None)
    np.testing.assert_allclose(backend.cross_entropy_grad(np.array(2.0), logits, labels, -7, 0.25), each, rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "ignore_index", "count"),
    [
        ([0, 3, 1], -100, 3),
        ([0, 3, 1], 3, 2),
        ([0, 4, 1], -100, -1),
        ([0, 4, 1], 4, 2),
        ([0, -1, 1], -100, -1),
        ([-1, -1], -1, 0),
        ([], -100, 0),
    ],
)
def test_count_labels(labels, ignore_index, count):
    assert backend.count_labels(np.array(labels, np.int64), 4, ignore_index) == count


def test_cross_entropy_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    logits, labels = 5 * rng.standard_normal((40, 7)), rng.integers(0, 7, 40)
    labels[::5] = -100
    grad = rng.standard_normal(40)
    logits_t = torch.tensor(logits, requires_grad=True)
    losses_t = torch.nn.functional.cross_entropy(logits_t, torch.tensor(labels), reduction="none")
    losses_t.backward(torch.tensor(grad))
    losses = backend.cross_entropy(logits, labels, -100, None)
    np.testing.assert_allclose(losses, losses_t.detach(), rtol=1e-12, atol=1e-13)
    logits_grad = backend.cross_entropy_grad(grad, logits, labels, -100, None)
    np.testing.assert_allclose(logits_grad, logits_t.grad, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_dtype(dtype):
    logits = np.random.default_rng(4).standard_normal((3, 4))
    losses = backend.cross_entropy(logits, np.array([0, 3, 1], dtype), -100, None)
    expected = -backend.log_softmax(logits, 1)[[0, 1, 2], [0, 3, 1]]
    np.testing.assert_array_equal(losses, expected)


def test_an_ignored_row_of_nan_counts_nothing():
    logits = np.array([[math.nan, 1.0], [0.0, 0.0]])
    labels = np.array([-100, 1])
    np.testing.assert_allclose(backend.cross_entropy(logits, labels, -100, None), [0, math.log(2)])
    np.testing.assert_allclose(
        backend.cross_entropy_grad(np.ones(2), logits, labels, -100, None), [[0, 0], [0.5, -0.5]]
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_zero_size(shape, axis):
    x = np.empty(shape)
    for y in (backend.softmax(x, axis), backend.log_softmax(x, axis)):
        assert y.shape == shape
        assert backend.softmax_grad(x, y, axis).shape == shape
        assert backend.log_softmax_grad(x, y, axis).shape == shape
    labels = np.empty(0, np.int64)
    assert backend.cross_entropy(np.empty((0, 3)), labels, -100, None).shape == (0,)
    assert backend.cross_entropy_grad(np.empty(0), np.empty((0, 3)), labels, -100, None).shape == (0, 3)
