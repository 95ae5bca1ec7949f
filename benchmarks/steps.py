"""Suite "step": a whole training step as it stands in a user's loop, and the inference of one picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, initial_state, library
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["CASES", "build_network", "inference", "stepper_for", "training_step"]

PICTURES = {
    "lenet": ((1, 28, 28), 10),
    "cifar_cnn": ((3, 32, 32), 10),
    "mlp": ((784,), 10),
    "resnet20": ((3, 32, 32), 10),
    "resnet18": ((3, 224, 224), 1000),
}
"""Shape of a picture, and number of classes."""

TINY = 1e-7
"""The learning rate: every step computes with the same ordinary numbers as the first (see the package's docstring)."""


def build_network(contender: str, network: str, batch: int) -> tuple[Any, Any, Any, Any]:
    """The library, the network with the common first weights, a batch of noise and its labels."""
    lib = library(contender)
    model = NETWORKS[network](lib.nn)
    state = initial_state({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    model.load_state_dict({name: lib.from_numpy(array) for name, array in state.items()})
    shape, classes = PICTURES[network]
    rng = np.random.default_rng(1)
    pictures = lib.from_numpy(rng.standard_normal((batch, *shape)).astype(np.float32))
    labels = lib.from_numpy(rng.integers(0, classes, batch))
    return lib, model, pictures, labels


def stepper_for(lib: Any, model: Any, optimizer: str) -> Any:
    """SGD with momentum, or Adam."""
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    return getattr(lib.optim, optimizer)(model.parameters(), lr=TINY, **options)


def training_step(contender: str, network: str, batch: int, optimizer: str) -> Work:
    """Forward, loss, backward, step. What has to agree: the first loss and all gradients of it."""
    lib, model, pictures, labels = build_network(contender, network, batch)
    stepper = stepper_for(lib, model, optimizer)
    criterion = lib.nn.CrossEntropyLoss()

    def step() -> Any:
        stepper.zero_grad()
        loss = criterion(model(pictures), labels)
        loss.backward()
        stepper.step()
        return loss

    return Work(step, lambda loss: as_arrays([loss, *(parameter.grad for parameter in model.parameters())]))


def inference(contender: str, network: str, batch: int) -> Work:
    """The forward pass alone, in evaluation mode."""
    lib, model, pictures, _ = build_network(contender, network, batch)
    model.eval()

    def predict() -> Any:
        with lib.inference_mode():
            return model(pictures)

    return Work(predict, as_arrays)


def _step(name: str, network: str, batch: int, optimizer: str, level: float) -> Case:
    title = f"{name}, batch {batch}, {'SGD momentum' if optimizer == 'SGD' else optimizer}"
    # Rounding decides a few ReLUs near zero the other way: in a deep network gradients differ by some 0.5 % in float32,
    # and by 1e-13 in float64.
    return Case(title, training_step, (network, batch, optimizer), level, tolerance=2e-2)


CASES = [
    _step("LeNet-5", "lenet", 4, "SGD", 4.0),
    _step("LeNet-5", "lenet", 64, "SGD", 2.5),
    _step("LeNet-5", "lenet", 256, "SGD", 2.0),
    _step("CIFAR CNN", "cifar_cnn", 64, "Adam", 1.6),
    _step("CIFAR CNN", "cifar_cnn", 256, "Adam", 1.6),
    _step("MLP 784-512-512-10", "mlp", 128, "Adam", 1.2),
    _step("ResNet-20, 32 x 32", "resnet20", 64, "SGD", 1.2),
    _step("ResNet-18, 224 x 224", "resnet18", 4, "SGD", 1.0),
    Case("inference of one picture, LeNet-5", inference, ("lenet", 1), 3.0),
    Case("inference of one picture, ResNet-20", inference, ("resnet20", 1), 1.5),
]
