"""Softmax and cross-entropy: every axis, extremes, labels, PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, assert_falls_back, check, compiled, draw

from minidl._kernels import kernels
from minidl.backends.reference import ReferenceBackend

SHAPES = [
    (3, 4),
    (1, 1),
    (0, 5),
    (5, 0),
    (2, 3, 4),
    (2, 70, 3),
    (3, 2049),
    (2, 5000),
    (2, 5, 600),
    (300, 10),
    (40, 33, 300),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_reference_on_every_axis(shape, dtype):
    rng = np.random.default_rng(1)
    x, g = draw(rng, shape, dtype, 3), draw(rng, shape, dtype)
    for axis in (*range(len(shape)), -1):
        for name in ("softmax", "log_softmax"):
            y = check(name, x, axis, layouts=x.size < 5000)
            check(f"{name}_grad", g, y, axis, layouts=x.size < 5000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.data(), st.sampled_from(DTYPES))
def test_drawn_shapes(shape, data, dtype):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = draw(np.random.default_rng(2), tuple(shape), dtype, 10)
    for name in ("softmax", "log_softmax"):
        check(name, x, axis)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_extreme_logits(axis, dtype):
    x = np.array([[1000.0, -1000.0, 0.0], [-np.inf, -np.inf, -np.inf], [-1000.0, -1000.0, -1000.0]], dtype)
    x = np.ascontiguousarray(x if axis == 1 else x.T)
    y = compiled.softmax(x, axis)
    y = y if axis == 1 else y.T
    third = dtype(1) / dtype(3)
    np.testing.assert_allclose(y, [[1, 0, 0], [0, 0, 0], [third, third, third]], rtol=1e-6)
    log_y = compiled.log_softmax(x, axis)
    log_y = log_y if axis == 1 else log_y.T
    np.testing.assert_allclose(log_y[0], [0, -2000, -1000])
    assert (log_y[1] == -np.inf).all()
    np.testing.assert_allclose(log_y[2], -np.log(3), rtol=1e-6)


def test_nan_spreads_over_its_row_only():
    x = np.zeros((2, 40), np.float32)
    x[0, 3] = np.nan
    y = compiled.softmax(x, 1)
    assert np.isnan(y[0]).all() and np.isfinite(y[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 3), (300, 10), (7, 100), (3, 3000), (2000, 50)])
@pytest.mark.parametrize("label_type", [np.int64, np.int32, np.uint8])
def test_cross_entropy(shape, dtype, label_type):
    rng = np.random.default_rng(3)
    x, g = draw(rng, shape, dtype, 3), draw(rng, shape[:1], dtype)
    labels = rng.integers(0, min(shape[1], 250), shape[0]).astype(label_type)
    ignore = 1 if label_type == np.uint8 else -100
    labels[::3] = ignore if shape[1] > 1 or label_type != np.uint8 else 0
    for share in (None, 0.25):
        check("cross_entropy", x, labels, ignore, share, layouts=x.size < 5000)
    check("cross_entropy_grad", g, x, labels, ignore, None, layouts=x.size < 5000)
    check("cross_entropy_grad", np.array(-1.5, dtype), x, labels, ignore, 0.25, layouts=x.size < 5000)


def test_the_gradient_of_a_sum_may_be_a_scalar():
    x, labels = draw(np.random.default_rng(9), (4, 3), np.float32), np.array([0, 2, 1, 1])
    wanted = compiled.cross_entropy_grad(np.full(4, 3, np.float32), x, labels, -100, None)
    np.testing.assert_array_equal(compiled.cross_entropy_grad(np.float32(6), x, labels, -100, 0.5), wanted)


@pytest.mark.parametrize("label_type", [np.int64, np.int32, np.uint8, ">i8"])
@pytest.mark.parametrize("shape", [(0,), (7,), (3, 4)])
@pytest.mark.parametrize("strided", [False, True])
def test_count_labels(shape, label_type, strided):
    labels = np.random.default_rng(2).integers(0, 5, (*shape[:-1], 2 * shape[-1])).astype(label_type)
    labels = labels[..., ::2] if strided else labels[..., : shape[-1]].copy()
    in_kernel = labels.dtype == np.int64 and labels.flags.c_contiguous
    assert (kernels.softmax.count_labels(labels, 5, -100) is not None) == in_kernel
    for backend in (compiled, ReferenceBackend()):
        assert backend.count_labels(labels, 5, -100) == labels.size
        assert backend.count_labels(labels, 5, 3) == labels.size - list(labels.ravel()).count(3)
        if labels.size:
            bad = labels  # as strided as they are
            bad.flat[-1] = 5
            assert backend.count_labels(bad, 5, 3) == -1
            assert backend.count_labels(bad, 5, 5) == labels.size - 1
            if bad.dtype.kind == "i":
                bad.flat[-1] = -1
                assert backend.count_labels(bad, 5, 3) == -1
                assert backend.count_labels(bad, 5, -1) == labels.size - 1
            bad.flat[-1] = 0


@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**40)])
def test_labels_are_validated(bad):
    x = np.zeros((4, 3), np.float32)
    labels = np.array([0, bad, 1, 2])
    with pytest.raises(IndexError, match="label"):
        compiled.cross_entropy(x, labels, -100, None)
    with pytest.raises(IndexError, match="label"):
        compiled.cross_entropy_grad(np.ones(4, np.float32), x, labels, -100, None)


def test_wrong_arguments_are_refused():
    x = np.zeros((4, 3), np.float32)
    for call in (
        lambda: compiled.softmax(x, 2),
        lambda: compiled.softmax(x, -3),
        lambda: compiled.softmax_grad(x, x.T.copy(), 1),
        lambda: compiled.cross_entropy(x, np.zeros(3, np.int64), -100, None),
        lambda: compiled.cross_entropy_grad(np.ones(5, np.float32), x, np.zeros(4, np.int64), -100, None),
        lambda: compiled.cross_entropy_grad(np.ones(4, np.float32), x, np.zeros(4, np.int64), -100, 0.25),
    ):
        with pytest.raises((ValueError, IndexError)):
            call()
    with pytest.raises(TypeError, match="integer"):
        compiled.cross_entropy(x, np.zeros(4), -100, None)


def test_half_precision_goes_to_the_reference():
    x = draw(np.random.default_rng(4), (3, 5), np.float32)
    assert_falls_back("softmax", x, 1)
    assert_falls_back("log_softmax", x, 0)
    for share in (None, 0.5):
        assert_falls_back("cross_entropy", x, np.array([0, 1, 2]), -100, share)
    assert_falls_back("cross_entropy_grad", x[:, 0].copy(), x, np.array([0, 1, 2]), -100, None)
    assert_falls_back("cross_entropy_grad", np.array(2.0), x, np.array([0, 1, 2]), -100, 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    tolerance = 3e-6 if dtype == np.float32 else 1e-13
    x, labels, g = draw(rng, (64, 17), dtype, 5), rng.integers(0, 17, 64), draw(rng, (64,), dtype)
    labels[5] = -100
    t = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(t, torch.tensor(labels), reduction="none")
    loss.backward(torch.tensor(g))
    losses = compiled.cross_entropy(x, labels, -100, None)
    np.testing.assert_allclose(losses, loss.detach(), rtol=tolerance, atol=tolerance)
    got = compiled.cross_entropy_grad(g, x, labels, -100, None)
    np.testing.assert_allclose(got, t.grad, rtol=tolerance, atol=tolerance)
    x, g = draw(rng, (3, 6, 5), dtype, 5), draw(rng, (3, 6, 5), dtype)
    for name in ("softmax", "log_softmax"):
        t = torch.tensor(x, requires_grad=True)
        y = getattr(torch, name)(t, 1)
        y.backward(torch.tensor(g))
        got = getattr(compiled, name)(x, 1)
        np.testing.assert_allclose(got, y.detach(), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(getattr(compiled, f"{name}_grad")(g, got, 1), t.grad, rtol=tolerance, atol=tolerance)
