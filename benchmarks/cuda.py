"""``--device cuda``: training steps, convolutions and overhead on the GPU, against PyTorch CUDA of the same precision.

Every timed call ends with a wait for the device, on both sides. TF32 is off on both sides, or on with ``--tf32``:
PyTorch by itself uses it for convolutions and not for products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.compare import Row
from benchmarks.kernels import LARGE_CONVOLUTIONS, SMALL_CONVOLUTIONS, conv_flops, conv_title, output_size
from benchmarks.networks import library
from benchmarks.steps import build_network, stepper_for
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["TABLES", "fractions_of_peak", "prepare"]

PEAK = "matmul 4096x4096x4096"


def prepare(contender: str, tf32: bool) -> None:
    """Set the precision of products and convolutions in a contender's process."""
    lib = library(contender)
    if contender == "torch":
        lib.backends.cuda.matmul.allow_tf32 = tf32
        lib.backends.cudnn.allow_tf32 = tf32
    else:
        lib.cuda.allow_tf32(tf32)


def _awaited(lib: Any, run: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> Any:
        result = run()
        lib.cuda.synchronize()
        return result

    return call


def training_step(contender: str, network: str, batch: int, optimizer: str) -> Work:
    """A whole step, as in the suite for the CPU."""
    lib, model, pictures, labels = build_network(contender, network, batch)
    model, pictures, labels = model.to("cuda"), pictures.to("cuda"), labels.to("cuda")
    stepper = stepper_for(lib, model, optimizer)
    criterion = lib.nn.CrossEntropyLoss()

    def step() -> Any:
        stepper.zero_grad()
        loss = criterion(model(pictures), labels)
        loss.backward()
        stepper.step()
        return loss

    return Work(_awaited(lib, step), lambda loss: as_arrays([loss, *(p.grad for p in model.parameters())]))


def convolution(contender: str, what: str, shape: tuple[int, ...]) -> Work:
    """conv2d forward, or one of its gradients, through autograd."""
    lib = library(contender)
    batch, channels, size, outputs, kernel, stride, padding = shape
    rng = np.random.default_rng(0)
    x, weight, grad = (
        lib.from_numpy(rng.standard_normal(each).astype(np.float32)).to("cuda")
        for each in ((batch, channels, size, size), (outputs, channels, kernel, kernel),
                     (batch, outputs, *[output_size(size, kernel, stride, padding)] * 2))
    )  # fmt: skip
    conv2d = lib.nn.functional.conv2d
    if what == "forward":
        return Work(_awaited(lib, lambda: conv2d(x, weight, None, stride, padding)), as_arrays)
    wanted = x if what == "input gradient" else weight
    wanted.requires_grad_()
    y = conv2d(x, weight, None, stride, padding)
    differentiate = lib.autograd.grad if contender == "torch" else lib.grad
    return Work(_awaited(lib, lambda: differentiate(y, wanted, grad, retain_graph=True)[0]), as_arrays)


def product(contender: str, size: int) -> Work:
    """A large product: what the chip reaches at best with this precision."""
    lib = library(contender)
    rng = np.random.default_rng(0)
    a, b = (lib.from_numpy(rng.standard_normal((size, size)).astype(np.float32)).to("cuda") for _ in range(2))
    return Work(_awaited(lib, lambda: a @ b), as_arrays)


def small_operation(contender: str, recorded: bool) -> Work:
    """x * y of four numbers: the cost of giving an order. No wait: the orders queue up."""
    lib = library(contender)
    x, y = (lib.from_numpy(np.ones(4, np.float32)).to("cuda").requires_grad_(recorded) for _ in range(2))
    return Work(lambda: x * y, as_arrays)


def fractions_of_peak(rows: Sequence[Row]) -> list[str]:
    """For each convolution its rate over that of the large product in the same run, minidl's and PyTorch's."""
    peaks = [row.flops / seconds for row in rows if row.name == PEAK for seconds in (row.ours, row.theirs) if seconds]
    if not peaks:
        return []
    lines = [f"fraction of the measured peak, {max(peaks) / 1e12:.1f} TFLOP/s{'':<22} minidl   torch"]
    for row in rows:
        if row.name != PEAK and row.ours and row.theirs:
            shares = [row.flops / seconds / max(peaks) for seconds in (row.ours, row.theirs)]
            lines.append(f"{row.name:<60} {shares[0]:>8.1%} {shares[1]:>7.1%}")
    return lines


def _step(title: str, network: str, batch: int, optimizer: str, level: float) -> Case:
    return Case(f"{title}, batch {batch}", training_step, (network, batch, optimizer), level, tolerance=3e-2)


def _convolutions() -> list[Case]:
    cases = []
    for shape in (*SMALL_CONVOLUTIONS, *LARGE_CONVOLUTIONS):
        for what in ("forward", "input gradient", "weight gradient"):
            title = f"conv {conv_title(shape)}, {what}"
            cases.append(Case(title, convolution, (what, shape), flops=conv_flops(shape), tolerance=1e-2))
    return cases


TABLES: dict[str, list[Case]] = {
    "step": [
        _step("LeNet-5", "lenet", 64, "SGD", 1.0),
        _step("LeNet-5", "lenet", 512, "SGD", 1.0),
        _step("CIFAR CNN", "cifar_cnn", 64, "Adam", 1.0),
        _step("CIFAR CNN", "cifar_cnn", 512, "Adam", 1.0),
        _step("ResNet-20", "resnet20", 256, "SGD", 0.8),
        _step("ResNet-18, 224 x 224", "resnet18", 64, "SGD", 0.5),
    ],
    "kernels": [Case(PEAK, product, (4096,), flops=2.0 * 4096**3, tolerance=1e-2), *_convolutions()],
    "overhead": [
        Case("x * y of 4 numbers, recorded", small_operation, (True,)),
        Case("x * y of 4 numbers, not recorded", small_operation, (False,)),
    ],
}
"""The suites that have a meaning on a GPU."""
