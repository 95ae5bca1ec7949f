"""Resizing against loops over pixels, against PyTorch, and against its adjoint."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()
SIZES = [
    ((1, 1), (3, 2)),
    ((2, 3), (4, 9)),
    ((5, 7), (3, 2)),
    ((6, 4), (6, 4)),
    ((4, 5), (1, 1)),
    ((3, 8), (7, 5)),
]


def bilinear_by_loops(x, size, align_corners):
    h, w = x.shape[2:]
    y = np.zeros((*x.shape[:2], *size))

    def place(p, n, o):
        if align_corners:
            return p * (n - 1) / (o - 1) if o > 1 else 0.0
        return max((p + 0.5) * n / o - 0.5, 0.0)

    for p, q in np.ndindex(*size):
        u, v = place(p, h, size[0]), place(q, w, size[1])
        top, left = min(math.floor(u), h - 1), min(math.floor(v), w - 1)
        bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
        above = (1 - (v - left)) * x[:, :, top, left] + (v - left) * x[:, :, top, right]
        below = (1 - (v - left)) * x[:, :, bottom, left] + (v - left) * x[:, :, bottom, right]
        y[:, :, p, q] = (1 - (u - top)) * above + (u - top) * below
    return y


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_against_loops(size, output):
    x = np.random.default_rng(0).standard_normal((2, 3, *size))
    nearest = backend.upsample_nearest2d(x, output, None)
    for p, q in np.ndindex(*output):
        expected = x[:, :, p * size[0] // output[0], q * size[1] // output[1]]
        np.testing.assert_array_equal(nearest[:, :, p, q], expected)
    for align_corners in (False, True):
        np.testing.assert_allclose(
            backend.upsample_bilinear2d(x, output, align_corners, None),
            bilinear_by_loops(x, output, align_corners),
            rtol=1e-12,
            atol=1e-13,
        )


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_against_torch(size, output):
    torch = pytest.importorskip("torch")
    interpolate = torch.nn.functional.interpolate
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, *size))

    def check(y, y_t, x_grad, x_t):
        y_t.backward(torch.tensor(grad))
        np.testing.assert_allclose(y, y_t.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(x_grad, x_t.grad, rtol=1e-12, atol=1e-12)

    grad = rng.standard_normal((2, 3, *output))
    x_t = torch.tensor(x, requires_grad=True)
    check(
        backend.upsample_nearest2d(x, output, None),
        interpolate(x_t, output, mode="nearest"),
        backend.upsample_nearest2d_grad(grad, size, None),
        x_t,
    )
    for align_corners in (False, True):
        x_t = torch.tensor(x, requires_grad=True)
        check(
            backend.upsample_bilinear2d(x, output, align_corners, None),
            interpolate(x_t, output, mode="bilinear", align_corners=align_corners),
            backend.upsample_bilinear2d_grad(grad, size, align_corners, None),
            x_t,
        )


@pytest.mark.parametrize("scale", [(2.0, 3.0), (0.5, 1.7), (1.3, 0.9), (2.51, 1.01), (2.1, 2.15)])
def test_a_given_scale_counts_and_not_the_ratio_of_the_sizes(scale):
    torch = pytest.importorskip("torch")
    interpolate = torch.nn.functional.interpolate
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, 2, 7, 6))
    output = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], scale, strict=True))
    x_t = torch.tensor(x, requires_grad=True)
    for mode, align_corners in (("nearest", None), ("bilinear", False), ("bilinear", True)):
        x_t.grad = None
        y_t = interpolate(x_t, scale_factor=scale, mode=mode, align_corners=align_corners)
        grad = rng.standard_normal(y_t.shape)
        y_t.backward(torch.tensor(grad))
        if mode == "nearest":
            y = backend.upsample_nearest2d(x, output, scale)
            x_grad = backend.upsample_nearest2d_grad(grad, x.shape[2:], scale)
        else:
            y = backend.upsample_bilinear2d(x, output, align_corners, scale)
            x_grad = backend.upsample_bilinear2d_grad(grad, x.shape[2:], align_corners, scale)
        np.testing.assert_allclose(y, y_t.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(x_grad, x_t.grad, rtol=1e-12, atol=1e-12)


def test_nearest_takes_the_same_pixels_as_torch_where_rounding_decides():
    torch = pytest.importorskip("torch")
    differs_from_exact_arithmetic = 0
    for n in range(1, 60):
        x = np.arange(n, dtype=float).reshape(1, 1, 1, n)
        for o in range(1, 60):
            y = backend.upsample_nearest2d(x, (1, o), None)
            np.testing.assert_array_equal(y, torch.nn.functional.interpolate(torch.tensor(x), (1, o), mode="nearest"))
            differs_from_exact_arithmetic += (y[0, 0, 0] != np.arange(o) * n // o).any()
    assert differs_from_exact_arithmetic > 0  # otherwise this test shows nothing


@pytest.mark.parametrize(("size", "output"), SIZES)
@pytest.mark.parametrize("scale", [None, (1.9, 0.7)])
def test_adjoints(size, output, scale):
    rng = np.random.default_rng(3)
    x, grad = rng.standard_normal((2, 3, *size)), rng.standard_normal((2, 3, *output))
    y, x_grad = (
        backend.upsample_nearest2d(x, output, scale),
        backend.upsample_nearest2d_grad(grad, size, scale),
    )
    np.testing.assert_allclose(np.vdot(y, grad), np.vdot(x, x_grad), rtol=1e-11, atol=1e-12)
    for align_corners in (False, True):
        y = backend.upsample_bilinear2d(x, output, align_corners, scale)
        x_grad = backend.upsample_bilinear2d_grad(grad, size, align_corners, scale)
        np.testing.assert_allclose(np.vdot(y, grad), np.vdot(x, x_grad), rtol=1e-11, atol=1e-12)


def test_align_corners_keeps_the_corners():
    x = np.random.default_rng(4).standard_normal((1, 1, 3, 4))
    y = backend.upsample_bilinear2d(x, (7, 9), True, None)
    np.testing.assert_array_equal(y[..., [0, 0, -1, -1], [0, -1, 0, -1]], x[..., [0, 0, -1, -1], [0, -1, 0, -1]])
