"""Normalisation against PyTorch: values, running statistics, gradients and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch.nn import functional as F  # noqa: E402
from torch_agreement import agree  # noqa: E402  # needs torch

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 3), (2, 3, 2, 2, 2)]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape, training, affine):
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    arrays = [rng.normal(1, 2, size=shape)] + [rng.normal(size=3) for _ in range(2 * affine)]

    def ours(x, weight=None, bias=None):
        statistics = minidl.tensor(mean), minidl.tensor(var)
        return [minidl.batch_norm(x, *statistics, weight, bias, training, 0.3, 1e-3), *statistics]

    def theirs(x, weight=None, bias=None):
        statistics = torch.tensor(mean), torch.tensor(var)
        return [F.batch_norm(x, *statistics, weight, bias, training, 0.3, 1e-3), *statistics]

    agree(lambda *a: ours(*a)[1:], lambda *a: theirs(*a)[1:], arrays, order=0)
    agree(lambda *a: ours(*a)[0], lambda *a: theirs(*a)[0], arrays)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axes", [1, 2])
def test_layer_norm(shape, axes):
    axes = min(axes, len(shape) - 1)
    rng = np.random.default_rng(1)
    x, weight, bias = rng.normal(1, 2, shape), rng.normal(size=shape[-axes:]), rng.normal(size=shape[-axes:])
    for arrays in ([x], [x, weight], [x, weight, bias]):
        agree(
            lambda a, *more: minidl.layer_norm(a, shape[-axes:], *more),
            lambda a, *more: F.layer_norm(a, shape[-axes:], *more),
            arrays,
            rtol=1e-8,
        )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 4, 3, 2), (2, 8)])
def test_group_norm(shape, groups):
    rng = np.random.default_rng(2)
    x, weight, bias = rng.normal(1, 2, shape), rng.normal(size=shape[1]), rng.normal(size=shape[1])
    for arrays in ([x], [x, weight, bias]):
        agree(
            lambda a, *more: minidl.group_norm(a, groups, *more),
            lambda a, *more: F.group_norm(a, groups, *more),
            arrays,
            rtol=1e-8,
        )


def test_gradient_penalty_through_batch_norm():
    """The mixed second derivative that a cached statistic gets wrong: d/dw of the squared input gradient."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))

    def penalty(package, batch_norm, matrix, grad):
        a, b = matrix(x), matrix(w)
        y = batch_norm(a @ b) ** 3
        (g,) = grad(y.sum(), a, create_graph=True)
        (g * g).sum().backward()
        return b.grad

    found = penalty(
        minidl, lambda z: minidl.batch_norm(z, None, None, training=True),
        lambda m: minidl.tensor(m, requires_grad=True), minidl.grad,
    )  # fmt: skip
    wanted = penalty(
        torch, lambda z: F.batch_norm(z, None, None, training=True),
        lambda m: torch.tensor(m, requires_grad=True), torch.autograd.grad,
    )  # fmt: skip
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-8)


def test_single_precision_stays():
    rng = np.random.default_rng(4)
    x, weight, bias = (rng.normal(size=s).astype(np.float32) for s in [(8, 3, 5, 5), (3,), (3,)])
    agree(
        lambda a, *more: minidl.batch_norm(a, None, None, *more, training=True),
        lambda a, *more: F.batch_norm(a, None, None, *more, training=True),
        [x, weight, bias],
        order=1,
        rtol=1e-4,
    )
