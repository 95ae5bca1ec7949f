"""Schedules: options, states, and what happens when someone else changes the rate; the rates are in test_golden.py."""

from __future__ import annotations

import math

import pytest

from minidl import nn, optim
from minidl.errors import DataError, OptionError
from minidl.optim import lr_scheduler as lrs


def optimizer(lr=1.0, **options):
    return optim.SGD([nn.Parameter([1.0])], lr=lr, **options)


def rates(schedule, count):
    found = []
    for _ in range(count):
        found += schedule.get_last_lr()
        schedule.step()
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lrs.StepLR(o, 0),
        lambda o: lrs.StepLR(o, 2, gamma=-1),
        lambda o: lrs.StepLR(o, 2, gamma=math.nan),
        lambda o: lrs.StepLR("optimizer", 2),
        lambda o: lrs.MultiStepLR(o, [1.5]),
        lambda o: lrs.ExponentialLR(o, "0.9"),
        lambda o: lrs.ConstantLR(o, factor=2),
        lambda o: lrs.LinearLR(o, start_factor=0),
        lambda o: lrs.LinearLR(o, end_factor=1.5),
        lambda o: lrs.LinearLR(o, total_iters=0),
        lambda o: lrs.CosineAnnealingLR(o, 0),
        lambda o: lrs.CosineAnnealingLR(o, 5, eta_min=-1),
        lambda o: lrs.LambdaLR(o, 0.5),
        lambda o: lrs.LambdaLR(o, [math.sqrt, math.sqrt]),
        lambda o: lrs.OneCycleLR(o, 1.0),
        lambda o: lrs.OneCycleLR(o, 1.0, epochs=3),
        lambda o: lrs.OneCycleLR(o, [1.0, 1.0], total_steps=3),
        lambda o: lrs.OneCycleLR(o, 1.0, total_steps=3, pct_start=2),
        lambda o: lrs.OneCycleLR(o, 1.0, total_steps=3, anneal_strategy="cosine"),
        lambda o: lrs.OneCycleLR(o, -1.0, total_steps=3),
        lambda o: lrs.OneCycleLR(optim.Adagrad([nn.Parameter([1.0])]), 1.0, total_steps=3),
        lambda o: lrs.ReduceLROnPlateau(o, "lowest"),
        lambda o: lrs.ReduceLROnPlateau(o, factor=1.0),
        lambda o: lrs.ReduceLROnPlateau(o, patience=-1),
        lambda o: lrs.ReduceLROnPlateau(o, min_lr=[0.1, 0.1]),
        lambda o: lrs.ReduceLROnPlateau(None),
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1), lrs.StepLR(o, 1)], [1, 2]),
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)] * 3, [4, 2]),
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(optimizer(), 1)], []),
        lambda o: lrs.SequentialLR(o, [lrs.OneCycleLR(o, 1.0, total_steps=3)], []),
        lambda o: lrs.SequentialLR(o, [lrs.ReduceLROnPlateau(o)], []),
        lambda o: lrs.ChainedScheduler([]),
    ],
)
def test_bad_options(make):
    with pytest.raises(OptionError):
        make(optimizer(momentum=0.9))


def test_a_step_beyond_the_cycle():
    schedule = lrs.OneCycleLR(optimizer(momentum=0.9), 1.0, total_steps=3)
    rates(schedule, 3)
    with pytest.raises(OptionError, match="at most 3 steps"):
        schedule.step()


def test_a_cycle_without_a_rise_or_a_fall():
    for share in (0.0, 1.0):
        schedule = lrs.OneCycleLR(optimizer(momentum=0.9), 1.0, total_steps=5, pct_start=share)
        assert all(0 < rate <= 1 for rate in rates(schedule, 5))


def test_a_schedule_begins_at_the_initial_rate_of_its_group():
    one = optimizer(0.4)
    lrs.ExponentialLR(one, 0.5).step()
    assert one.param_groups[0]["lr"] == 0.2 and one.param_groups[0]["initial_lr"] == 0.4


def test_changes_by_hand_last():
    one = optimizer()
    schedule = lrs.StepLR(one, 2, gamma=0.5)
    one.param_groups[0]["lr"] = 10.0
    assert rates(schedule, 5) == [10, 10, 5, 5, 2.5]


def test_a_rate_of_zero_comes_back():
    one = optimizer()
    assert rates(lrs.LambdaLR(one, lambda t: t % 2), 4) == [0, 1, 0, 1]


def test_schedules_put_together():
    one = optimizer()
    warmup, cosine = lrs.LinearLR(one, 0.5, total_iters=2), lrs.CosineAnnealingLR(one, 2)
    both = lrs.SequentialLR(one, [warmup, cosine], [2])
    whole = lrs.ChainedScheduler([both, lrs.ConstantLR(one, 0.5, total_iters=1)])
    assert rates(whole, 5) == pytest.approx([0.25, 0.75, 1.0, 0.5, 0.0])


def test_a_group_that_is_added_later_keeps_its_rate():
    one = optimizer()
    schedule = lrs.ExponentialLR(one, 0.5)
    one.add_param_group({"params": [nn.Parameter([1.0])], "lr": 3.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 3.0]


@pytest.mark.parametrize("state", [3, {}, {"last_epoch": 3}, {"last_epoch": 1, "base_lrs": [1, 2], "last_lr": [1, 2]}])
def test_bad_states(state):
    one = optimizer()
    schedule, plateau = lrs.StepLR(one, 2), lrs.ReduceLROnPlateau(one)
    with pytest.raises(DataError):
        schedule.load_state_dict(state)
    assert schedule.last_epoch == 0
    with pytest.raises(DataError):
        plateau.load_state_dict(state)


def test_schedules_of_your_own():
    class Halves(lrs.LRScheduler):
        def rate(self, base, t, group):
            return base / 2**t

    assert rates(Halves(optimizer()), 3) == [1, 0.5, 0.25]
    with pytest.raises(NotImplementedError, match="rate"):
        lrs.LRScheduler(optimizer())
