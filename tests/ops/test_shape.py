"""Shape operations: what is a view and what a copy, sizes that do not fit, edges."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.errors import DTypeError, GraphError, OptionError, ShapeError


def shares(y, x):
    return np.shares_memory(y.data, x.data)


@pytest.fixture
def x():
    return minidl.tensor(np.arange(24.0).reshape(2, 3, 4))


VIEWS = {
    "reshape": lambda x: x.reshape(6, 4),
    "view": lambda x: x.view(-1),
    "transpose": lambda x: x.transpose(0, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "movedim": lambda x: x.movedim(0, 1),
    "squeeze": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "flatten": lambda x: x.flatten(),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "slice": lambda x: x[:, 1:],
    "negative step": lambda x: x[::-1],
    "one element": lambda x: x[0, 0, 0],
    "split": lambda x: x.split(2, 2)[1],
    "chunk": lambda x: x.chunk(2)[1],
    "unbind": lambda x: x.unbind(1)[0],
    "diagonal": lambda x: x.diagonal(1, 0, 2),
}


@pytest.mark.parametrize("label", VIEWS)
def test_views_share_memory_and_version(label, x):
    y = VIEWS[label](x)
    assert shares(y, x)
    before = x.shared_version()[0]
    y[...] = 7.0
    assert x.shared_version()[0] > before
    assert (x.data == 7).any()


@pytest.mark.parametrize("label", VIEWS)
def test_changing_a_view_is_noticed_by_backward(label):
    x = minidl.tensor(np.ones((2, 3, 4)), requires_grad=True)
    y = x * x
    with minidl.no_grad():
        VIEWS[label](x.detach())[...] = 7.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward(np.ones((2, 3, 4)))


COPIES = {
    "clone": lambda x: x.clone(),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 0),
    "repeat": lambda x: x.repeat(1, 1, 1),
    "tile": lambda x: x.tile(1),
    "repeat_interleave": lambda x: x.repeat_interleave(1, 0),
    "reshape of a transpose": lambda x: x.transpose(0, 2).reshape(-1),
    "contiguous transpose": lambda x: x.T.contiguous(),
    "concat": lambda x: minidl.concat([x]),
    "stack": lambda x: minidl.stack([x]),
    "pad": lambda x: minidl.pad(x, (0, 0)),
    "array": lambda x: x[[0, 1]],
    "mask": lambda x: x[x < 100],
    "array behind slice": lambda x: x[:, [0, 1]],
    "index_select": lambda x: x.index_select(0, [0, 1]),
}


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("label", COPIES)
def test_copies_share_neither_memory_nor_version(label, recorded, x):
    x.requires_grad = recorded
    y = COPIES[label](x)
    assert not shares(y, x)
    before = x.shared_version()[0]
    with minidl.no_grad():
        y[...] = 7.0
    assert x.shared_version()[0] == before
    assert (x.data == np.arange(24).reshape(2, 3, 4)).all()


def test_contiguous_returns_what_is_contiguous(x):
    assert x.contiguous() is x


BAD = {
    "reshape count": (lambda x: x.reshape(5, 5), ShapeError, r"reshape: expected sizes whose product is 24"),
    "reshape two -1": (lambda x: x.reshape(-1, -1), ShapeError, "reshape"),
    "reshape -2": (lambda x: x.reshape(-2, 12), ShapeError, "reshape"),
    "reshape not whole": (lambda x: x.reshape(5, -1), ShapeError, "reshape"),
    "reshape fraction": (lambda x: x.reshape(2.0, 12), DTypeError, "reshape: expected sizes that are integers"),
    "reshape ambiguous": (lambda x: minidl.zeros(0, 3).reshape(0, -1), ShapeError, "reshape"),
    "transpose dim": (lambda x: x.transpose(0, 3), ShapeError, "transpose"),
    "permute twice": (lambda x: x.permute(0, 0, 1), ShapeError, "permute"),
    "permute few": (lambda x: x.permute(1, 0), ShapeError, "permute"),
    "mT of a vector": (lambda x: x[0, 0].mT, ShapeError, "transpose"),
    "movedim counts": (lambda x: x.movedim((0, 1), 2), ShapeError, "movedim"),
    "unsqueeze": (lambda x: x.unsqueeze(5), ShapeError, "unsqueeze"),
    "squeeze": (lambda x: x.squeeze(3), ShapeError, "squeeze"),
    "flatten order": (lambda x: x.flatten(2, 1), ShapeError, "flatten"),
    "unflatten product": (lambda x: x.unflatten(2, (3, 2)), ShapeError, "unflatten"),
    "unflatten rest": (lambda x: x.unflatten(2, (3, -1)), ShapeError, "unflatten"),
    "unflatten two -1": (lambda x: x.unflatten(2, (-1, -1)), ShapeError, "unflatten"),
    "unflatten nothing": (lambda x: x.unflatten(2, ()), ShapeError, "unflatten"),
    "concat nothing": (lambda x: minidl.concat([]), ShapeError, "concat"),
    "concat shapes": (lambda x: minidl.concat([x, x[:, :2]]), ShapeError, r"concat.*\(2, 2, 4\)"),
    "concat ndim": (lambda x: minidl.concat([x, x[0]]), ShapeError, "concat"),
    "concat scalars": (lambda x: minidl.concat([x[0, 0, 0]] * 2), ShapeError, "stack"),
    "stack shapes": (lambda x: minidl.stack([x, x[:1]]), ShapeError, "stack"),
    "split sum": (lambda x: x.split([1, 2], 1) and x.split([1, 1], 1), ShapeError, "split.*add up to 3"),
    "split zero": (lambda x: x.split(0), OptionError, "split"),
    "split negative": (lambda x: x.split([-1, 3]), OptionError, "split"),
    "chunk zero": (lambda x: x.chunk(0), OptionError, "chunk"),
    "unbind scalar": (lambda x: x[0, 0, 0].unbind(), ShapeError, "unbind"),
    "flip": (lambda x: x.flip(3), ShapeError, "flip"),
    "flip twice": (lambda x: x.flip(0, 0), ShapeError, "flip"),
    "roll counts": (lambda x: x.roll((1, 2), 0), ShapeError, "roll"),
    "roll flat": (lambda x: x.roll((1, 2)), ShapeError, "roll"),
    "repeat few": (lambda x: x.repeat(2, 2), ShapeError, "repeat"),
    "repeat negative": (lambda x: x.repeat(2, 2, -1), OptionError, "repeat"),
    "repeat_interleave counts": (lambda x: x.repeat_interleave([1, 2, 3], 0), ShapeError, "repeat_interleave"),
    "repeat_interleave negative": (lambda x: x.repeat_interleave(-1), OptionError, "repeat_interleave"),
    "repeat_interleave float": (lambda x: x.repeat_interleave(1.5), DTypeError, "repeat_interleave"),
    "pad odd": (lambda x: minidl.pad(x, (1,)), ShapeError, "pad"),
    "pad many": (lambda x: minidl.pad(x, (1,) * 8), ShapeError, "pad"),
    "pad crop": (lambda x: minidl.pad(x, (-3, -2)), ShapeError, "pad"),
    "pad mode": (lambda x: minidl.pad(x, (1, 1), "mirror"), OptionError, "reflect"),
    "pad value": (lambda x: minidl.pad(x, (1, 1), "reflect", value=1.0), OptionError, "pad"),
    "pad reflect": (lambda x: minidl.pad(x, (4, 0), "reflect"), ShapeError, "pad"),
    "pad circular": (lambda x: minidl.pad(x, (5, 0), "circular"), ShapeError, "pad"),
    "pad nothing": (lambda x: minidl.pad(minidl.zeros(0), (1, 1), "replicate"), ShapeError, "pad"),
    "tril of a vector": (lambda x: x[0, 0].tril(), ShapeError, "tril"),
    "diagonal once": (lambda x: x.diagonal(0, 1, 1), ShapeError, "diagonal"),
    "trace of a stack": (lambda x: x.trace(), ShapeError, "trace"),
}


@pytest.mark.parametrize("label", BAD)
def test_what_does_not_fit_is_refused_with_the_operation_named(label, x):
    function, error, text = BAD[label]
    with pytest.raises(error, match=text):
        function(x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_types_are_kept(dtype):
    x = minidl.ones(2, 3, dtype=dtype)
    for y in [x.reshape(6), x.T, x.repeat(2, 2), minidl.pad(x, (1, 1)), minidl.pad(x, (1, 1), "reflect"), x.flip(0),
              x.roll(1), minidl.concat([x, x]), minidl.stack([x, x]), x.tril(), x[0], x[[0]], *x.split(1)]:  # fmt: skip
        assert y.dtype == dtype


def test_joining_mixes_types_as_arithmetic_does():
    whole, single, double = minidl.ones(1, dtype="int64"), minidl.ones(1), minidl.ones(1, dtype="float64")
    assert minidl.concat([whole, single]).dtype == np.float32
    assert minidl.concat([whole, double, single]).dtype == np.float64
    assert minidl.stack([whole, whole > 0]).dtype == np.int64
    single.requires_grad = True
    minidl.concat([whole, single, double]).backward(np.array([1.0, 2.0, 3.0]))
    assert single.grad.dtype == np.float32
    assert single.grad.tolist() == [2.0]


def test_pieces_that_are_not_used_get_zeros():
    x = minidl.zeros(5, requires_grad=True)
    _, middle, _ = x.split(2)
    middle.backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [0, 0, 1, 2, 0]


def test_repeating_zero_times_leaves_a_zero_gradient():
    x = minidl.ones(2, 3, requires_grad=True)
    y = x.repeat(0, 2)
    assert y.shape == (0, 6)
    y.backward(np.zeros((0, 6)))
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_functions_on_plain_arrays_return_plain_arrays():
    x = np.arange(6.0).reshape(2, 3)
    for y in [minidl.reshape(x, 6), minidl.transpose(x, 0, 1), minidl.concat([x, x]), minidl.split(x, 1)[0],
              minidl.pad(x, (1, 1), "circular"), minidl.flip(x, 0), minidl.matmul(x, x.T)]:  # fmt: skip
        assert type(y) is np.ndarray
