"""Reductions, softmax and norms against PyTorch: every dim and keepdim, ties, zeros, special values, types."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch_agreement import agree  # noqa: E402  # needs torch

SHAPES = [(4,), (3, 4), (2, 3, 4)]
DIMS = [None, 0, -1, (0, -1)]
MANY = ["sum", "mean", "var", "std", "amax", "amin", "logsumexp"]


def with_dims(name, dim, keepdim, **options):
    """The function of that name in both libraries; None is every dim, which PyTorch does not always take."""

    def theirs(x):
        every = tuple(range(x.ndim)) if dim is None else dim
        return getattr(torch, name)(x, dim=every, keepdim=keepdim, **options)

    return lambda x: getattr(minidl, name)(x, dim, keepdim=keepdim, **options), theirs


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MANY)
def test_dims(name, shape, dim, keepdim):
    if dim == (0, -1) and len(shape) == 1:
        dim = (0,)
    rng = np.random.default_rng(len(shape))
    agree(*with_dims(name, dim, keepdim), [rng.normal(size=shape)])


@pytest.mark.parametrize("name", [*MANY, "prod", "max", "min", "all", "any", "count_nonzero", "argmax", "argmin"])
def test_everything_at_once(name):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 4))
    if name == "logsumexp":
        agree(minidl.logsumexp, lambda x: torch.logsumexp(x, (0, 1)), [x])
        return
    agree(getattr(minidl, name), getattr(torch, name), [x])


@pytest.mark.parametrize("name", [*MANY, "prod", "max", "min"])
def test_float32_stays_float32(name):
    x = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    if name in ("prod", "max", "min"):
        agree(lambda x: getattr(minidl, name)(x, 1), lambda x: getattr(torch, name)(x, 1), [x], rtol=1e-5)
    else:
        agree(*with_dims(name, 1, False), [x], rtol=1e-5)


@pytest.mark.parametrize("correction", [0, 1, 2, 0.5])
@pytest.mark.parametrize("name", ["var", "std"])
def test_correction(name, correction):
    x = np.random.default_rng(3).normal(size=(4, 5))
    agree(*with_dims(name, 1, False, correction=correction), [x])
    agree(*with_dims(name, (0, 1), True, correction=correction), [x])


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("name", ["var", "std"])
def test_unbiased(name, unbiased):
    x = np.random.default_rng(4).normal(size=(4, 5))
    ours, theirs = getattr(minidl, name), getattr(torch, name)
    agree(lambda x: ours(x, 1, unbiased), lambda x: theirs(x, 1, unbiased), [x])
    agree(lambda x: ours(x, unbiased=unbiased), lambda x: theirs(x, unbiased=unbiased), [x])


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", ["var", "std"])
def test_too_few_elements(name):
    agree(*with_dims(name, 1, False), [np.array([[3.0], [4.0]])], order=1)


def test_std_of_equal_elements_has_no_slope():
    agree(*with_dims("std", 1, False), [np.array([[3.0, 3.0, 3.0], [1.0, 2.0, 3.0]])], order=1)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["max", "min"])
def test_values_and_indices(name, dim, keepdim):
    rng = np.random.default_rng(5)
    for x in (rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 3, 4)).astype(float)):
        agree(*with_dims(name, dim, keepdim), [x])


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_ties(name):
    x = np.random.default_rng(6).integers(0, 3, (4, 5)).astype(float)
    agree(getattr(minidl, name), getattr(torch, name), [x])
    agree(*with_dims(name, 1, False), [x])


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_nan_is_extreme(name):
    x = np.array([[1.0, math.nan, 3.0, math.nan], [1.0, math.inf, -math.inf, 0.0]])
    agree(*with_dims(name, 1, False), [x], order=0)
    agree(getattr(minidl, name), getattr(torch, name), [x], order=0)


@pytest.mark.parametrize("name", ["max", "min"])
def test_second_operand(name):
    rng = np.random.default_rng(7)
    agree(getattr(minidl, name), getattr(torch, name), [rng.normal(size=(3, 4)), rng.normal(size=(4,))])


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("zeros", [0, 1, 3])
def test_prod(dim, keepdim, zeros):
    x = np.random.default_rng(8).normal(size=(3, 5))
    x.reshape(-1)[:zeros] = 0
    agree(*with_dims("prod", dim, keepdim), [x])


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_prod_of_everything(zeros):
    x = np.random.default_rng(9).normal(size=(7,))
    x[:zeros] = 0
    agree(minidl.prod, torch.prod, [x])


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cumsum(dim):
    x = np.random.default_rng(10).normal(size=(3, 4, 2))
    agree(lambda x: minidl.cumsum(x, dim), lambda x: torch.cumsum(x, dim), [x])


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    rng = np.random.default_rng(11)
    for scale in (1.0, 300.0):
        x = rng.normal(size=(3, 4, 2)) * scale
        agree(lambda x: getattr(minidl, name)(x, dim), lambda x: getattr(torch, name)(x, dim), [x])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_far_out(name):
    x = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1000.0, -999.0], [0.0, -math.inf, 1.0]])
    agree(lambda x: getattr(minidl, name)(x, 1), lambda x: getattr(torch, name)(x, 1), [x], order=1)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_logsumexp_of_infinities(value):
    agree(*with_dims("logsumexp", 0, False), [np.array([value, value])], order=0)
    agree(*with_dims("logsumexp", 0, False), [np.array([value, 0.0])], order=0)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("p", ["fro", 0, 0.5, 1, 1.5, 2, 3, math.inf, -math.inf, -1.0])
def test_norm(p, dim, keepdim):
    x = np.random.default_rng(12).normal(size=(2, 3, 4))
    agree(lambda x: minidl.norm(x, p, dim, keepdim), lambda x: torch.norm(x, p, dim, keepdim), [x], order=2 if p else 0)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, math.inf, -math.inf])
def test_slope_of_a_norm_at_zeros_and_ties(p):
    x = np.array([[0.0, 0.0], [0.0, 2.0], [-2.0, 2.0]])
    agree(lambda x: minidl.norm(x, p, 1), lambda x: torch.norm(x, p, 1), [x], order=1)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["sum", "prod", "count_nonzero", "all", "any", "amax"])
def test_integers(name, dtype):
    x = np.array([[3, 0, 200], [1, 1, 100]]).astype(dtype)
    ours, theirs = getattr(minidl, name)(minidl.tensor(x)), getattr(torch, name)(torch.tensor(x))
    assert ours.item() == theirs.item()
    assert str(ours.dtype) in str(theirs.dtype) or name in ("all", "any")  # PyTorch's all of uint8 is uint8
    if name != "prod":
        wanted = getattr(torch, name)(torch.tensor(x), dim=1).numpy()
        np.testing.assert_array_equal(getattr(minidl, name)(minidl.tensor(x), dim=1).numpy(), wanted)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "amax", "logsumexp", "softmax", "cumsum", "max"])
def test_of_a_single_number(name):
    with pytest.warns(UserWarning) if name in ("var", "std") else contextlib.nullcontext():
        theirs = getattr(torch, name)(torch.tensor(3.0, dtype=torch.float64), 0)
    ours = getattr(minidl, name)(minidl.tensor(3.0, dtype="float64"), 0)
    if name == "max":
        assert ours.indices.item() == 0 and ours.indices.shape == ()
        ours, theirs = ours.values, theirs.values
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "logsumexp", "norm", "softmax", "cumsum", "all", "any"])
def test_of_nothing(name):
    x = np.zeros((0, 3))
    dim = {"softmax": 0, "cumsum": 0, "logsumexp": 0}.get(name)
    arguments = () if dim is None else (dim,)
    ours = getattr(minidl, name)(minidl.tensor(x, requires_grad=True), *arguments)
    theirs = getattr(torch, name)(torch.tensor(x), *arguments)
    np.testing.assert_array_equal(ours.detach().numpy(), theirs.numpy())
    if ours.requires_grad:
        ours.sum().backward()
