"""The networks of the tables, written once: ``nn`` is `minidl.nn` or `torch.nn`, and the text is the same for both.

That the same lines build both is a claim of minidl's in itself, and it makes the comparison honest: whatever PyTorch
is given to do, minidl is given too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["NETWORKS", "cifar_cnn", "initial_state", "lenet", "library", "mlp", "resnet18", "resnet20"]


def library(contender: str) -> Any:
    """`minidl` or `torch`, imported in the contender's own process only."""
    if contender == "torch":
        import torch

        return torch
    import minidl

    return minidl


def lenet(nn: Any) -> Any:
    """LeNet-5 as in ``tutorials/12_lenet.py``, for (N, 1, 28, 28)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def cifar_cnn(nn: Any) -> Any:
    """The first network one builds for CIFAR-10, for (N, 3, 32, 32)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 6 * 6, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def mlp(nn: Any) -> Any:
    """Three dense layers, for (N, 784)."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def _residual_block(nn: Any, shortcut: Any, inputs: int, outputs: int, stride: int) -> Any:
    """Two 3x3 convolutions with batch norm, added to a shortcut (He, Zhang, Ren, Sun, 2015, figure 2)."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
                nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
            )
            self.shortcut = shortcut
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    return Block()


def _option_a(nn: Any, extra: int) -> Any:
    """The shortcut without parameters: every other pixel, and channels of zeros."""

    class OptionA(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))

    return OptionA()


def resnet20(nn: Any) -> Any:
    """The ResNet-20 of the paper's section 4.2, for (N, 3, 32, 32), with shortcuts of option A."""
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    inputs = 16
    for outputs in (16, 32, 64):
        for _ in range(3):
            wider = outputs > inputs
            shortcut = _option_a(nn, outputs - inputs) if wider else nn.Identity()
            layers.append(_residual_block(nn, shortcut, inputs, outputs, 2 if wider else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18(nn: Any) -> Any:
    """ResNet-18, for (N, 3, 224, 224), with 1x1 convolutions as shortcuts where the size changes."""
    layers = [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    inputs = 64
    for outputs in (64, 128, 256, 512):
        for _ in range(2):
            stride = 2 if outputs > inputs else 1
            shortcut = nn.Identity()
            if outputs > inputs:
                shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
            layers.append(_residual_block(nn, shortcut, inputs, outputs, stride))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


NETWORKS = {"lenet": lenet, "cifar_cnn": cifar_cnn, "mlp": mlp, "resnet20": resnet20, "resnet18": resnet18}


def initial_state(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights to begin with, by the names of a state_dict: He's for kernels and matrices, 1 and 0 for norms and biases.

    Both libraries name their parameters alike, so both get the very same numbers.
    """
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            deviation = np.sqrt(2 / np.prod(shape[1:]))
            state[name] = (deviation * rng.standard_normal(shape)).astype(np.float32)
        elif name.endswith("num_batches_tracked"):
            state[name] = np.zeros(shape, np.int64)
        else:
            ones = name.endswith(("weight", "running_var"))
            state[name] = np.full(shape, 1 if ones else 0, np.float32)
    return state
