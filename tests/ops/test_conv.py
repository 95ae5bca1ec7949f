"""Convolutions: closure of the family, gradients of higher order, and errors that say which shape is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.errors import OptionError, ShapeError
from minidl.ops.conv import Conv2dInputGrad


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param):
        yield request.param


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_third_order():
    arrays = [normal(1, 2, 3, 3), normal(2, 1, 2, 2), normal(2)]
    assert minidl.gradcheck(lambda *a: minidl.conv2d(*a, padding=1, groups=2), arrays, order=3)
    arrays = [normal(1, 2, 2, 2), normal(2, 1, 2, 2)]
    assert minidl.gradcheck(lambda *a: minidl.conv_transpose2d(*a, stride=2), arrays, order=3)


def test_transposed_convolution_is_the_adjoint():
    x, w = normal(2, 3, 7, 6), normal(4, 3, 3, 2, seed=1)
    y = minidl.conv2d(x, w, stride=2, padding=1)
    g = normal(*y.shape, seed=2)
    back = minidl.conv_transpose2d(g, w, stride=2, padding=1, output_padding=(0, 0))
    # The last column of x meets no window, and an output of that size is not asked for.
    assert back.shape == (2, 3, 7, 6)
    np.testing.assert_allclose((y * g).sum(), (x * back).sum(), rtol=1e-12)


def test_unfold_and_a_product_make_a_convolution():
    x, w = normal(2, 3, 5, 4), normal(4, 3, 2, 3, seed=1)
    columns = minidl.unfold(x, (2, 3), padding=1)
    y = w.reshape(4, -1) @ columns
    np.testing.assert_allclose(y.reshape(2, 4, 6, 4), minidl.conv2d(x, w, padding=1), rtol=1e-12)


def test_gradient_of_unneeded_inputs_is_not_computed(monkeypatch):
    def refuse(*_):
        raise AssertionError("the input gradient was not asked for")

    monkeypatch.setattr(Conv2dInputGrad, "forward", refuse)
    w = minidl.tensor(normal(1, 1, 2, 2), requires_grad=True)
    minidl.conv2d(minidl.tensor(normal(1, 1, 3, 3)), w).sum().backward()
    assert w.grad.shape == (1, 1, 2, 2)


@pytest.mark.parametrize("operation", [minidl.conv2d, lambda x, w, b: minidl.linear(x.flatten(1), w.flatten(1), b)])
@pytest.mark.parametrize("kept", [(0, 1, 2), (1, 2), (0, 1), (0, 2), (1,), (2,)])
def test_each_gradient_is_the_same_without_the_others(operation, kept):
    """Those of weight and bias come from one kernel where both are wanted; the oracle is <g, dy> by differences."""
    arrays = [normal(2, 3, 2, 2), normal(4, 3, 2, 2, seed=1), normal(4, seed=2)]
    leaves = [minidl.tensor(array, requires_grad=i in kept) for i, array in enumerate(arrays)]
    y = operation(*leaves)
    g = normal(*y.shape, seed=3)
    y.backward(g)
    for i, leaf in enumerate(leaves):
        if i not in kept:
            assert leaf.grad is None
            continue
        direction = normal(*leaf.shape, seed=4)
        shifted = [minidl.tensor(a + direction if j == i else a) for j, a in enumerate(arrays)]
        # Each is linear (or affine) in each of its inputs, so a difference over any distance is exact.
        slope = (g * (operation(*shifted).data - y.data)).sum()
        np.testing.assert_allclose((leaf.grad.data * direction).sum(), slope, rtol=1e-10, atol=1e-12)


def test_types_mix_to_the_widest():
    x, w = normal(1, 1, 3, 3), normal(1, 1, 2, 2)
    assert minidl.conv2d(x.astype(np.float32), w.astype(np.float32)).dtype == np.float32
    assert minidl.conv2d(x.astype(np.float32), w).dtype == np.float64
    assert minidl.conv2d(np.ones((1, 1, 3, 3), np.uint8), w.astype(np.float32)).dtype == np.float32


def test_empty_batch_has_zero_gradient():
    w = minidl.tensor(normal(3, 2, 3, 3), requires_grad=True)
    y = minidl.conv2d(np.zeros((0, 2, 5, 5)), w)
    assert y.shape == (0, 3, 3, 3)
    y.sum().backward()
    np.testing.assert_array_equal(w.grad, np.zeros((3, 2, 3, 3)))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (((2, 3), (1, 1, 2, 2)), {}, ShapeError, "an input (N, C, H, W)"),
        (((1, 3, 4, 4), (2, 2, 2, 2)), {}, ShapeError, "an input of 2 channels"),
        (((1, 4, 4, 4), (3, 2, 2, 2)), {"groups": 2}, ShapeError, "number of kernels"),
        (((1, 2, 4, 4), (2, 2, 5, 5)), {}, ShapeError, "at least as large as the kernel"),
        (((1, 2, 4, 4), (2, 2, 2)), {}, ShapeError, "a weight of 4 dimensions"),
        (((1, 0, 4, 4), (2, 0, 2, 2)), {}, ShapeError, "none of them empty"),
        (((1, 2, 4, 4), (2, 2, 0, 2)), {}, ShapeError, "none of them empty"),
        (((1, 2, 4, 4), (2, 2, 2, 2), (3,)), {}, ShapeError, "a bias of shape (2,)"),
        (((1, 2, 4, 4), (2, 2, 2, 2), (2, 1)), {}, ShapeError, "a bias of shape (2,)"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"stride": 0}, OptionError, "stride"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"stride": 1.5}, OptionError, "stride"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"padding": -1}, OptionError, "padding"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"padding": "full"}, OptionError, '"valid" or "same"'),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"padding": "same", "stride": 2}, OptionError, "stride 1"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"dilation": (1, 2, 3)}, OptionError, "dilation"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"groups": 0}, OptionError, "groups"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"groups": 1.0}, OptionError, "groups"),
    ],
)
def test_conv2d_errors(arguments, options, error, text):
    with pytest.raises(error, match="conv2d") as caught:
        minidl.conv2d(*[np.ones(shape) for shape in arguments], **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (((1, 3, 4, 4), (2, 2, 2, 2)), {}, ShapeError, "an input of 2 channels"),
        (((1, 0, 4, 4), (0, 2, 2, 2)), {}, ShapeError, "none of them empty"),
        (((1, 3, 4, 4), (3, 2, 2, 2)), {"groups": 2}, ShapeError, "groups=2"),
        (((1, 2, 4, 4), (2, 2, 2, 2)), {"output_padding": 1}, OptionError, "output_padding"),
        (((1, 2, 1, 1), (2, 2, 2, 2)), {"padding": 1}, ShapeError, "at least one pixel"),
        (((1, 2, 4, 4), (2, 3, 2, 2), (2,)), {}, ShapeError, "a bias of shape (3,)"),
    ],
)
def test_conv_transpose2d_errors(arguments, options, error, text):
    with pytest.raises(error, match="conv_transpose2d") as caught:
        minidl.conv_transpose2d(*[np.ones(shape) for shape in arguments], **options)
    assert text in str(caught.value)


def test_1d_errors_use_1d_words():
    with pytest.raises(ShapeError, match=r"conv1d: expected an input \(N, C, L\)"):
        minidl.conv1d(np.ones((1, 2, 4, 4)), np.ones((2, 2, 2)))
    with pytest.raises(OptionError, match="conv1d stride: expected an integer"):
        minidl.conv1d(np.ones((2, 4)), np.ones((2, 2, 2)), stride=(1, 1))


def test_fold_errors():
    with pytest.raises(ShapeError, match="fold: expected a multiple of 4 rows"):
        minidl.fold(np.ones((1, 5, 4)), (3, 3), 2)
    with pytest.raises(ShapeError, match=r"4 columns \(2x2 windows\)"):
        minidl.fold(np.ones((1, 4, 5)), (3, 3), 2)
    with pytest.raises(ShapeError, match="fold: expected columns"):
        minidl.fold(np.ones(4), (3, 3), 2)
    with pytest.raises(ShapeError, match="unfold"):
        minidl.unfold(np.ones((1, 1, 2, 2)), 3)
