"""Products: shapes that do not fit, types, memory, and what einsum refuses."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.errors import MinidlError, OptionError, ShapeError

BAD = {
    "inner": (lambda z: z(2, 3) @ z(4, 5), ShapeError, r"matmul: expected inner sizes .*\(2, 3\) @ \(4, 5\)"),
    "inner vector": (lambda z: z(2, 3) @ z(2), ShapeError, "matmul"),
    "leading": (lambda z: z(2, 2, 3) @ z(3, 3, 2), ShapeError, "matmul: expected leading"),
    "number": (lambda z: z(2, 3) @ 2.0, ShapeError, "matmul.*use \\*"),
    "0-d": (lambda z: z() @ z(2), ShapeError, "matmul"),
    "dot": (lambda z: minidl.dot(z(2, 2), z(2)), ShapeError, "dot"),
    "dot lengths": (lambda z: minidl.dot(z(2), z(3)), ShapeError, "matmul"),
    "outer": (lambda z: minidl.outer(z(2, 2), z(2)), ShapeError, "outer"),
    "linear x": (lambda z: ops.linear(z(2, 3), z(4, 5)), ShapeError, r"linear: expected x of shape \(..., 5\)"),
    "linear image": (lambda z: ops.linear(z(2, 3, 4), z(4, 12)), ShapeError, "flatten"),
    "linear weight": (lambda z: ops.linear(z(2, 3), z(3)), ShapeError, "linear"),
    "linear bias": (lambda z: ops.linear(z(2, 3), z(4, 3), z(3)), ShapeError, r"linear: expected bias of shape \(4,\)"),
    "linear 0-d": (lambda z: ops.linear(z(), z(4, 3)), ShapeError, "linear"),
    "einsum count": (lambda z: minidl.einsum("ij,jk", z(2, 2)), OptionError, "einsum: expected 2 operand"),
    "einsum sign": (lambda z: minidl.einsum("i1->i", z(2, 2)), OptionError, "letters"),
    "einsum ndim": (lambda z: minidl.einsum("ijk", z(2, 2)), ShapeError, "einsum: expected 3 dimensions"),
    "einsum few": (lambda z: minidl.einsum("i", z(2, 2)), ShapeError, "einsum"),
    "einsum sizes": (lambda z: minidl.einsum("ij,jk", z(2, 3), z(2, 2)), ShapeError, "one size for index 'j'"),
    "einsum diagonal": (lambda z: minidl.einsum("ii", z(2, 3)), ShapeError, "index 'i'"),
    "einsum dots": (lambda z: minidl.einsum("...,...", z(2), z(3)), ShapeError, "einsum"),
    "einsum unknown": (lambda z: minidl.einsum("i->j", z(2)), OptionError, "'j'"),
    "einsum twice": (lambda z: minidl.einsum("i->ii", z(2)), OptionError, "once"),
    "einsum arrows": (lambda z: minidl.einsum("i->i->i", z(2)), OptionError, "letters"),
    "einsum four dots": (lambda z: minidl.einsum("....i->i", z(2)), OptionError, "letters"),
}


@pytest.mark.parametrize("label", BAD)
def test_what_does_not_fit_is_refused_with_the_operation_named(label):
    function, error, text = BAD[label]
    with pytest.raises(error, match=text) as caught:
        function(minidl.zeros)
    assert isinstance(caught.value, MinidlError)


def test_types_are_kept_and_mixed():
    single, double, whole = minidl.ones(2, 2), minidl.ones(2, 2, dtype="float64"), minidl.ones(2, 2, dtype="int64")
    assert (single @ single).dtype == np.float32
    assert (single @ double).dtype == np.float64
    assert (whole @ single).dtype == np.float32
    assert (whole @ whole).dtype == np.int64
    assert minidl.einsum("ij,jk", whole, single).dtype == np.float32
    assert ops.linear(whole, whole).dtype == np.float32
    assert ops.linear(single, single, double[0]).dtype == np.float64


def test_numpy_arrays_on_either_side_give_tensors():
    x, array = minidl.ones(2, 2, requires_grad=True), np.ones((2, 2), np.float32)
    for y in (x @ array, array @ x):
        assert isinstance(y, minidl.Tensor)
        assert y.tolist() == [[2, 2], [2, 2]]
        assert y.requires_grad


@pytest.mark.parametrize("backend", ["reference", "compiled"])
def test_linear_of_a_transposed_or_cut_input(backend):
    if backend not in minidl.backends.available_backends():
        pytest.skip("the kernels are not built")
    rng = np.random.default_rng(0)
    wide, weight, bias = rng.normal(size=(5, 8)), rng.normal(size=(3, 4)), rng.normal(size=3)
    with minidl.use_backend(backend):
        for x in (wide[:, ::2], wide[:4, :5].T[:, :4], wide[::-1, 4:]):
            leaf = minidl.tensor(x, requires_grad=True)
            y = ops.linear(leaf, weight, bias)
            wanted = np.array([[sum(a * b for a, b in zip(row, w, strict=True)) for w in weight] for row in x]) + bias
            np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-12)


def test_one_matrix_for_a_stack_is_one_product():
    a = minidl.randn(3, 4, 5, dtype="float64", requires_grad=True)
    b = minidl.randn(5, 2, dtype="float64", requires_grad=True)
    y = a @ b
    np.testing.assert_allclose(y.detach().numpy(), np.stack([x @ b.detach().numpy() for x in a.detach().numpy()]))
    g = np.random.default_rng(0).normal(size=y.shape)
    y.backward(g)
    np.testing.assert_allclose(b.grad.numpy(), sum(x.T @ w for x, w in zip(a.detach().numpy(), g, strict=True)))


def test_empty_products_are_zero():
    assert (minidl.zeros(2, 0) @ minidl.zeros(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert ops.linear(minidl.zeros(2, 0), minidl.zeros(3, 0), minidl.ones(3)).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert minidl.einsum("ij,jk->ik", minidl.zeros(2, 0), minidl.zeros(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    weight = minidl.ones(3, 2, requires_grad=True)
    ops.linear(minidl.zeros(0, 2), weight).backward(np.zeros((0, 3)))
    assert weight.grad.tolist() == [[0, 0], [0, 0], [0, 0]]


def test_einsum_takes_a_list_and_never_writes_into_its_operands():
    a = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = minidl.einsum("ij->ji", [a])
    assert y.tolist() == [[1, 3], [2, 4]]
    assert minidl.einsum("ij,ij->ij", a, a) is not a
    assert a.tolist() == [[1, 2], [3, 4]]


def test_a_long_einsum_equals_numpy():
    rng = np.random.default_rng(1)
    shapes = {"ab": (2, 3), "bc": (3, 2), "cda": (2, 2, 2), "d": (2,), "be": (3, 2)}
    equation = ",".join(shapes) + "->ea"
    arrays = [rng.normal(size=shape) for shape in shapes.values()]
    np.testing.assert_allclose(minidl.einsum(equation, *arrays), np.einsum(equation, *arrays), rtol=1e-12)
