"""Embedding against a loop over its indices, and against its adjoint."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 0)])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_against_loops(shape, dtype):
    rng = np.random.default_rng(0)
    weight, indices = rng.standard_normal((4, 3)), rng.integers(0, 4, shape).astype(dtype)
    indices = np.asarray(indices)
    y = backend.embedding(weight, indices)
    grad = rng.standard_normal((*shape, 3))
    expected = np.zeros((4, 3))
    assert y.shape == (*shape, 3)
    for place in np.ndindex(*shape):
        np.testing.assert_array_equal(y[place], weight[indices[place]])
        expected[indices[place]] += grad[place]
    weight_grad = backend.embedding_grad(grad, indices, 4)
    np.testing.assert_allclose(weight_grad, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(np.vdot(y, grad), np.vdot(weight, weight_grad), rtol=1e-12, atol=1e-13)


def test_more_rows_than_a_small_index_dtype_can_number():
    indices = np.array([255, 3], np.uint8)
    weight_grad = backend.embedding_grad(np.ones((2, 40)), indices, 300)
    assert weight_grad.shape == (300, 40)
    np.testing.assert_array_equal(weight_grad.sum(axis=1).nonzero()[0], [3, 255])


def test_empty_rows():
    assert backend.embedding(np.empty((4, 0)), np.array([1, 2])).shape == (2, 0)
    assert backend.embedding_grad(np.empty((2, 0)), np.array([1, 2]), 4).shape == (4, 0)


def test_index_beyond_the_table():
    with pytest.raises(IndexError):
        backend.embedding(np.ones((4, 3)), np.array([4]))
    with pytest.raises(IndexError):
        backend.embedding_grad(np.ones((1, 3)), np.array([4]), 4)
