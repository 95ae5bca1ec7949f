"""Arrays in every memory layout that NumPy can hand to a kernel."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

LAYOUTS = ("plain", "fortran", "reversed", "strided", "swapped", "unaligned", "read-only", "constant")


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values (except for "constant") in another layout."""
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "reversed":
        every = (slice(None, None, -1),) * array.ndim
        return np.ascontiguousarray(array[every])[every]
    if layout == "strided":
        roomy = np.full([2 * n + 1 for n in array.shape], np.nan, array.dtype)
        view = roomy[tuple(slice(1, 2 * n + 1, 2) for n in array.shape)]
        view[...] = array
        return view
    if layout == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if layout == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
        view = np.ndarray(array.shape, array.dtype, raw)
        view[...] = array
        return view
    if layout == "read-only":
        array.flags.writeable = False
    if layout == "constant":
        return np.broadcast_to(array.flat[0] if array.size else array.dtype.type(0), array.shape)
    return array


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Normal numbers in any layout; the seed is drawn, so a failure can be repeated and shrunk."""
    numbers = np.random.default_rng(draw(st.integers(0, 999))).standard_normal(shape).astype(dtype)
    return laid_out(numbers, draw(st.sampled_from(LAYOUTS)))


dtypes = st.sampled_from((np.float32, np.float64))


def assert_sums_close(actual: np.ndarray, expected: np.ndarray, terms: int, dtype: type) -> None:
    """Compare with a sum in float64 or better: the error of so many additions, and no more."""
    assert actual.shape == expected.shape
    assert actual.dtype == dtype
    assert actual.flags.c_contiguous and actual.dtype.isnative
    error = np.abs(actual - expected).max(initial=0)
    bound = np.finfo(dtype).eps * (2 * terms + 20 + 4 * terms**0.5 * np.abs(expected).max(initial=0))
    assert error <= bound, f"error {error} over {terms} terms, more than {bound}"
