"""Optimizer steps against the formulas on single numbers, and against PyTorch, over several steps and all options."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from minidl.backends.reference import ReferenceBackend

backend = ReferenceBackend()
SHAPES = [(3, 4), (5,), ()]
STEPS = 5


class Steps:
    """A few parameters and the gradients of several steps."""

    def __init__(self, dtype=np.float64):
        rng = np.random.default_rng(0)
        self.params = [np.array(rng.standard_normal(shape), dtype) for shape in SHAPES]
        self.start = [param.copy() for param in self.params]
        self.grads = [[np.array(rng.standard_normal(s), dtype) for s in SHAPES] for _ in range(STEPS)]

    def zeros(self):
        return [np.zeros_like(param) for param in self.params]

    def torch_params(self, make_optimizer):
        torch = pytest.importorskip("torch")
        params = [torch.tensor(param, requires_grad=True) for param in self.start]
        optimizer = make_optimizer(torch.optim, params)
        for grads in self.grads:
            for param, grad in zip(params, grads, strict=True):
                param.grad = torch.tensor(grad)
            optimizer.step()
        return [param.detach().numpy() for param in params]

    def check(self, make_optimizer):
        expected = self.torch_params(make_optimizer)
        close = {"rtol": 3e-6, "atol": 1e-6} if expected[0].dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-14}
        for param, param_t, start in zip(self.params, expected, self.start, strict=True):
            np.testing.assert_allclose(param, param_t, **close)
            assert param.dtype == param_t.dtype
            assert np.abs(param - start).max() > 1e-3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"),
    [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.8, 0.0, True)],
)
def test_sgd_against_torch(momentum, dampening, nesterov, weight_decay, maximize, dtype):
    steps = Steps(dtype)
    momenta = [None] * len(SHAPES) if momentum else None
    for grads in steps.grads:
        momenta = backend.sgd_update(
            steps.params, grads, momenta, 0.1, momentum, dampening, weight_decay, nesterov, maximize
        )
    assert (momenta is None) == (momentum == 0)
    steps.check(
        lambda optim, params: optim.SGD(params, 0.1, momentum, dampening, weight_decay, nesterov, maximize=maximize)
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("amsgrad", "decoupled", "weight_decay", "maximize"),
    list(itertools.product([False, True], [False, True], [0.0, 0.1], [False, True])),
)
def test_adam_against_torch(amsgrad, decoupled, weight_decay, maximize, dtype):
    steps = Steps(dtype)
    means, squares, largest = steps.zeros(), steps.zeros(), steps.zeros() if amsgrad else None
    for step, grads in enumerate(steps.grads, 1):
        backend.adam_update(
            steps.params,
            grads,
            means,
            squares,
            largest,
            step,
            0.05,
            0.9,
            0.99,
            1e-8,
            weight_decay,
            decoupled,
            maximize,
        )
    steps.check(
        lambda optim, params: (optim.AdamW if decoupled else optim.Adam)(
            params, 0.05, (0.9, 0.99), 1e-8, weight_decay, amsgrad, maximize=maximize
        )
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("centered", "momentum", "weight_decay", "maximize"),
    list(itertools.product([False, True], [0.0, 0.9], [0.0, 0.1], [False, True])),
)
def test_rmsprop_against_torch(centered, momentum, weight_decay, maximize, dtype):
    steps = Steps(dtype)
    squares, means = steps.zeros(), steps.zeros() if centered else None
    momenta = steps.zeros() if momentum else None
    for grads in steps.grads:
        backend.rmsprop_update(
            steps.params, grads, squares, means, momenta, 0.02, 0.9, 1e-8, weight_decay, momentum, maximize
        )
    steps.check(
        lambda optim, params: optim.RMSprop(
            params, 0.02, 0.9, 1e-8, weight_decay, momentum, centered, maximize=maximize
        )
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("lr_decay", "weight_decay", "maximize"), list(itertools.product([0.0, 0.1], [0.0, 0.1], [False, True]))
)
def test_adagrad_against_torch(lr_decay, weight_decay, maximize, dtype):
    steps = Steps(dtype)
    sums = steps.zeros()
    for step, grads in enumerate(steps.grads, 1):
        backend.adagrad_update(steps.params, grads, sums, step, 0.1, lr_decay, weight_decay, 1e-10, maximize)
    steps.check(lambda optim, params: optim.Adagrad(params, 0.1, lr_decay, weight_decay, 0.0, 1e-10, maximize=maximize))


def by_hand(update, sign, weight_decay):
    """Run a rule for single numbers over the steps of `Steps`, element by element, as in the formulas."""
    steps = Steps()
    expected = []
    for i, param in enumerate(steps.start):
        values = []
        for place in np.ndindex(*param.shape):
            p, state = float(param[place]), {}
            for t, grads in enumerate(steps.grads, 1):
                p = update(p, sign * float(grads[i][place]) + weight_decay * p, state, t)
            values.append(p)
        expected.append(np.reshape(values, param.shape))
    return expected


def check_by_hand(steps, expected):
    for param, value in zip(steps.params, expected, strict=True):
        np.testing.assert_allclose(param, value, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dampening", [0.0, 0.3])
def test_sgd_by_hand(dampening, nesterov, weight_decay, maximize):
    def update(p, g, state, t):
        state["v"] = g if t == 1 else 0.9 * state["v"] + (1 - dampening) * g
        return p - 0.1 * (g + 0.9 * state["v"] if nesterov else state["v"])

    steps, momenta = Steps(), [None] * len(SHAPES)
    for grads in steps.grads:
        momenta = backend.sgd_update(
            steps.params, grads, momenta, 0.1, 0.9, dampening, weight_decay, nesterov, maximize
        )
    check_by_hand(steps, by_hand(update, -1 if maximize else 1, weight_decay))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_by_hand(amsgrad, decoupled, weight_decay, maximize):
    lr, beta1, beta2, eps = 0.05, 0.9, 0.5, 0.01

    def update(p, g, state, t):
        if decoupled:
            p *= 1 - lr * weight_decay
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
        if amsgrad:
            v = state["largest"] = max(state.get("largest", 0), v)
        return p - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)

    steps = Steps()
    means, squares, largest = steps.zeros(), steps.zeros(), steps.zeros() if amsgrad else None
    for t, grads in enumerate(steps.grads, 1):
        backend.adam_update(
            steps.params,
            grads,
            means,
            squares,
            largest,
            t,
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            decoupled,
            maximize,
        )
    check_by_hand(steps, by_hand(update, -1 if maximize else 1, 0 if decoupled else weight_decay))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_by_hand(centered, momentum, weight_decay, maximize):
    lr, alpha, eps = 0.02, 0.9, 0.01

    def update(p, g, state, t):
        v = state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g * g
        if centered:
            state["mean"] = alpha * state.get("mean", 0) + (1 - alpha) * g
            v -= state["mean"] ** 2
        u = state["u"] = momentum * state.get("u", 0) + g / (math.sqrt(v) + eps)
        return p - lr * u

    steps = Steps()
    squares, means = steps.zeros(), steps.zeros() if centered else None
    momenta = steps.zeros() if momentum else None
    for grads in steps.grads:
        backend.rmsprop_update(
            steps.params, grads, squares, means, momenta, lr, alpha, eps, weight_decay, momentum, maximize
        )
    check_by_hand(steps, by_hand(update, -1 if maximize else 1, weight_decay))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adagrad_by_hand(weight_decay, maximize):
    lr, lr_decay, eps = 0.1, 0.5, 0.01

    def update(p, g, state, t):
        total = state["sum"] = state.get("sum", 0) + g * g
        return p - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(total) + eps)

    steps = Steps()
    sums = steps.zeros()
    for t, grads in enumerate(steps.grads, 1):
        backend.adagrad_update(steps.params, grads, sums, t, lr, lr_decay, weight_decay, eps, maximize)
    check_by_hand(steps, by_hand(update, -1 if maximize else 1, weight_decay))


def test_only_parameters_and_state_change():
    steps = Steps()
    before = [[grad.copy() for grad in grads] for grads in steps.grads]
    momenta = backend.sgd_update(steps.params, steps.grads[0], [None] * 3, 0.1, 0.9, 0.0, 0.0, True, False)
    backend.sgd_update(steps.params, steps.grads[1], momenta, 0.1, 0.9, 0.0, 0.1, True, True)
    for now, then in zip(itertools.chain(*steps.grads), itertools.chain(*before), strict=True):
        np.testing.assert_array_equal(now, then)
    assert not any(np.shares_memory(m, g) for m in momenta for g in itertools.chain(*steps.grads))


def test_views_are_updated_in_place():
    table = np.ones((4, 6))
    backend.sgd_update([table[::2, ::-3]], [np.full((2, 2), 5.0)], None, 0.1, 0.0, 0.0, 0.0, False, False)
    assert (table == 0.5).sum() == 4 and (table == 1).sum() == 20


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 2.5, 3.0, math.inf])
def test_grad_norm(norm_type):
    rng = np.random.default_rng(1)
    grads = [np.array(rng.standard_normal(shape), np.float32) for shape in [*SHAPES, (0, 3)]]
    values = [abs(float(v)) for grad in grads for v in grad.ravel()]
    if norm_type == math.inf:
        expected = max(values)
    else:
        expected = math.fsum(v**norm_type for v in values) ** (1 / norm_type)
    norm = backend.grad_norm(grads, norm_type)
    assert type(norm) is float and norm == pytest.approx(expected, rel=1e-12)


def test_grad_norm_at_the_ends():
    assert backend.grad_norm([], 2.0) == 0.0
    assert backend.grad_norm([np.empty((0, 2))], math.inf) == 0.0
    for norm_type in (2.0, math.inf):
        assert math.isnan(backend.grad_norm([np.ones(3), np.array([1.0, math.nan]), np.ones(2)], norm_type))
        assert backend.grad_norm([np.array([-math.inf]), np.ones(2)], norm_type) == math.inf
    assert backend.grad_norm([np.full(4, 1e30, np.float32)], 2.0) == pytest.approx(2e30, rel=1e-6)


def test_scale():
    arrays = [np.arange(6.0, dtype=np.float32).reshape(2, 3), np.array(2.0)]
    backend.scale_(arrays, 0.5)
    np.testing.assert_array_equal(arrays[0], [[0, 0.5, 1], [1.5, 2, 2.5]])
    assert arrays[1] == 1 and arrays[0].dtype == np.float32
