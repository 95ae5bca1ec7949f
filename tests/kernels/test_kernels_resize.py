"""Interpolation: drawn sizes and scales, the adjoint, PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
scales = st.one_of(st.none(), st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)))


@settings(max_examples=80, deadline=None)
@given(sizes, sizes, scales, st.booleans(), st.sampled_from(DTYPES))
def test_agrees_with_the_reference(size, output, scale, align_corners, dtype):
    rng = np.random.default_rng(1)
    x, g = draw(rng, (2, 3, *size), dtype), draw(rng, (2, 3, *output), dtype)
    check("upsample_nearest2d", x, output, scale)
    check("upsample_nearest2d_grad", g, size, scale)
    check("upsample_bilinear2d", x, output, align_corners, scale)
    check("upsample_bilinear2d_grad", g, size, align_corners, scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_and_empty(dtype):
    rng = np.random.default_rng(2)
    x = draw(rng, (4, 8, 30, 41), dtype)
    for name, options in (("upsample_nearest2d", ()), ("upsample_bilinear2d", (False,))):
        y = check(name, x, (60, 82), *options, (2.0, 2.0), layouts=False)
        check(f"{name}_grad", y, (30, 41), *options, (2.0, 2.0), layouts=False)
        assert getattr(compiled, name)(x[:0], (3, 3), *options, None).shape == (0, 8, 3, 3)
        with pytest.raises(ValueError):
            getattr(compiled, name)(x[:, :, :0], (3, 3), *options, None)
        with pytest.raises(ValueError):
            getattr(compiled, name)(x, (3, -3), *options, (1.0, 1.0))
        with pytest.raises(ValueError):
            getattr(compiled, name)(x, (3, 3), *options, (float("nan"), 1.0))
        with pytest.raises(ValueError):
            getattr(compiled, name)(x, (3, 3), *options, (1e-300, 1e-300))
        assert getattr(compiled, name)(x, (3, 3), *options, (1e-30, 1e-30)).shape == (4, 8, 3, 3)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, scales, st.booleans())
def test_gradients_are_adjoint(size, output, scale, align_corners):
    rng = np.random.default_rng(3)
    x, g = draw(rng, (1, 1, *size), np.float64), draw(rng, (1, 1, *output), np.float64)
    for name, options in (("upsample_nearest2d", ()), ("upsample_bilinear2d", (align_corners,))):
        y = getattr(compiled, name)(x, output, *options, scale)
        dx = getattr(compiled, f"{name}_grad")(g, size, *options, scale)
        assert np.isclose((y * g).sum(), (x * dx).sum(), atol=1e-12)


def test_an_infinite_gradient_stays_where_it_belongs():
    g = np.zeros((1, 1, 2, 2), np.float32)
    g[0, 0, 0, 0] = np.inf
    dx = compiled.upsample_nearest2d_grad(g, (2, 2), None)
    np.testing.assert_array_equal(dx, g)


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(4), (1, 2, 3, 4), np.float32)
    assert_falls_back("upsample_nearest2d", x, (6, 6), None)
    assert_falls_back("upsample_bilinear2d", x, (6, 6), True, None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for size, output in [((5, 7), (10, 14)), ((8, 8), (3, 5)), ((4, 6), (9, 6)), ((1, 1), (3, 2))]:
        x, g = draw(rng, (2, 3, *size), dtype), draw(rng, (2, 3, *output), dtype)
        for name, mode, corners in [
            ("upsample_nearest2d", "nearest", None),
            ("upsample_bilinear2d", "bilinear", False),
            ("upsample_bilinear2d", "bilinear", True),
        ]:
            options = () if corners is None else (corners,)
            t = torch.tensor(x, requires_grad=True)
            y = torch.nn.functional.interpolate(t, output, mode=mode, align_corners=corners)
            y.backward(torch.tensor(g))
            got = getattr(compiled, name)(x, output, *options, None)
            np.testing.assert_allclose(got, y.detach(), rtol=tolerance, atol=tolerance)
            got = getattr(compiled, f"{name}_grad")(g, size, *options, None)
            np.testing.assert_allclose(got, t.grad, rtol=tolerance, atol=tolerance)
