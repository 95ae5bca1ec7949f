"""What stands around the convolutions: each primitive, forward and backward, and the steps of the optimizers.

A primitive is written down once as a table of four short functions: how minidl's backend and how PyTorch's ATen
compute it and its gradient. Both get the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, library
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["CASES", "Primitive", "backend_for", "noise", "primitive"]

Function = Callable[..., Any]


def noise(*shape: int, seed: int = 0) -> Any:
    """The same float32 noise for every contender."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(limit: int, *shape: int) -> Any:
    """The same labels or indices for every contender."""
    return np.random.default_rng(2).integers(0, limit, shape)


def backend_for(contender: str) -> Any:
    """The backend of a contender that computes by minidl's methods."""
    from minidl.backends import backend_of
    from minidl.backends.reference import ReferenceBackend

    return ReferenceBackend() if contender == "reference" else backend_of(np.empty(0))


@dataclass(frozen=True)
class Primitive:
    """`arrays` are the inputs by name. Forward functions get the library and the inputs; backward ones the result, too.

    `size`, `flops` and `passes` place forward and backward on the roofline: numbers in x, operations for each, and how
    many arrays of this size are read or written at least. `compared`: the part of the results both libraries define.
    """

    arrays: Callable[[], dict[str, Any]]
    ours: tuple[Function, Function | None]
    theirs: tuple[Function, Function | None]
    size: int = 0
    flops: tuple[float, float] = (0, 0)
    passes: tuple[float, float] = (0, 0)
    compared: tuple[Function, Function] = (as_arrays, as_arrays)


def primitive(contender: str, name: str, what: str) -> Work:
    """A primitive, ``"forward"`` or ``"backward"``."""
    row = PRIMITIVES[name]
    arrays, functions, lib = row.arrays(), row.ours, None
    if contender == "torch":
        import torch

        functions, lib = row.theirs, torch.ops.aten
        arrays = {key: torch.from_numpy(array) for key, array in arrays.items()}
    else:
        lib = backend_for(contender)
    a = SimpleNamespace(**arrays)
    forward, backward = functions
    if what == "forward":
        return Work(lambda: forward(lib, a), row.compared[0])
    assert backward is not None
    result = forward(lib, a)
    return Work(lambda: backward(lib, a, result), row.compared[1])


def pictures(*shape: int) -> Callable[[], dict[str, Any]]:
    """An input and a gradient of its size."""
    return lambda: {"x": noise(*shape), "grad": noise(*shape, seed=1)}


def normed(channels: int, *shape: int) -> Callable[[], dict[str, Any]]:
    """The same with weight and bias."""
    return lambda: {**pictures(*shape)(), "weight": noise(channels, seed=2), "bias": noise(channels, seed=3)}


def pooled(shape: tuple[int, ...], size: int) -> Callable[[], dict[str, Any]]:
    """An input, and the gradient of its pooled planes."""
    return lambda: {"x": noise(*shape), "grad": noise(*shape[:2], size, size, seed=1)}


def activation(name: str, shape: tuple[int, ...], saved: str, flops: float, *options: Any) -> Primitive:
    """An elementwise function whose gradient needs its input or its output."""
    value = (lambda a, y: a.x) if saved == "input" else (lambda a, y: y)
    keyword = {"approximate": options[0]} if options else {}
    backward = "threshold_backward" if name == "relu" else f"{name}_backward"
    more = (0,) if name == "relu" else ()
    return Primitive(
        pictures(*shape),
        (
            lambda b, a: getattr(b, name)(a.x, *options),
            lambda b, a, y: getattr(b, f"{name}_grad")(a.grad, value(a, y), *options),
        ),
        (
            lambda t, a: getattr(t, name)(a.x, **keyword),
            lambda t, a, y: getattr(t, backward)(a.grad, value(a, y), *more, **keyword),
        ),
        math.prod(shape),
        (flops, flops),
        (2, 3),
    )


def max_pool(shape: tuple[int, ...], size: int, kernel: int, stride: int, padding: int) -> Primitive:
    """Max pooling; minidl and PyTorch both keep indices."""
    options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2, (1, 1), False)
    ratio = size**2 / shape[2] ** 2
    return Primitive(
        pooled(shape, size),
        (
            lambda b, a: b.max_pool2d(a.x, *options),
            lambda b, a, y: b.max_pool2d_grad(a.grad, y[1], shape[2:]),
        ),
        (
            lambda t, a: t.max_pool2d_with_indices(a.x, *options),
            lambda t, a, y: t.max_pool2d_with_indices_backward(a.grad, a.x, *options, y[1]),
        ),
        math.prod(shape),
        (kernel**2 * ratio, ratio),
        (1 + 3 * ratio, 1 + 3 * ratio),
    )


def avg_pool(shape: tuple[int, ...], size: int, kernel: int, stride: int, padding: int) -> Primitive:
    """Average pooling."""
    options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2, False, True)
    return Primitive(
        pooled(shape, size),
        (
            lambda b, a: b.avg_pool2d(a.x, *options),
            lambda b, a, y: b.avg_pool2d_grad(a.grad, shape[2:], *options),
        ),
        (
            lambda t, a: t.avg_pool2d(a.x, *options),
            lambda t, a, y: t.avg_pool2d_backward(a.grad, a.x, *options, None),
        ),
    )


def batch_norm(shape: tuple[int, ...]) -> Primitive:
    """Batch norm in training and its three gradients. (PyTorch returns 1/deviation, so only y is compared.)"""
    return Primitive(
        normed(shape[1], *shape),
        (
            lambda b, a: b.batch_norm(a.x, a.weight, a.bias, 1e-5),
            lambda b, a, y: b.batch_norm_grad(a.grad, a.x, a.weight, y[1], y[2], 1e-5),
        ),
        (
            lambda t, a: t.native_batch_norm(a.x, a.weight, a.bias, None, None, True, 0.1, 1e-5),
            lambda t, a, y: t.native_batch_norm_backward(
                a.grad, a.x, a.weight, None, None, y[1], y[2], True, 1e-5, [True] * 3
            ),
        ),
        math.prod(shape),
        (8, 12),
        (2, 3),
        (lambda y: as_arrays(y[0]), as_arrays),
    )


def batch_norm_eval(shape: tuple[int, ...]) -> Primitive:
    """Batch norm with the running statistics; bias and weight stand in for them here."""
    return Primitive(
        lambda: {**normed(shape[1], *shape)(), "mean": noise(shape[1]), "var": noise(shape[1], seed=5) ** 2},
        (lambda b, a: b.batch_norm_eval(a.x, a.mean, a.var, a.weight, a.bias, 1e-5), None),
        (
            lambda t, a: t.native_batch_norm(a.x, a.weight, a.bias, a.mean, a.var, False, 0.1, 1e-5),
            None,
        ),
        compared=(lambda y: as_arrays(y[0] if isinstance(y, tuple) else y), as_arrays),
    )


def layer_norm(rows: int, features: int) -> Primitive:
    """Layer norm and its three gradients."""
    size = [features]
    return Primitive(
        normed(features, rows, features),
        (
            lambda b, a: b.layer_norm(a.x, a.weight, a.bias, 1e-5),
            lambda b, a, y: b.layer_norm_grad(a.grad, a.x, a.weight, y[1], y[2]),
        ),
        (
            lambda t, a: t.native_layer_norm(a.x, size, a.weight, a.bias, 1e-5),
            lambda t, a, y: t.native_layer_norm_backward(a.grad, a.x, size, y[1], y[2], a.weight, a.bias, [True] * 3),
        ),
        compared=(lambda y: as_arrays(y[0]), as_arrays),
    )


def softmax(name: str, axis: int, *shape: int) -> Primitive:
    """softmax or log_softmax along an axis."""
    return Primitive(
        pictures(*shape),
        (
            lambda b, a: getattr(b, name)(a.x, axis),
            lambda b, a, y: getattr(b, f"{name}_grad")(a.grad, y, axis),
        ),
        (
            lambda t, a: getattr(t, f"_{name}")(a.x, axis, False),
            lambda t, a, y: getattr(t, f"_{name}_backward_data")(a.grad, y, axis, a.x.dtype),
        ),
    )


def cross_entropy(rows: int, classes: int) -> Primitive:
    """Softmax and the negative logarithm of the right class's probability."""

    def their_gradient(t: Any, a: Any, y: Any) -> Any:
        inner = t.nll_loss_backward(a.grad, y[0], a.labels, None, 0, -100, y[1][1])
        return t._log_softmax_backward_data(inner, y[0], 1, a.x.dtype)

    def their_loss(t: Any, a: Any) -> Any:
        log_probabilities = t._log_softmax(a.x, 1, False)
        return log_probabilities, t.nll_loss_forward(log_probabilities, a.labels, None, 0, -100)

    return Primitive(
        lambda: {"x": noise(rows, classes), "grad": noise(rows, seed=1), "labels": integers(classes, rows)},
        (
            lambda b, a: b.cross_entropy(a.x, a.labels, -100, None),
            lambda b, a, y: b.cross_entropy_grad(a.grad, a.x, a.labels, -100, None),
        ),
        (their_loss, their_gradient),
        compared=(lambda y: as_arrays(y[1][0] if isinstance(y, tuple) else y), as_arrays),
    )


def dropout(shape: tuple[int, ...]) -> Primitive:
    """Half of the elements dropped. (The masks are different ones, so their sizes are all that can be compared.)"""
    sizes = lambda y: as_arrays(list((y[0] if isinstance(y, tuple) else y).shape))  # noqa: E731
    return Primitive(
        pictures(*shape),
        (lambda b, a: b.dropout(a.x, 0.5, 1, 0), lambda b, a, y: b.dropout(a.grad, 0.5, 1, 0)),
        (
            lambda t, a: t.native_dropout(a.x, 0.5, True),
            lambda t, a, y: t.native_dropout_backward(a.grad, y[1], 2.0),
        ),
        compared=(sizes, sizes),
    )


def embedding(words: int, features: int, *shape: int) -> Primitive:
    """Rows of a table, and the gradient added back to them."""
    return Primitive(
        lambda: {
            "x": noise(words, features),
            "grad": noise(*shape, features, seed=1),
            "index": integers(words, *shape),
        },
        (lambda b, a: b.embedding(a.x, a.index), lambda b, a, y: b.embedding_grad(a.grad, a.index, words)),
        (
            lambda t, a: t.embedding(a.x, a.index),
            lambda t, a, y: t.embedding_dense_backward(a.grad, a.index, words, -1, False),
        ),
    )


def bilinear(shape: tuple[int, ...], size: int) -> Primitive:
    """Pictures enlarged by bilinear interpolation."""
    pair = (size, size)
    return Primitive(
        pooled(shape, size),
        (
            lambda b, a: b.upsample_bilinear2d(a.x, pair, False, None),
            lambda b, a, y: b.upsample_bilinear2d_grad(a.grad, shape[2:], False, None),
        ),
        (
            lambda t, a: t.upsample_bilinear2d(a.x, pair, False),
            lambda t, a, y: t.upsample_bilinear2d_backward(a.grad, pair, shape, False),
        ),
    )


def total(axes: tuple[int, ...], *shape: int) -> Primitive:
    """A sum over axes."""
    return Primitive(
        pictures(*shape),
        (lambda b, a: b.sum(a.x, axes, False), None),
        (lambda t, a: t.sum(a.x, axes), None),
    )


CNN = (64, 32, 30, 30)
PRIMITIVES: dict[str, Primitive] = {
    "max-pool 2x2 (64,32,30)": max_pool(CNN, 15, 2, 2, 0),
    "max-pool 3x3 stride 2 padding 1 (8,64,112)": max_pool((8, 64, 112, 112), 56, 3, 2, 1),
    "avg-pool 2x2 (64,32,30)": avg_pool(CNN, 15, 2, 2, 0),
    "avg-pool 3x3 stride 2 padding 1 (8,64,112)": avg_pool((8, 64, 112, 112), 56, 3, 2, 1),
    "avg-pool 8x8 (64,64,8)": avg_pool((64, 64, 8, 8), 1, 8, 8, 0),
    "relu (64,32,30)": activation("relu", CNN, "output", 1),
    "sigmoid (64,32,30)": activation("sigmoid", CNN, "output", 0),
    "tanh (64,32,30)": activation("tanh", CNN, "output", 0),
    "silu (64,32,30)": activation("silu", CNN, "input", 0),
    "gelu (64,32,30)": activation("gelu", CNN, "input", 0, "none"),
    "gelu by tanh (64,32,30)": activation("gelu", CNN, "input", 0, "tanh"),
    "batch norm (64,32,30)": batch_norm(CNN),
    "batch norm (64,64,8)": batch_norm((64, 64, 8, 8)),
    "batch norm (256,512)": batch_norm((256, 512)),
    "batch norm, evaluation (64,32,30)": batch_norm_eval(CNN),
    "layer norm (1024,256)": layer_norm(1024, 256),
    "softmax (256,1000)": softmax("softmax", 1, 256, 1000),
    "softmax (64,8,64,64)": softmax("softmax", 3, 64, 8, 64, 64),
    "softmax over channels (16,21,64)": softmax("softmax", 1, 16, 21, 64, 64),
    "log-softmax (256,1000)": softmax("log_softmax", 1, 256, 1000),
    "cross-entropy (64,10)": cross_entropy(64, 10),
    "cross-entropy (256,1000)": cross_entropy(256, 1000),
    "dropout (256,4096)": dropout((256, 4096)),
    "embedding (10000,128) at 64x64": embedding(10_000, 128, 64, 64),
    "bilinear (16,32,32) to 64": bilinear((16, 32, 32, 32), 64),
    "sum over the batch (256,4096)": total((0,), 256, 4096),
    "sum over batch and pixels (64,32,30)": total((0, 2, 3), *CNN),
    "sum of all (64,32,30)": total((0, 1, 2, 3), *CNN),
}


def optimizer_step(contender: str, network: str, optimizer: str, options: dict[str, Any]) -> Work:
    """A step over a network's parameters, as an optimizer takes it; "clip" shortens the gradients instead."""
    lib = library(contender)
    model = NETWORKS[network](lib.nn)
    for seed, parameter in enumerate(model.parameters()):
        shape = tuple(parameter.shape)
        parameter.data[...] = (lib.from_numpy if contender == "torch" else np.asarray)(noise(*shape, seed=seed))
        parameter.grad = lib.from_numpy(noise(*shape, seed=seed + 100))
    parameters = list(model.parameters())
    if optimizer == "clip":
        # A limit that no gradient reaches: PyTorch multiplies all the same, by one.
        return Work(lambda: lib.nn.utils.clip_grad_norm_(parameters, 1e9), as_arrays)
    if contender != "torch":
        options = {key: value for key, value in options.items() if key != "fused"}
    stepper = getattr(lib.optim, optimizer)(parameters, lr=1e-7, **options)
    return Work(stepper.step, lambda _: as_arrays(parameters))


def _cases() -> list[Case]:
    cases = []
    for name, row in PRIMITIVES.items():
        for what, flops, passes in zip(("forward", "backward"), row.flops, row.passes, strict=True):
            if what == "forward" or row.ours[1] is not None:
                traffic = 4.0 * passes * row.size
                cases.append(
                    Case(f"{name}, {what}", primitive, (name, what), 1.0, flops=flops * row.size, traffic=traffic)
                )
    fused: dict[str, Any] = {"fused": True}
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("SGD", "SGD momentum", {"momentum": 0.9}),
        ("Adam", "Adam", {}),
        ("AdamW", "AdamW", {}),
        ("RMSprop", "RMSprop", {}),
    ]
    for network, title in (("lenet", "LeNet-5"), ("mlp", "MLP, 670,000 parameters")):
        for optimizer, label, options in steps:
            cases.append(Case(f"{label} step, {title}", optimizer_step, (network, optimizer, options), 1.0))
            if optimizer in ("SGD", "Adam"):
                name = f"{label} step, {title}, fused=True in torch"
                cases.append(Case(name, optimizer_step, (network, optimizer, {**options, **fused})))
        cases.append(Case(f"clip_grad_norm_, {title}", optimizer_step, (network, "clip", {}), 1.0))
    return cases


CASES = _cases()
