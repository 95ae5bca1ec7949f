"""Normalisation: what it must make of any input, running statistics, higher orders, and errors that change nothing."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import minidl
from minidl.errors import GradcheckError, GraphError, OptionError, ShapeError


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param):
        yield request.param


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(3, 2, shape)


def test_results_are_standardised():
    y = minidl.batch_norm(normal(8, 3, 5), None, None, training=True, eps=0.0)
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-14)
    np.testing.assert_allclose(y.std((0, 2)), 1, rtol=1e-12)
    y = minidl.layer_norm(normal(4, 5, 6), (5, 6), eps=0.0)
    np.testing.assert_allclose(y.std((1, 2)), 1, rtol=1e-12)
    y = minidl.group_norm(normal(4, 6, 5), 3, eps=0.0).reshape(4, 3, 10)
    np.testing.assert_allclose(y.std(2), 1, rtol=1e-12)


def test_running_statistics_move_by_the_unbiased_variance():
    x = normal(6, 2)
    mean, var = minidl.tensor([1.0, 2.0], dtype="float64"), minidl.tensor([3.0, 4.0], dtype="float64")
    minidl.batch_norm(x, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean, 0.75 * np.array([1, 2]) + 0.25 * x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(var, 0.75 * np.array([3, 4]) + 0.25 * x.var(0, ddof=1), rtol=1e-14)


def test_running_statistics_keep_their_type_and_may_be_arrays():
    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    minidl.batch_norm(normal(6, 2), mean, var, training=True)
    assert mean.dtype == var.dtype == np.float32
    assert mean.all()


def test_no_statistics_of_an_empty_batch():
    mean, var = minidl.zeros(2), minidl.ones(2)
    assert minidl.batch_norm(np.zeros((0, 2, 3)), mean, var, training=True).shape == (0, 2, 3)
    assert mean.tolist() == [0, 0]
    assert var.tolist() == [1, 1]


def test_evaluation_ignores_the_batch():
    mean, var = minidl.tensor([1.0]), minidl.tensor([4.0])
    y = minidl.batch_norm(minidl.tensor([[5.0]]), mean, var, eps=0.0)
    assert y.tolist() == [[2.0]]
    assert (mean.item(), var.item()) == (1.0, 4.0)


def test_statistics_that_move_before_backward_are_noticed():
    x = minidl.tensor(normal(3, 2), requires_grad=True)
    mean, var = minidl.zeros(2, dtype="float64"), minidl.ones(2, dtype="float64")
    y = minidl.batch_norm(x, mean, var)
    minidl.batch_norm(x.detach(), mean, var, training=True)
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


def test_third_order_through_the_statistics():
    x, weight = normal(3, 2), normal(2)
    assert minidl.gradcheck(
        lambda a, w: minidl.batch_norm(a, None, None, w, training=True, eps=0.1), [x, weight], order=3, rtol=1e-4
    )
    assert minidl.gradcheck(lambda a, w: minidl.layer_norm(a, 2, w, eps=0.1), [x, weight], order=3, rtol=1e-4)


def test_second_order_is_that_of_the_plain_formula():
    x, weight = (minidl.tensor(a, requires_grad=True) for a in (normal(5, 3, 2), normal(3)))

    def composite(x, weight):
        centred = x - x.mean((0, 2), keepdim=True)
        return centred / ((centred * centred).mean((0, 2), keepdim=True) + 1e-5) ** 0.5 * weight.reshape(3, 1)

    def mixed(y):
        (g,) = minidl.grad((y**3).sum(), x, create_graph=True)
        return [h.numpy() for h in minidl.grad((g**2).sum(), [x, weight])]

    found = mixed(minidl.batch_norm(x, None, None, weight, training=True))
    for a, b in zip(found, mixed(composite(x, weight)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.abs(b).max())


def test_a_deviation_taken_for_a_number_is_caught(monkeypatch):
    """The mistake that a cached statistic makes: right at first order, wrong at second."""
    module = importlib.import_module("minidl.ops.batch_norm")
    honest = module.normalise

    def cached(*arguments):
        normalised, rstd = honest(*arguments)
        return normalised, rstd.detach()

    monkeypatch.setattr(module, "normalise", cached)
    assert minidl.gradcheck(lambda a: minidl.batch_norm(a, None, None, training=True), normal(4, 2), order=1)
    with pytest.raises(GradcheckError, match="order 2"):
        minidl.gradcheck(lambda a: minidl.batch_norm(a, None, None, training=True), normal(4, 2), order=2)


@pytest.mark.parametrize(
    ("shape", "options", "error", "text"),
    [
        ((3,), {}, ShapeError, "an input (N, C, ...)"),
        ((1, 2), {}, ShapeError, "more than one value per channel"),
        ((4, 3), {}, ShapeError, "a running_mean of shape (3,)"),
        ((4, 2), {"weight": np.ones(3)}, ShapeError, "a weight of shape (2,)"),
        ((4, 2), {"bias": np.ones((2, 1))}, ShapeError, "a bias of shape (2,)"),
    ],
)
def test_batch_norm_errors_change_nothing(shape, options, error, text):
    mean, var = minidl.zeros(2), minidl.ones(2)
    with pytest.raises(error, match="batch_norm") as caught:
        minidl.batch_norm(np.ones(shape), mean, var, training=True, **options)
    assert text in str(caught.value)
    assert (mean.tolist(), var.tolist()) == ([0, 0], [1, 1])


def test_other_errors():
    with pytest.raises(OptionError, match="running_mean and running_var"):
        minidl.batch_norm(np.ones((4, 2)), None, None)
    with pytest.raises(ShapeError, match=r"layer_norm: expected an input \(..., 3, 2\)"):
        minidl.layer_norm(np.ones((4, 2)), (3, 2))
    with pytest.raises(ShapeError, match="layer_norm"):
        minidl.layer_norm(np.ones(2), (2, 2))
    with pytest.raises(ShapeError, match="layer_norm: expected a weight of shape"):
        minidl.layer_norm(np.ones((4, 2)), 2, np.ones(4))
    with pytest.raises(ShapeError, match="group_norm: expected an input"):
        minidl.group_norm(np.ones((2, 5)), 2)
    with pytest.raises(ShapeError, match="group_norm: expected a bias"):
        minidl.group_norm(np.ones((2, 4)), 2, None, np.ones(2))
    with pytest.raises(OptionError, match="num_groups"):
        minidl.group_norm(np.ones((2, 4)), 0)
