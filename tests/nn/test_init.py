"""First values: the moments that each rule promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.nn import init


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


@pytest.mark.parametrize("shape", [(200, 300), (64, 32, 3, 3)])
@pytest.mark.parametrize(
    ("fill", "variance", "uniform"),
    [
        (lambda w: init.xavier_uniform_(w, gain=2.0), lambda i, o: 8 / (i + o), True),
        (init.xavier_normal_, lambda i, o: 2 / (i + o), False),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), lambda i, o: 2 / i, True),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), lambda i, o: 1 / (3 * i), True),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear"), lambda i, o: 1 / o, False),
    ],
)
def test_variance_scaling(fill, variance, uniform, shape):
    weight = minidl.empty(shape)
    assert fill(weight) is weight
    window = math.prod(shape[2:])
    wanted = variance(shape[1] * window, shape[0] * window)
    assert weight.data.var() == pytest.approx(wanted, rel=0.05)
    assert abs(weight.data.mean()) < 0.02 * math.sqrt(wanted)
    # The kurtosis tells a uniform distribution (1.8) from a normal one (3).
    kurtosis = (weight.data.astype(float) ** 4).mean() / wanted**2
    assert kurtosis == pytest.approx(1.8 if uniform else 3.0, rel=0.12)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3)])
def test_orthogonal(shape):
    matrix = init.orthogonal_(minidl.empty(shape, dtype="float64"), gain=3.0).numpy().reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 9 * np.eye(len(small)), atol=1e-12)


def test_trunc_normal():
    values = init.trunc_normal_(minidl.empty(20000), mean=1.0, std=2.0, a=0.0, b=1.5).numpy()
    assert values.min() >= 0 and values.max() <= 1.5
    assert values.mean() == pytest.approx(0.76, abs=0.02)
    with pytest.raises(OptionError, match="interval"):
        init.trunc_normal_(minidl.empty(3), a=10, b=11)


def test_simple_ones():
    weight = nn.Parameter(minidl.empty(2, 3))
    version = weight.shared_version()[0]
    assert init.ones_(weight).data.tolist() == [[1, 1, 1]] * 2
    assert weight.shared_version()[0] > version and weight.grad is None and weight.is_leaf
    assert init.zeros_(weight).data.any() == np.False_
    assert init.constant_(weight, 2.5).data[0, 0] == 2.5
    assert init.eye_(weight).data.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.normal_(minidl.empty(10000), 3, 0.5).numpy().std() == pytest.approx(0.5, rel=0.05)
    values = init.uniform_(minidl.empty(10000), -1, 3).numpy()
    assert values.min() >= -1 and values.max() <= 3 and values.mean() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_values():
    minidl.manual_seed(3)
    a = nn.Conv2d(2, 3, 3)
    minidl.manual_seed(3)
    np.testing.assert_array_equal(a.weight.data, nn.Conv2d(2, 3, 3).weight.data)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: init.xavier_uniform_(minidl.empty(3)), ShapeError),
        (lambda: init.orthogonal_(minidl.empty(3)), ShapeError),
        (lambda: init.eye_(minidl.empty(3)), ShapeError),
        (lambda: init.kaiming_normal_(minidl.empty(3, 3), mode="fan"), OptionError),
        (lambda: init.kaiming_normal_(minidl.empty(3, 3), nonlinearity="cube"), OptionError),
        (lambda: init.normal_(minidl.empty(3), std=-1), OptionError),
        (lambda: init.uniform_(minidl.empty(3), 1, 0), OptionError),
        (lambda: init.constant_(minidl.empty(3), "one"), OptionError),
        (lambda: init.trunc_normal_(minidl.empty(3), std=0), OptionError),
        (lambda: init.zeros_(minidl.zeros(3, dtype="int64")), DTypeError),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(error):
        call()
