"""Activations: digits against 40-digit arithmetic, special values, layouts, PyTorch."""

import math

import mpmath
import numpy as np
import pytest
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw

UNARY = [
    ("relu", ()), ("sigmoid", ()), ("tanh", ()), ("erf", ()), ("silu", ()), ("gelu", ("none",)), ("gelu", ("tanh",)),
]  # fmt: skip
BINARY = [
    ("relu_grad", ()), ("sigmoid_grad", ()), ("tanh_grad", ()), ("silu_grad", ()),
    ("gelu_grad", ("none",)), ("gelu_grad", ("tanh",)),
]  # fmt: skip
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (5, 4, 33), (4099,), (250_000,)])
def test_agrees_with_the_reference(shape, dtype):
    rng = np.random.default_rng(1)
    x, g = draw(rng, shape, dtype, 3), draw(rng, shape, dtype)
    for name, options in UNARY:
        check(name, x, *options, layouts=x.size < 5000)
    for name, options in BINARY:
        check(name, g, x, *options, layouts=x.size < 5000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_nearly_every_digit_is_right(name, dtype):
    rng = np.random.default_rng(2)
    tiny = 10.0 ** rng.uniform(-37 if dtype == np.float32 else -300, 0, 150)
    x = np.concatenate([rng.normal(size=300) * 3, rng.normal(size=100) * 30, tiny, -tiny]).astype(dtype)
    y = getattr(compiled, name)(x)
    for value, got in zip(x.tolist(), y, strict=True):
        exact = EXACT[name](mpmath.mpf(value))
        unit = float(np.spacing(np.abs(dtype(float(exact)))))
        assert abs(mpmath.mpf(float(got)) - exact) <= 3.5 * unit, (name, value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    smallest = float(np.finfo(dtype).smallest_subnormal)
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, smallest, -smallest], dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            compiled.relu(x), np.array([np.inf, 0, np.nan, 0, 0, 1e30, 0, smallest, 0], dtype)
        )
        odd = [1, -1, np.nan, 0.0, -0.0, 1, -1]
        for name in ("tanh", "erf"):
            y = getattr(compiled, name)(x)
            np.testing.assert_array_equal(y[:7], odd)
            np.testing.assert_array_equal(np.signbit(y[3:5]), [False, True])
        np.testing.assert_array_equal(compiled.tanh(x)[7:], x[7:])
        np.testing.assert_array_equal(compiled.sigmoid(x), [1, 0, np.nan, 0.5, 0.5, 1, 0, 0.5, 0.5])
        assert compiled.relu_grad(np.ones_like(x), x).tolist() == [1, 0, 0, 0, 0, 1, 0, 1, 0]


def test_sigmoid_keeps_small_results():
    x = np.array([-80.0, -100.0, -103.0], np.float32)
    expected = np.array([math.exp(-80), math.exp(-100), math.exp(-103)], np.float32)
    np.testing.assert_allclose(compiled.sigmoid(x), expected, rtol=2e-7, atol=np.finfo(np.float32).smallest_subnormal)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_against_the_normal_distribution(dtype):
    """Everywhere to a few units of its largest part, and in the lower tail, where 1 + erf cancels, still relatively."""
    x = np.linspace(-9, 9, 2001).astype(dtype)
    distribution = np.array([float(mpmath.ncdf(mpmath.mpf(float(v)))) for v in x])
    density = np.array([float(mpmath.npdf(mpmath.mpf(float(v)))) for v in x])
    wide = x.astype(np.float64)
    y, slope = wide * distribution, distribution + wide * density
    unit = float(np.finfo(dtype).eps)
    ours, our_slope = compiled.gelu(x, "none"), compiled.gelu_grad(np.ones_like(x), x, "none")
    assert (np.abs(ours - y) <= 1.5 * unit * np.maximum(np.abs(wide), 0.1)).all()
    assert (np.abs(our_slope - slope) <= 3 * unit).all()
    if dtype == np.float32:
        tail = (x > -4.4) & (x < -1)
        np.testing.assert_allclose(ours[tail], y[tail], rtol=3e-4)


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(3), (3, 5), np.float32)
    for name, options in UNARY:
        assert_falls_back(name, x, *options)
    for name, options in BINARY:
        assert_falls_back(name, x, x, *options)


def test_shapes_must_agree():
    for name, options in BINARY:
        with pytest.raises(ValueError, match="shape"):
            getattr(compiled, name)(np.zeros(3), np.zeros(4), *options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(4)
    x, g = draw(rng, (4, 1000), dtype, 3), draw(rng, (4, 1000), dtype)
    peers = {
        "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "silu": functional.silu,
        "gelu none": functional.gelu, "gelu tanh": lambda t: functional.gelu(t, approximate="tanh"),
    }  # fmt: skip
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    for label, peer in peers.items():
        name, *options = label.split()
        t = torch.tensor(x, requires_grad=True)
        y = peer(t)
        y.backward(torch.tensor(g))
        got = getattr(compiled, name)(x, *options)
        np.testing.assert_allclose(got, y.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=label)
        saved = got if name in ("relu", "sigmoid", "tanh") else x
        dx = getattr(compiled, f"{name}_grad")(g, saved, *options)
        np.testing.assert_allclose(dx, t.grad.numpy(), rtol=tolerance, atol=tolerance, err_msg=label)
