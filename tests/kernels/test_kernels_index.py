"""Embedding: indices of every kind, bad ones refused, the gradient in a fixed order."""

import numpy as np
import pytest
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index_type", [np.int64, np.int32, np.uint8, np.uint64, np.int16])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 3, 4), (0, 3)])
def test_agrees_with_the_reference(shape, index_type, dtype):
    rng = np.random.default_rng(1)
    weight = draw(rng, (7, 5), dtype)
    indices = np.asarray(rng.integers(0, 7, shape), index_type)
    rows = check("embedding", weight, indices)
    np.testing.assert_array_equal(rows, weight[indices])
    check("embedding_grad", draw(rng, rows.shape, dtype), indices, 7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large(dtype):
    rng = np.random.default_rng(2)
    weight, indices = draw(rng, (3000, 65), dtype), rng.integers(0, 3000, (50, 200))
    rows = check("embedding", weight, indices, layouts=False)
    g = draw(rng, rows.shape, dtype)
    got = check("embedding_grad", g, indices, 3000, layouts=False, tolerance=1e-4)
    expected = np.zeros_like(weight)
    for index, row in zip(indices.ravel(), g.reshape(-1, 65), strict=True):
        expected[index] += row
    np.testing.assert_array_equal(got, expected)  # the order of the additions, too


def test_rows_without_numbers():
    assert compiled.embedding(np.zeros((4, 0), np.float32), np.array([1, 2])).shape == (2, 0)
    assert compiled.embedding_grad(np.zeros((2, 0), np.float32), np.array([1, 2]), 4).shape == (4, 0)
    assert compiled.embedding_grad(np.zeros((0, 3), np.float32), np.zeros(0, int), 0).shape == (0, 3)


@pytest.mark.parametrize("bad", [-1, 4, 2**62, -(2**63)])
def test_indices_are_validated(bad):
    indices = np.array([0, bad, 3])
    with pytest.raises(IndexError, match="from 0 to 3"):
        compiled.embedding(np.zeros((4, 2), np.float32), indices)
    with pytest.raises(IndexError, match="from 0 to 3"):
        compiled.embedding_grad(np.zeros((3, 2), np.float32), indices, 4)


def test_huge_unsigned_indices_are_refused():
    with pytest.raises(IndexError):
        compiled.embedding(np.zeros((4, 2), np.float32), np.array([2**64 - 1], np.uint64))


def test_wrong_arguments_are_refused():
    weight, indices = np.zeros((4, 2), np.float32), np.array([0, 1])
    with pytest.raises(TypeError):
        compiled.embedding(weight, np.array([0.0, 1.0]))
    with pytest.raises(ValueError):
        compiled.embedding(weight[0], indices)
    with pytest.raises(ValueError):
        compiled.embedding_grad(np.zeros((3, 2), np.float32), indices, 4)
    with pytest.raises(ValueError):
        compiled.embedding_grad(np.float32([1.0]), np.array([[0, 1]]), 4)


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(3), (4, 3), np.float32)
    assert_falls_back("embedding", x, np.array([3, 1]))
    assert_falls_back("embedding_grad", x, np.array([3, 1, 1, 0]), 5)
