"""Reductions where the certificate does not look: types, ties, zeros, nothing at all, and refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl.errors import OptionError, ShapeError


def gradient(function, values):
    x = minidl.tensor(np.array(values, float), requires_grad=True)
    (found,) = minidl.grad(function(x).sum(), x)
    return found.tolist()


# --- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum"])
def test_small_integers_do_not_overflow(name):
    y = getattr(minidl, name)(minidl.tensor(np.full(3, 200, np.uint8)), 0)
    assert y.dtype == np.int64
    assert (y if name != "cumsum" else y[-1]).item() == {"sum": 600, "prod": 8000000, "cumsum": 600}[name]


def test_half_precision_is_added_up_in_single():
    x = minidl.full((300, 300), 1.0, dtype="float16")
    assert minidl.mean(x).item() == 1 and minidl.mean(x).dtype == np.float16
    assert minidl.sum(x[:2]).item() == 600
    assert minidl.sum(minidl.full((4096,), 1.0, dtype="float16")).item() == 4096


def test_means_of_integers_are_floats():
    assert minidl.mean(minidl.tensor([1, 2])).dtype == np.float32
    assert minidl.std(minidl.tensor([1, 2])).dtype == np.float32


def test_the_variance_of_large_numbers_does_not_cancel():
    x = np.array([1e8, 1e8 + 1, 1e8 + 2])
    np.testing.assert_allclose(minidl.var(x), 1.0, rtol=1e-12)


# --- ties and zeros ------------------------------------------------------------------------------------------------


def test_who_gets_the_gradient_at_a_tie():
    x = [[3.0, 3.0, 1.0], [0.0, 2.0, 2.0]]
    assert gradient(lambda x: minidl.amax(x, 1), x) == [[0.5, 0.5, 0], [0, 0.5, 0.5]]
    assert gradient(lambda x: minidl.max(x, 1).values, x) == [[1, 0, 0], [0, 1, 0]]
    assert gradient(minidl.max, x) == [[0.5, 0.5, 0], [0, 0, 0]]
    assert gradient(minidl.min, [[1.0, 1.0], [1.0, 1.0]]) == [[0.25, 0.25], [0.25, 0.25]]
    assert gradient(lambda x: minidl.min(x, 0).values, [[1.0], [1.0]]) == [[1], [0]]


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_prod_to_the_third_order(zeros):
    """The third derivative in xᵢ, xⱼ, xₖ is the product of the others, zeros or not; 0 where two are the same."""
    values = np.array([0.0, 0.0, 0.0, 2.0, -3.0])[3 - zeros :]
    x = minidl.tensor(values, requires_grad=True)
    (g,) = minidl.grad(minidl.prod(x), x, create_graph=True)
    n = len(values)
    for i, j in itertools.product(range(n), repeat=2):
        (gg,) = minidl.grad(g[i], x, create_graph=True)
        ggg = minidl.grad(gg[j], x, retain_graph=True)[0] if gg.requires_grad else np.zeros(n)
        wanted = [
            math.prod([values[m] for m in range(n) if m not in (i, j, k)]) if len({i, j, k}) == 3 else 0.0
            for k in range(n)
        ]
        np.testing.assert_allclose(ggg, wanted, atol=1e-14)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, math.inf])
def test_a_norm_has_no_slope_at_zero(p):
    assert gradient(lambda x: minidl.norm(x, p), [0.0, 0.0]) == [0, 0]
    assert gradient(lambda x: minidl.norm(x, p, dim=1)[1], [[3.0, 4.0], [0.0, 0.0]]) == [[0, 0], [0, 0]]


def test_a_gradient_penalty_at_zero_is_finite():
    """The second derivative of a norm where the vector vanishes: no NaN comes out of 0/0."""
    x = minidl.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    (g,) = minidl.grad(minidl.norm(x * x, dim=1).sum(), x, create_graph=True)
    (gg,) = minidl.grad((g * g).sum(), x)
    assert np.isfinite(gg.numpy()).all() and gg[0].tolist() == [0, 0]


def test_std_of_equal_numbers():
    assert gradient(minidl.std, [2.0, 2.0, 2.0]) == [0, 0, 0]


# --- nothing, and single numbers -----------------------------------------------------------------------------------


def test_of_nothing():
    x = minidl.zeros(0, 3)
    assert minidl.sum(x).item() == 0 and minidl.prod(x).item() == 1
    assert minidl.prod(x, 0).tolist() == [1, 1, 1] and minidl.prod(x, 0, keepdim=True).shape == (1, 3)
    assert math.isnan(minidl.mean(x).item())
    assert minidl.logsumexp(x).item() == -math.inf
    assert minidl.all(x).item() is True and minidl.any(x).item() is False
    assert minidl.amax(x, 1).shape == (0,) and minidl.argmax(x, 1).shape == (0,)


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_nothing_has_no_largest_element(name):
    with pytest.raises(ShapeError, match=rf"^{name}: expected at least one element to choose from"):
        getattr(minidl, name)(minidl.zeros(0, 3))
    with pytest.raises(ShapeError, match=name):
        getattr(minidl, name)(minidl.zeros(0, 3), 0)


@pytest.mark.parametrize("dim", [None, 0, -1])
def test_a_single_number(dim):
    x = minidl.tensor(3.0, requires_grad=True)
    for name in ("sum", "mean", "prod", "amax", "logsumexp", "norm"):
        y = getattr(minidl, name)(x, dim=dim)
        assert y.shape == () and y.item() == 3
        (g,) = minidl.grad(y, x)
        assert g.shape == () and g.item() == 1
    for keepdim in (False, True):
        assert minidl.argmax(x, dim, keepdim).shape == ()
    assert minidl.max(x, 0).values.shape == minidl.max(x, 0, True).indices.shape == ()


# --- as methods, and on plain arrays -------------------------------------------------------------------------------


def test_methods():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.sum(1).tolist() == [3, 7] and x.mean(dim=0).tolist() == [2, 3]
    assert x.max(1).indices.tolist() == [1, 1] and x.max().item() == 4
    assert x.var(unbiased=False).item() == 1.25 and x.std(0, correction=0).tolist() == [1, 1]
    assert x.argmax().item() == 3 and x.any().item() is True


def test_plain_arrays_give_plain_arrays():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    for function in (minidl.sum, minidl.mean, minidl.prod, minidl.amax, minidl.norm, minidl.std):
        assert isinstance(function(x, dim=1), np.ndarray)


def test_the_second_operand_of_max():
    x = minidl.tensor([1.0, 5.0])
    assert minidl.max(x, minidl.tensor([3.0, 3.0])).tolist() == [3, 5]
    assert minidl.min(x, minidl.tensor([3.0, 3.0])).tolist() == [1, 3]


# --- refusals ------------------------------------------------------------------------------------------------------


def test_unbiased_and_correction():
    with pytest.raises(OptionError, match="var: expected unbiased or correction; got both"):
        minidl.var(minidl.ones(3), unbiased=True, correction=0)


@pytest.mark.parametrize("p", ["nuc", math.nan])
def test_no_such_norm(p):
    with pytest.raises(OptionError, match="norm: expected a number"):
        minidl.norm(minidl.ones(3), p)
