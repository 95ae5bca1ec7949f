"""Suite "kernels": each primitive without a graph around it, minidl's backend against PyTorch's ATen functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, library
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["CASES", "LARGE_CONVOLUTIONS", "SMALL_CONVOLUTIONS", "convolution"]

SMALL_CONVOLUTIONS = [
    # batch, channels, size -> outputs, kernel, stride, padding
    (64, 1, 28, 6, 5, 1, 0),
    (64, 6, 12, 16, 5, 1, 0),
    (64, 3, 32, 32, 3, 1, 0),
    (64, 32, 15, 64, 3, 1, 0),
]
LARGE_CONVOLUTIONS = [
    (8, 64, 56, 64, 3, 1, 1),
    (8, 128, 28, 128, 3, 1, 1),
    (8, 256, 14, 256, 3, 1, 1),
    (8, 512, 7, 512, 3, 1, 1),
    (8, 64, 56, 128, 3, 2, 1),
    (8, 256, 56, 64, 1, 1, 0),
]


def noise(*shape: int, seed: int = 0) -> Any:
    """The same float32 noise for every contender."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def backend_for(contender: str) -> Any:
    """The backend of a contender that computes by minidl's methods."""
    from minidl.backends import backend_of
    from minidl.backends.reference import ReferenceBackend

    return ReferenceBackend() if contender == "reference" else backend_of(np.empty(0))


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Side of a convolution's output."""
    return (size + 2 * padding - kernel) // stride + 1


def convolution(contender: str, what: str, shape: tuple[int, ...]) -> Work:
    """conv2d with bias, its input gradient or its weight gradient."""
    batch, channels, size, outputs, kernel, stride, padding = shape
    out = output_size(size, kernel, stride, padding)
    x, weight = noise(batch, channels, size, size), noise(outputs, channels, kernel, kernel, seed=1)
    bias, grad = noise(outputs, seed=2), noise(batch, outputs, out, out, seed=3)
    pair = lambda n: (n, n)  # noqa: E731
    if contender == "torch":
        import torch

        x, weight, bias, grad = map(torch.from_numpy, (x, weight, bias, grad))
        options = (pair(stride), pair(padding), (1, 1), False, (0, 0), 1)
        if what == "forward":
            return Work(lambda: torch.ops.aten.convolution(x, weight, bias, *options), as_arrays)
        mask = [what == "input gradient", what == "weight gradient", False]
        backward = torch.ops.aten.convolution_backward
        return Work(lambda: backward(grad, x, weight, None, *options, mask), as_arrays)
    backend = backend_for(contender)
    geometry = (pair(stride), pair(padding), (1, 1), 1)
    if what == "forward":
        return Work(lambda: backend.conv2d(x, weight, bias, *geometry), as_arrays)
    if what == "input gradient":
        return Work(lambda: backend.conv2d_input_grad(grad, weight, (size, size), *geometry), as_arrays)
    return Work(lambda: backend.conv2d_weight_grad(grad, x, (kernel, kernel), *geometry), as_arrays)


def max_pool(contender: str, what: str, shape: tuple[int, ...]) -> Work:
    """2 x 2 max pooling."""
    x, grad = noise(*shape), noise(*shape[:2], shape[2] // 2, shape[3] // 2, seed=1)
    options = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    if contender == "torch":
        import torch

        x, grad = torch.from_numpy(x), torch.from_numpy(grad)
        if what == "forward":
            return Work(lambda: torch.ops.aten.max_pool2d_with_indices(x, *options), as_arrays)
        _, indices = torch.ops.aten.max_pool2d_with_indices(x, *options)
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return Work(lambda: backward(grad, x, *options, indices), as_arrays)
    backend = backend_for(contender)
    if what == "forward":
        return Work(lambda: backend.max_pool2d(x, *options), as_arrays)
    _, indices = backend.max_pool2d(x, *options)
    return Work(lambda: backend.max_pool2d_grad(grad, indices, shape[2:]), as_arrays)


def relu(contender: str, what: str, shape: tuple[int, ...]) -> Work:
    """max(x, 0), and its gradient."""
    x, grad = noise(*shape), noise(*shape, seed=1)
    if contender == "torch":
        import torch

        x, grad = torch.from_numpy(x), torch.from_numpy(grad)
        if what == "forward":
            return Work(lambda: torch.relu(x), as_arrays)
        y = torch.relu(x)
        return Work(lambda: torch.ops.aten.threshold_backward(grad, y, 0), as_arrays)
    backend = backend_for(contender)
    if what == "forward":
        return Work(lambda: backend.relu(x), as_arrays)
    y = backend.relu(x)
    return Work(lambda: backend.relu_grad(grad, y), as_arrays)


def batch_norm(contender: str, what: str, shape: tuple[int, ...]) -> Work:
    """Batch norm in training, and its three gradients. (PyTorch returns 1/deviation, so only y can be compared.)"""
    x, grad = noise(*shape), noise(*shape, seed=1)
    weight, bias = noise(shape[1], seed=2), noise(shape[1], seed=3)
    if contender == "torch":
        import torch

        x, grad, weight, bias = map(torch.from_numpy, (x, grad, weight, bias))
        forward = lambda: torch.ops.aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)  # noqa: E731
        if what == "forward":
            return Work(forward, lambda value: as_arrays(value[0]))
        _, mean, scale = forward()
        backward = torch.ops.aten.native_batch_norm_backward
        wanted = [True, True, True]
        return Work(lambda: backward(grad, x, weight, None, None, mean, scale, True, 1e-5, wanted), as_arrays)
    backend = backend_for(contender)
    if what == "forward":
        return Work(lambda: backend.batch_norm(x, weight, bias, 1e-5), lambda value: as_arrays(value[0]))
    _, mean, variance = backend.batch_norm(x, weight, bias, 1e-5)
    return Work(lambda: backend.batch_norm_grad(grad, x, weight, mean, variance, 1e-5), as_arrays)


def cross_entropy(contender: str, what: str, rows: int, classes: int) -> Work:
    """Softmax and the negative logarithm of the right class's probability."""
    logits, grad = noise(rows, classes), noise(rows, seed=1)
    labels: Any = np.random.default_rng(2).integers(0, classes, rows)
    if contender == "torch":
        import torch

        aten = torch.ops.aten
        logits, grad, labels = map(torch.from_numpy, (logits, grad, labels))
        if what == "forward":
            loss = torch.nn.functional.cross_entropy
            return Work(lambda: loss(logits, labels, reduction="none"), as_arrays)
        log_probabilities = torch.log_softmax(logits, 1)
        total = torch.tensor(float(rows))

        def backward() -> Any:
            inner = aten.nll_loss_backward(grad, log_probabilities, labels, None, 0, -100, total)
            return aten._log_softmax_backward_data(inner, log_probabilities, 1, torch.float32)

        return Work(backward, as_arrays)
    backend = backend_for(contender)
    if what == "forward":
        return Work(lambda: backend.cross_entropy(logits, labels, -100), as_arrays)
    return Work(lambda: backend.cross_entropy_grad(grad, logits, labels, -100), as_arrays)


def adam_step(contender: str, network: str, fused: bool) -> Work:
    """A step of Adam over a network's parameters, as an optimizer takes it."""
    lib = library(contender)
    model = NETWORKS[network](lib.nn)
    for seed, parameter in enumerate(model.parameters()):
        shape = tuple(parameter.shape)
        parameter.data[...] = (lib.from_numpy if contender == "torch" else np.asarray)(noise(*shape, seed=seed))
        parameter.grad = lib.from_numpy(noise(*shape, seed=seed + 100))
    options = {"fused": True} if fused and contender == "torch" else {}
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-7, **options)
    return Work(optimizer.step, lambda _: as_arrays(list(model.parameters())))


def product(contender: str, m: int, k: int, n: int, batch: int) -> Work:
    """A @ B, or a batch of such products."""
    a, b = (noise(m, k), noise(k, n, seed=1)) if batch == 1 else (noise(batch, m, k), noise(batch, k, n, seed=1))
    if contender == "torch":
        import torch

        a, b = torch.from_numpy(a), torch.from_numpy(b)
        return Work(lambda: torch.matmul(a, b), as_arrays)
    if contender == "numpy":
        return Work(lambda: np.matmul(a, b), as_arrays)
    backend = backend_for(contender)
    return Work(lambda: backend.matmul(a, b), as_arrays)


def linear(contender: str, m: int, k: int, n: int) -> Work:
    """x @ W.T + b, the dense layer."""
    x, weight, bias = noise(m, k), noise(n, k, seed=1), noise(n, seed=2)
    if contender == "torch":
        import torch

        x, weight, bias = map(torch.from_numpy, (x, weight, bias))
        return Work(lambda: torch.nn.functional.linear(x, weight, bias), as_arrays)
    if contender == "numpy":
        return Work(lambda: x @ weight.T + bias, as_arrays)
    backend = backend_for(contender)
    return Work(lambda: backend.linear(x, weight, bias), as_arrays)


def convolution_cases() -> list[Case]:
    """Three rows for each convolution; a gradient costs as many operations as the forward pass."""
    cases = []
    for shapes, level in ((SMALL_CONVOLUTIONS, 1.2), (LARGE_CONVOLUTIONS, 0.95)):
        for shape in shapes:
            batch, channels, size, outputs, kernel, stride, padding = shape
            out = output_size(size, kernel, stride, padding)
            title = f"({batch},{channels},{size}) to {outputs} @ {kernel}x{kernel}" + (
                f" stride {stride}" * (stride > 1)
            )
            flops = 2.0 * batch * outputs * channels * kernel**2 * out**2
            traffic = 4.0 * (batch * channels * size**2 + outputs * channels * kernel**2 + batch * outputs * out**2)
            for what in ("forward", "input gradient", "weight gradient"):
                name = f"conv {title}, {what}"
                cases.append(Case(name, convolution, (what, shape), level, flops=flops, traffic=traffic))
    return cases


def elementwise_cases() -> list[Case]:
    """What stands between the convolutions; `passes` counts arrays of x's size that are read or written at least."""
    pictures = (64, 32, 30, 30)
    size = float(np.prod(pictures))
    rows: list[tuple[str, Any, float, float, float, float]] = [
        ("max-pool 2x2 (64,32,30)", max_pool, 0.75, 1.75, 0.25, 1.75),
        ("relu (64,32,30)", relu, 1, 2, 1, 3),
        ("batch norm (64,32,30)", batch_norm, 8, 2, 12, 3),
    ]
    cases = []
    for name, build, flops, passes, flops_back, passes_back in rows:
        for what, work, count in (("forward", flops, passes), ("backward", flops_back, passes_back)):
            case = Case(f"{name}, {what}", build, (what, pictures), 1.0, flops=work * size, traffic=4 * count * size)
            cases.append(case)
    for rows_, classes in ((64, 10), (256, 1000)):
        for what in ("forward", "backward"):
            cases.append(Case(f"cross-entropy ({rows_},{classes}), {what}", cross_entropy, (what, rows_, classes), 1.0))
    for network, title in (("lenet", "LeNet-5"), ("mlp", "MLP, 670,000 parameters")):
        cases.append(Case(f"Adam step, {title}", adam_step, (network, False), 1.0))
        cases.append(Case(f"Adam step, {title}, fused=True in torch", adam_step, (network, True)))
    return cases


def product_cases() -> list[Case]:
    """Products at learners' sizes and a large one, against PyTorch and against NumPy's BLAS."""
    cases = []
    for peer in ("torch", "numpy"):
        level = 1.0 if peer == "numpy" else None
        for m, k, n, batch in ((64, 256, 120, 1), (128, 784, 512, 1), (32, 64, 32, 64)):
            title = f"matmul {m}x{k}x{n}" + (f", batch of {batch}" if batch > 1 else "")
            flops, traffic = 2.0 * batch * m * k * n, 4.0 * batch * (m * k + k * n + m * n)
            cases.append(Case(title, product, (m, k, n, batch), level, peer, flops=flops, traffic=traffic))
        for m, k, n in ((64, 256, 120), (128, 784, 512)):
            flops, traffic = 2.0 * m * k * n, 4.0 * (m * k + k * n + m * n)
            cases.append(Case(f"linear {m}x{k}x{n}", linear, (m, k, n), level, peer, flops=flops, traffic=traffic))
        big = (1024, 1024, 1024, 1)
        level = 0.95 if peer == "numpy" else None
        traffic = 12.0 * 1024**2
        cases.append(Case("matmul 1024x1024x1024", product, big, level, peer, flops=2.0 * 1024**3, traffic=traffic))
        cases.append(Case("matmul 1024x1024x1024, one thread", product, big, level, peer, threads=1))
    return cases


CASES = [*convolution_cases(), *elementwise_cases(), *product_cases()]
