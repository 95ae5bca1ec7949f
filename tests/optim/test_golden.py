"""Optimizers and schedules step for step as PyTorch's did when make_golden.py was run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.optim import lr_scheduler

FOLDER = Path(__file__).parent / "golden"
OPTIMIZERS = json.loads((FOLDER / "optimizers.json").read_text())
SCHEDULES = json.loads((FOLDER / "schedules.json").read_text())


def words(case):
    return f"{case.get('name', 'plateau')} {case['options']}"


@pytest.mark.parametrize("backend", ["reference", "compiled"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-11), ("float32", 2e-4)])
@pytest.mark.parametrize("case", OPTIMIZERS["cases"], ids=words)
def test_optimizer(case, dtype, rtol, backend):
    if backend not in minidl.backends.available_backends():
        pytest.skip("the compiled kernels are missing here")
    problem = OPTIMIZERS["problem"]
    params = [nn.Parameter(np.array(start, dtype)) for start in problem["start"]]
    with minidl.use_backend(backend):
        optimizer = getattr(optim, case["name"])(params, **case["options"])
        for step, wanted in enumerate(case["path"]):
            for i, param in enumerate(params):
                grad = np.array(problem["curvature"][i]) * param.data + np.array(problem["noise"][step][i])
                absent = i == 1 and step in problem["absent"]
                param.grad = None if absent else minidl.tensor(grad, dtype=dtype)
            optimizer.step()
            for i, param in enumerate(params):
                assert param.data.dtype == dtype
                np.testing.assert_allclose(param.data, wanted[i], rtol, rtol, err_msg=f"step {step}, parameter {i}")


def two_groups():
    params = [nn.Parameter(np.zeros(2)) for _ in range(2)]
    return optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.1}], lr=0.4, momentum=0.9)


def make(case, optimizer):
    parts = [getattr(lr_scheduler, name)(optimizer, **options) for name, options in case["parts"]]
    if case["name"] == "SequentialLR":
        return lr_scheduler.SequentialLR(optimizer, parts, **case["options"])
    if case["name"] == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler(parts)
    return getattr(lr_scheduler, case["name"])(optimizer, **case["options"])


@pytest.mark.parametrize("case", SCHEDULES["schedules"], ids=words)
def test_schedule(case):
    optimizer = two_groups()
    schedule = make(case, optimizer)
    for step, wanted in enumerate(case["rates"]):
        found = [[group["lr"], group["momentum"]] for group in optimizer.param_groups]
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-15, err_msg=f"step {step}")
        assert schedule.get_last_lr() == [pair[0] for pair in found]
        schedule.step()


@pytest.mark.parametrize("case", SCHEDULES["schedules"], ids=words)
def test_a_schedule_goes_on_with_the_same_bits(case):
    whole, first = two_groups(), two_groups()
    schedule, half = make(case, whole), make(case, first)
    for _ in range(11):
        schedule.step()
        half.step()
    saved = json.loads(json.dumps([half.state_dict(), first.state_dict()]))
    second = two_groups()
    resumed = make(case, second)
    resumed.load_state_dict(saved[0])
    second.load_state_dict(saved[1])
    for _ in range(8):
        schedule.step()
        resumed.step()
        for a, b in zip(whole.param_groups, second.param_groups, strict=True):
            assert (a["lr"], a["momentum"]) == (b["lr"], b["momentum"])


@pytest.mark.parametrize("case", SCHEDULES["plateaus"], ids=words)
def test_plateau(case):
    optimizer = two_groups()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **case["options"])
    for step, (metric, wanted) in enumerate(zip(SCHEDULES["metrics"], case["rates"], strict=True)):
        if step == 6:  # on with the state in a new one
            saved = json.loads(json.dumps(schedule.state_dict()))
            schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **case["options"])
            schedule.load_state_dict(saved)
        schedule.step(minidl.tensor(metric, dtype="float64"))
        assert schedule.get_last_lr() == pytest.approx(wanted, rel=1e-12), f"step {step}"
