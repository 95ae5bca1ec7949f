"""The CUDA backend against the reference, over drawn calls: on a GPU where there is one, else on the stand-in.

The stand-in runs the kernels' own source, compiled by g++ (emulation.h), so an index that is off by one or a missing
__syncthreads shows here.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from drawn_calls import METHODS, arrays_in, changes_in_place, laid_out_calls, lay_out, map_arrays, methods_of
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.backends import host_array, to_device
from minidl.backends.cuda import CudaBackend
from minidl.backends.reference import ReferenceBackend

reference = ReferenceBackend()
cuda = CudaBackend()
TOLERANCE = {np.float64: 1e-11, np.float32: 1e-4}


@pytest.mark.parametrize("method", METHODS)
def test_signatures_are_identical(method):
    ours = inspect.signature(getattr(CudaBackend, method)).parameters.values()
    theirs = inspect.signature(getattr(ReferenceBackend, method)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


def test_cuda_adds_no_primitive_of_its_own():
    assert methods_of(CudaBackend) == METHODS


def sent(values):
    """A nest of arrays on the GPU, in the layout that it has."""
    if isinstance(values, np.ndarray):
        strided = to_device(np.array(values, order="C"), "cuda")
        return strided.T.copy().T if values.flags.f_contiguous and values.ndim > 1 else strided
    if isinstance(values, (tuple, list)):
        return type(values)(sent(value) for value in values)
    return values


def fetched(values):
    if isinstance(values, (tuple, list)):
        return type(values)(fetched(value) for value in values)
    return host_array(values) if hasattr(values, "get") else values


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_same_numbers(method, dtype, data):
    plain, call = data.draw(laid_out_calls(method, dtype))
    plain = map_arrays(lambda array: lay_out(array, "plain", np.float64), plain)
    with np.errstate(all="ignore"):
        expected = getattr(reference, method)(*plain)
        call = sent(map_arrays(lambda array: array.astype(array.dtype.newbyteorder("=")), call))
        result = getattr(cuda, method)(*call)
    if isinstance(expected, float):  # on a GPU an array, so that nobody waits for it
        expected = np.asarray(expected, result.dtype)
    if changes_in_place(method):
        expected, result = [expected, *plain], [result, *call]
    result = fetched(result)
    assert len(arrays_in(result)) == len(arrays_in(expected))
    for ours, theirs in zip(arrays_in(result), arrays_in(expected), strict=True):
        assert ours.shape == theirs.shape
        if theirs.dtype.kind == "i":
            np.testing.assert_array_equal(ours, theirs)
            continue
        assert ours.dtype == (np.float64 if method == "grad_norm" else dtype)
        size = np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0)
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * size)
