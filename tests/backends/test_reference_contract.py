"""What holds for every method of the reference: any memory layout and dtype, nothing changed, a plain fresh result."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_calls import (
    METHODS,
    Calls,
    arrays_in,
    assert_plain_and_fresh,
    changes_in_place,
    laid_out_calls,
    map_arrays,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()


def test_every_method_has_drawn_calls():
    assert set(METHODS) <= set(dir(Calls))


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_layouts_dtypes_and_purity(method, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    plain, call = data.draw(laid_out_calls(method, dtype))
    before = map_arrays(np.copy, call)
    with np.errstate(invalid="ignore"):
        expected = getattr(backend, method)(*plain)
        result = getattr(backend, method)(*call)
    if changes_in_place(method):
        expected, result = [expected, *plain], [result, *call]
    else:
        for now, then in zip(arrays_in(call), arrays_in(before), strict=True):
            np.testing.assert_array_equal(now, then)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-11}
    assert len(arrays_in(result)) == len(arrays_in(expected))
    for now, then in zip(arrays_in(result), arrays_in(expected), strict=True):
        np.testing.assert_allclose(now, then, **close)
    if not changes_in_place(method):
        assert_plain_and_fresh(result, call, dtype)
    if method == "grad_norm":
        assert type(result) is float and result == pytest.approx(expected)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"grad_norm"}))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_half_and_extended_precision(method, data):
    """The reference serves dtypes for which no kernel is compiled."""
    dtype = data.draw(st.sampled_from([np.float16, np.longdouble]))
    _, call = data.draw(laid_out_calls(method, dtype))
    with np.errstate(all="ignore"):
        result = getattr(backend, method)(*call)
    for array in arrays_in([result, *call[:1]] if changes_in_place(method) else result):
        assert array.dtype.newbyteorder("=") in (dtype, np.int32, np.int64)
