"""Dropout: the published vectors of Philox4x32-10, the rule for every element, rates, layouts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw


def philox(counter, key):
    """One block of four words, one word at a time."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = right >> 32 ^ b ^ low, right & 0xFFFFFFFF, left >> 32 ^ d ^ high, left & 0xFFFFFFFF
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def test_the_oracle_knows_the_published_vectors():
    # Known-answer tests of the Random123 library.
    assert philox((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 0xFFFFFFFF
    assert philox((ones,) * 4, (ones,) * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 700), st.floats(0, 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.sampled_from(DTYPES)
)
def test_each_element_follows_its_word(size, p, seed, offset, dtype):
    x = draw(np.random.default_rng(1), size, dtype)
    y = compiled.dropout(x, p, seed, offset)
    words = []
    for block in range(-(-size // 4)):
        counter = (offset + block) % 2**64
        words += philox((counter & 0xFFFFFFFF, counter >> 32, 0, 0), (seed & 0xFFFFFFFF, seed >> 32))
    keep = np.array([word >= p * 2**32 for word in words[:size]], bool)
    np.testing.assert_array_equal(y[~keep], 0)
    np.testing.assert_allclose(y[keep], x[keep] / max(1 - p, 1e-300), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5, 7), (4096,), (4097,), (3, 50_001)])
@pytest.mark.parametrize("p", [0.0, 0.5, 0.1, 1.0])
def test_agrees_with_the_reference(shape, p, dtype):
    x = draw(np.random.default_rng(2), shape, dtype)
    check("dropout", x, p, 2**63 + 12345, 2**32 - 3, layouts=x.size < 5000)


def test_rate_and_scale():
    y = compiled.dropout(np.ones(400_000, np.float32), 0.3, 7, 0)
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}


def test_nothing_stays_and_nothing_goes():
    x = np.array([np.inf, np.nan, 1.0], np.float32)
    np.testing.assert_array_equal(compiled.dropout(x, 1.0, 1, 0), 0)
    np.testing.assert_array_equal(compiled.dropout(x, 0.0, 1, 0), x)


def test_half_precision_goes_to_the_reference():
    assert_falls_back("dropout", draw(np.random.default_rng(3), (3, 5), np.float32), 0.5, 1, 2)
