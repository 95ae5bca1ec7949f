"""Indexing, gathering, sorting: NumPy's rules over drawn keys, ties, bad indices, indices that change later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl
from minidl.errors import DTypeError, GraphError, IndexingError, OptionError, ShapeError


@st.composite
def shapes_and_keys(draw):
    """A shape, and a key that NumPy accepts for it: basic, or with integer arrays or a mask in places."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    kind = draw(st.sampled_from(["basic", "arrays", "mixed", "mask"]))
    if kind == "basic":
        return shape, draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    if kind == "mask":
        return shape, draw(hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))]))
    key = []
    common = draw(hnp.array_shapes(max_dims=2, max_side=3))
    for size in shape:
        part = draw(st.sampled_from(["array", "array", "slice", "integer"])) if kind == "mixed" else "array"
        if part == "array":
            key.append(draw(hnp.arrays(np.int64, common, elements=st.integers(-size, size - 1))))
        elif part == "integer":
            key.append(draw(st.integers(-size, size - 1)))
        else:
            key.append(draw(st.slices(size)))
    return shape, tuple(key)


@settings(max_examples=200, deadline=None)
@given(shapes_and_keys())
def test_getitem_is_numpy_s_and_its_gradient_counts_the_choices(drawn):
    shape, key = drawn
    array = np.arange(float(np.prod(shape))).reshape(shape)
    x = minidl.tensor(array, requires_grad=True)
    y = x[key]
    wanted = array[key]
    np.testing.assert_array_equal(y.detach().numpy(), wanted)
    weight = np.arange(1.0, wanted.size + 1).reshape(wanted.shape)
    y.backward(weight)
    counted = np.zeros(array.size)
    for place, w in zip(np.ravel(wanted), np.ravel(weight), strict=True):
        counted[int(place)] += w
    np.testing.assert_array_equal(x.grad.numpy(), counted.reshape(shape))


def test_keys_of_tensors_lists_and_scalars():
    x = minidl.tensor(np.arange(12.0).reshape(3, 4))
    index = minidl.tensor([2, 0])
    assert x[index].tolist() == x.numpy()[[2, 0]].tolist()
    assert x[index, [1, 3]].tolist() == [9.0, 3.0]
    assert x[np.int64(1), minidl.tensor(2)].item() == 6.0
    assert x[: minidl.tensor(2), minidl.tensor([True, False, False, True])].shape == (2, 2)
    assert x[True].shape == (1, 3, 4)
    assert x[[]].shape == (0, 4)
    assert x[()].shape == (3, 4)


BAD = {
    "too large": (lambda x: x[5], IndexingError, r"expected an index that fits shape \(3, 4\)"),
    "too small": (lambda x: x[-4], IndexingError, "indexing"),
    "too many": (lambda x: x[0, 0, 0], IndexingError, "too many"),
    "array too large": (lambda x: x[[0, 3]], IndexingError, "out of bounds"),
    "mask": (lambda x: x[minidl.tensor([True, False])], IndexingError, "boolean"),
    "arrays": (lambda x: x[[0, 1], [0, 1, 2]], IndexingError, "broadcast"),
    "text": (lambda x: x["a"], IndexingError, "indexing"),
    "fraction": (lambda x: x[1.0], IndexingError, "indexing"),
    "float array": (lambda x: x[minidl.tensor([1.0])], DTypeError, "float32"),
    "gather large": (
        lambda x: x.gather(1, [[4], [0], [0]]),
        IndexingError,
        "gather: expected indices from 0 to 3; got 4",
    ),
    "gather negative": (lambda x: x.gather(1, [[-1]]), IndexingError, "gather"),
    "gather float": (lambda x: x.gather(1, [[1.0]]), DTypeError, "gather"),
    "gather shape": (lambda x: x.gather(1, [[0]] * 4), ShapeError, "gather"),
    "gather ndim": (lambda x: x.gather(1, [0]), ShapeError, "gather"),
    "scatter large": (lambda x: x.scatter_add(0, [[3]], x), IndexingError, "scatter_add"),
    "scatter source": (lambda x: x.scatter_add(0, [[0, 1, 2, 0]], x[:, :2]), ShapeError, "scatter_add"),
    "select large": (lambda x: x.index_select(0, [3]), IndexingError, "index_select"),
    "select matrix": (lambda x: x.index_select(0, [[0]]), ShapeError, "index_select"),
    "select float": (lambda x: x.index_select(0, [0.5]), DTypeError, "index_select"),
    "select scalar": (lambda x: x[0, 0].index_select(0, [0]), ShapeError, "index_select"),
    "take small": (lambda x: x.take_along_axis([[-5]], 1), IndexingError, "take_along_axis"),
    "take large": (lambda x: x.take_along_axis([[4]], 1), IndexingError, "take_along_axis"),
    "take ndim": (lambda x: x.take_along_axis([0], 1), ShapeError, "take_along_axis"),
    "take shape": (lambda x: x.take_along_axis([[0], [0]], 1), ShapeError, "take_along_axis"),
    "fill mask": (lambda x: x.masked_fill(x, 0), DTypeError, "masked_fill"),
    "fill shape": (lambda x: x.masked_fill(minidl.tensor([True, False]), 0), ShapeError, "masked_fill"),
    "fill integers": (lambda x: (x > 2).masked_fill(x > 2, 0.5), DTypeError, "masked_fill"),
    "fill infinity": (lambda x: x.astype("int64").masked_fill(x > 2, np.inf), DTypeError, "masked_fill"),
    "topk large": (lambda x: x.topk(5), OptionError, "topk: expected k from 0 to 4"),
    "topk negative": (lambda x: x.topk(-1), OptionError, "topk"),
    "sort dim": (lambda x: x.sort(2), ShapeError, "sort"),
    "embedding large": (lambda x: minidl.ops.embedding(minidl.tensor([3]), x), IndexingError, "embedding"),
    "embedding negative": (lambda x: minidl.ops.embedding(minidl.tensor([-1]), x), IndexingError, "embedding"),
    "embedding float": (lambda x: minidl.ops.embedding(minidl.tensor([1.0]), x), DTypeError, "embedding"),
    "embedding weight": (lambda x: minidl.ops.embedding(minidl.tensor([1]), x[0]), ShapeError, "embedding"),
    "embedding padding": (lambda x: minidl.ops.embedding(minidl.tensor([1]), x, 3), OptionError, "embedding"),
    "one_hot large": (lambda x: minidl.ops.one_hot(minidl.tensor([3]), 3), IndexingError, "one_hot"),
    "one_hot negative": (lambda x: minidl.ops.one_hot(minidl.tensor([-1])), IndexingError, "one_hot"),
    "one_hot float": (lambda x: minidl.ops.one_hot(x), DTypeError, "one_hot"),
    "one_hot empty": (lambda x: minidl.ops.one_hot(x[:0].astype("int64")), OptionError, "one_hot"),
}


@pytest.mark.parametrize("label", BAD)
def test_bad_indices_are_refused_with_the_operation_named(label):
    function, error, text = BAD[label]
    with pytest.raises(error, match=text):
        function(minidl.tensor(np.arange(12.0).reshape(3, 4)))


def test_a_bad_index_is_an_index_error():
    with pytest.raises(IndexError):
        minidl.zeros(3)[3]


def test_a_key_that_changes_later_does_not_change_the_gradient():
    x = minidl.zeros(4, requires_grad=True)
    index, length = np.array([0, 1]), minidl.tensor(2)
    y, z = x[index], x[:length]
    index[:] = 3
    length[...] = 4
    (y + z).backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [2, 4, 0, 0]


@pytest.mark.parametrize("function", [
    lambda x, i: x.gather(0, i),
    lambda x, i: minidl.zeros(4).scatter_add(0, i, x[:2]),
    lambda x, i: minidl.ops.embedding(i, x.reshape(4, 1)),
])  # fmt: skip
def test_an_index_tensor_that_changes_before_backward_is_noticed(function):
    x = minidl.zeros(4, requires_grad=True)
    index = minidl.tensor([0, 1])
    y = function(x, index)
    index[...] = 3
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(np.ones(y.shape))


def test_equal_elements_keep_their_order_and_nan_is_the_largest():
    x = minidl.tensor([1.0, np.nan, 1.0, -np.inf, 1.0])
    assert x.argsort().tolist() == [3, 0, 2, 4, 1]
    assert x.argsort(descending=True).tolist() == [1, 0, 2, 4, 3]
    values, indices = minidl.tensor([2, 7, 7, 7]).topk(2)
    assert values.tolist() == [7, 7]
    assert indices.tolist() == [1, 2]
    flags = minidl.tensor([True, False, True])
    assert minidl.sort(flags, descending=True).indices.tolist() == [0, 2, 1]


def test_sorting_a_number_and_nothing():
    values, indices = minidl.sort(minidl.tensor(3.0))
    assert (values.item(), indices.item()) == (3.0, 0)
    assert minidl.sort(minidl.zeros(0, 3), 0).values.shape == (0, 3)
    assert minidl.zeros(2, 3).topk(0).values.shape == (2, 0)


def test_gathering_from_a_number():
    x = minidl.tensor(3.0, requires_grad=True)
    y = x.gather(0, np.array(0))
    assert (y.shape, y.item()) == ((), 3.0)
    y.backward()
    assert x.grad.item() == 1.0


def test_masked_fill_keeps_the_type_and_takes_infinities():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x.masked_fill(minidl.tensor([True, False]), -np.inf)
    assert y.dtype == np.float32
    assert y.tolist() == [-np.inf, 2.0]
    y.backward(np.array([5.0, 7.0]))
    assert x.grad.tolist() == [0.0, 7.0]


@pytest.mark.parametrize("name", ["reference", "compiled"])
def test_the_padding_row_gets_no_gradient(name):
    if name not in minidl.backends.available_backends():
        pytest.skip("the kernels are not built")
    with minidl.use_backend(name):
        table = minidl.ones(3, 2, requires_grad=True)
        y = minidl.ops.embedding(minidl.tensor([[0, 2], [2, 1]]), table, padding_idx=-1)
        assert y.shape == (2, 2, 2)
        y.backward(np.ones(y.shape))
        assert table.grad.tolist() == [[1, 1], [1, 1], [0, 0]]


def test_the_gradient_of_an_index_is_of_the_type_of_the_array():
    for dtype in ("float32", "float64"):
        x = minidl.ones(3, dtype=dtype, requires_grad=True)
        for y in (x[1:], x[[0, 0]], x[minidl.tensor([True, False, True])], x.gather(0, [1])):
            (found,) = minidl.grad(y, x, np.ones(y.shape))
            assert found.dtype == dtype
