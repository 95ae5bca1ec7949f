"""Suite "overhead": what a framework costs beside the arithmetic, seen on arrays so small that nothing else is left."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.networks import library
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["CASES"]


def leaf(lib: Any, *shape: int, requires_grad: bool = True) -> Any:
    """A Tensor of noise."""
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    tensor = lib.from_numpy(array)
    return tensor.requires_grad_() if requires_grad else tensor


def one_operation(contender: str, recorded: bool) -> Work:
    """x * y of four numbers."""
    lib = library(contender)
    x, y = leaf(lib, 4, requires_grad=recorded), leaf(lib, 4, requires_grad=recorded)
    return Work(lambda: x * y, as_arrays)


def chain(contender: str, length: int) -> Work:
    """A chain of multiplications, forward and backward."""
    lib = library(contender)
    x, factor = leaf(lib, 4), leaf(lib, 4, requires_grad=False)

    def run() -> Any:
        x.grad = None
        y = x
        for _ in range(length):
            y = y * factor
        y.sum().backward()
        return x

    return Work(run, lambda x: as_arrays(x.grad))


def optimizer_step(contender: str, optimizer: str, tensors: int, options: dict[str, Any]) -> Work:
    """One step over many small tensors."""
    lib = library(contender)
    parameters = [leaf(lib, 8, 8) for _ in range(tensors)]
    for parameter in parameters:
        parameter.grad = leaf(lib, 8, 8, requires_grad=False)
    theirs = options if contender == "torch" else {k: v for k, v in options.items() if k != "fused"}
    # The first step is seen in every parameter, and however many follow, the numbers stay ordinary.
    stepper = getattr(lib.optim, optimizer)(parameters, lr=0.1, **theirs)
    return Work(stepper.step, lambda _: as_arrays(parameters))


def module_call(contender: str, layers: int) -> Work:
    """A Sequential of layers that do nothing: the calls alone."""
    lib = library(contender)
    model = lib.nn.Sequential(*[lib.nn.Identity() for _ in range(layers)])
    x = leaf(lib, 4)
    return Work(lambda: model(x), as_arrays)


def dense_layer(contender: str) -> Work:
    """A recorded Linear(4, 4) on one row."""
    lib = library(contender)
    layer = lib.nn.Linear(4, 4)
    weight = np.eye(4, dtype=np.float32)
    layer.load_state_dict({"weight": lib.from_numpy(weight), "bias": lib.from_numpy(weight[0])})
    x = leaf(lib, 1, 4)
    return Work(lambda: layer(x), as_arrays)


CASES = [
    Case("x * y of 4 numbers, recorded", one_operation, (True,), 1.0),
    Case("x * y of 4 numbers, not recorded", one_operation, (False,)),
    Case("chain of 50 products, forward and backward", chain, (50,), 1.0),
    Case("SGD momentum, 60 tensors of 8x8", optimizer_step, ("SGD", 60, {"momentum": 0.9}), 1.0),
    Case("Adam, 60 tensors of 8x8", optimizer_step, ("Adam", 60, {}), 1.0),
    Case("Adam, 60 tensors of 8x8, fused=True in torch", optimizer_step, ("Adam", 60, {"fused": True})),
    Case("Sequential of 10 Identity", module_call, (10,)),
    Case("Linear(4, 4) on one row, recorded", dense_layer),
]
