"""Write what PyTorch's optimizers and schedules do into golden/*.json; the tests read it without PyTorch.

Run it once, with PyTorch installed: ``python tests/optim/make_golden.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "golden"
STEPS = 12
SHAPES = [(2, 3), (4,)]
# At these steps the second parameter has no gradient: its number of steps falls behind.
ABSENT = [0, 1, 5]

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-2, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.7}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.7, "centered": True}),
    ("RMSprop", {"lr": 0.02, "centered": True, "maximize": True}),
    ("Adagrad", {"lr": 0.2}),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"lr": 0.2, "eps": 0.1, "maximize": True}),
]

# Name, options, and the schedules that it is made of.
SCHEDULES = [
    ("StepLR", {"step_size": 4, "gamma": 0.3}, []),
    ("MultiStepLR", {"milestones": [9, 3, 3], "gamma": 0.5}, []),
    ("ExponentialLR", {"gamma": 0.9}, []),
    ("ConstantLR", {"factor": 0.25, "total_iters": 3}, []),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 6}, []),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 5}, []),
    ("CosineAnnealingLR", {"T_max": 8}, []),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}, []),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20}, []),
    ("OneCycleLR", {"max_lr": [1.0, 0.3], "total_steps": 20, "anneal_strategy": "linear", "pct_start": 0.4}, []),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 4, "steps_per_epoch": 5, "three_phase": True, "div_factor": 10}, []),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20, "cycle_momentum": False, "final_div_factor": 50}, []),
    (
        "SequentialLR",
        {"milestones": [4, 9]},
        [("LinearLR", {"total_iters": 4}), ("CosineAnnealingLR", {"T_max": 10}), ("ExponentialLR", {"gamma": 0.8})],
    ),
    ("ChainedScheduler", {}, [("ConstantLR", {"total_iters": 4}), ("ExponentialLR", {"gamma": 0.9})]),
]
PLATEAUS = [
    {"patience": 1},
    {"mode": "max", "patience": 0, "factor": 0.5, "threshold": 0.1},
    {"patience": 0, "threshold_mode": "abs", "threshold": 0.2, "cooldown": 2, "min_lr": 0.02},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.05, "patience": 1, "factor": 0.3, "min_lr": [0.03, 0.001]},
]


def trajectory(name: str, options: dict, problem: dict) -> list:
    """All parameters after each step."""
    params = [torch.tensor(start, dtype=torch.float64).requires_grad_() for start in problem["start"]]
    optimizer = getattr(torch.optim, name)(params, **options)
    path = []
    for step in range(STEPS):
        for i, param in enumerate(params):
            curvature = torch.tensor(problem["curvature"][i], dtype=torch.float64)
            noise = torch.tensor(problem["noise"][step][i], dtype=torch.float64)
            param.grad = None if i == 1 and step in ABSENT else (curvature * param + noise).detach()
        optimizer.step()
        path.append([param.detach().tolist() for param in params])
    return path


def groups() -> torch.optim.Optimizer:
    """An optimizer of two groups."""
    params = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    return torch.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.1}], lr=0.4, momentum=0.9)


def rates(name: str, options: dict, parts: list) -> list:
    """Learning rates and momenta of the groups before each step."""
    optimizer = groups()
    schedulers = torch.optim.lr_scheduler
    made = [getattr(schedulers, part)(optimizer, **part_options) for part, part_options in parts]
    if name == "SequentialLR":
        schedule = schedulers.SequentialLR(optimizer, made, **options)
    elif name == "ChainedScheduler":
        schedule = schedulers.ChainedScheduler(made)
    else:
        schedule = getattr(schedulers, name)(optimizer, **options)
    found = []
    for _ in range(20):
        found.append([[group["lr"], group["momentum"]] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def plateau(options: dict, metrics: list) -> list:
    """Learning rates of the groups after each metric."""
    optimizer = groups()
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    found = []
    for metric in metrics:
        schedule.step(metric)
        found.append([group["lr"] for group in optimizer.param_groups])
    return found


def main() -> None:
    rng = np.random.default_rng(0)
    problem = {
        "start": [rng.normal(size=shape).round(3).tolist() for shape in SHAPES],
        "curvature": [rng.uniform(0.2, 2, shape).round(3).tolist() for shape in SHAPES],
        "noise": [[rng.normal(size=shape).round(3).tolist() for shape in SHAPES] for _ in range(STEPS)],
        "absent": ABSENT,
    }
    cases = [
        {"name": name, "options": options, "path": trajectory(name, options, problem)} for name, options in OPTIMIZERS
    ]
    write("optimizers.json", {"torch": torch.__version__, "problem": problem, "cases": cases})

    metrics = (np.exp(-0.3 * np.arange(16)) + 0.1 * rng.normal(size=16)).round(4).tolist()
    metrics[7] = float("nan")
    schedules = [
        {"name": name, "options": options, "parts": parts, "rates": rates(name, options, parts)}
        for name, options, parts in SCHEDULES
    ]
    plateaus = [{"options": options, "rates": plateau(options, metrics)} for options in PLATEAUS]
    content = {"torch": torch.__version__, "schedules": schedules, "metrics": metrics, "plateaus": plateaus}
    write("schedules.json", content)


def write(name: str, content: dict) -> None:
    FOLDER.mkdir(exist_ok=True)
    lines = json.dumps(content, separators=(",", ":")).replace('{"name"', '\n{"name"')
    (FOLDER / name).write_text(lines + "\n")


if __name__ == "__main__":
    main()
