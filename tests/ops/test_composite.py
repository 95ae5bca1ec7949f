"""`differentiate`: raw and recorded, to the third order, with absent inputs and with outputs that depend on nothing."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.ops.composite import differentiate


def formula(x, y, _):
    return [x * x * y, y * y * y]


def hand_gradient(x, y, v, w):
    return 2 * x * y * v, x * x * v + 3 * y * y * w


def draw():
    rng = np.random.default_rng(0)
    return [rng.normal(size=3) for _ in range(4)]


def test_arrays_in_arrays_out():
    x, y, v, w = draw()
    found = differentiate(formula, [x, y, None], [v, w], [True, True, False])
    assert found[2] is None
    for a, b in zip(found, hand_gradient(x, y, v, w), strict=False):
        assert type(a) is np.ndarray
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_only_what_is_needed():
    x, y, v, w = draw()
    x_grad, y_grad, _ = differentiate(formula, [x, y, None], [v, w], [False, True, False])
    assert x_grad is None
    np.testing.assert_allclose(y_grad, hand_gradient(x, y, v, w)[1], rtol=1e-14)
    assert differentiate(formula, [x, y, None], [v, w], [False] * 3) == (None, None, None)


def test_zeros_where_nothing_depends():
    x = np.ones(2)
    found = differentiate(lambda a, b: [a.detach() * 2], [x, x], [x], [True, True])
    np.testing.assert_array_equal(found, [[0, 0], [0, 0]])


def test_inputs_that_depend_on_each_other_are_independent_here():
    """The result is a partial derivative, whatever made the inputs."""
    x = minidl.tensor([3.0], dtype="float64", requires_grad=True)
    y = x * x
    v = np.ones(1)
    x_grad, y_grad, _ = differentiate(formula, [x, y, None], [v, v], [True, True, False])
    assert (x_grad.item(), y_grad.item()) == (2 * 3 * 9, 9 + 3 * 81)
    # Recorded, so its own derivative does know that y = x²: d(2xy)/dx = 6x².
    assert minidl.grad(x_grad, x)[0].item() == pytest.approx(54)


def test_third_order():
    def gradient(*tensors):
        x, y, v, w = tensors
        return list(differentiate(formula, [x, y, None], [v, w], [True, True, False])[:2])

    assert minidl.gradcheck(gradient, draw(), order=3)


def test_not_recorded_under_no_grad():
    x, y, v, w = (minidl.tensor(a, requires_grad=True) for a in draw())
    with minidl.no_grad():
        x_grad, _, _ = differentiate(formula, [x, y, None], [v, w], [True, False, False])
    assert not x_grad.requires_grad
