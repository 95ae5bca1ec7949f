"""Elementwise operations where the certificate does not look: ties and kinks, infinities, operators, refusals."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import minidl
from minidl.errors import DTypeError, OptionError, ShapeError


def derivatives(function, point, order):
    """Value and derivatives of a function of one number, at a point."""
    x = minidl.tensor(float(point), dtype="float64", requires_grad=True)
    y = function(x)
    found = [y.item()]
    for _ in range(order):
        y = minidl.grad(y, x, create_graph=True)[0] if y.requires_grad else 0 * y  # a constant has no graph
        found.append(y.item())
    return found


# --- derivatives beyond the second --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "point", "wanted"),
    [
        (minidl.exp, 0.5, [math.exp(0.5)] * 5),
        (minidl.sin, 0.3, [math.sin(0.3), math.cos(0.3), -math.sin(0.3), -math.cos(0.3), math.sin(0.3)]),
        (minidl.log, 2.0, [math.log(2), 1 / 2, -1 / 4, 1 / 4, -3 / 8]),
        (minidl.sqrt, 4.0, [2, 1 / 4, -1 / 32, 3 / 256, -15 / 2048]),
        (lambda x: x**3, 2.0, [8, 12, 12, 6, 0]),
        (lambda x: x**3, 0.0, [0, 0, 0, 6, 0]),
        (minidl.tanh, 0.0, [0, 1, 0, -2, 0]),
        (minidl.sigmoid, 0.0, [1 / 2, 1 / 4, 0, -1 / 8, 0]),
        (minidl.softplus, 0.0, [math.log(2), 1 / 2, 1 / 4, 0, -1 / 8]),
        (minidl.erf, 0.0, [0, 2 / math.sqrt(math.pi), 0, -4 / math.sqrt(math.pi), 0]),
        (minidl.gelu, 0.0, [0, 0.5, 2 / math.sqrt(2 * math.pi), 0, -4 / math.sqrt(2 * math.pi)]),
        (minidl.silu, 0.0, [0, 0.5, 0.5, 0, -0.5]),
    ],
)
def test_four_derivatives(function, point, wanted):
    np.testing.assert_allclose(derivatives(function, point, 4), wanted, rtol=1e-12, atol=1e-14)


def test_mixed_derivative_of_a_power_where_the_exponent_is_zero():
    """∂²(xⁿ)/∂x∂n = xⁿ⁻¹ (1 + n ln x), which is 1/x at n = 0."""
    x = minidl.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    n = minidl.zeros(2, dtype="float64", requires_grad=True)
    (in_x,) = minidl.grad((x**n).sum(), x, create_graph=True)
    np.testing.assert_array_equal(in_x.detach(), [0, 0])
    (mixed,) = minidl.grad(in_x.sum(), n)
    np.testing.assert_allclose(mixed, [2, 0.5], rtol=1e-14)


# --- kinks, ties, jumps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "points", "slopes"),
    [
        (minidl.relu, [-1, 0, 1], [0, 0, 1]),
        (minidl.abs, [-1, 0, 1], [-1, 0, 1]),
        (lambda x: minidl.leaky_relu(x, 0.5), [-1, 0, 1], [0.5, 0.5, 1]),
        (lambda x: minidl.elu(x, 2.0), [0, 1], [2, 1]),
        (minidl.hardtanh, [-1, 0, 1, 2], [0, 1, 0, 0]),
        (minidl.relu6, [0, 3, 6], [0, 1, 0]),
        (lambda x: minidl.clip(x, -1, 1), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]),
        (lambda x: minidl.clip(x, min=0), [-1, 0, 1], [0, 1, 1]),
        (lambda x: minidl.maximum(x, 0), [-1, 0, 1], [0, 0.5, 1]),
        (lambda x: minidl.minimum(0, x), [-1, 0, 1], [1, 0.5, 0]),
        (minidl.sqrt, [0, 4], [math.inf, 0.25]),
        (minidl.log, [0, 2], [math.inf, 0.5]),
        (lambda x: x**0, [0, 2], [0, 0]),
        (minidl.floor, [-1.5, 1, 1.5], [0, 0, 0]),
        (minidl.sign, [-1, 0, 1], [0, 0, 0]),
    ],
)
def test_slopes(function, points, slopes):
    x = minidl.tensor(np.array(points, float), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(x).sum().backward()
    np.testing.assert_array_equal(x.grad, slopes)


@pytest.mark.parametrize("function", [minidl.relu, minidl.leaky_relu, minidl.hardtanh, minidl.relu6, minidl.abs])
def test_straight_pieces_have_a_second_derivative_of_zeros(function):
    x = minidl.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    (slope,) = minidl.grad(function(x).sum(), x, create_graph=True)
    (curvature,) = minidl.grad(slope.sum(), x)
    np.testing.assert_array_equal(curvature, [0, 0, 0])


def test_where_keeps_the_other_branch_out():
    x = minidl.tensor([0.0, 4.0], requires_grad=True)
    minidl.where(minidl.tensor([True, False]), x, 2 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 2])


@pytest.mark.parametrize("order", [1, 2])
def test_elu_and_softplus_do_not_overflow_backwards(order):
    for function in (minidl.elu, minidl.softplus):
        found = derivatives(function, 1000.0, order)
        assert found[1:] == [1, 0][:order]


# --- far out and special values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", minidl.backends.available_backends())
def test_activations_far_out(backend, dtype):
    x = minidl.tensor([-1000.0, 1000.0], dtype=dtype)
    with minidl.use_backend(backend), warnings.catch_warnings():
        warnings.simplefilter("error")
        for function, wanted in [
            (minidl.sigmoid, [0, 1]),
            (minidl.tanh, [-1, 1]),
            (minidl.softplus, [0, 1000]),
            (minidl.silu, [0, 1000]),
            (minidl.gelu, [0, 1000]),
            (minidl.elu, [-1, 1000]),
            (minidl.erf, [-1, 1]),
        ]:
            y = function(x)
            np.testing.assert_array_equal(y, wanted)
            assert y.dtype == dtype


def test_ieee_results_come_silently():
    x = minidl.tensor([-1.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(minidl.log(x), [math.nan, -math.inf])
        np.testing.assert_array_equal(minidl.rsqrt(x), [math.nan, math.inf])
        np.testing.assert_array_equal(minidl.log1p(x), [-math.inf, 0])
        np.testing.assert_array_equal(minidl.exp(x + 1000), [math.inf, math.inf])
        np.testing.assert_array_equal(x**-1, [-1, math.inf])


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "tanh", "sigmoid", "relu", "gelu", "softplus", "erf"])
def test_integers_become_floats(name):
    assert getattr(minidl, name)(minidl.tensor([1, 2])).dtype == np.float32


@pytest.mark.parametrize("name", ["abs", "sign", "floor", "ceil", "round"])
def test_integers_stay_integers(name):
    assert getattr(minidl, name)(minidl.tensor([1, -2])).dtype == np.int64


def test_clip_of_integers():
    x = minidl.tensor([-300, 1, 300])
    assert minidl.clip(x, max=2).tolist() == [-300, 1, 2] and minidl.clip(x, max=2).dtype == np.int64
    assert minidl.clip(x, -0.5, 2.5).dtype == np.float32


# --- operators -----------------------------------------------------------------------------------------------------


def test_comparison_operators():
    x, a = minidl.tensor([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0], np.float32)
    assert (x < a).tolist() == (a > x).tolist() == [True, False, False]
    assert (x <= a).tolist() == (a >= x).tolist() == [True, True, False]
    assert (x == a).tolist() == (a == x).tolist() == [False, True, False]
    assert (x != a).tolist() == (a != x).tolist() == [True, False, True]
    assert (2 > x).tolist() == [True, False, False]


def test_comparison_with_what_is_no_number():
    x = minidl.tensor([1.0, 2.0])
    assert (x == None) is False  # noqa: E711  # the operator is what is tested
    assert (x != "x") is True
    with pytest.raises(DTypeError):
        x < "x"  # noqa: B015


def test_logic_operators():
    a, b = minidl.tensor([True, True, False]), minidl.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    assert (np.array([True, False, True]) & a).tolist() == [True, False, False]
    assert (minidl.tensor([6, 5]) & 3).tolist() == [2, 1]
    assert (~minidl.tensor([0, 5])).tolist() == [-1, -6]


def test_tensors_stay_hashable():
    x = minidl.tensor([1.0])
    assert {x: 1}[x] == 1


# --- refusals ------------------------------------------------------------------------------------------------------


def test_logic_of_floats():
    with pytest.raises(DTypeError, match=r"bitwise_and: expected booleans or integers; got float32"):
        minidl.tensor([1.0]) & minidl.tensor([True])
    with pytest.raises(DTypeError, match="bitwise_not"):
        ~minidl.tensor([1.0])


@pytest.mark.parametrize("name", ["maximum", "minimum", "pow", "eq", "logical_or"])
def test_shapes_that_do_not_broadcast(name):
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        getattr(minidl, name)(minidl.ones(2), minidl.ones(3))


def test_where_needs_a_condition():
    with pytest.raises(DTypeError, match="where: expected a boolean condition; got float32"):
        minidl.where(minidl.ones(2), 1.0, 2.0)
    with pytest.raises(ShapeError):
        minidl.where(minidl.ones(2) > 0, minidl.ones(3), 0)


def test_clip_needs_a_bound():
    with pytest.raises(OptionError, match="clip: expected min, max or both; got neither"):
        minidl.clip(minidl.ones(2))


def test_options():
    with pytest.raises(OptionError, match="gelu"):
        minidl.gelu(minidl.ones(2), "quick")
    with pytest.raises(OptionError, match="softplus"):
        minidl.softplus(minidl.ones(2), beta=0)
    with pytest.raises(OptionError, match="hardtanh"):
        minidl.hardtanh(minidl.ones(2), 1, -1)


@pytest.mark.parametrize("exponent", [-1, np.array([1, -1])])
def test_integers_to_negative_integers(exponent):
    with pytest.raises(OptionError, match="pow: expected exponents >= 0 for integers"):
        minidl.tensor([1, 2]) ** exponent
