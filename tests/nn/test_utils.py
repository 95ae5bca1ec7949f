"""Clipping gradients, and parameters as one vector."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import AnomalyError, OptionError, ShapeError
from minidl.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters


def with_gradients(*gradients):
    params = [nn.Parameter(np.zeros(np.shape(g))) for g in gradients]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = minidl.tensor(np.array(gradient))
    return [*params, nn.Parameter([1.0])]  # and one without a gradient


def test_clip_norm():
    params = with_gradients([3.0, 0.0], [[4.0]])
    version = params[0].grad.shared_version()[0]
    assert clip_grad_norm_(params, 10.0).item() == 5
    assert params[0].grad.tolist() == [3, 0] and params[0].grad.shared_version()[0] == version
    assert clip_grad_norm_(iter(params), 1.0).item() == 5
    np.testing.assert_allclose(params[0].grad.data, [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(params[1].grad.data, [[0.8]], rtol=1e-6)
    assert params[0].grad.shared_version()[0] > version
    assert clip_grad_norm_(with_gradients([3.0, -7.0]), 1.0, math.inf).item() == 7
    assert clip_grad_norm_(with_gradients([3.0, -7.0]), 1.0, 1).item() == 10
    assert clip_grad_norm_([nn.Parameter([1.0])], 1.0).item() == 0
    assert clip_grad_norm_(params[0], 100.0).item() == pytest.approx(0.6, rel=1e-6)


def test_clip_norm_that_is_not_finite():
    params = with_gradients([1.0, math.nan])
    with pytest.raises(AnomalyError, match="nan"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist()[0] == 1
    assert math.isnan(clip_grad_norm_(params, 1.0).item())
    assert np.isnan(params[0].grad.data).all()


def test_clip_value():
    params = with_gradients([3.0, -0.5, -3.0, math.nan])
    clip_grad_value_(params, 1)
    np.testing.assert_array_equal(params[0].grad.data, [1, -0.5, -1, math.nan])


@pytest.mark.parametrize(
    "call",
    [
        lambda p: clip_grad_norm_(p, math.nan),
        lambda p: clip_grad_norm_(p, -1),
        lambda p: clip_grad_norm_(p, 1, 0),
        lambda p: clip_grad_value_(p, -1),
        lambda p: clip_grad_value_(p, math.nan),
        lambda p: parameters_to_vector([]),
    ],
)
def test_bad_arguments(call):
    params = with_gradients([3.0])
    with pytest.raises(OptionError):
        call(params)
    assert params[0].grad.tolist() == [3]


def test_one_vector():
    net = nn.Linear(3, 2)
    vector = parameters_to_vector(net.parameters())
    assert vector.tolist() == [*net.weight.data.ravel().tolist(), *net.bias.data.tolist()]
    (vector * minidl.arange(8)).sum().backward()
    assert net.weight.grad.tolist() == [[0, 1, 2], [3, 4, 5]] and net.bias.grad.tolist() == [6, 7]
    vector_to_parameters(minidl.arange(8, dtype="float32"), net.parameters())
    assert net.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and net.bias.tolist() == [6, 7]
    with pytest.raises(ShapeError):
        vector_to_parameters(minidl.zeros(7), net.parameters())
    assert net.bias.tolist() == [6, 7]
