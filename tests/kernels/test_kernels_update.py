"""Optimizer steps: trajectories against PyTorch and the reference, mixed lists, norms."""

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, compiled, draw, on_threads, reference

SHAPES = [(3, 4), (), (0,), (1,), (17,), (8192,), (3, 5000), (100_001,)]


def lists(rng, dtype, count, positive=()):
    """`count` lists of arrays in SHAPES; those at the places in `positive` hold no negative numbers."""
    groups = [[draw(rng, shape, dtype) for shape in SHAPES] for _ in range(count)]
    for k in positive:
        for a in groups[k]:
            np.abs(a, out=a)
    return groups


def copy(groups):
    return [None if group is None else [a.copy() for a in group] for group in groups]


METHODS = {
    "sgd": ("sgd_update", 2, (), (0.1, 0.0, 0.0, 0.0, False, False)),
    "sgd decay": ("sgd_update", 2, (), (0.1, 0.0, 0.0, 0.01, False, True)),
    "momentum": ("sgd_update", 3, (), (0.1, 0.9, 0.0, 0.0, False, False)),
    "nesterov": ("sgd_update", 3, (), (0.1, 0.9, 0.1, 0.01, True, True)),
    "adam": ("adam_update", 4, (3,), (3, 0.01, 0.9, 0.99, 1e-8, 0.0, False, False)),
    "adam decay": ("adam_update", 4, (3,), (3, 0.01, 0.9, 0.99, 1e-8, 0.1, False, True)),
    "adamw": ("adam_update", 4, (3,), (1, 0.01, 0.9, 0.99, 1e-8, 0.1, True, False)),
    "amsgrad": ("adam_update", 5, (3, 4), (2, 0.01, 0.9, 0.99, 1e-8, 0.1, False, False)),
    "rmsprop": ("rmsprop_update", 3, (2,), (0.01, 0.99, 1e-8, 0.0, 0.0, False)),
    "rmsprop centred": ("rmsprop_update", 4, (2,), (0.01, 0.99, 1e-2, 0.1, 0.0, True)),
    "rmsprop full": ("rmsprop_update", 5, (2,), (0.01, 0.99, 1e-2, 0.1, 0.9, False)),
    "adagrad": ("adagrad_update", 3, (2,), (2, 0.01, 0.1, 0.1, 1e-10, False)),
}
LISTS = {"sgd_update": 3, "adam_update": 5, "rmsprop_update": 5, "adagrad_update": 3}


def case(label, dtype):
    name, count, positive, options = METHODS[label]
    groups = lists(np.random.default_rng(1), dtype, count, positive)
    if label.startswith("rmsprop") and count > 3:  # the variance under the root is not negative
        for a in groups[2]:
            a += 100
    return name, groups + [None] * (LISTS[name] - count), options


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", METHODS)
def test_agrees_with_the_reference(label, dtype):
    name, groups, options = case(label, dtype)
    expected = copy([None if g is None else [a.astype(np.float64) for a in g] for g in groups])
    getattr(reference, name)(*expected, *options)
    got = copy(groups)
    getattr(compiled, name)(*got, *options)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for group, wanted, before in zip(got, expected, groups, strict=True):
        for a, e, b in zip(group or (), wanted or (), before or (), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(got[1][0], groups[1][0])  # gradients are only read
    for threads in (1, 3):
        again = copy(groups)
        on_threads(threads, lambda again=again: getattr(compiled, name)(*again, *options))
        for group, other in zip(got, again, strict=True):
            assert all(a.tobytes() == b.tobytes() for a, b in zip(group or (), other or (), strict=True))


@pytest.mark.parametrize("label", METHODS)
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "read-only"])
def test_any_layout_is_changed_in_place(label, layout):
    name, groups, options = case(label, np.float32)
    expected, moved = copy(groups), copy(groups)
    getattr(compiled, name)(*expected, *options)
    for group in moved:  # the first and the last array of every list lie differently
        for i in (0, -2) if group else ():
            group[i] = LAYOUTS[layout](group[i])
    before = [list(group) if group else None for group in moved]
    getattr(compiled, name)(*moved, *options)
    for group, wanted, old in zip(moved, expected, before, strict=True):
        for a, e, o in zip(group or (), wanted or (), old or (), strict=True):
            assert a is o
            np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)


def test_a_list_may_mix_types():
    rng = np.random.default_rng(2)
    params = [draw(rng, 5, t) for t in (np.float32, np.float64, np.float16)]
    grads = [draw(rng, 5, t) for t in (np.float32, np.float64, np.float16)]
    expected = [p - p.dtype.type(0.5) * g for p, g in zip(params, grads, strict=True)]
    compiled.sgd_update(params, grads, None, 0.5, 0.0, 0.0, 0.0, False, False)
    for p, e in zip(params, expected, strict=True):
        np.testing.assert_allclose(p, e, rtol=1e-3)


def test_first_step_makes_the_buffers():
    rng = np.random.default_rng(3)
    params, grads = [draw(rng, 5, np.float32) for _ in range(2)], [draw(rng, 5, np.float32) for _ in range(2)]
    buffers = compiled.sgd_update(params, grads, [None, None], 0.1, 0.9, 0.5, 0.0, False, False)
    for buffer, grad in zip(buffers, grads, strict=True):
        np.testing.assert_array_equal(buffer, grad)
        assert buffer is not grad
    mixed = compiled.sgd_update(params, grads, [buffers[0].copy(), None], 0.1, 0.9, 0.5, 0.0, False, False)
    np.testing.assert_allclose(mixed[0], 0.9 * buffers[0] + 0.5 * grads[0], rtol=1e-6)
    np.testing.assert_array_equal(mixed[1], grads[1])


def test_read_only_parameters_are_refused():
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError):
        compiled.sgd_update([frozen], [np.ones(3, np.float32)], None, 0.1, 0.0, 0.0, 0.0, False, False)
    with pytest.raises(ValueError):
        compiled.scale_([frozen], 2.0)


def test_wrong_lists_are_refused():
    a = np.zeros(3, np.float32)
    with pytest.raises(ValueError):
        compiled.sgd_update([a, a], [a], None, 0.1, 0.0, 0.0, 0.0, False, False)
    with pytest.raises(ValueError):
        compiled.sgd_update([a], [np.zeros(4, np.float32)], None, 0.1, 0.0, 0.0, 0.0, False, False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [1.0, 2.0, float("inf"), 3.0])
def test_norm(kind, dtype):
    (grads,) = lists(np.random.default_rng(4), dtype, 1)
    flat = np.concatenate([g.ravel() for g in grads]).astype(np.float64)
    expected = np.linalg.norm(flat, kind)
    assert np.isclose(compiled.grad_norm(grads, kind), expected, rtol=1e-12)
    assert on_threads(1, lambda: compiled.grad_norm(grads, kind)) == on_threads(
        3, lambda: compiled.grad_norm(grads, kind)
    )
    for change in LAYOUTS.values():
        assert compiled.grad_norm([change(g) for g in grads], kind) == compiled.grad_norm(grads, kind)
    assert compiled.grad_norm([], kind) == 0


@pytest.mark.parametrize("kind", [1.0, 2.0, float("inf")])
@pytest.mark.parametrize("place", [0, 5, 40, 99])
def test_norm_of_nan_and_infinity(kind, place):
    x = np.ones(100, np.float32)
    x[place] = np.nan
    assert np.isnan(compiled.grad_norm([np.ones(3, np.float32), x, np.ones(3, np.float32)], kind))
    x[place] = -np.inf
    assert compiled.grad_norm([x], kind) == np.inf


def test_norm_does_not_overflow():
    assert np.isclose(compiled.grad_norm([np.full(4, 1e30, np.float32)], 2.0), 2e30, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale(dtype):
    (arrays,) = lists(np.random.default_rng(5), dtype, 1)
    arrays.append(np.asfortranarray(draw(np.random.default_rng(6), (3, 4), dtype)))
    expected = [a * dtype(0.3) for a in arrays]
    compiled.scale_(arrays, 0.3)
    for a, e in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_trajectory_against_pytorch(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    start, grads = draw(rng, 300, dtype), [draw(rng, 300, dtype) for _ in range(20)]
    for decoupled, amsgrad, maximize in [(False, False, False), (True, False, True), (False, True, False)]:
        options = dict(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, amsgrad=amsgrad, maximize=maximize)
        t = torch.nn.Parameter(torch.tensor(start))
        peer = (torch.optim.AdamW if decoupled else torch.optim.Adam)([t], **options)
        p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
        top = [np.zeros_like(start)] if amsgrad else None
        for step, grad in enumerate(grads, 1):
            t.grad = torch.tensor(grad)
            peer.step()
            compiled.adam_update([p], [grad], [m], [v], top, step, 0.01, 0.9, 0.99, 1e-8, 0.1, decoupled, maximize)
        np.testing.assert_allclose(p, t.detach(), rtol=3e-5 if dtype == np.float32 else 1e-12, atol=1e-6)
