"""Winograd's convolutions: every size, the rounding error, and numbers that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_layouts import arrays, assert_sums_close, dtypes

from minidl._kernels import kernels, set_num_threads

ONE = (1, 1)


def conv2d(x, weight, bias, padding):
    """The definition, in float64: nine shifted products."""
    (n, c, h, w), o, (p, q) = x.shape, len(weight), padding
    padded = np.zeros((n, c, h + 2 * p, w + 2 * q))
    padded[:, :, p : p + h, q : q + w] = x
    rows, columns = h + 2 * p - 2, w + 2 * q - 2
    y = np.zeros((n, o, rows, columns))
    for i, j in np.ndindex(3, 3):
        seen = padded[:, :, i : i + rows, j : j + columns]
        y += np.einsum("nchw,oc->nohw", seen, weight[:, :, i, j].astype(np.float64), optimize=True)
    return y if bias is None else y + bias.astype(np.float64)[:, None, None]


def input_grad(grad, weight, input_size, padding):
    """Each pixel of grad spreads over the 3x3 pixels that it saw."""
    (n, _, rows, columns), (p, q) = grad.shape, padding
    h, w = input_size
    dx = np.zeros((n, weight.shape[1], h + 2 * p, w + 2 * q))
    for i, j in np.ndindex(3, 3):
        dx[:, :, i : i + rows, j : j + columns] += np.einsum(
            "nohw,oc->nchw", grad.astype(np.float64), weight[:, :, i, j].astype(np.float64), optimize=True
        )
    return dx[:, :, p : p + h, q : q + w]


def weight_grad(grad, x, padding):
    """Each weight is multiplied with a window of the padded image."""
    (n, c, h, w), (p, q), (rows, columns) = x.shape, padding, grad.shape[2:]
    padded = np.zeros((n, c, h + 2 * p, w + 2 * q))
    padded[:, :, p : p + h, q : q + w] = x
    dw = np.zeros((grad.shape[1], c, 3, 3))
    for i, j in np.ndindex(3, 3):
        seen = padded[:, :, i : i + rows, j : j + columns]
        dw[:, :, i, j] = np.einsum("nohw,nchw->oc", grad.astype(np.float64), seen, optimize=True)
    return dw


def forward(x, weight, bias=None, padding=ONE):
    return kernels.conv.conv2d(x, weight, bias, ONE, padding, ONE, 1)


def backward(grad, weight, input_size, padding=ONE):
    return kernels.conv.conv2d_input_grad(grad, weight, input_size, ONE, padding, ONE, 1)


def to_weights(grad, x, padding=ONE):
    return kernels.conv.conv2d_weight_grad(grad, x, (3, 3), ONE, padding, ONE, 1)


def noise(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def spoiled(x):
    """The same images, and one with a NaN: so the kernel has to compute in the plain way."""
    last = np.zeros_like(x[:1])
    last[0, 0, 0, 0] = np.nan
    return np.concatenate([x, last])


@st.composite
def convolutions(draw):
    h, w = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    padding = draw(st.integers(1 if h < 3 else 0, 4)), draw(st.integers(1 if w < 3 else 0, 4))
    rows, columns = h + 2 * padding[0] - 2, w + 2 * padding[1] - 2
    tiles = -(-rows // 4) * -(-columns // 4)
    n = draw(st.integers(1, 3)) + 15 // tiles  # enough tiles to be worth it
    c, o = draw(st.sampled_from((31, 32, 33, 48, 65, 150))), draw(st.sampled_from((31, 32, 33, 47, 64, 72)))
    dtype = draw(dtypes)
    x, weight = draw(arrays((n, c, h, w), dtype)), draw(arrays((o, c, 3, 3), dtype))
    bias = draw(st.one_of(st.none(), arrays((o,), dtype)))
    return x, weight, bias, draw(arrays((n, o, rows, columns), dtype)), padding


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_any_size_padding_and_layout(case):
    x, weight, bias, grad, padding = case
    before = [a.tobytes() for a in (x, weight, grad)]
    y = forward(x, weight, bias, padding)
    assert_sums_close(y, conv2d(x, weight, bias, padding), weight[0].size, x.dtype.type)
    dx = backward(grad, weight, x.shape[2:], padding)
    assert_sums_close(dx, input_grad(grad, weight, x.shape[2:], padding), weight[:, 0].size, x.dtype.type)
    dw = to_weights(grad, x, padding)
    assert_sums_close(dw, weight_grad(grad, x, padding), grad[:, 0].size, x.dtype.type)
    assert [a.tobytes() for a in (x, weight, grad)] == before


# (N, C, H, W) -> O: U at hand or made by panel, several blocks of channels, of tiles and of images, ragged ends;
# for the weight gradient several chunks, of one block or more.
LARGE = [
    ((8, 64, 30, 30), 64), ((3, 130, 13, 57), 100), ((5, 300, 7, 7), 260), ((20, 200, 14, 14), 170),
    ((33, 64, 30, 29), 64), ((37, 33, 19, 22), 40),
]  # fmt: skip


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_ones_keep_their_bits_on_any_number_of_threads(case, dtype, restore_threads):
    shape, o = case
    x, weight = noise(0, *shape, dtype=dtype), noise(1, o, shape[1], 3, 3, dtype=dtype)
    bias, grad = noise(2, o, dtype=dtype), noise(3, shape[0], o, *shape[2:], dtype=dtype)
    seen = set()
    for threads in (1, 2, 3):
        set_num_threads(threads)
        y, dx, dw = forward(x, weight, bias), backward(grad, weight, shape[2:]), to_weights(grad, x)
        seen.add(y.tobytes() + dx.tobytes() + dw.tobytes())
    assert len(seen) == 1
    assert_sums_close(y, conv2d(x, weight, bias, ONE), weight[0].size, dtype)
    assert_sums_close(dx, input_grad(grad, weight, shape[2:], ONE), weight[:, 0].size, dtype)
    assert_sums_close(dw, weight_grad(grad, x, ONE), grad[:, 0].size, dtype)


def plain_sums(x, weight):
    """The definition in float32: term after term, each sum rounded (padding 1)."""
    (n, c, h, w), o = x.shape, len(weight)
    padded, y = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), np.zeros((n, o, h, w), np.float32)
    for k, i, j in np.ndindex(c, 3, 3):
        y += padded[:, None, k, i : i + h, j : j + w] * weight[:, k, i, j, None, None]
    return y


def rms(x):
    return np.sqrt(np.mean(np.square(x, dtype=np.float64)))


@pytest.mark.parametrize("channels", [32, 64, 512])
@pytest.mark.parametrize("distribution", ["normal", "rectified", "uniform"])
def test_the_error_is_bounded(channels, distribution):
    """Of order eps sqrt(C), and 0.5 to 2.3 times that of the plain sums, term after term (measured)."""
    x, weight = noise(0, 4, channels, 16, 16), noise(1, 64, channels, 3, 3) / np.float32(3 * channels**0.5)
    if distribution == "rectified":
        x = np.maximum(x, 0)
    elif distribution == "uniform":
        x = np.random.default_rng(0).random(x.shape, np.float32)
    exact = conv2d(x, weight, None, ONE)
    actual = forward(x, weight)
    assert (actual != forward(spoiled(x), weight)[:-1]).any(), "not computed by Winograd's way: nothing is tested"
    unit = np.finfo(np.float32).eps * channels**0.5 * rms(exact)
    assert rms(actual - exact) < 1.25 * unit  # measured: 0.4 to 0.9
    assert np.abs(actual - exact).max() < 12 * unit  # 4 to 8
    assert rms(actual - exact) < 3 * rms(plain_sums(x, weight) - exact)


@pytest.mark.parametrize("pixels", [7, 16, 33])
def test_the_error_of_the_weight_gradient_is_bounded(pixels):
    """Of order eps sqrt(terms) (measured: 0.2 of it; the plain sums, in blocks, reach 0.05 to 0.14)."""
    grad, x = noise(0, 16, 64, pixels, pixels), noise(1, 16, 64, pixels, pixels)
    exact, actual = weight_grad(grad, x, ONE), to_weights(grad, x)
    spoiled_x = x.copy()
    spoiled_x[0, 5, 0, 0] = np.nan
    plain = np.delete(to_weights(grad, spoiled_x), 5, 1)
    assert (np.delete(actual, 5, 1) != plain).any(), "this size is not computed by Winograd's way: nothing is tested"
    assert rms(actual - exact) < 0.4 * np.finfo(np.float32).eps * grad[:, 0].size ** 0.5 * rms(exact)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (5, 6), (15, 15), (7, 12)])
def test_what_is_not_finite_stays_in_the_windows_that_see_it(value, place):
    x, weight = noise(0, 2, 64, 16, 16), np.abs(noise(1, 64, 64, 3, 3))
    assert np.isfinite(forward(x, weight)).all()
    x[1, 3, place[0], place[1]] = value
    y, dx = forward(x, weight), backward(x, weight, (16, 16))
    seen = np.zeros((2, 1, 16, 16), bool)
    seen[1, 0, max(place[0] - 1, 0) : place[0] + 2, max(place[1] - 1, 0) : place[1] + 2] = True
    for result in (y, dx):
        assert (np.isfinite(result) == ~seen).all()
        np.testing.assert_array_equal(result[~np.isfinite(result)], np.float32(value))


def test_weights_that_are_not_finite_touch_their_own_output_only():
    x, weight = noise(0, 2, 64, 16, 16), noise(1, 64, 64, 3, 3)
    weight[5, 7, 1, 1] = np.inf
    y, dx = forward(x, weight), backward(x, weight, (16, 16))
    assert np.isfinite(np.delete(y, 5, 1)).all() and not np.isfinite(y[:, 5]).any()
    assert np.isfinite(np.delete(dx, 7, 1)).all() and not np.isfinite(dx[:, 7]).any()


@pytest.mark.parametrize("images", [4, 32])
@pytest.mark.parametrize("place", [0, -1])
def test_what_is_not_finite_stays_with_the_weights_that_see_it(images, place):
    grad, x = noise(0, images, 64, 16, 16), noise(1, images, 64, 16, 16)
    x[place, 9, 5, 5] = np.inf
    grad[images // 2, 40, 7, 7] = np.nan
    dw = to_weights(grad, x)
    bad = np.zeros(dw.shape, bool)
    bad[:, 9] = bad[40] = True
    assert (np.isfinite(dw) == ~bad).all()


def test_large_numbers_do_not_overflow_on_the_way():
    x, weight = np.zeros((2, 64, 16, 16), np.float32), np.zeros((64, 64, 3, 3), np.float32)
    x[:, 0], weight[:, 0, 1, 1] = 3e38, 1.0
    np.testing.assert_array_equal(forward(x, weight), np.full((2, 64, 16, 16), np.float32(3e38)))


def test_nothing_is_taken_from_the_call_before():
    """Working memory is not cleared between calls: NaN and denormal numbers in it must not be seen."""
    x, weight = noise(0, 33, 40, 15, 15), noise(1, 40, 40, 3, 3)
    clean, clean_dw = forward(x, weight), to_weights(x, x)
    for value in (np.nan, 1e-40):
        forward(np.full((9, 70, 17, 17), value, np.float32), noise(2, 70, 70, 3, 3))
        np.testing.assert_array_equal(forward(x, weight), clean)
        to_weights(np.full((9, 70, 17, 17), value, np.float32), np.full((9, 70, 17, 17), value, np.float32))
        np.testing.assert_array_equal(to_weights(x, x), clean_dw)
