"""Shapes, indexing and products against PyTorch: values, gradients and second derivatives over drawn shapes."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops

torch = pytest.importorskip("torch", reason="PyTorch is the peer that these tests compare with")
F = torch.nn.functional


def outputs_of(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def agree(mine, theirs, *arrays):
    """Value, gradient, and gradient of a product with the gradient, of the same function in both libraries."""
    xs = [minidl.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    leaves_x = [x for x in xs if x.requires_grad]
    leaves_t = [t for t in ts if t.requires_grad]
    ys, us = outputs_of(mine(*xs)), outputs_of(theirs(*ts))
    assert len(ys) == len(us)
    total_x, total_t = 0, 0
    for y, u in zip(ys, us, strict=True):
        assert y.shape == tuple(u.shape)
        assert str(y.dtype) == str(u.dtype).removeprefix("torch.")
        np.testing.assert_allclose(y.detach().numpy(), u.detach().numpy(), rtol=1e-10, atol=1e-12)
        if y.requires_grad:
            weight = np.linspace(0.5, 1.5, max(y.size, 1))[: y.size].reshape(y.shape)
            total_x = total_x + ops.sum_to(y * y * y * weight, ())
            total_t = total_t + (u * u * u * torch.tensor(weight)).sum()
    if not any(y.requires_grad for y in ys):
        return
    for _ in range(2):
        found = minidl.grad(total_x, leaves_x, create_graph=True)
        wanted = torch.autograd.grad(total_t, leaves_t, create_graph=True)
        for g, w in zip(found, wanted, strict=True):
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-9, atol=1e-11)
        total_x = sum(ops.sum_to(g * g, ()) for g in found)
        total_t = sum((w * w).sum() for w in wanted)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


SHAPES = {
    "reshape": (lambda m, x: x.reshape(3, -1), (2, 3, 4)),
    "reshape of a transpose": (lambda m, x: x.transpose(0, 2).reshape(-1, 2), (2, 3, 4)),
    "empty with -1": (lambda m, x: x.reshape(-1, 5), (0, 5)),
    "view": (lambda m, x: x.view(4, 6), (2, 3, 4)),
    "flatten": (lambda m, x: m.flatten(x, 1), (2, 3, 4)),
    "flatten a number": (lambda m, x: m.flatten(x), ()),
    "unflatten": (lambda m, x: x.unflatten(1, (2, -1)), (2, 6)),
    "permute": (lambda m, x: x.permute(2, 0, 1), (2, 3, 4)),
    "transpose": (lambda m, x: m.transpose(x, -1, 0), (2, 3, 4)),
    "T": (lambda m, x: x.T, (2, 3)),
    "mT": (lambda m, x: x.mT, (2, 3, 4)),
    "movedim": (lambda m, x: m.movedim(x, (0, 1), (-1, 0)), (2, 3, 4)),
    "squeeze": (lambda m, x: m.squeeze(x), (1, 3, 1)),
    "squeeze one": (lambda m, x: x.squeeze(-1), (1, 3, 1)),
    "squeeze two": (lambda m, x: x.squeeze((0, 1)), (1, 3, 1)),
    "unsqueeze": (lambda m, x: m.unsqueeze(x, -2), (2, 3)),
    "cat": (lambda m, x: m.cat([x, x[:1]], 0), (2, 3)),
    "concat": (lambda m, x: m.concat([x, x, x[:, :1]], -1), (2, 3)),
    "stack": (lambda m, x: m.stack([x, x * 2], 1), (2, 3)),
    "split": (lambda m, x: m.split(x, 2, 1), (2, 5)),
    "split in sections": (lambda m, x: x.split([1, 0, 4], -1), (2, 5)),
    "split nothing": (lambda m, x: m.split(x, 3), (0, 2)),
    "chunk": (lambda m, x: m.chunk(x, 4), (10, 2)),
    "chunk nothing": (lambda m, x: m.chunk(x, 3), (0, 2)),
    "fewer chunks": (lambda m, x: x.chunk(4, 1), (2, 5)),
    "unbind": (lambda m, x: x.unbind(1), (2, 3)),
    "flip": (lambda m, x: m.flip(x, (0, 2)), (2, 3, 4)),
    "roll": (lambda m, x: m.roll(x, 7), (2, 3)),
    "roll two": (lambda m, x: x.roll((1, -2), (0, 1)), (2, 3)),
    "tile": (lambda m, x: x.tile((2, 2)), (2, 1, 3)),
    "repeat": (lambda m, x: x.repeat(2, 1, 3), (2, 3)),
    "repeat_interleave": (lambda m, x: m.repeat_interleave(x, 2), (2, 3)),
    "repeat_interleave dim": (lambda m, x: x.repeat_interleave(3, dim=-1), (2, 3)),
    "expand": (lambda m, x: x.expand(2, -1, 4), (3, 1)),
    "tril": (lambda m, x: m.tril(x, 1), (2, 3, 4)),
    "triu": (lambda m, x: x.triu(-1), (2, 4, 3)),
    "diagonal": (lambda m, x: m.diagonal(x, 1, 0, 2), (3, 2, 4)),
    "no diagonal": (lambda m, x: x.diagonal(5), (3, 4)),
    "trace": (lambda m, x: m.trace(x), (3, 4)),
    "clone": (lambda m, x: m.clone(x), (2, 3)),
    "contiguous": (lambda m, x: x.T.contiguous(), (2, 3)),
}


@pytest.mark.parametrize("label", SHAPES)
def test_shape_operations_agree(label, rng):
    function, shape = SHAPES[label]
    agree(lambda x: function(minidl, x), lambda t: function(torch, t), rng.normal(size=shape))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("widths", [(1, 2), (2, 0, 1, 2), (-1, 2, 1, -1)])
def test_pad_agrees(mode, widths, rng):
    x = rng.normal(size=(2, 2, 3, 4) if len(widths) == 4 else (2, 3, 4))
    agree(lambda a: minidl.pad(a, widths, mode), lambda t: F.pad(t, widths, mode), x)


def test_pad_with_a_value_agrees(rng):
    agree(lambda a: minidl.pad(a, (1, -1, 2, 0), value=1.5), lambda t: F.pad(t, (1, -1, 2, 0), value=1.5),
          rng.normal(size=(2, 3)))  # fmt: skip


KEYS = {
    "integer": 1,
    "negative integer": (-1, -2),
    "all integers": (1, 2, 3),
    "slice": slice(1, 3),
    "steps": (slice(None, None, 2), slice(1, None, 3)),
    "None": (None, slice(None), None, 1),
    "...": (..., 2),
    "... in the middle": (1, ..., slice(2)),
    "empty": slice(2, 2),
    "list": [0, 2, 0],
    "array": np.array([[0, 1], [2, 2]]),
    "negative array": np.array([-1, 0]),
    "array after slice": (slice(None), np.array([1, 1, 0])),
    "two arrays": (np.array([0, 1]), np.array([2, 2])),
    "broadcasting arrays": (np.array([[0], [1]]), np.array([2, 0, 2])),
    "arrays apart": (np.array([0, 1]), slice(None), np.array([3, 3])),
    "array, None": (np.array([0, 1]), None, slice(1, 3)),
    "integer beside array": (slice(None), 1, np.array([0, 0, 3])),
    "0-d array": (np.array(2), slice(None)),
    "mask": np.array([True, False, True]),
    "mask of two dimensions": np.array([[True, False, True, False], [False] * 4, [True] * 4]),
    "empty mask": np.zeros(3, bool),
    "mask and array": (np.array([True, False, True]), np.array([1, 1])),
    "slice and mask": (slice(1), np.array([True, False, True, False])),
    "empty array": np.zeros((0,), np.int64),
}


@pytest.mark.parametrize("label", KEYS)
def test_getitem_agrees(label, rng):
    key = KEYS[label]

    def of(convert):
        return tuple(convert(k) if isinstance(k, np.ndarray) else k for k in key) if isinstance(key, tuple) else (
            convert(key) if isinstance(key, np.ndarray) else key)  # fmt: skip

    x = rng.normal(size=(3, 4, 5))
    agree(lambda a: a[of(minidl.tensor)], lambda t: t[of(torch.tensor)], x)
    agree(lambda a: a[key], lambda t: t[of(torch.tensor)], x)


@pytest.mark.parametrize("seed", range(10))
def test_gather_scatter_select_agree(seed):
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 4))
    shape = rng.integers(1, 5, ndim)
    dim = int(rng.integers(-ndim, ndim))
    small = [int(rng.integers(0 if ndim > 1 else 1, n + 1)) for n in shape]
    small[dim] = int(rng.integers(1, 6))
    index = rng.integers(0, shape[dim], small)
    x, src = rng.normal(size=shape), rng.normal(size=np.add(small, rng.integers(0, 2, ndim)))
    agree(lambda a, i: minidl.gather(a, dim, i), lambda t, i: torch.gather(t, dim, i), x, index)
    used = tuple(slice(n) for n in small)  # PyTorch takes a larger source, but has no gradient for it
    agree(
        lambda a, i, s: minidl.scatter_add(a, dim, i, s), lambda t, i, s: t.scatter_add(dim, i, s[used]), x, index, src
    )
    flat = rng.integers(0, shape[dim], 4)
    agree(lambda a, i: a.index_select(dim, i), lambda t, i: t.index_select(dim, i), x, flat)
    wide = rng.integers(0, shape[dim], [1 if i != dim % ndim else 2 for i in range(ndim)])
    agree(lambda a, i: minidl.take_along_axis(a, i, dim), lambda t, i: torch.take_along_dim(t, i, dim), x, wide)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_sorting_agrees(dim, descending, rng):
    x = rng.permutation(24).reshape(2, 3, 4) / 7.0
    x[0, 1, 2] = np.nan
    agree(lambda a: minidl.argsort(a, dim, descending), lambda t: torch.argsort(t, dim, descending), x)
    x[0, 1, 2] = 9.0
    agree(lambda a: minidl.sort(a, dim, descending), lambda t: torch.sort(t, dim, descending), x)
    agree(lambda a: a.topk(2, dim, descending), lambda t: t.topk(2, dim, descending), x)


def test_stable_order_of_ties_agrees(rng):
    x = rng.integers(0, 3, (4, 20)).astype(float)
    for falling in (False, True):
        agree(
            lambda a, f=falling: minidl.sort(a, 1, f), lambda t, f=falling: t.sort(dim=1, descending=f, stable=True), x
        )


@pytest.mark.parametrize("padding", [None, 0, -1])
def test_embedding_agrees(padding, rng):
    indices = np.array([[3, 0, 3], [1, 0, 2]])
    agree(
        lambda i, w: minidl.ops.embedding(i, w, padding), lambda i, w: F.embedding(i, w, padding), indices,
        rng.normal(size=(4, 3)),
    )  # fmt: skip


def test_one_hot_and_masked_fill_agree(rng):
    indices = rng.integers(0, 4, (2, 3))
    agree(lambda i: minidl.ops.one_hot(i), lambda i: F.one_hot(i), indices)
    agree(lambda i: minidl.ops.one_hot(i, 6), lambda i: F.one_hot(i, 6), indices)
    for shape in [(2, 3), (3,), (4, 1, 3)]:
        mask = rng.random(shape) < 0.5
        agree(lambda a, m: a.masked_fill(m, -1.5), lambda t, m: t.masked_fill(m, -1.5), rng.normal(size=(2, 3)), mask)
        agree(lambda a, v, m: a.masked_fill(m, v), lambda t, v, m: t.masked_fill(m, v), rng.normal(size=(2, 3)),
              rng.normal(size=()), mask)  # fmt: skip


PRODUCTS = [
    ((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)),
    ((5, 2, 3), (5, 3, 2)), ((5, 2, 3), (3, 2)), ((2, 3), (5, 3, 2)), ((4, 1, 2, 3), (5, 3, 2)), ((0, 3), (3, 2)),
    ((2, 0), (0, 3)), ((0, 2, 3), (3, 4)), ((1, 2, 3), (4, 3, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PRODUCTS)
def test_matmul_agrees(left, right, rng):
    agree(lambda a, b: a @ b, lambda a, b: a @ b, rng.normal(size=left), rng.normal(size=right))


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_agrees(lead, bias, rng):
    arrays = [rng.normal(size=(*lead, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2,))][: 3 if bias else 2]
    agree(ops.linear, F.linear, *arrays)


def test_vectors_agree(rng):
    a, b = rng.normal(size=4), rng.normal(size=4)
    agree(minidl.dot, torch.dot, a, b)
    agree(minidl.outer, torch.outer, a, b[:3])


EQUATIONS = [
    ("ij,jk", (2, 3), (3, 4)), ("ij->ji", (2, 3)), ("ii", (3, 3)), ("ii->i", (3, 3)), ("ij->", (2, 3)),
    ("...ii->...i", (2, 3, 3)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("bhid,bhjd->bhij", (2, 2, 3, 2), (2, 2, 4, 2)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)), ("i,j,k->kji", (2,), (3,), (2,)),
    ("ij,jk,kl,lm", (2, 2), (2, 3), (3, 2), (2, 2)),
    ("iij,jk->k", (2, 2, 3), (3, 2)), ("ab...,b...->a...", (2, 3, 2), (3, 2)), ("...,...", (2, 3), (3,)),
    ("i...->...", (2, 3)), ("...->", (2, 3)), ("ij,ij->ij", (2, 3), (1, 3)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    ("Ab,bC", (2, 3), (3, 2)), (" i j , j -> i ", (2, 3), (3,)), ("ij,jk->ik", (2, 0), (0, 3)),
]  # fmt: skip


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: str(case[0]))
def test_einsum_agrees(case, rng):
    equation, *shapes = case
    agree(
        lambda *a: minidl.einsum(equation, *a), lambda *t: torch.einsum(equation, *t),
        *[rng.normal(size=shape) for shape in shapes],
    )  # fmt: skip
