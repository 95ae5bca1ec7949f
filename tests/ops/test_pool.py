"""Pooling and resizing: exact ties, indices, higher orders, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.errors import OptionError, ShapeError


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param):
        yield request.param


def test_the_first_of_equals_wins_and_gets_the_gradient():
    x = minidl.ones(1, 1, 2, 4, requires_grad=True)
    y, indices = minidl.max_pool2d(x, 2, return_indices=True)
    assert indices.tolist() == [[[[0, 2]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_overlapping_windows_add_up():
    x = minidl.tensor([[[0.0, 5.0, 0.0, 0.0]]], requires_grad=True)
    y = minidl.max_pool1d(x, 2, 1)
    assert y.tolist() == [[[5, 5, 0]]]
    (y * minidl.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [[[0, 11, 100, 0]]]


def test_padding_never_wins():
    x = minidl.full((1, 1, 2, 2), -3.0)
    y, indices = minidl.max_pool2d(x, 3, 1, 1, return_indices=True)
    assert y.tolist() == x.tolist()
    assert indices.tolist() == [[[[0, 0], [0, 0]]]]


def test_indices_have_no_gradient():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(1, 4, 4)), requires_grad=True)
    for _, indices in (
        minidl.max_pool2d(x, 2, return_indices=True),
        minidl.adaptive_max_pool2d(x, 2, return_indices=True),
    ):
        assert indices.dtype == np.int64
        assert indices.shape == (1, 2, 2)
        assert not indices.requires_grad


def test_third_order():
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 4))
    assert minidl.gradcheck(lambda a: minidl.max_pool2d(a, 2, 1) ** 3, [x], order=3)
    assert minidl.gradcheck(lambda a: minidl.avg_pool2d(a, 2, 1) ** 3, [x], order=3)


def test_default_stride_is_the_kernel():
    assert minidl.max_pool2d(minidl.ones(1, 6, 7), (2, 3)).shape == (1, 3, 2)
    assert minidl.avg_pool1d(minidl.ones(1, 7), 3).shape == (1, 2)


def test_adaptive_sizes():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    np.testing.assert_allclose(minidl.adaptive_avg_pool2d(x, 1)[..., 0, 0], x.mean((2, 3)), rtol=1e-12)
    assert minidl.adaptive_avg_pool2d(x, (None, 2)).shape == (2, 3, 5, 2)
    assert minidl.adaptive_max_pool2d(x, [3, None]).shape == (2, 3, 3, 7)
    assert minidl.adaptive_avg_pool1d(x[0], (None,)).shape == (3, 5, 7)


def test_empty_batch():
    x = np.zeros((0, 2, 4, 4))
    for y in (minidl.max_pool2d(x, 2), minidl.avg_pool2d(x, 2), minidl.adaptive_avg_pool2d(x, 2)):
        assert y.shape == (0, 2, 2, 2)
    assert minidl.interpolate(x, 3).shape == (0, 2, 3, 3)


@pytest.mark.parametrize("pool", [minidl.max_pool1d, minidl.adaptive_max_pool1d])
def test_kept_memory_is_not_shared_with_the_caller(pool):
    x = minidl.tensor([[[1.0, 2.0, 3.0, 0.0]]], requires_grad=True)
    y, indices = pool(x, 2, return_indices=True)
    indices[...] = 0
    y.sum().backward()
    assert x.grad.tolist() == [[[0.0, 1.0, 1.0, 0.0]]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: minidl.max_pool2d(x, 5), ShapeError, "max_pool2d: expected an input that is, padded"),
        (lambda x: minidl.max_pool2d(x, 0), OptionError, "kernel_size"),
        (lambda x: minidl.max_pool2d(x, 2, padding=2), OptionError, "half the window"),
        (lambda x: minidl.max_pool2d(x[0, 0], 2), ShapeError, "(C, H, W)"),
        (lambda x: minidl.max_pool2d(x, (2, 2, 2)), OptionError, "max_pool2d kernel_size"),
        (lambda x: minidl.avg_pool2d(x, 2, stride=-1), OptionError, "stride"),
        (lambda x: minidl.max_pool1d(x, 2), ShapeError, "(N, C, L)"),
        (lambda x: minidl.avg_pool1d(x[0], "2"), OptionError, "avg_pool1d kernel_size"),
        (lambda x: minidl.adaptive_avg_pool2d(x, 0), OptionError, "at least 1"),
        (lambda x: minidl.adaptive_avg_pool2d(x, (1, 2, 3)), OptionError, "output_size"),
        (lambda x: minidl.adaptive_max_pool2d(x, 1.5), OptionError, "output_size"),
        (lambda x: minidl.adaptive_max_pool2d(x[:, :, :0], 2), ShapeError, "at least one pixel"),
        (lambda x: minidl.interpolate(x), OptionError, "neither"),
        (lambda x: minidl.interpolate(x, 2, 2.0), OptionError, "scale_factor=2.0"),
        (lambda x: minidl.interpolate(x, scale_factor=0), OptionError, "scale_factor"),
        (lambda x: minidl.interpolate(x, scale_factor=float("nan")), OptionError, "scale_factor"),
        (lambda x: minidl.interpolate(x, scale_factor=(1, 2, 3)), OptionError, "scale_factor"),
        (lambda x: minidl.interpolate(x, scale_factor=0.1), ShapeError, "at least one pixel"),
        (lambda x: minidl.interpolate(x, 2, mode="cubic"), OptionError, "'cubic'"),
        (lambda x: minidl.interpolate(x, 2, mode="linear"), OptionError, "bilinear"),
        (lambda x: minidl.interpolate(x, 2, align_corners=True), OptionError, "linear mode"),
        (lambda x: minidl.interpolate(x[0, 0], 2), ShapeError, "(N, C, H, W)"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(np.ones((1, 2, 4, 4)))
    assert text in str(caught.value)
