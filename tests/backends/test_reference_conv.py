"""Convolution against seven nested loops, against PyTorch, and each member of the family against its adjoint."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.backends.geometry import conv_output_size
from minidl.backends.reference import ReferenceBackend
from minidl.errors import ShapeError

backend = ReferenceBackend()


def conv2d_by_loops(x, weight, bias, stride, padding, dilation, groups):
    (n, _, h, w), (o, cg, kh, kw) = x.shape, weight.shape
    oh = (h + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for image, out, p, q in np.ndindex(*y.shape):
        total = 0.0 if bias is None else bias[out]
        group = out // (o // groups)
        for channel, i, j in np.ndindex(cg, kh, kw):
            row = p * stride[0] - padding[0] + i * dilation[0]
            column = q * stride[1] - padding[1] + j * dilation[1]
            if 0 <= row < h and 0 <= column < w:
                total += weight[out, channel, i, j] * x[image, group * cg + channel, row, column]
        y[image, out, p, q] = total
    return y


def draw(seed):
    """Draw arrays and options of a small convolution."""
    rng = np.random.default_rng(seed)
    n, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 3]))
    c, o = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel, stride, dilation, padding = (
        tuple(map(int, rng.integers(low, high, 2))) for low, high in ((1, 4), (1, 4), (1, 3), (0, 3))
    )
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + int(rng.integers(0, 5))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    x = rng.standard_normal((n, c, *size))
    weight, bias = rng.standard_normal((o, c // groups, *kernel)), rng.standard_normal(o)
    return x, weight, bias, (stride, padding, dilation, groups)


@pytest.mark.parametrize("seed", range(12))
def test_conv2d_against_loops(seed):
    x, weight, bias, options = draw(seed)
    for b in (bias, None):
        expected = conv2d_by_loops(x, weight, b, *options)
        np.testing.assert_allclose(backend.conv2d(x, weight, b, *options), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_family_against_torch(seed):
    torch = pytest.importorskip("torch")
    x, weight, bias, options = draw(seed)
    stride, padding, dilation, groups = options
    x_t, weight_t, bias_t = (torch.tensor(a, requires_grad=True) for a in (x, weight, bias))
    y_t = torch.nn.functional.conv2d(x_t, weight_t, bias_t, stride, padding, dilation, groups)
    grad = np.random.default_rng(seed).standard_normal(y_t.shape)
    y_t.backward(torch.tensor(grad))
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(backend.conv2d(x, weight, bias, *options), y_t.detach(), **close)
    np.testing.assert_allclose(backend.conv2d_input_grad(grad, weight, x.shape[2:], *options), x_t.grad, **close)
    np.testing.assert_allclose(backend.conv2d_weight_grad(grad, x, weight.shape[2:], *options), weight_t.grad, **close)
    weight_grad, bias_grad = backend.conv2d_parameter_grads(grad, x, weight.shape[2:], *options)
    np.testing.assert_allclose(weight_grad, weight_t.grad, **close)
    np.testing.assert_allclose(bias_grad, bias_t.grad, **close)
    window = (weight.shape[2:], stride, padding, dilation)
    columns_t = torch.nn.functional.unfold(
        torch.tensor(x), weight.shape[2:], dilation=dilation, padding=padding, stride=stride
    )
    np.testing.assert_array_equal(backend.unfold(x, *window), columns_t)
    image_t = torch.nn.functional.fold(
        columns_t, x.shape[2:], weight.shape[2:], dilation=dilation, padding=padding, stride=stride
    )
    np.testing.assert_allclose(backend.fold(columns_t.numpy(), x.shape[2:], *window), image_t, **close)


@pytest.mark.parametrize("seed", range(30))
def test_adjoints(seed):
    """<conv(x, w), g> = <x, input_grad(g, w)> = <w, weight_grad(g, x)>, and <unfold x, c> = <x, fold c>."""
    x, weight, _, options = draw(seed)
    stride, padding, dilation, _ = options
    rng = np.random.default_rng(seed)
    y = backend.conv2d(x, weight, None, *options)
    grad = rng.standard_normal(y.shape)
    inner = np.vdot(y, grad)
    x_grad = backend.conv2d_input_grad(grad, weight, x.shape[2:], *options)
    weight_grad = backend.conv2d_weight_grad(grad, x, weight.shape[2:], *options)
    assert x_grad.shape == x.shape and weight_grad.shape == weight.shape
    np.testing.assert_allclose(np.vdot(x, x_grad), inner, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.vdot(weight, weight_grad), inner, rtol=1e-10, atol=1e-10)
    window = (weight.shape[2:], stride, padding, dilation)
    columns = backend.unfold(x, *window)
    other = rng.standard_normal(columns.shape)
    folded = backend.fold(other, x.shape[2:], *window)
    np.testing.assert_allclose(np.vdot(columns, other), np.vdot(x, folded), rtol=1e-10, atol=1e-10)


def test_unfold_layout():
    """Channel by channel, tap by tap, window by window."""
    x = np.arange(2 * 3 * 3, dtype=float).reshape(1, 2, 3, 3)
    columns = backend.unfold(x, (2, 2), (1, 1), (0, 0), (1, 1))
    assert columns.shape == (1, 8, 4)
    np.testing.assert_array_equal(columns[0, 0], [0, 1, 3, 4])  # channel 0, top left tap
    np.testing.assert_array_equal(columns[0, 3], [4, 5, 7, 8])  # channel 0, bottom right tap
    np.testing.assert_array_equal(columns[0, 4], [9, 10, 12, 13])  # channel 1


def test_zero_size_batch_and_channels():
    options = ((1, 1), (1, 1), (1, 1), 1)
    weight = np.ones((4, 2, 3, 3))
    x = np.empty((0, 2, 5, 5))
    assert backend.conv2d(x, weight, None, *options).shape == (0, 4, 5, 5)
    grad = np.empty((0, 4, 5, 5))
    assert backend.conv2d_input_grad(grad, weight, (5, 5), *options).shape == (0, 2, 5, 5)
    np.testing.assert_array_equal(backend.conv2d_weight_grad(grad, x, (3, 3), *options), np.zeros((4, 2, 3, 3)))
    # A convolution without input channels is its bias.
    y = backend.conv2d(np.ones((1, 0, 5, 5)), weight[:, :0], np.arange(4.0), *options)
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(4.0)[:, None, None], (1, 4, 5, 5)))


def test_kernel_larger_than_the_input():
    with pytest.raises(ShapeError, match="conv2d"):
        backend.conv2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), None, (1, 1), (0, 0), (1, 1), 1)


def test_output_sizes_are_those_of_geometry():
    x, weight, _, (stride, padding, dilation, groups) = draw(3)
    y = backend.conv2d(x, weight, None, stride, padding, dilation, groups)
    assert y.shape[2:] == conv_output_size("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
