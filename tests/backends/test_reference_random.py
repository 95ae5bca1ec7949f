"""Dropout's generator against Philox written with Python integers, and its mask against the rule."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()
MASK = 2**32 - 1


def philox4x32_10(counter, key):
    """Ten rounds of Philox on four words, as in the paper (Salmon et al. 2011, section 3.3)."""
    l0, r0, l1, r1 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * l0, 0xCD9E8D57 * l1
        l0, r0, l1, r1 = (
            (product1 >> 32) ^ r0 ^ k0,
            product1 & MASK,
            (product0 >> 32) ^ r1 ^ k1,
            product0 & MASK,
        )
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [l0, r0, l1, r1]


def test_the_oracle_gives_the_published_vectors():
    """Known answers of the Random123 distribution."""
    assert philox4x32_10((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox4x32_10((MASK,) * 4, (MASK,) * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert philox4x32_10((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)) == [
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ]


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 0x0123456789ABCDEF])
@pytest.mark.parametrize("offset", [0, 5, 2**32 - 2, 2**40 + 1, 2**64 - 2])
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.9])
def test_mask_follows_the_rule(seed, offset, p):
    x = np.arange(1.0, 19.0).reshape(3, 6)
    expected = np.zeros(18)
    for i in range(18):
        block = (offset + i // 4) % 2**64
        word = philox4x32_10((block & MASK, block >> 32, 0, 0), (seed & MASK, seed >> 32))[i % 4]
        if word >= p * 2**32:
            expected[i] = (i + 1) / (1 - p)
    np.testing.assert_allclose(backend.dropout(x, p, seed, offset), expected.reshape(3, 6), rtol=1e-15)


def test_a_word_equal_to_the_bound_is_kept():
    word = philox4x32_10((0, 0, 0, 0), (0, 0))[0]
    x = np.ones(1)
    assert backend.dropout(x, word / 2**32, 0, 0)[0] > 0
    assert backend.dropout(x, (word + 0.5) / 2**32, 0, 0)[0] == 0


def test_share_and_scale():
    x = np.ones(200_000, np.float32)
    for p in (0.1, 0.5, 0.8):
        y = backend.dropout(x, p, 7, 0)
        assert y.dtype == np.float32
        assert abs((y == 0).mean() - p) < 5 * (p * (1 - p) / x.size) ** 0.5
        np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)


def test_same_place_same_decision():
    """A longer array starts with the mask of a shorter one, and an offset of one block shifts by four."""
    x = np.ones(101)
    y = backend.dropout(x, 0.5, 3, 10)
    np.testing.assert_array_equal(backend.dropout(x[:37], 0.5, 3, 10), y[:37])
    np.testing.assert_array_equal(backend.dropout(x[:97], 0.5, 3, 11), y[4:])
    np.testing.assert_array_equal(backend.dropout(x.reshape(1, 101).T, 0.5, 3, 10)[:, 0], y)
    assert (backend.dropout(x, 0.5, 4, 10) != y).any()


def test_ends():
    x = np.array([[1.0, -2.0], [np.inf, np.nan]])
    np.testing.assert_array_equal(backend.dropout(x, 0.0, 1, 2), x)
    np.testing.assert_array_equal(backend.dropout(x, 1.0, 1, 2), np.zeros((2, 2)))
    assert backend.dropout(np.empty((0, 3)), 0.5, 1, 2).shape == (0, 3)
    assert backend.dropout(np.array(3.0), 0.0, 1, 2).shape == ()


def test_its_own_adjoint():
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((2, 7, 9))
    left = np.vdot(backend.dropout(x, 0.4, 5, 6), grad)
    assert left == pytest.approx(np.vdot(x, backend.dropout(grad, 0.4, 5, 6)), rel=1e-12)
