"""matmul and linear against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()


def matmul_by_loops(a, b):
    y = np.zeros((a.shape[0], b.shape[1]))
    for m in range(a.shape[0]):
        for n in range(b.shape[1]):
            for k in range(a.shape[1]):
                y[m, n] += a[m, k] * b[k, n]
    return y


def test_matmul_sums_over_the_inner_axis():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    np.testing.assert_allclose(backend.matmul(a, b), matmul_by_loops(a, b), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "y_shape"),
    [
        ((2, 3, 4), (4, 5), (2, 3, 5)),
        ((3, 4), (2, 4, 5), (2, 3, 5)),
        ((2, 1, 3, 4), (6, 4, 5), (2, 6, 3, 5)),
        ((3, 0), (0, 5), (3, 5)),
        ((0, 3, 4), (4, 5), (0, 3, 5)),
    ],
)
def test_matmul_broadcasts_the_leading_axes(a_shape, b_shape, y_shape):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(a_shape), rng.standard_normal(b_shape)
    y = backend.matmul(a, b)
    assert y.shape == y_shape and y.flags.c_contiguous
    a_all = np.broadcast_to(a, (*y_shape[:-2], *a_shape[-2:]))
    b_all = np.broadcast_to(b, (*y_shape[:-2], *b_shape[-2:]))
    for place in np.ndindex(*y_shape[:-2]):
        np.testing.assert_allclose(y[place], matmul_by_loops(a_all[place], b_all[place]), rtol=1e-13, atol=1e-14)


def test_linear():
    rng = np.random.default_rng(2)
    x, weight, bias = rng.standard_normal((3, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5)
    product = matmul_by_loops(x, weight.T)
    np.testing.assert_allclose(backend.linear(x, weight, None), product, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(backend.linear(x, weight, bias), product + bias[None], rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(backend.linear(x[:, :0], weight[:, :0], bias), np.tile(bias, (3, 1)))


def test_linear_parameter_grads():
    rng = np.random.default_rng(3)
    grad, x = rng.standard_normal((3, 5)), rng.standard_normal((3, 4))
    weight_grad, bias_grad = backend.linear_parameter_grads(grad, x)
    np.testing.assert_allclose(weight_grad, matmul_by_loops(grad.T, x), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(bias_grad, [sum(column) for column in grad.T], rtol=1e-13)
