"""Pooling: loops over windows, drawn geometries, ties and NaN, bad indices, PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw, results

from minidl.backends.geometry import pool_output_size
from minidl.backends.reference import ReferenceBackend

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def geometries(draw_):
    size = draw_(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    kernel, stride, dilation = draw_(pairs), draw_(pairs), draw_(pairs)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(draw_(st.integers(0, e // 2)) for e in extent)
    return size, kernel, stride, padding, dilation, draw_(st.booleans())


def fits(name, size, *options):
    try:
        pool_output_size(name, size, *options)
    except ValueError:
        return False
    return True


def max_by_loops(x, kernel, stride, padding, dilation, ceil_mode):
    n, c, h, w = x.shape
    oh, ow = pool_output_size("loops", (h, w), kernel, stride, padding, dilation, ceil_mode)
    y, index = np.empty((n, c, oh, ow), x.dtype), np.empty((n, c, oh, ow), np.int64)
    for place in np.ndindex(n, c, oh, ow):
        best = None
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                row = place[2] * stride[0] - padding[0] + i * dilation[0]
                column = place[3] * stride[1] - padding[1] + j * dilation[1]
                if 0 <= row < h and 0 <= column < w:
                    v = x[place[0], place[1], row, column]
                    if best is None or v > best or np.isnan(v):
                        best, index[place] = v, row * w + column
        y[place] = best
    return y, index


@settings(max_examples=150, deadline=None)
@given(geometries(), st.sampled_from(DTYPES), st.integers(0, 2), st.integers(0, 3))
def test_max_pooling_against_loops(geometry, dtype, n, c):
    size, *options = geometry
    if not fits("max_pool2d", size, *options):
        with pytest.raises(ValueError):
            compiled.max_pool2d(np.zeros((1, 1, *size), dtype), *options)
        return
    rng = np.random.default_rng(1)
    x = rng.integers(-2, 3, (n, c, *size)).astype(dtype)  # few values: many ties
    x[rng.random(x.shape) < 0.05] = np.nan
    x[rng.random(x.shape) < 0.05] = -np.inf
    y, index = check("max_pool2d", x, *options)
    expected, expected_index = max_by_loops(x, *options)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, expected_index)
    g = draw(rng, y.shape, dtype)
    check("max_pool2d_grad", g, index, size)
    np.testing.assert_array_equal(check("max_pool2d_take", x, index), y)


@settings(max_examples=100, deadline=None)
@given(geometries(), st.booleans(), st.sampled_from(DTYPES))
def test_average_pooling(geometry, include_pad, dtype):
    size, kernel, stride, padding, _, ceil_mode = geometry
    if not fits("avg_pool2d", size, kernel, stride, padding, (1, 1), ceil_mode):
        return
    x = draw(np.random.default_rng(2), (2, 3, *size), dtype)
    y = check("avg_pool2d", x, kernel, stride, padding, ceil_mode, include_pad)
    check("avg_pool2d_grad", y, size, kernel, stride, padding, ceil_mode, include_pad)


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_adaptive_pooling(size, output):
    for dtype in DTYPES:
        x = draw(np.random.default_rng(3), (2, 3, *size), dtype)
        y = check("adaptive_avg_pool2d", x, output)
        check("adaptive_avg_pool2d_grad", y, size)
        values, index = check("adaptive_max_pool2d", x, output)
        np.testing.assert_array_equal(
            np.take_along_axis(x.reshape(2, 3, -1), index.reshape(2, 3, -1), 2).ravel(), values.ravel()
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(24, 24), (25, 27), (2, 1100), (32, 70)])
def test_large_2x2(size, dtype):
    rng = np.random.default_rng(4)
    x = rng.integers(-9, 9, (16, 6, *size)).astype(dtype)
    x[rng.random(x.shape) < 0.01] = np.nan
    y, index = check("max_pool2d", x, (2, 2), (2, 2), (0, 0), (1, 1), False, layouts=False)
    check("max_pool2d_grad", draw(rng, y.shape, dtype), index, size, layouts=False)


def test_many_pixels_are_counted_in_64_bits():
    x = np.empty((0, 1, 2**16, 2**15), np.float32)
    for backend in (ReferenceBackend(), compiled):
        for size, expected in ((2**15, np.int64), (2**15 - 1, np.int32)):
            _, index = backend.max_pool2d(x[..., :size], (1, 1), (2**16, 2**16), (0, 0), (1, 1), False)
            assert index.dtype == expected and index.shape == (0, 1, 1, 1)
            assert backend.adaptive_max_pool2d(x[..., :size], (1, 1))[1].dtype == expected


@pytest.mark.parametrize(
    "dtype, bad",
    [(np.int32, -1), (np.int32, 12), (np.int64, -1), (np.int64, 12), (np.int64, 2**40), (np.int64, -(2**62))],
)
def test_indices_are_validated(dtype, bad):
    index = np.zeros((1, 1, 2, 2), dtype)
    index[0, 0, 1, 0] = bad
    with pytest.raises(IndexError):
        compiled.max_pool2d_grad(np.ones((1, 1, 2, 2), np.float32), index, (3, 4))
    with pytest.raises(IndexError):
        compiled.max_pool2d_take(np.ones((1, 1, 3, 4), np.float32), index)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_means_of_many_planes(dtype):
    g = draw(np.random.default_rng(8), (4, 513, 1, 1), dtype)
    check("adaptive_avg_pool2d_grad", g, (8, 8), layouts=False)
    check("avg_pool2d_grad", g, (8, 8), (8, 8), (8, 8), (0, 0), False, True, layouts=False)


def test_wrong_shapes_are_refused():
    g, index = np.ones((1, 2, 2, 2), np.float32), np.zeros((1, 1, 2, 2), np.int64)
    with pytest.raises(ValueError):
        compiled.max_pool2d_grad(g, index, (3, 4))
    with pytest.raises(ValueError):
        compiled.max_pool2d_take(g, index)
    with pytest.raises(TypeError):
        compiled.max_pool2d_grad(g, g, (3, 4))
    with pytest.raises(ValueError):
        compiled.adaptive_avg_pool2d(np.zeros((1, 1, 0, 3), np.float32), (2, 2))
    with pytest.raises(ValueError):
        compiled.adaptive_max_pool2d(np.zeros((1, 1, 2, 3), np.float32), (-1, 2))


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(5), (1, 2, 5, 6), np.float32)
    assert_falls_back("max_pool2d", x, (2, 2), (1, 1), (1, 1), (1, 1), True)
    assert_falls_back("avg_pool2d", x, (2, 2), (1, 1), (1, 1), True, False)
    assert_falls_back("adaptive_avg_pool2d", x, (2, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(6)
    x = draw(rng, (2, 3, 11, 13), dtype)
    for kernel, stride, padding, ceil_mode in [
        (2, 2, 0, False),
        (3, 2, 1, False),
        (3, 2, 1, True),
        (2, 1, 0, False),
        (3, 3, 0, True),
    ]:
        options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
        t = torch.tensor(x, requires_grad=True)
        y, index = functional.max_pool2d(t, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
        g = draw(rng, tuple(y.shape), dtype)
        y.backward(torch.tensor(g))
        got, got_index = compiled.max_pool2d(x, *options, (1, 1), ceil_mode)
        np.testing.assert_array_equal(got, y.detach())
        np.testing.assert_array_equal(got_index, index)
        np.testing.assert_allclose(compiled.max_pool2d_grad(g, got_index, (11, 13)), t.grad, rtol=1e-6)
        for include_pad in (True, False):
            t = torch.tensor(x, requires_grad=True)
            y = functional.avg_pool2d(t, kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=include_pad)
            y.backward(torch.tensor(g))
            got = compiled.avg_pool2d(x, *options, ceil_mode, include_pad)
            np.testing.assert_allclose(got, y.detach(), rtol=1e-5, atol=1e-6)
            got = compiled.avg_pool2d_grad(g, (11, 13), *options, ceil_mode, include_pad)
            np.testing.assert_allclose(got, t.grad, rtol=1e-5, atol=1e-6)
    for peer, name in (
        (functional.adaptive_avg_pool2d, "adaptive_avg_pool2d"),
        (functional.adaptive_max_pool2d, "adaptive_max_pool2d"),
    ):
        np.testing.assert_allclose(
            results(getattr(compiled, name)(x, (4, 5)))[0], peer(torch.tensor(x), (4, 5)), rtol=1e-5, atol=1e-6
        )
