"""What every kernel must keep, written once: agreement, fresh results, memory layouts, numbers of threads."""

import numpy as np
import pytest

from minidl import _kernels
from minidl.backends.compiled import CompiledBackend
from minidl.backends.reference import ReferenceBackend

if _kernels.kernels is None:
    pytest.skip("the compiled kernels are not built", allow_module_level=True)

compiled = CompiledBackend()
reference = ReferenceBackend()
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def unaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    y = raw.view(x.dtype).reshape(x.shape) if x.size else x.copy()
    y[...] = x
    return y


def read_only(x):
    y = x.copy()
    y.flags.writeable = False
    return y


def every_second(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype) if x.ndim else np.zeros((), x.dtype)
    y = wide[..., ::2] if x.ndim else wide
    y[...] = x
    return y


def reversed_strides(x):
    flip = (slice(None, None, -1),) * x.ndim
    return np.array(x[flip], order="C")[flip] if x.ndim else x.copy()


LAYOUTS = {
    "fortran": lambda x: np.array(x, order="F"),
    "every second": every_second,
    "negative strides": reversed_strides,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
}


def draw(rng, shape, dtype, scale=1.0):
    return np.asarray(rng.standard_normal(shape) * scale, dtype)


def results(value):
    return value if isinstance(value, tuple) else (value,)


def same_bits(first, second):
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(results(first), results(second), strict=True)
    )


def on_threads(count, call):
    before = _kernels.get_num_threads()
    _kernels.set_num_threads(count)
    try:
        return call()
    finally:
        _kernels.set_num_threads(before)


def check(name, *args, tolerance=None, layouts=True):
    """Compare a method with the reference in float64, then demand the same bits whatever the layout and the threads."""
    method = getattr(compiled, name)
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    dtype = next(a.dtype for a in arrays if a.dtype.kind == "f")
    copies = [a.copy() for a in arrays]
    got = method(*args)

    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    expected = getattr(reference, name)(*wide)
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    for y, e in zip(results(got), results(expected), strict=True):
        assert y.dtype == (dtype if e.dtype.kind == "f" else e.dtype)
        assert y.flags.c_contiguous and y.flags.writeable and y.flags.owndata
        assert not any(np.shares_memory(y, a) for a in arrays)
        np.testing.assert_allclose(y, e, rtol=tolerance, atol=tolerance, err_msg=name)
    for a, before in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, before, err_msg=f"{name} changed an input")
    for count in (1, 2, 3):
        assert same_bits(got, on_threads(count, lambda: method(*args))), f"{name}: {count} threads"
    for layout, change in LAYOUTS.items() if layouts else ():
        moved = [change(a) if isinstance(a, np.ndarray) else a for a in args]
        assert same_bits(got, method(*moved)), f"{name}: {layout}"
    return got


def assert_falls_back(name, *args):
    """Half precision has no kernel: the reference must serve, with the same result type."""
    half = [a.astype(np.float16) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    for y, e in zip(results(getattr(compiled, name)(*half)), results(getattr(reference, name)(*half)), strict=True):
        assert y.dtype == e.dtype
        np.testing.assert_array_equal(y, e)
