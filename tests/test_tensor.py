"""Tensor: making, looking at, converting, indexing as Python sees it."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import minidl
from minidl.errors import DTypeError, GraphError, OptionError, ShapeError


def test_types_of_new_tensors():
    assert minidl.tensor([1.0, 2.0]).dtype == np.float32
    assert minidl.tensor([1, 2]).dtype == np.int64
    assert minidl.tensor([True]).dtype == np.bool_
    assert minidl.tensor(np.zeros(2)).dtype == np.float64
    assert minidl.tensor([np.float64(1.0)]).dtype == np.float64
    assert minidl.tensor([minidl.tensor(1.0), 2.0]).tolist() == [1.0, 2.0]
    assert minidl.zeros(2).dtype == minidl.arange(0.0, 1.0, 0.5).dtype == np.float32
    assert minidl.arange(3).dtype == np.int64
    assert minidl.full((2,), 1.5).dtype == np.float32 and minidl.full((2,), 1).dtype == np.int64


def test_default_dtype_can_be_changed():
    minidl.set_default_dtype("float64")
    try:
        assert minidl.tensor([1.0]).dtype == minidl.ones(1).dtype == np.float64
    finally:
        minidl.set_default_dtype("float32")
    with pytest.raises(DTypeError, match="floating"):
        minidl.set_default_dtype("int32")


def test_tensor_copies_and_from_numpy_shares():
    a = np.zeros(3, np.float32)
    copied, shared = minidl.tensor(a), minidl.from_numpy(a)
    a[0] = 5
    assert copied.tolist() == [0, 0, 0] and shared.tolist() == [5, 0, 0]


def test_creation_values():
    assert minidl.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert minidl.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert minidl.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    x = minidl.tensor([[1.0, 2.0]], dtype="float64")
    for like in (minidl.zeros_like, minidl.ones_like, minidl.rand_like, minidl.randn_like, minidl.empty_like):
        assert like(x).shape == (1, 2) and like(x).dtype == np.float64
    assert minidl.full_like(x, 7).tolist() == [[7, 7]]
    assert sorted(minidl.randperm(5).tolist()) == [0, 1, 2, 3, 4]
    draws = minidl.randint(2, 5, (1000,)).numpy()
    assert set(np.unique(draws)) == {2, 3, 4}


def test_random_numbers_follow_the_seed_and_the_distribution():
    minidl.manual_seed(3)
    a = minidl.randn(10000)
    minidl.manual_seed(3)
    assert (a.numpy() == minidl.randn(10000).numpy()).all()
    assert abs(a.numpy().mean()) < 0.05 and abs(a.numpy().std() - 1) < 0.05
    u = minidl.rand(10000).numpy()
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: minidl.tensor([1 + 2j]), DTypeError, "complex"),
        (lambda: minidl.tensor("text"), DTypeError, "real numbers"),
        (lambda: minidl.tensor(None), DTypeError, "real numbers"),
        (lambda: minidl.tensor([[1, 2], [3]]), ShapeError, "equal lengths"),
        (lambda: minidl.zeros(2, dtype="float99"), DTypeError, "float99"),
        (lambda: minidl.zeros(2, dtype="complex64"), DTypeError, "complex64"),
        (lambda: minidl.zeros(-1), ShapeError, "-1"),
        (lambda: minidl.zeros(2.5), ShapeError, "2.5"),
        (lambda: minidl.arange(1, 2, 0), OptionError, "step"),
        (lambda: minidl.tensor([1, 2], requires_grad=True), DTypeError, "floating"),
        (lambda: minidl.manual_seed(-1), OptionError, "-1"),
        (lambda: minidl.randint(3, 3), OptionError, "low < high"),
        (lambda: minidl.from_numpy([1.0]), DTypeError, "ndarray"),
    ],
)
def test_bad_creation_says_what_is_wrong(make, error, word):
    with pytest.raises(error, match=word):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: minidl.rand(2, dtype="int64"),
        lambda: minidl.randn(2, dtype="int64"),
        lambda: minidl.zeros(2).astype(None),
        lambda: minidl.zeros(2).to(None),
        lambda: minidl.from_dlpack(3),
        lambda: minidl.ones(2) * np.array(["a", "b"]),
        lambda: minidl.linspace(0, 1, -1),
        lambda: minidl.linspace(0, 1, 2.5),
        lambda: minidl.eye(-1),
        lambda: minidl.eye(2, 2.5),
        lambda: minidl.randperm(-1),
        lambda: minidl.randperm(2.5),
        lambda: minidl.randint(0, 5, (2, -1)),
        lambda: minidl.arange(float("nan")),
        lambda: minidl.arange(0, float("inf")),
        lambda: minidl.arange("a"),
    ],
)
def test_bad_arguments_raise_errors_of_our_own(make):
    with pytest.raises(minidl.errors.MinidlError, match="expected"):
        make()


def test_uniform_numbers_stay_below_one_in_every_type():
    """Rounded to float16, one in four thousand would be 1."""
    minidl.manual_seed(0)
    for dtype in ("float16", "float32", "float64"):
        drawn = minidl.rand(50_000, dtype=dtype).numpy().astype("float64")
        assert 0.99 < drawn.max() < 1 and 0 <= drawn.min() < 0.01


def test_lists_of_recorded_numbers_become_new_tensors():
    x = minidl.tensor(2.0, requires_grad=True)
    y = minidl.tensor([x * 1, x * 2])
    assert y.tolist() == [2, 4] and not y.requires_grad
    assert minidl.zeros_like([[1, 2]]).tolist() == [[0, 0]] and minidl.randint(0, 3, 4).shape == (4,)


def test_integers_never_get_gradients():
    x = minidl.arange(3)
    with pytest.raises(DTypeError, match="astype"):
        x.requires_grad = True
    with pytest.raises(DTypeError):
        x.requires_grad_()
    assert not x.requires_grad


def test_attributes():
    x = minidl.zeros(2, 3, requires_grad=True)
    assert (x.shape, x.ndim, x.size, x.numel(), x.dim(), x.device) == ((2, 3), 2, 6, 6, 2, "cpu")
    assert x.is_leaf and not (x * 2).is_leaf and x.detach().is_leaf
    assert (x * 2).requires_grad and not x.detach().requires_grad
    assert len(x) == 2 and [row.shape for row in x] == [(3,), (3,)]


def test_a_mistyped_attribute_is_refused():
    x = minidl.ones(2)
    with pytest.raises(AttributeError, match="requires_gard"):
        x.requires_gard = True
    with pytest.raises(AttributeError, match="gard"):
        minidl.nn.Parameter(minidl.ones(2)).gard = None


def test_operators_in_both_orders_with_arrays_and_scalars():
    x = minidl.tensor([1.0, 2.0])
    a = np.array([3.0, 4.0], np.float32)
    for result, wanted in [
        (x + a, [4, 6]), (a + x, [4, 6]), (x - a, [-2, -2]), (a - x, [2, 2]), (x * a, [3, 8]), (a * x, [3, 8]),
        (a / x, [3, 2]), (1 + x, [2, 3]), (1 - x, [0, -1]), (2 * x, [2, 4]), (2 / x, [2, 1]), (2**x, [2, 4]),
        (x**2, [1, 4]), (-x, [-1, -2]), (np.float64(2) * x, [2, 4]), (x * np.float64(2), [2, 4]),
        (x @ a, 11), (a @ x, 11),
    ]:  # fmt: skip
        assert isinstance(result, minidl.Tensor)
        assert result.dtype == np.float32
        assert result.tolist() == wanted


@pytest.mark.parametrize("scalar", [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2)])
def test_float32_stays_float32_with_scalars(scalar):
    x = minidl.ones(3)
    for result in (x + scalar, scalar + x, x * scalar, x / scalar, scalar / x, x - scalar, x**scalar):
        assert result.dtype == np.float32


def test_mixed_types_follow_pytorch():
    i, f, d, b = minidl.arange(3), minidl.ones(3), minidl.ones(3, dtype="float64"), minidl.arange(3) > 1
    zero_d = minidl.tensor(2.0, dtype="float64")
    assert (i + 1).dtype == np.int64 and (i + 1.5).dtype == np.float32 and (i / 2).dtype == np.float32
    assert (i + f).dtype == np.float32 and (f + d).dtype == np.float64 and (f + zero_d).dtype == np.float32
    assert (b + 1).dtype == np.int64 and (b + 1.5).dtype == np.float32 and (b * f).dtype == np.float32


def test_comparisons_give_booleans():
    x = minidl.tensor([1.0, 2.0, 3.0])
    assert (x > 2).tolist() == [False, False, True]
    assert (x == minidl.tensor([1.0, 0.0, 3.0])).tolist() == [True, False, True]
    assert (x != 1).dtype == np.bool_
    assert 2.0 in x and 5.0 not in x
    assert len({x, x}) == 1  # hashing by identity


def test_truth_and_numbers():
    assert bool(minidl.tensor(1.0)) and not bool(minidl.tensor([0]))
    assert float(minidl.tensor([2.5])) == 2.5 and int(minidl.tensor(3)) == 3
    assert [10, 20][minidl.tensor(1)] == 20
    assert f"{minidl.tensor(1.23456):.2f}" == "1.23"
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(minidl.zeros(2))
    with pytest.raises(ShapeError, match="one element"):
        minidl.zeros(2).item()
    with pytest.raises(DTypeError):
        [10, 20][minidl.tensor(1.0)]
    with pytest.raises(ShapeError, match="0-d"):
        len(minidl.tensor(1.0))


def test_numpy_and_array_protocol():
    x = minidl.tensor([1.0, 2.0])
    assert x.numpy() is x.data and np.asarray(x).tolist() == [1, 2]
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    y = x.requires_grad_()
    for use in (y.numpy, lambda: np.asarray(y), lambda: np.from_dlpack(y)):
        with pytest.raises(GraphError, match="detach"):
            use()


def test_dlpack_both_ways_shares_memory():
    a = np.arange(4.0)
    x = minidl.from_dlpack(a)
    x[0] = 9
    assert a[0] == 9
    b = np.from_dlpack(x)
    assert np.shares_memory(a, b)


def test_pickle_and_copy_leave_the_graph():
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    y = w * 3
    for other in (pickle.loads(pickle.dumps(y)), copy.deepcopy(y), copy.copy(y)):
        assert other.tolist() == [3, 6] and other.requires_grad
    deep = copy.deepcopy(w)
    assert deep.op is None and deep.grad.tolist() == [2, 4] and not np.shares_memory(deep.data, w.data)
    assert pickle.loads(pickle.dumps(y)).op is None and copy.deepcopy(y).op is None


def test_repr_is_helpful():
    assert repr(minidl.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert "requires_grad=True" in repr(minidl.ones(1, requires_grad=True))
    assert "op=Mul" in repr(minidl.ones(1, requires_grad=True) * 2)
    assert "float64" in repr(minidl.ones(1, dtype="float64"))
    assert "shape=(0, 3)" in repr(minidl.zeros(0, 3))
    assert len(repr(minidl.zeros(1000, 1000))) < 2000


def test_astype_and_devices():
    x = minidl.tensor([1.5, -1.5])
    assert x.astype("int64").tolist() == [1, -1] and x.astype(np.float32) is x
    assert x.cpu() is x and x.to("cpu") is x and x.to("float64").dtype == np.float64
    if not minidl.cuda.is_available():
        with pytest.raises(minidl.errors.DeviceError, match="a GPU that can be used"):
            x.to("cuda")
        with pytest.raises(minidl.errors.DeviceError, match=re.escape(minidl.cuda.why_not())):
            x.cuda()
    with pytest.raises(minidl.errors.DeviceError, match="mps"):
        x.to("mps")


def test_writing_into_a_tensor():
    x = minidl.zeros(2, 3)
    x[0, 1] = 5
    x[1] = minidl.tensor([1.0, 2.0, 3.0])
    assert x.tolist() == [[0, 5, 0], [1, 2, 3]]
    x.fill_(2).zero_()
    assert x.copy_(minidl.ones(3)).tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        x[...] = minidl.ones(4)
    w = minidl.zeros(2, requires_grad=True)
    with pytest.raises(GraphError, match="no_grad"):
        w[0] = 1
    with pytest.raises(GraphError, match="detach"):
        x[0, 0] = w.sum()
    with minidl.no_grad():
        w[0] = 1
    assert w.tolist() == [1, 0]
    with pytest.raises(DTypeError, match="astype"):
        x[minidl.tensor([0.0])] = 1
    frozen = np.ones(2)
    frozen.flags.writeable = False
    with pytest.raises(GraphError, match="read-only"):
        minidl.from_numpy(frozen)[0] = 1
