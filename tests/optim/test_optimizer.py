"""What all optimizers share: groups, state, refusals; their arithmetic is in test_golden.py."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import weakref

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import DataError, GraphError, OptionError, ShapeError

OPTIMIZERS = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad]
# With everything that is remembered.
FULL = [
    (optim.SGD, {"momentum": 0.9}),
    (optim.Adam, {"amsgrad": True}),
    (optim.AdamW, {}),
    (optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (optim.Adagrad, {"lr_decay": 0.1}),
]


def parameters(*shapes, dtype="float32"):
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.normal(size=shape).astype(dtype)) for shape in shapes]


def fill_gradients(params, seed=0):
    rng = np.random.default_rng(seed)
    for param in params:
        param.grad = minidl.tensor(rng.normal(size=param.shape), dtype=param.dtype)


@pytest.mark.parametrize("kind", OPTIMIZERS)
class TestRefusals:
    @pytest.mark.parametrize("lr", [math.nan, -0.1, math.inf, "0.1", None, True, [0.1]])
    def test_learning_rates(self, kind, lr):
        with pytest.raises(OptionError, match=f"{kind.__name__}.*lr"):
            kind(parameters((2,)), lr=lr)

    def test_parameters(self, kind):
        w, v = parameters((2,), (3,))
        for wrong, words in (
            ([], "at least one parameter.*generator"),
            (w, "list"),
            ({"params": [w]}, "groups"),
            ([w, w], "there already"),
            ([{"params": [w]}, {"params": [v, w]}], "there already"),
            ([w * 2], "the result of Mul"),
            ([np.ones(2)], "ndarray"),
            ([w, minidl.arange(3)], "int64"),
            ([{"params": []}], "empty group"),
            ([{"lr": 0.1}], "params"),
            ([{"params": [w], "learning_rate": 0.1}], "learning_rate"),
        ):
            with pytest.raises(OptionError, match=words):
                kind(wrong)
        kind([w, v])
        kind(iter([w]))
        kind([{"params": w, "lr": 0.5, "name": "head"}])

    def test_a_bad_group_changes_nothing(self, kind):
        w, v = parameters((2,), (3,))
        optimizer = kind([w])
        for group in ({"params": [v, w]}, {"params": [v], "lr": -1}, {"params": [v], "rate": 1}):
            with pytest.raises(OptionError):
                optimizer.add_param_group(group)
        assert len(optimizer.param_groups) == 1
        optimizer.add_param_group({"params": [v], "lr": 0.5})
        assert optimizer.param_groups[1]["lr"] == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, momentum=-1),
        lambda p: optim.SGD(p, momentum=math.nan),
        lambda p: optim.SGD(p, weight_decay=-1),
        lambda p: optim.SGD(p, nesterov=True),
        lambda p: optim.SGD(p, nesterov=True, momentum=0.9, dampening=0.1),
        lambda p: optim.SGD(p, nesterov=1, momentum=0.9),
        lambda p: optim.Adam(p, betas=(0.9, 1.0)),
        lambda p: optim.Adam(p, betas=(-0.1, 0.9)),
        lambda p: optim.Adam(p, betas=0.9),
        lambda p: optim.Adam(p, betas=(0.9, math.nan)),
        lambda p: optim.Adam(p, eps=-1),
        lambda p: optim.AdamW(p, weight_decay=math.nan),
        lambda p: optim.RMSprop(p, alpha=-1),
        lambda p: optim.RMSprop(p, centered="yes"),
        lambda p: optim.Adagrad(p, lr_decay=-1),
        lambda p: optim.Adagrad(p, initial_accumulator_value=-1),
        lambda p: optim.Adagrad(p, maximize=2),
    ],
)
def test_bad_options(make):
    with pytest.raises(OptionError):
        make(parameters((2,)))


@pytest.mark.parametrize(("kind", "options"), FULL)
class TestSteps:
    def test_parameters_without_gradients_stay(self, kind, options):
        w, v = parameters((2, 3), (4,))
        frozen = nn.Parameter(np.ones(2), requires_grad=False)
        optimizer = kind([w, v, frozen], lr=0.1, **options)
        fill_gradients([w])
        before = v.data.copy()
        optimizer.step()
        assert v.data.tolist() == before.tolist() and frozen.tolist() == [1, 1]
        assert set(optimizer.state) == {w}
        optimizer.zero_grad()
        assert w.grad is None
        after = w.data.copy()
        optimizer.step()
        assert w.data.tolist() == after.tolist()

    def test_the_memory_of_a_parameter_stays(self, kind, options):
        (w,) = parameters((2, 3))
        array, version = w.data, w.shared_version()[0]
        view = array.T
        optimizer = kind([w], lr=0.1, **options)
        fill_gradients([w])
        gradient = w.grad.data.copy()
        optimizer.step()
        assert w.data is array and np.shares_memory(view, w.data)
        assert w.shared_version()[0] > version
        assert w.is_leaf and w.requires_grad
        np.testing.assert_array_equal(w.grad.data, gradient)

    def test_any_layout_and_type(self, kind, options):
        """Transposed, strided, 0-d, empty and float64 parameters in one group, against one by one in C order."""
        rng = np.random.default_rng(0)
        arrays = [
            rng.normal(size=(3, 4)).astype("float32").T,
            rng.normal(size=(6, 4)).astype("float32")[::2, ::-1],
            rng.normal(size=()).astype("float32"),
            np.zeros((0, 3), "float32"),
            rng.normal(size=(2, 2)),
        ]
        mixed = [nn.Parameter(array) for array in arrays]
        plain = [nn.Parameter(np.array(array, order="C")) for array in arrays]
        optimizers = [kind(mixed, lr=0.1, **options)] + [kind([p], lr=0.1, **options) for p in plain]
        for seed in range(3):
            for params in (mixed, plain):
                fill_gradients(params, seed)
            for optimizer in optimizers:
                optimizer.step()
        for a, b in zip(mixed, plain, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.data, b.data, rtol=1e-5, atol=1e-6)
            assert (a.data != 0).all()

    def test_backward_after_a_step_is_refused(self, kind, options):
        (w,) = parameters((2,))
        optimizer = kind([w], lr=0.1, **options)
        loss = (w * w).sum()
        fill_gradients([w])
        optimizer.step()
        with pytest.raises(GraphError, match="changed in place"):
            loss.backward()

    def test_a_gradient_of_another_shape(self, kind, options):
        w, v = parameters((2, 3), (2, 3))
        optimizer = kind([w, v], lr=0.1, **options)
        before = w.data.copy()
        fill_gradients([w])
        v.grad = minidl.ones(3)
        with pytest.raises(ShapeError):
            optimizer.step()
        assert w.data.tolist() == before.tolist()
        assert not optimizer.state

    def test_no_leak(self, kind, options):
        gc.disable()
        try:
            (w,) = parameters((2,))
            optimizer = kind([w], lr=0.1, **options)
            fill_gradients([w])
            optimizer.step()
            gone = weakref.ref(w)
            del w, optimizer
            assert gone() is None
        finally:
            gc.enable()


def test_closure():
    (w,) = parameters((2,))
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with minidl.no_grad():
        first, second = optimizer.step(closure), optimizer.step(closure)
    assert second.item() < first.item()


def test_zero_grad():
    (w, v) = parameters((2,), (2,))
    optimizer = optim.SGD([w, v])
    fill_gradients([w])
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0, 0] and v.grad is None


def test_groups_have_their_own_options():
    w, v = parameters((2,), (2,))
    optimizer = optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.0}], lr=1.0)
    before = v.data.copy()
    w.grad = v.grad = minidl.ones(2)
    start = w.data.copy()
    optimizer.step()
    np.testing.assert_allclose(w.data, start - 1)
    np.testing.assert_array_equal(v.data, before)
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    np.testing.assert_allclose(v.data, before - 0.5)
    assert "group 1: 1 parameters" in repr(optimizer) and "lr: 0.5" in repr(optimizer)


# States


@pytest.mark.parametrize(("kind", "options"), FULL)
class TestState:
    def test_a_resumed_training_has_the_same_bits(self, kind, options):
        params = parameters((2, 3), (4,), (1,))
        whole = kind(params, lr=0.05, **options)
        for seed in range(3):
            fill_gradients(params[: 2 + seed], seed)
            whole.step()
        fresh = [nn.Parameter(param.data.copy()) for param in params]
        resumed = kind(fresh, lr=9.0)
        saved = whole.state_dict()
        numbers = json.loads(json.dumps(saved, default=lambda array: array.tolist()))  # what does not fit is no number
        resumed.load_state_dict(copy.deepcopy(saved))
        assert resumed.param_groups[0]["lr"] == 0.05
        from_json = [nn.Parameter(param.data.copy()) for param in params]
        second = kind(from_json, lr=9.0)
        second.load_state_dict(numbers)
        for seed in range(3, 6):
            for optimizer, tensors in ((whole, params), (resumed, fresh), (second, from_json)):
                fill_gradients(tensors, seed)
                optimizer.step()
        for a, b, c in zip(params, fresh, from_json, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
            np.testing.assert_array_equal(a.data, c.data)

    def test_it_is_plain(self, kind, options):
        params = parameters((2,), (3,))
        optimizer = kind(params, **options)
        fill_gradients(params[1:])
        optimizer.step()
        state = optimizer.state_dict()
        assert list(state) == ["state", "param_groups"] and list(state["state"]) == [1]
        assert state["param_groups"][0]["params"] == [0, 1]
        for value in state["state"][1].values():
            assert type(value) is int or (type(value) is np.ndarray and value.shape == (3,))
        assert pickle.loads(pickle.dumps(state))["param_groups"] == state["param_groups"]

    def test_loading_copies_and_takes_the_type_of_the_parameter(self, kind, options):
        (w,), (v,) = parameters((2,)), parameters((2,), dtype="float64")
        first, second = kind([w], **options), kind([v], **options)
        fill_gradients([w])
        first.step()
        second.load_state_dict(first.state_dict())
        for name, value in second.state[v].items():
            if name != "step":
                assert value.dtype == "float64" and not np.shares_memory(value, first.state[w][name])

    def test_mismatches_stand_in_one_error_and_change_nothing(self, kind, options):
        params = parameters((2,), (3,))
        optimizer = kind(params, lr=0.5, **options)
        fill_gradients(params)
        optimizer.step()
        before = copy.deepcopy(optimizer.state_dict())
        saved = copy.deepcopy(before)
        for i in (0, 1):
            name = next(name for name in saved["state"][i] if name != "step")
            saved["state"][i][name] = np.ones((7, 7))
        saved["param_groups"][0]["lr"] = 0.1
        with pytest.raises(DataError, match=r"2 mismatch\(es\)(.|\n)*parameter 0(.|\n)*parameter 1"):
            optimizer.load_state_dict(saved)
        for wrong, words in (
            ({"state": {}}, "param_groups"),
            (3, "mapping"),
            ({"state": {}, "param_groups": []}, r"1 group\(s\) here, 0 there"),
            ({"state": {}, "param_groups": [{"params": [0]}]}, r"2 parameter\(s\) here, 1 there"),
            ({**before, "param_groups": [{"params": [0, 1]}]}, "no lr"),
            ({**before, "state": {5: {}}}, "parameter 5"),
            ({**before, "state": {"first": {}}}, "something else"),
            ({**before, "state": [1]}, "something else"),
            ({**before, "param_groups": 3}, "something else"),
            ({**before, "param_groups": [3]}, "something else"),
            ({**before, "state": {0: {"step": "soon"}}}, "something else"),
            ({**before, "state": {0: {"exp_avg": "soon"}}}, "something else"),
        ):
            with pytest.raises(DataError, match=words):
                optimizer.load_state_dict(wrong)
        bad = copy.deepcopy(before)
        bad["param_groups"][0]["lr"] = math.nan
        with pytest.raises(OptionError, match="lr"):
            optimizer.load_state_dict(bad)
        assert optimizer.param_groups[0]["lr"] == 0.5
        for i, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                np.testing.assert_array_equal(value, before["state"][i][name])


def test_a_state_of_another_kind():
    params = parameters((2,))
    sgd, adam = optim.SGD(params, momentum=0.9), optim.Adam(params)
    fill_gradients(params)
    sgd.step()
    adam.step()
    with pytest.raises(DataError, match="betas"):
        adam.load_state_dict(sgd.state_dict())
    saved = adam.state_dict()
    del saved["state"][0]["exp_avg_sq"]
    with pytest.raises(DataError, match="no exp_avg_sq of parameter 0"):
        adam.load_state_dict(saved)
