"""Learning rates that change while training goes on.

A schedule is a function: `rate(base, t, group)` is the learning rate at step t of a group that began with `base`. So
schedules can be put one after the other (`SequentialLR`) or into each other (`ChainedScheduler`) as functions are.
Create the schedule after the optimizer and call `step` after each epoch (or each batch, if you count so).
"""

from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.lr_scheduler.composition import ChainedScheduler, SequentialLR
from minidl.optim.lr_scheduler.formulas import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from minidl.optim.lr_scheduler.onecycle import OneCycleLR
from minidl.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
