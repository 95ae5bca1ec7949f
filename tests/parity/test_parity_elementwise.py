"""Elementwise operations and activations against PyTorch: at random points, at kinks and ties, at special values."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch.nn import functional as F  # noqa: E402
from torch_agreement import agree  # noqa: E402  # needs torch

SHAPES = [(), (5,), (0, 3), (3, 4), (2, 3, 2)]
SMOOTH = {
    "exp": (minidl.exp, torch.exp),
    "expm1": (minidl.expm1, torch.expm1),
    "sin": (minidl.sin, torch.sin),
    "cos": (minidl.cos, torch.cos),
    "tanh": (minidl.tanh, torch.tanh),
    "sigmoid": (minidl.sigmoid, torch.sigmoid),
    "erf": (minidl.erf, torch.erf),
    "silu": (minidl.silu, F.silu),
    "gelu": (minidl.gelu, F.gelu),
    "gelu by tanh": (lambda x: minidl.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "softplus": (minidl.softplus, F.softplus),
    "sharp softplus": (lambda x: minidl.softplus(x, 2.0, 1.5), lambda x: F.softplus(x, 2.0, 1.5)),
    "square": (lambda x: x**2, lambda x: x**2),
    "cube": (lambda x: x**3, lambda x: x**3),
    "zeroth power": (lambda x: x**0, lambda x: x**0),
    "first power": (lambda x: x**1, lambda x: x**1),
    "power of a number": (lambda x: 1.7**x, lambda x: 1.7**x),
}
POSITIVE = {
    "log": (minidl.log, torch.log),
    "log1p": (minidl.log1p, torch.log1p),
    "log2": (minidl.log2, torch.log2),
    "sqrt": (minidl.sqrt, torch.sqrt),
    "rsqrt": (minidl.rsqrt, torch.rsqrt),
    "inverse": (lambda x: x**-1, lambda x: x**-1),
    "broken power": (lambda x: x**2.7, lambda x: x**2.7),
}
KINKED = {
    "abs": (minidl.abs, torch.abs),
    "sign": (minidl.sign, torch.sign),
    "floor": (minidl.floor, torch.floor),
    "ceil": (minidl.ceil, torch.ceil),
    "round": (minidl.round, torch.round),
    "relu": (minidl.relu, torch.relu),
    "leaky_relu": (lambda x: minidl.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (lambda x: minidl.elu(x, 1.5), lambda x: F.elu(x, 1.5)),
    "hardtanh": (lambda x: minidl.hardtanh(x, -1, 2), lambda x: F.hardtanh(x, -1, 2)),
    "relu6": (minidl.relu6, F.relu6),
    "clip": (lambda x: minidl.clip(x, -1, 1), lambda x: torch.clip(x, -1, 1)),
    "clip below": (lambda x: minidl.clip(x, min=1), lambda x: torch.clip(x, min=1)),
    "clip above": (lambda x: minidl.clip(x, max=1), lambda x: torch.clip(x, max=1)),
    "crossed clip": (lambda x: minidl.clip(x, 1, -1), lambda x: torch.clip(x, 1, -1)),
}
PAIRS = {
    "maximum": (minidl.maximum, torch.maximum),
    "minimum": (minidl.minimum, torch.minimum),
    "where": (lambda a, b: minidl.where(a > b, a, b * 2), lambda a, b: torch.where(a > b, a, b * 2)),
    "clip by tensors": (lambda a, b: minidl.clip(a, b, b + 1), lambda a, b: torch.clip(a, b, b + 1)),
    "crossed tensors": (lambda a, b: minidl.clip(a, b, -b), lambda a, b: torch.clip(a, b, -b)),
    "clip from below": (lambda a, b: minidl.clip(a, min=b), lambda a, b: torch.clip(a, min=b)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
def test_at_random_points(name, shape):
    rng = np.random.default_rng(len(shape))
    agree(*{**SMOOTH, **KINKED}[name], [rng.normal(size=shape) * 2])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", POSITIVE)
def test_at_positive_points(name, shape):
    rng = np.random.default_rng(len(shape))
    agree(*POSITIVE[name], [rng.uniform(0.2, 4, size=shape)])


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED, *POSITIVE])
def test_float32_stays_float32(name):
    rng = np.random.default_rng(0)
    agree(*{**SMOOTH, **KINKED, **POSITIVE}[name], [rng.uniform(0.2, 3, (3, 4)).astype(np.float32)], rtol=1e-5)


@pytest.mark.parametrize("name", KINKED)
def test_slopes_at_kinks(name):
    x = np.array([-2.5, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 6.0, 7.0])
    # At the kink of elu the second derivative is one-sided: from below in minidl, from above in PyTorch.
    agree(*KINKED[name], [x], order=1 if name == "elu" else 2)


@pytest.mark.parametrize(
    ("name", "order"),
    # The infinities of a slope are PyTorch's; of a second derivative they are nobody's.
    [(name, 1 if name in POSITIVE or name == "elu" else 2) for name in [*KINKED, *POSITIVE, "softplus", "tanh"]],
)
def test_at_zero(name, order):
    agree(*{**SMOOTH, **KINKED, **POSITIVE}[name], [np.array([0.0, 0.0])], order=order)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "silu", "gelu", "gelu by tanh", "softplus", *KINKED])
def test_far_out(name):
    agree(*{**SMOOTH, **KINKED}[name], [np.array([-1000.0, -50.0, 50.0, 1000.0])], order=1)


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED, *POSITIVE])
def test_special_values(name):
    x = np.array([math.nan, math.inf, -math.inf, -1.0])
    # The sign of NaN is 0 in PyTorch; -inf times zero is NaN in some of its versions and zero in others.
    x = x[1:] if name == "sign" else x[[0, 1, 3]] if name in ("gelu", "gelu by tanh", "silu") else x
    agree(*{**SMOOTH, **KINKED, **POSITIVE}[name], [x], order=0)


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((), (2, 3))], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name, shapes):
    rng = np.random.default_rng(3)
    agree(*PAIRS[name], [rng.normal(size=shape) for shape in shapes])


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_at_ties(name):
    rng = np.random.default_rng(4)
    agree(*PAIRS[name], [rng.integers(-1, 2, (4, 5)).astype(float) for _ in range(2)])


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3, 1))], ids=str)
def test_power_of_arrays(shapes):
    rng = np.random.default_rng(5)
    agree(minidl.pow, torch.pow, [rng.uniform(0.3, 2, shapes[0]), rng.normal(size=shapes[1])])


def test_power_at_zero():
    base, exponent = np.array([0.0, 0.0, 0.0, 2.0, 2.0, -2.0]), np.array([0.0, 1.0, 2.5, 0.0, 1.0, 2.0])
    agree(minidl.pow, torch.pow, [base, exponent], order=1)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"])
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3, 1))], ids=str)
def test_comparisons(name, shapes):
    rng = np.random.default_rng(6)
    arrays = [rng.integers(-1, 2, shape).astype(float) for shape in shapes]
    arrays[0].reshape(-1)[0] = math.nan
    agree(getattr(minidl, name), getattr(torch, name), arrays, order=0)


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not"])
def test_questions(name):
    agree(getattr(minidl, name), getattr(torch, name), [np.array([0.0, 1.0, math.nan, math.inf, -math.inf])], order=0)


@pytest.mark.parametrize("decimals", [0, 1, 3])
def test_rounding_to_digits(decimals):
    x = np.array([0.5, 1.5, 2.5, -0.5, 1.25, 0.0625, -3.14159])
    agree(lambda x: minidl.round(x, decimals=decimals), lambda x: torch.round(x, decimals=decimals), [x], rtol=1e-12)
