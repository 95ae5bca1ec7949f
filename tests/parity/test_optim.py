"""Optimizers against PyTorch's, step for step, over random shapes and options; states go back and forth."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, optim
from minidl.optim import lr_scheduler

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch_agreement import assert_same  # noqa: E402  # needs torch

torch.set_num_threads(1)  # the arrays are small

RTOL = {"float64": 1e-9, "float32": 5e-4}


def perhaps(r, value, otherwise=0.0):
    return value if r.random() < 0.5 else otherwise


def sgd(r):
    options = {"momentum": perhaps(r, float(r.uniform(0.1, 0.99))), "weight_decay": perhaps(r, 0.1)}
    if options["momentum"] and r.random() < 0.5:
        return options | {"nesterov": True}
    return options | {"dampening": perhaps(r, 0.4)}


def adam(r):
    options = {"betas": (float(r.uniform(0, 0.95)), float(r.uniform(0.5, 0.999))), "amsgrad": bool(r.random() < 0.5)}
    return options | {"weight_decay": perhaps(r, 0.1), "eps": float(r.choice([1e-8, 1e-3]))}


def rmsprop(r):
    options = {"alpha": float(r.uniform(0.5, 0.99)), "momentum": perhaps(r, 0.8), "centered": bool(r.random() < 0.5)}
    return options | {"weight_decay": perhaps(r, 0.1), "eps": float(r.choice([1e-6, 1e-2]))}


def adagrad(r):
    options = {"lr_decay": perhaps(r, 0.1), "initial_accumulator_value": perhaps(r, 0.3)}
    return options | {"weight_decay": perhaps(r, 0.1)}


OPTIMIZERS = {"SGD": sgd, "Adam": adam, "AdamW": adam, "RMSprop": rmsprop, "Adagrad": adagrad}


def twins(name, seed, dtype):
    """Two groups of parameters of random shapes in both libraries, and an optimizer for each."""
    r = np.random.default_rng(seed)
    shapes = [tuple(int(n) for n in r.integers(1, 6, r.integers(0, 4))) for _ in range(5)]
    values = [r.normal(size=shape).astype(dtype) for shape in shapes]
    # One of them is no block of memory in C order.
    values[1] = np.asfortranarray(r.normal(size=(4, 3)).astype(dtype))
    ours = [nn.Parameter(v.copy(order="K")) for v in values]
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    options = OPTIMIZERS[name](r) | {"lr": float(r.uniform(1e-3, 0.1)), "maximize": bool(r.random() < 0.3)}
    second = {"lr": 0.05, "weight_decay": 0.01}
    pair = [
        getattr(library, name)([{"params": params[:2]}, {"params": params[2:], **second}], **options)
        for library, params in ((optim, ours), (torch.optim, theirs))
    ]
    return ours, theirs, pair[0], pair[1], r


def step(ours, theirs, our_steps, their_steps, r, absent=0.2):
    """A step with the same random gradients; now and then a parameter has none."""
    for a, b in zip(ours, theirs, strict=True):
        gradient = (r.normal(size=a.shape) + 0.3 * b.detach().numpy()).astype(a.dtype)
        without = r.random() < absent
        a.grad = None if without else nn.Parameter(gradient).detach()
        b.grad = None if without else torch.tensor(gradient)
    our_steps.step()
    their_steps.step()


def assert_parameters_agree(ours, theirs, rtol):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_same(a.detach(), b, rtol, f"parameter {i}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trajectory(name, dtype):
    for seed in range(10):
        ours, theirs, our_steps, their_steps, r = twins(name, seed, dtype)
        for _ in range(8):
            step(ours, theirs, our_steps, their_steps, r)
            assert_parameters_agree(ours, theirs, RTOL[dtype])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_pytorch_goes_on_here(name):
    for seed in range(5):
        ours, theirs, our_steps, their_steps, r = twins(name, seed, "float64")
        for _ in range(3):
            step(ours, theirs, our_steps, their_steps, r)
        fresh = [nn.Parameter(b.detach().numpy().copy()) for b in theirs]
        resumed = getattr(optim, name)([{"params": fresh[:2]}, {"params": fresh[2:]}], lr=1.0)
        resumed.load_state_dict(their_steps.state_dict())
        for _ in range(4):
            step(fresh, theirs, resumed, their_steps, r)
        assert_parameters_agree(fresh, theirs, 1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_our_state_goes_on_in_pytorch(name):
    for seed in range(5):
        ours, theirs, our_steps, their_steps, r = twins(name, seed, "float64")
        for _ in range(3):
            step(ours, theirs, our_steps, their_steps, r)
        fresh = [torch.nn.Parameter(torch.tensor(a.detach().numpy())) for a in ours]
        resumed = getattr(torch.optim, name)([{"params": fresh[:2]}, {"params": fresh[2:]}], lr=1.0)
        saved = our_steps.state_dict()
        state = {
            key: {
                entry: torch.tensor(float(value) if entry == "step" else value)
                for entry, value in one.items()
                if not (name == "SGD" and entry == "step")
            }
            for key, one in saved["state"].items()
        }
        assert list(saved["param_groups"][0]["params"]) == resumed.state_dict()["param_groups"][0]["params"]
        groups = [
            {**mine, **our_group}
            for mine, our_group in zip(resumed.state_dict()["param_groups"], saved["param_groups"], strict=True)
        ]
        resumed.load_state_dict({"state": state, "param_groups": groups})
        for _ in range(4):
            step(ours, fresh, our_steps, resumed, r)
        assert_parameters_agree(ours, fresh, 1e-9)


def test_two_schedules_of_one_optimizer_multiply():
    rates = []
    for library in (optim, torch.optim):
        parameter = nn.Parameter([1.0]) if library is optim else torch.nn.Parameter(torch.ones(1))
        optimizer = library.SGD([parameter], lr=0.8)
        schedules = library.lr_scheduler
        pair = [schedules.ExponentialLR(optimizer, 0.9), schedules.StepLR(optimizer, 3, 0.5)]
        found = []
        for i in range(9):
            optimizer.step()
            for schedule in pair:
                schedule.step()
            if i == 4:  # by hand
                optimizer.param_groups[0]["lr"] *= 0.1
            found.append(optimizer.param_groups[0]["lr"])
        rates.append(found)
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_lambda():
    rates = []
    for library in (optim, torch.optim):
        parameters = [nn.Parameter([1.0]) if library is optim else torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
        optimizer = library.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.1}], lr=0.8)
        schedule = library.lr_scheduler.LambdaLR(optimizer, [lambda t: 1 / (t + 1), lambda t: 0.9**t])
        found = []
        for _ in range(5):
            optimizer.step()
            schedule.step()
            found.append([group["lr"] for group in optimizer.param_groups])
        rates.append(found)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_schedules_with_random_options(seed):
    r = np.random.default_rng(seed)
    choices = {
        "StepLR": {"step_size": int(r.integers(1, 6)), "gamma": float(r.uniform(0.1, 1.2))},
        "MultiStepLR": {"milestones": r.integers(0, 15, 4).tolist(), "gamma": float(r.uniform(0.1, 1))},
        "LinearLR": {"start_factor": float(r.uniform(0.1, 1)), "end_factor": float(r.random()), "total_iters": 7},
        "CosineAnnealingLR": {"T_max": int(r.integers(2, 12)), "eta_min": float(r.uniform(0, 0.1))},
        "OneCycleLR": {"max_lr": 0.9, "total_steps": 15, "pct_start": float(r.uniform(0.2, 0.9))},
    }
    choices["OneCycleLR"] |= {"div_factor": float(r.uniform(2, 30)), "three_phase": bool(r.random() < 0.5)}
    if choices["OneCycleLR"]["three_phase"]:
        choices["OneCycleLR"]["pct_start"] /= 2
    for name, options in choices.items():
        parameter, other = nn.Parameter([1.0]), torch.nn.Parameter(torch.ones(1))
        ours, theirs = optim.Adam([parameter], lr=0.4), torch.optim.Adam([other], lr=0.4)
        a, b = getattr(lr_scheduler, name)(ours, **options), getattr(torch.optim.lr_scheduler, name)(theirs, **options)
        for t in range(15):
            mine, other_group = ours.param_groups[0], theirs.param_groups[0]
            assert mine["lr"] == pytest.approx(other_group["lr"], rel=1e-9, abs=1e-12), f"{name} {options} at {t}"
            assert mine["betas"] == pytest.approx(other_group["betas"], rel=1e-9), f"{name} {options} at {t}"
            theirs.step()
            a.step()
            b.step()
