"""Convolutions and unfold/fold against PyTorch: values, gradients and second derivatives over random options."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.errors import ShapeError

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch.nn import functional as F  # noqa: E402
from torch_agreement import agree  # noqa: E402  # needs torch


def draw(seed, axes):
    """Draw sizes and options of a convolution whose kernel fits."""
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    channels, outputs = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, axes))) for _ in range(3))
    padding = tuple(map(int, rng.integers(0, 3, axes)))
    smallest = [max(d * (k - 1) + 1 - 2 * p, 1) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = [n + int(rng.integers(0, 4)) for n in smallest]
    lead = (int(rng.integers(1, 3)), channels)[int(rng.integers(2)) :]
    return rng, groups, channels, outputs, kernel, stride, dilation, padding, (*lead, *size)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("axes", [1, 2])
def test_conv(axes, seed):
    rng, groups, channels, outputs, kernel, stride, dilation, padding, shape = draw(seed, axes)
    arrays = [rng.normal(size=shape), rng.normal(size=(outputs, channels // groups, *kernel)), rng.normal(size=outputs)]
    arrays = arrays[: 3 - seed % 2]
    options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    name = f"conv{axes}d"
    agree(
        lambda *a: getattr(minidl, name)(*a, **options), lambda *a: getattr(F, name)(*a, **options), arrays, seed=seed
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("axes", [1, 2])
def test_conv_with_named_padding(axes, seed):
    rng, groups, channels, outputs, kernel, _, dilation, _, shape = draw(seed, axes)
    shape = (*shape[:-axes], *[8, 7][:axes])
    arrays = [rng.normal(size=shape), rng.normal(size=(outputs, channels // groups, *kernel))]
    options = dict(padding=["same", "valid"][seed % 2], dilation=dilation, groups=groups)
    name = f"conv{axes}d"
    agree(lambda *a: getattr(minidl, name)(*a, **options), lambda *a: getattr(F, name)(*a, **options), arrays)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("axes", [1, 2])
def test_conv_transpose(axes, seed):
    rng, groups, channels, outputs, kernel, stride, dilation, padding, shape = draw(seed, axes)
    arrays = [rng.normal(size=shape), rng.normal(size=(channels, outputs // groups, *kernel)), rng.normal(size=outputs)]
    arrays = arrays[: 3 - seed % 2]
    # Also beyond the stride, where PyTorch allows it as long as it is below the dilation.
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    options = dict(stride=stride, padding=padding, output_padding=extra, groups=groups, dilation=dilation)
    name = f"conv_transpose{axes}d"
    ours, theirs = (lambda *a: getattr(minidl, name)(*a, **options)), (lambda *a: getattr(F, name)(*a, **options))
    try:
        expected = theirs(*map(torch.tensor, arrays))
    except RuntimeError:
        expected = None
    if expected is None or expected.numel() == 0:
        with pytest.raises(ShapeError):
            ours(*arrays)
        return
    agree(ours, theirs, arrays)


@pytest.mark.parametrize("seed", range(10))
def test_unfold_and_fold(seed):
    rng, _, _, _, kernel, stride, dilation, padding, shape = draw(seed, 2)
    options = dict(dilation=dilation, padding=padding, stride=stride)
    x = rng.normal(size=shape)
    agree(lambda a: minidl.unfold(a, kernel, **options), lambda a: F.unfold(a, kernel, **options), [x])
    columns = rng.normal(size=F.unfold(torch.tensor(x), kernel, **options).shape)
    size = shape[-2:]
    agree(lambda a: minidl.fold(a, size, kernel, **options), lambda a: F.fold(a, size, kernel, **options), [columns])


def test_single_precision_stays():
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in [(2, 3, 8, 8), (4, 3, 3, 3), (4,)])
    agree(lambda *a: minidl.conv2d(*a, padding=1), lambda *a: F.conv2d(*a, padding=1), [x, w, b], order=1, rtol=1e-5)
    w = rng.normal(size=(3, 4, 3, 3)).astype(np.float32)
    agree(minidl.conv_transpose2d, F.conv_transpose2d, [x, w, b], order=1, rtol=1e-5)


def test_empty_batch():
    x, w = np.zeros((0, 2, 5, 5)), np.ones((3, 2, 3, 3))
    agree(minidl.conv2d, F.conv2d, [x, w], order=1)
