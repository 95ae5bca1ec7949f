"""The compiled backend against the reference: the same signatures, the same numbers, the same bits on any threads.

The oracle computes in float64 on plain copies of the values that the kernels see in any dtype and memory layout.
"""

from __future__ import annotations

import contextlib
import inspect

import numpy as np
import pytest
from drawn_calls import (
    METHODS,
    arrays_in,
    assert_plain_and_fresh,
    calls,
    changes_in_place,
    laid_out_calls,
    lay_out,
    map_arrays,
    methods_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import _kernels
from minidl.backends.compiled import CompiledBackend
from minidl.backends.reference import ReferenceBackend

needs_kernels = pytest.mark.skipif(_kernels.kernels is None, reason=f"no compiled kernels: {_kernels.reason}")
reference = ReferenceBackend()
compiled = CompiledBackend()
OVERRIDDEN = [name for name in METHODS if getattr(CompiledBackend, name) is not getattr(ReferenceBackend, name)]
TOLERANCE = {np.float64: 1e-11, np.float32: 3e-5}


def outcome(backend, method, call):
    """Return all a call makes: its result, and for a method that works in place its arguments, too."""
    with np.errstate(all="ignore"):
        result = getattr(backend, method)(*call)
    return [result, *call] if changes_in_place(method) else result


@pytest.mark.parametrize("method", METHODS)
def test_signatures_are_identical(method):
    ours = inspect.signature(getattr(CompiledBackend, method)).parameters.values()
    theirs = inspect.signature(getattr(ReferenceBackend, method)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


def test_compiled_adds_no_primitive_of_its_own():
    assert methods_of(CompiledBackend) == METHODS


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", OVERRIDDEN)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_same_numbers(method, dtype, data):
    plain, call = data.draw(laid_out_calls(method, dtype))
    before = map_arrays(np.copy, call)
    expected = outcome(reference, method, map_arrays(lambda array: lay_out(array, "plain", np.float64), plain))
    result = outcome(compiled, method, call)
    assert len(arrays_in(result)) == len(arrays_in(expected))
    for ours, theirs in zip(arrays_in(result), arrays_in(expected), strict=True):
        assert ours.shape == theirs.shape
        if theirs.dtype.kind == "i":
            np.testing.assert_array_equal(ours, theirs)
            continue
        size = np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0)
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * size)
    if changes_in_place(method):
        return
    for now, then in zip(arrays_in(call), arrays_in(before), strict=True):
        np.testing.assert_array_equal(now, then)
    assert_plain_and_fresh(result, call, dtype)
    if isinstance(expected, float):
        assert isinstance(result, float) and result == pytest.approx(expected, rel=TOLERANCE[dtype])


@pytest.fixture
def threads():
    before = _kernels.get_num_threads()
    yield _kernels.set_num_threads
    _kernels.set_num_threads(before)


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", OVERRIDDEN)
def test_same_bits_on_any_number_of_threads(method, dtype, threads):
    @settings(max_examples=3, deadline=None, database=None)
    @given(data=st.data())
    def check(data):
        call = map_arrays(lambda array: lay_out(array, "plain", dtype), data.draw(calls(method, large=True)))
        bits = []
        for count in (1, 2, 3):
            threads(count)
            result = outcome(compiled, method, map_arrays(np.copy, call))
            bits.append([array.tobytes() for array in arrays_in(result)])
            if isinstance(result, float):
                bits[-1].append(result.hex())
        assert bits[0] == bits[1] == bits[2]

    check()


def wrong(data, array):
    """Return an array of another shape, or with indices that point nowhere."""
    changes = ["shorter", "fewer axes", "more axes", "empty"]
    change = data.draw(st.sampled_from(["far", "negative", *changes] if array.dtype.kind == "i" else changes))
    if change == "far":
        return array + 2**40
    if change == "negative":
        return -1 - array
    if change == "more axes":
        return array[None]
    if change == "empty":
        return array[..., :0] if array.ndim else array
    axis = data.draw(st.integers(0, array.ndim - 1)) if array.ndim else None
    if axis is None or array.shape[axis] == 0:
        return array
    return array.take(0, axis) if change == "fewer axes" else array.take(range(array.shape[axis] - 1), axis)


@needs_kernels
@pytest.mark.parametrize("method", OVERRIDDEN)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_input_crashes_the_interpreter(method, data):
    """A call with one wrong argument raises or computes something; it never reads or writes elsewhere."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    call = map_arrays(lambda array: lay_out(array, "plain", dtype), data.draw(calls(method)))
    place = data.draw(st.integers(0, len(call) - 1))
    argument = call[place]
    if isinstance(argument, np.ndarray):
        call[place] = wrong(data, argument)
    elif isinstance(argument, list) and arrays_in(argument):
        call[place] = [wrong(data, a) for a in arrays_in(argument)] if data.draw(st.booleans()) else argument[1:]
    elif isinstance(argument, tuple):
        sizes = st.sampled_from([-(2**40), -1, 0, 1, 50])
        call[place] = tuple(data.draw(sizes) for _ in argument)
    elif isinstance(argument, int):
        call[place] = data.draw(st.sampled_from([-(2**62), -1, 0, 2, 5, 2**62]))
    with contextlib.suppress(Exception):
        outcome(compiled, method, call)


BAD_INDICES = {
    "embedding": lambda bad: (np.ones((4, 3)), np.array([0, bad])),
    "embedding_grad": lambda bad: (np.ones((2, 3)), np.array([0, bad]), 4),
    "max_pool2d_grad": lambda bad: (np.ones((1, 1, 1, 2)), np.array([0, bad]).reshape(1, 1, 1, 2), (2, 2)),
    "max_pool2d_take": lambda bad: (np.ones((1, 1, 2, 2)), np.array([0, bad]).reshape(1, 1, 1, 2)),
    "cross_entropy": lambda bad: (np.ones((2, 4)), np.array([0, bad]), -100, None),
    "cross_entropy_grad": lambda bad: (np.ones(2), np.ones((2, 4)), np.array([0, bad]), -100, None),
}


@needs_kernels
@pytest.mark.parametrize("bad", [4, 2**40, -1, -(2**40)])
@pytest.mark.parametrize("method", BAD_INDICES)
def test_indices_out_of_range_are_refused(method, bad):
    if method not in OVERRIDDEN:
        pytest.skip(f"{method} is computed by the reference")
    with pytest.raises((IndexError, ValueError)):
        getattr(compiled, method)(*BAD_INDICES[method](bad))
