"""Pooling and resizing against PyTorch: values, indices, gradients, at ties and NaN as well."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch.nn import functional as F  # noqa: E402
from torch_agreement import agree  # noqa: E402  # needs torch


def draw(seed, axes, tied=False):
    """Draw an input and the window of a pooling; `tied` makes most maxima ambiguous."""
    rng = np.random.default_rng(seed)
    kernel, stride = (tuple(map(int, rng.integers(1, 4, axes))) for _ in range(2))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    shape = (*(2, 3)[int(rng.integers(2)) :], *map(int, rng.integers(5, 9, axes)))
    x = rng.integers(0, 3, shape).astype(float) if tied else rng.normal(size=shape)
    return rng, x, kernel, stride if seed % 3 else None, padding, bool(rng.integers(2))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("axes", [1, 2])
def test_max_pool(axes, seed, tied):
    rng, x, kernel, stride, padding, ceil_mode = draw(seed, axes, tied)
    options = dict(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, return_indices=True)
    options["dilation"] = tuple(map(int, rng.integers(1, 3, axes)))
    name = f"max_pool{axes}d"
    agree(lambda a: getattr(minidl, name)(a, **options), lambda a: getattr(F, name)(a, **options), [x])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("axes", [1, 2])
def test_avg_pool(axes, seed):
    rng, x, kernel, stride, padding, ceil_mode = draw(seed, axes)
    options = dict(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
    options["count_include_pad"] = bool(rng.integers(2))
    name = f"avg_pool{axes}d"
    agree(lambda a: getattr(minidl, name)(a, **options), lambda a: getattr(F, name)(a, **options), [x])


@pytest.mark.parametrize("size", [1, 3, (2, 4), (None, 3), (9, 7)])
def test_adaptive_pools_2d(size):
    rng = np.random.default_rng(0)
    for shape in [(2, 3, 5, 6), (3, 7, 4)]:
        x = rng.normal(size=shape)
        agree(lambda a: minidl.adaptive_avg_pool2d(a, size), lambda a: F.adaptive_avg_pool2d(a, size), [x])
        agree(lambda a: minidl.adaptive_max_pool2d(a, size, True), lambda a: F.adaptive_max_pool2d(a, size, True), [x])


@pytest.mark.parametrize("size", [1, 4, 7])
def test_adaptive_pools_1d(size):
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    agree(lambda a: minidl.adaptive_avg_pool1d(a, size), lambda a: F.adaptive_avg_pool1d(a, size), [x])
    agree(lambda a: minidl.adaptive_max_pool1d(a, size, True), lambda a: F.adaptive_max_pool1d(a, size, True), [x])


def test_max_pool_with_nan_and_infinities():
    x = np.array([[[-np.inf, -np.inf, np.nan, 1.0], [-np.inf, -np.inf, 2.0, np.nan]]])
    agree(
        lambda a: minidl.max_pool2d(a, 2, return_indices=True), lambda a: F.max_pool2d(a, 2, return_indices=True), [x]
    )


@pytest.mark.parametrize("target", [{"size": (7, 3)}, {"size": 5}, {"scale_factor": (2.0, 0.5)}, {"scale_factor": 1.7}])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bilinear, corners aligned"])
def test_interpolate_images(target, mode):
    options = dict(target, mode=mode.split(",")[0])
    if "," in mode:
        options["align_corners"] = True
    rng = np.random.default_rng(0)
    for shape in [(2, 3, 5, 6), (1, 1, 4, 4)]:
        x = rng.normal(size=shape)
        agree(lambda a: minidl.interpolate(a, **options), lambda a: F.interpolate(a, **options), [x])


@pytest.mark.parametrize("target", [{"size": 7}, {"size": (2,)}, {"scale_factor": 1.5}])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_interpolate_sequences(target, mode):
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    agree(lambda a: minidl.interpolate(a, mode=mode, **target), lambda a: F.interpolate(a, mode=mode, **target), [x])


def test_single_precision_stays():
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    for ours, theirs in [
        (lambda a: minidl.max_pool2d(a, 2), lambda a: F.max_pool2d(a, 2)),
        (lambda a: minidl.avg_pool2d(a, 3, 2, 1), lambda a: F.avg_pool2d(a, 3, 2, 1)),
        (lambda a: minidl.adaptive_avg_pool2d(a, 3), lambda a: F.adaptive_avg_pool2d(a, 3)),
        (lambda a: minidl.interpolate(a, 5, mode="bilinear"), lambda a: F.interpolate(a, 5, mode="bilinear")),
    ]:
        agree(ours, theirs, [x], order=1, rtol=1e-5)
