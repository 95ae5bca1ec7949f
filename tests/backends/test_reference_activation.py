"""Activations against Python's math module, their gradients against finite differences and PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()
POINTS = np.array([-800.0, -30.0, -6.5, -3.0, -1.0, -0.47, -0.46, -1e-3, -1e-310, 0.0])
POINTS = np.concatenate([POINTS, -POINTS])

SCALAR = {
    "relu": lambda v: max(v, 0.0),
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v)),
    "tanh": math.tanh,
    "silu": lambda v: v / (1 + math.exp(-v)) if v >= 0 else v * math.exp(v) / (1 + math.exp(v)),
    "erf": math.erf,
    "gelu": lambda v: v / 2 * math.erfc(-v / math.sqrt(2)),
    "gelu_tanh": lambda v: v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
}


def apply(name, x):
    if name.startswith("gelu"):
        return backend.gelu(x, "tanh" if name == "gelu_tanh" else "none")
    return getattr(backend, name)(x)


def apply_grad(name, grad, x):
    if name.startswith("gelu"):
        return backend.gelu_grad(grad, x, "tanh" if name == "gelu_tanh" else "none")
    saved = x if name == "silu" else apply(name, x)
    return getattr(backend, f"{name}_grad")(grad, saved)


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.filterwarnings("error")
def test_against_math(name):
    expected = [SCALAR[name](v) for v in POINTS.tolist()]
    # 1 + erf cancels in the far left of gelu, as it does in PyTorch.
    atol = 1e-15 if name.startswith("gelu") else 0
    np.testing.assert_allclose(apply(name, POINTS), expected, rtol=4e-15, atol=atol)


def test_erf_to_the_last_places():
    x = np.concatenate([np.linspace(-7, 7, 20001), np.geomspace(1e-300, 1, 2001)])
    exact = np.array([math.erf(v) for v in x.tolist()])
    assert (np.abs(backend.erf(x) - exact) / np.spacing(np.abs(exact))).max() <= 4
    assert np.abs(backend.erf(x) - exact).max() <= 4e-16
    np.testing.assert_array_equal(backend.erf(-x), -backend.erf(x))
    single = x.astype(np.float32)
    exact = np.array([math.erf(v) for v in single.tolist()])
    result = backend.erf(single)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, exact, rtol=4e-7, atol=2e-45)  # the smallest float32 is 1.4e-45


def test_erf_at_the_ends():
    ends = backend.erf(np.array([math.inf, -math.inf, math.nan, -0.0, 6.0, -40.0]))
    np.testing.assert_array_equal(ends, [1, -1, math.nan, -0.0, 1, -1])
    assert np.signbit(ends[3])


@pytest.mark.parametrize("name", sorted(SCALAR.keys() - {"erf"}))
def test_gradient_is_the_slope(name):
    x = np.array([-5.0, -2.2, -0.7, -0.1, 0.2, 0.9, 2.5, 6.0])
    slope = [(SCALAR[name](v + 1e-6) - SCALAR[name](v - 1e-6)) / 2e-6 for v in x.tolist()]
    np.testing.assert_allclose(apply_grad(name, np.full(8, 3.0), x), 3 * np.array(slope), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", sorted(SCALAR.keys() - {"erf"}))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_against_torch(name, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, grad = (3 * rng.standard_normal((2, 4, 50))).astype(dtype)
    functional = torch.nn.functional
    x_t = torch.tensor(x, requires_grad=True)
    if name.startswith("gelu"):
        y_t = functional.gelu(x_t, approximate="tanh" if name == "gelu_tanh" else "none")
    else:
        y_t = getattr(functional, name)(x_t)
    y_t.backward(torch.tensor(grad))
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(apply(name, x), y_t.detach(), **close)
    np.testing.assert_allclose(apply_grad(name, grad, x), x_t.grad, **close)


def test_relu_at_the_kink_and_at_nan():
    y = backend.relu(np.array([-1.0, 0.0, -0.0, 2.0, math.nan]))
    np.testing.assert_array_equal(y, [0, 0, 0, 2, math.nan])
    grad = np.array([5.0, math.nan, math.inf, 7.0])
    np.testing.assert_array_equal(backend.relu_grad(grad, y[:4]), [0, 0, 0, 7])


@pytest.mark.parametrize("name", SCALAR)
def test_nan_stays_nan(name):
    assert np.isnan(apply(name, np.array([math.nan]))).all()


@pytest.mark.parametrize("name", SCALAR)
def test_any_shape(name):
    for shape in ((), (0,), (2, 0, 3)):
        y = apply(name, np.zeros(shape))
        assert isinstance(y, np.ndarray) and y.shape == shape and y.dtype == np.float64
