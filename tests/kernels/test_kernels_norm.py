"""Batch norm and layer norm: statistics that keep their digits, every layout of channels, PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw

CHANNELS = [
    (4, 3, 5, 5), (1, 1, 1, 1), (4, 3), (2, 3, 0), (0, 3, 2), (2, 0, 4), (300, 70), (33, 130), (5, 2, 63),
    (3, 2, 64), (7, 3, 3000), (40, 6, 24, 24), (64, 2, 4, 4), (2000, 100), (16, 8, 40, 40),
]  # fmt: skip


def assert_near(expected, got, dtype, scale=1.0):
    tolerance = (3e-5 if dtype == np.float32 else 1e-11) * scale
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", CHANNELS)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, affine, dtype):
    rng = np.random.default_rng(1)
    x, g = draw(rng, shape, dtype, 2) + dtype(3), draw(rng, shape, dtype)
    weight, bias = (draw(rng, shape[1], dtype), draw(rng, shape[1], dtype)) if affine else (None, None)
    small = x.size < 5000
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    _, mean, var = check("batch_norm", x, weight, bias, 1e-5, tolerance=tolerance, layouts=small)
    check("batch_norm_eval", x, mean, var, weight, bias, 1e-5, tolerance=tolerance, layouts=small)
    tolerance *= max(1, (x.size // max(shape[1], 1)) ** 0.5)  # dweight and dbias are sums
    check("batch_norm_grad", g, x, weight, mean, var, 1e-5, tolerance=tolerance, layouts=small)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(3, 4), (1, 1), (0, 5), (5, 0), (7, 33), (2, 5000), (1000, 64), (300, 768), (4000, 7)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape, affine, dtype):
    rng = np.random.default_rng(2)
    x, g = draw(rng, shape, dtype, 2) + dtype(3), draw(rng, shape, dtype)
    weight, bias = (draw(rng, shape[1], dtype), draw(rng, shape[1], dtype)) if affine else (None, None)
    small = x.size < 5000
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    if shape[1] == 1:
        tolerance *= 100  # one number, no spread: rstd is 1/sqrt(eps)
    with np.errstate(invalid="ignore"):
        _, mean, rstd = check("layer_norm", x, weight, bias, 1e-5, tolerance=tolerance, layouts=small)
        tolerance *= max(1, shape[0] ** 0.5)
        check("layer_norm_grad", g, x, weight, mean, rstd, tolerance=tolerance, layouts=small)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=5), st.sampled_from(DTYPES))
def test_drawn_shapes(shape, dtype):
    rng = np.random.default_rng(3)
    x, g = draw(rng, tuple(shape), dtype, 2), draw(rng, tuple(shape), dtype)
    weight = draw(rng, shape[1], dtype)
    _, mean, var = check("batch_norm", x, weight, None, 1e-3, tolerance=1e-4)
    check("batch_norm_grad", g, x, weight, mean, var, 1e-3, tolerance=1e-3)


@pytest.mark.parametrize("shape", [(64, 4, 16, 16), (5000, 4), (4000, 4, 3)])
def test_a_large_mean_costs_no_digits(shape):
    rng = np.random.default_rng(4)
    x = (rng.standard_normal(shape) + 1000).astype(np.float32)
    axes = (0, *range(2, x.ndim))
    _, mean, var = compiled.batch_norm(x, None, None, 1e-5)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axes), rtol=2e-7)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axes), rtol=2e-5)
    rows = x.reshape(4, -1)
    _, mean, rstd = compiled.layer_norm(rows, None, None, 0.0)
    np.testing.assert_allclose(rstd, 1 / rows.astype(np.float64).std(1), rtol=2e-5)


def test_wrong_shapes_are_refused():
    x, c = np.zeros((2, 3, 4), np.float32), np.ones(3, np.float32)
    wrong = np.ones(4, np.float32)
    for call in (
        lambda: compiled.batch_norm(x, wrong, None, 1e-5),
        lambda: compiled.batch_norm(c, None, None, 1e-5),
        lambda: compiled.batch_norm_eval(x, c, wrong, None, None, 1e-5),
        lambda: compiled.batch_norm_grad(x[:1], x, c, c, c, 1e-5),
        lambda: compiled.batch_norm_grad(x, x, c, c, wrong, 1e-5),
        lambda: compiled.layer_norm(x[0], c, None, 1e-5),
        lambda: compiled.layer_norm_grad(x[0], x[0], wrong, c, wrong[:2]),
        lambda: compiled.layer_norm(x, None, None, 1e-5),
    ):
        with pytest.raises(ValueError):
            call()


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(5), (4, 3), np.float32)
    assert_falls_back("batch_norm", x, None, None, 1e-3)
    assert_falls_back("layer_norm", x, None, None, 1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(6)
    for shape in [(8, 5, 6, 7), (20, 5), (3, 5, 100)]:
        x, g = draw(rng, shape, dtype, 2), draw(rng, shape, dtype)
        weight, bias = draw(rng, 5, dtype), draw(rng, 5, dtype)
        t, w, b = (torch.tensor(a, requires_grad=True) for a in (x, weight, bias))
        y = functional.batch_norm(t, None, None, w, b, training=True)
        y.backward(torch.tensor(g))
        got, mean, var = compiled.batch_norm(x, weight, bias, 1e-5)
        assert_near(y.detach(), got, dtype)
        for expected, value in zip((t, w, b), compiled.batch_norm_grad(g, x, weight, mean, var, 1e-5), strict=True):
            assert_near(expected.grad, value, dtype, 10)
        y = functional.batch_norm(t, torch.tensor(mean), torch.tensor(var), w, b)
        assert_near(y.detach(), compiled.batch_norm_eval(x, mean, var, weight, bias, 1e-5), dtype)
    x, g, weight, bias = (draw(rng, s, dtype) for s in ((50, 33), (50, 33), 33, 33))
    t, w, b = (torch.tensor(a, requires_grad=True) for a in (x, weight, bias))
    y = functional.layer_norm(t, (33,), w, b)
    y.backward(torch.tensor(g))
    got, mean, rstd = compiled.layer_norm(x, weight, bias, 1e-5)
    assert_near(y.detach(), got, dtype)
    for expected, value in zip((t, w, b), compiled.layer_norm_grad(g, x, weight, mean, rstd), strict=True):
        assert_near(expected.grad, value, dtype, 10)
