"""Pooling against loops over windows, against PyTorch, at ties and NaN, and against its adjoint."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.backends.geometry import pool_output_size
from minidl.backends.reference import ReferenceBackend
from minidl.errors import OptionError, ShapeError

backend = ReferenceBackend()


def draw(seed, *, dilated=True):
    """Draw an image with many equal pixels and the options of a pooling that fits it."""
    rng = np.random.default_rng(seed)
    while True:
        kernel, stride = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(2))
        dilation = tuple(map(int, rng.integers(1, 4, 2))) if dilated else (1, 1)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        size, ceil_mode = tuple(map(int, rng.integers(1, 10, 2))), bool(rng.integers(2))
        try:
            pool_output_size("pool", size, kernel, stride, padding, dilation, ceil_mode)
        except ShapeError:
            continue
        x = rng.integers(-2, 3, (2, 3, *size)).astype(float)
        return x, kernel, stride, padding, dilation, ceil_mode


def windows_by_loops(size, kernel, stride, padding, dilation, ceil_mode):
    """List, for each output row, the rows it sees inside the input (one axis)."""
    rows, start = [], -padding
    while True:
        taps = [start + i * dilation for i in range(kernel)]
        fits = taps[-1] < size + padding
        if not fits and not (ceil_mode and taps[-1] - stride < size + padding - 1 and start < size):
            return rows
        rows.append(([t for t in taps if 0 <= t < size], sum(1 for t in taps if t < size + padding)))
        start += stride


@pytest.mark.parametrize("seed", range(40))
def test_max_pool2d_against_loops(seed):
    x, kernel, stride, padding, dilation, ceil_mode = draw(seed)
    values, indices = backend.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    rows, columns = (
        windows_by_loops(*axis, ceil_mode) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    assert values.shape == indices.shape == (2, 3, len(rows), len(columns))
    assert indices.dtype == np.int32
    for n, c, p, q in np.ndindex(*values.shape):
        best, place = -math.inf, None
        for i in rows[p][0]:
            for j in columns[q][0]:
                if place is None or x[n, c, i, j] > best:
                    best, place = x[n, c, i, j], i * x.shape[3] + j
        assert values[n, c, p, q] == best and indices[n, c, p, q] == place


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool2d_against_loops(seed, count_include_pad):
    x, kernel, stride, padding, dilation, ceil_mode = draw(seed, dilated=False)
    y = backend.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)
    rows, columns = (
        windows_by_loops(*axis, ceil_mode) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    assert y.shape == (2, 3, len(rows), len(columns))
    for n, c, p, q in np.ndindex(*y.shape):
        pixels = [x[n, c, i, j] for i in rows[p][0] for j in columns[q][0]]
        count = rows[p][1] * columns[q][1] if count_include_pad else len(pixels)
        assert y[n, c, p, q] == pytest.approx(sum(pixels) / count, rel=1e-13, abs=1e-14)


def test_all_equal_and_all_minus_infinity_take_the_first_pixel():
    for value in (0.0, -math.inf):
        x = np.full((1, 1, 4, 4), value)
        values, indices = backend.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
        assert (values == value).all()
        np.testing.assert_array_equal(indices[0, 0], [[0, 2], [8, 10]])
        _, indices = backend.max_pool2d(x, (2, 2), (2, 2), (1, 1), (1, 1), False)
        np.testing.assert_array_equal(indices[0, 0], [[0, 1, 3], [4, 5, 7], [12, 13, 15]])
        _, indices = backend.adaptive_max_pool2d(x, (2, 2))
        np.testing.assert_array_equal(indices[0, 0], [[0, 2], [8, 10]])


def test_nan_wins():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 0] = x[0, 0, 1, 0] = x[0, 0, 3, 3] = math.nan
    for values, indices in (
        backend.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False),
        backend.adaptive_max_pool2d(x, (2, 2)),
    ):
        np.testing.assert_array_equal(values[0, 0], [[math.nan, 7], [13, math.nan]])
        np.testing.assert_array_equal(indices[0, 0], [[4, 7], [13, 15]])


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("special", [None, math.nan, math.inf, -math.inf])
def test_max_pool2d_against_torch(seed, special):
    torch = pytest.importorskip("torch")
    x, kernel, stride, padding, dilation, ceil_mode = draw(seed)
    if special is not None:
        x[np.random.default_rng(seed).random(x.shape) < 0.4] = special
    x_t = torch.tensor(x, requires_grad=True)
    y_t, indices_t = torch.nn.functional.max_pool2d(
        x_t, kernel, stride, padding, dilation, ceil_mode, return_indices=True
    )
    values, indices = backend.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    np.testing.assert_array_equal(values, y_t.detach())
    np.testing.assert_array_equal(indices, indices_t)
    grad = np.random.default_rng(seed).standard_normal(values.shape)
    y_t.backward(torch.tensor(grad))
    np.testing.assert_allclose(backend.max_pool2d_grad(grad, indices, x.shape[2:]), x_t.grad, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool2d_against_torch(seed, count_include_pad):
    torch = pytest.importorskip("torch")
    x, kernel, stride, padding, _, ceil_mode = draw(seed, dilated=False)
    x_t = torch.tensor(x, requires_grad=True)
    options = (kernel, stride, padding, ceil_mode, count_include_pad)
    y_t = torch.nn.functional.avg_pool2d(x_t, *options)
    np.testing.assert_allclose(backend.avg_pool2d(x, *options), y_t.detach(), rtol=1e-13, atol=1e-14)
    grad = np.random.default_rng(seed).standard_normal(y_t.shape)
    y_t.backward(torch.tensor(grad))
    np.testing.assert_allclose(backend.avg_pool2d_grad(grad, x.shape[2:], *options), x_t.grad, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 4), (2, 9)])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (5, 7), (8, 3)])
def test_adaptive_pooling_against_loops_and_torch(size, output):
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 3, *size)).astype(float)
    mean = backend.adaptive_avg_pool2d(x, output)
    values, indices = backend.adaptive_max_pool2d(x, output)
    assert mean.shape == values.shape == indices.shape == (2, 3, *output)
    for p, q in np.ndindex(*output):
        top, left = p * size[0] // output[0], q * size[1] // output[1]
        bottom, right = math.ceil((p + 1) * size[0] / output[0]), math.ceil((q + 1) * size[1] / output[1])
        window = x[:, :, top:bottom, left:right]
        np.testing.assert_allclose(mean[:, :, p, q], window.mean(axis=(2, 3)), rtol=1e-13, atol=1e-14)
        np.testing.assert_array_equal(values[:, :, p, q], window.max(axis=(2, 3)))
        rows, columns = np.divmod(indices[:, :, p, q], size[1])
        assert ((top <= rows) & (rows < bottom) & (left <= columns) & (columns < right)).all()
    np.testing.assert_array_equal(backend.max_pool2d_take(x, indices), values)

    torch = pytest.importorskip("torch")
    x[:, :, 0, 0] = x[:, :, -1, -1] = math.nan
    values, indices = backend.adaptive_max_pool2d(x, output)
    values_t, indices_t = torch.nn.functional.adaptive_max_pool2d(torch.tensor(x), output, return_indices=True)
    np.testing.assert_array_equal(values, values_t)
    np.testing.assert_array_equal(indices, indices_t)
    x_t = torch.tensor(np.nan_to_num(x), requires_grad=True)
    y_t = torch.nn.functional.adaptive_avg_pool2d(x_t, output)
    grad = rng.standard_normal(y_t.shape)
    y_t.backward(torch.tensor(grad))
    np.testing.assert_allclose(backend.adaptive_avg_pool2d_grad(grad, size), x_t.grad, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_adjoints(seed):
    x, kernel, stride, padding, _, ceil_mode = draw(seed, dilated=False)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(x.shape)
    size = x.shape[2:]
    _, indices = backend.max_pool2d(x, kernel, stride, padding, (1, 1), ceil_mode)
    options = (kernel, stride, padding, ceil_mode, bool(seed % 2))
    output = tuple(map(int, rng.integers(1, 8, 2)))
    for forward, adjoint in (
        (lambda a: backend.max_pool2d_take(a, indices), lambda g: backend.max_pool2d_grad(g, indices, size)),
        (lambda a: backend.avg_pool2d(a, *options), lambda g: backend.avg_pool2d_grad(g, size, *options)),
        (
            lambda a: backend.adaptive_avg_pool2d(a, output),
            lambda g: backend.adaptive_avg_pool2d_grad(g, size),
        ),
    ):
        y = forward(x)
        grad = rng.standard_normal(y.shape)
        np.testing.assert_allclose(np.vdot(y, grad), np.vdot(x, adjoint(grad)), rtol=1e-11, atol=1e-12)


def test_a_pixel_that_wins_twice_gets_both_gradients():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    _, indices = backend.max_pool2d(x, (2, 2), (1, 1), (0, 0), (1, 1), False)
    assert (indices == 4).all()
    assert backend.max_pool2d_grad(np.ones((1, 1, 2, 2)), indices, (3, 3))[0, 0, 1, 1] == 4


def test_zero_size_batch():
    x = np.empty((0, 2, 5, 5))
    values, indices = backend.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), True)
    assert values.shape == indices.shape == (0, 2, 3, 3)
    assert backend.max_pool2d_grad(values, indices, (5, 5)).shape == x.shape
    assert backend.max_pool2d_take(x, indices).shape == values.shape
    assert backend.avg_pool2d(x, (2, 2), (2, 2), (0, 0), True, True).shape == (0, 2, 3, 3)
    assert backend.adaptive_avg_pool2d(x, (2, 3)).shape == (0, 2, 2, 3)
    assert backend.adaptive_max_pool2d(x, (2, 3))[0].shape == (0, 2, 2, 3)


def test_errors():
    x = np.ones((1, 1, 2, 2))
    with pytest.raises(ShapeError, match="max_pool2d"):
        backend.max_pool2d(x, (3, 3), (1, 1), (0, 0), (1, 1), False)
    with pytest.raises(OptionError, match="avg_pool2d"):
        backend.avg_pool2d(x, (1, 1), (1, 1), (1, 1), False, True)
