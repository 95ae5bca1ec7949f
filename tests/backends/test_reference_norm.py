"""Batch norm and layer norm against sums written out, against PyTorch, and against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()
EPS = 1e-5
SHAPES = [(4, 3), (5, 3, 7), (2, 3, 4, 5), (2, 1, 3, 2, 2)]


def normalise_by_loops(values, eps):
    """Return the normalised values of a flat list, their mean and their variance."""
    mean = math.fsum(values) / len(values)
    var = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(var + eps) for v in values], mean, var


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm_against_loops(shape, affine):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) * 3 + 5
    weight, bias = (rng.standard_normal(shape[1]), rng.standard_normal(shape[1])) if affine else (None, None)
    y, mean, var = backend.batch_norm(x, weight, bias, EPS)
    for c in range(shape[1]):
        values, expected_mean, expected_var = normalise_by_loops(x[:, c].ravel().tolist(), EPS)
        if affine:
            values = [v * weight[c] + bias[c] for v in values]
        np.testing.assert_allclose(y[:, c].ravel(), values, rtol=1e-11, atol=1e-12)
        assert mean[c] == pytest.approx(expected_mean, rel=1e-13)
        assert var[c] == pytest.approx(expected_var, rel=1e-12)
    np.testing.assert_allclose(backend.batch_norm_eval(x, mean, var, weight, bias, EPS), y, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm_against_loops(affine):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 5)) * 2 - 7
    weight, bias = (rng.standard_normal(5), rng.standard_normal(5)) if affine else (None, None)
    y, mean, rstd = backend.layer_norm(x, weight, bias, EPS)
    for m in range(6):
        values, expected_mean, expected_var = normalise_by_loops(x[m].tolist(), EPS)
        if affine:
            values = [v * w + b for v, w, b in zip(values, weight, bias, strict=True)]
        np.testing.assert_allclose(y[m], values, rtol=1e-11, atol=1e-12)
        assert mean[m] == pytest.approx(expected_mean, rel=1e-13)
        assert rstd[m] == pytest.approx(1 / math.sqrt(expected_var + EPS), rel=1e-12)


def slope(function, x, grad, eps=1e-6):
    """Return the gradient of <function(x), grad> by central differences."""
    x_grad = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = eps
        x_grad[place] = np.vdot(function(x + step) - function(x - step), grad) / (2 * eps)
    return x_grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm_grad_goes_through_the_statistics(shape, affine):
    rng = np.random.default_rng(2)
    x, grad = rng.standard_normal(shape), rng.standard_normal(shape)
    weight, bias = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    used = weight if affine else None
    _, mean, var = backend.batch_norm(x, used, None, EPS)
    x_grad, weight_grad, bias_grad = backend.batch_norm_grad(grad, x, used, mean, var, EPS)
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(x_grad, slope(lambda a: backend.batch_norm(a, used, None, EPS)[0], x, grad), **close)
    unit = np.ones(shape[1])
    np.testing.assert_allclose(
        weight_grad, slope(lambda a: backend.batch_norm(x, a, None, EPS)[0], unit, grad), **close
    )
    np.testing.assert_allclose(bias_grad, slope(lambda a: backend.batch_norm(x, None, a, EPS)[0], bias, grad), **close)
    # What the statistics pass back makes the gradient orthogonal to a constant.
    np.testing.assert_allclose(x_grad.sum(axis=(0, *range(2, x.ndim))), 0, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_layer_norm_grad(affine):
    rng = np.random.default_rng(3)
    x, grad, weight = rng.standard_normal((4, 5)), rng.standard_normal((4, 5)), rng.standard_normal(5)
    used = weight if affine else None
    _, mean, rstd = backend.layer_norm(x, used, None, EPS)
    x_grad, weight_grad, bias_grad = backend.layer_norm_grad(grad, x, used, mean, rstd)
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(x_grad, slope(lambda a: backend.layer_norm(a, used, None, EPS)[0], x, grad), **close)
    np.testing.assert_allclose(
        weight_grad, slope(lambda a: backend.layer_norm(x, a, None, EPS)[0], weight, grad), **close
    )
    np.testing.assert_allclose(
        bias_grad, slope(lambda a: backend.layer_norm(x, None, a, EPS)[0], weight, grad), **close
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [False, True])
def test_against_torch(shape, affine):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    close = {"rtol": 1e-10, "atol": 1e-11}

    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    x, grad = rng.standard_normal(shape) + 3, rng.standard_normal(shape)
    weight, bias = (rng.standard_normal(shape[1]), rng.standard_normal(shape[1])) if affine else (None, None)
    x_t, weight_t, bias_t = leaf(x), *(leaf(a) if affine else None for a in (weight, bias))
    y_t = torch.nn.functional.batch_norm(x_t, None, None, weight_t, bias_t, True, 0.1, EPS)
    y_t.backward(torch.tensor(grad))
    y, mean, var = backend.batch_norm(x, weight, bias, EPS)
    x_grad, weight_grad, bias_grad = backend.batch_norm_grad(grad, x, weight, mean, var, EPS)
    np.testing.assert_allclose(y, y_t.detach(), **close)
    np.testing.assert_allclose(x_grad, x_t.grad, **close)
    if affine:
        np.testing.assert_allclose(weight_grad, weight_t.grad, **close)
        np.testing.assert_allclose(bias_grad, bias_t.grad, **close)

    x, grad = x.reshape(shape[0], -1), grad.reshape(shape[0], -1)
    d = x.shape[1]
    weight, bias = (rng.standard_normal(d), rng.standard_normal(d)) if affine else (None, None)
    x_t, weight_t, bias_t = leaf(x), *(leaf(a) if affine else None for a in (weight, bias))
    y_t = torch.nn.functional.layer_norm(x_t, (d,), weight_t, bias_t, EPS)
    y_t.backward(torch.tensor(grad))
    y, mean, rstd = backend.layer_norm(x, weight, bias, EPS)
    x_grad, weight_grad, bias_grad = backend.layer_norm_grad(grad, x, weight, mean, rstd)
    np.testing.assert_allclose(y, y_t.detach(), **close)
    np.testing.assert_allclose(x_grad, x_t.grad, **close)
    if affine:
        np.testing.assert_allclose(weight_grad, weight_t.grad, **close)
        np.testing.assert_allclose(bias_grad, bias_t.grad, **close)


def test_a_large_mean_costs_no_precision():
    """The variance is that of the differences, not a difference of squares."""
    x = np.random.default_rng(5).standard_normal((50, 2)) + 1e8
    exact = [math.fsum((v - math.fsum(column) / 50) ** 2 for v in column) / 50 for column in x.T.tolist()]
    np.testing.assert_allclose(backend.batch_norm(x, None, None, EPS)[2], exact, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_zero_size():
    weight = np.ones(3)
    y, mean, var = backend.batch_norm(np.empty((0, 3, 4, 4)), weight, weight, EPS)
    assert y.shape == (0, 3, 4, 4) and mean.shape == var.shape == (3,)
    x_grad, weight_grad, _ = backend.batch_norm_grad(y, y, weight, mean, var, EPS)
    assert x_grad.shape == y.shape and (weight_grad == 0).all()
    assert backend.batch_norm(np.empty((2, 0, 4)), None, None, EPS)[1].shape == (0,)
    assert backend.layer_norm(np.empty((0, 3)), weight, weight, EPS)[0].shape == (0, 3)
    assert backend.layer_norm(np.empty((3, 0)), None, None, EPS)[1].shape == (3,)
