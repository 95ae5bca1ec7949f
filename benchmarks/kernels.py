"""Suite "kernels": each primitive without a graph around it, minidl's backend against PyTorch's ATen functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks import primitives
from benchmarks.primitives import backend_for, noise
from benchmarks.workers import Case, Work, as_arrays

__all__ = ["CASES", "LARGE_CONVOLUTIONS", "SMALL_CONVOLUTIONS", "conv_flops", "conv_title", "convolution", "product"]

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


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Side of a convolution's output."""
    return (size + 2 * padding - kernel) // stride + 1


def conv_title(shape: Sequence[int]) -> str:
    """A convolution's shape in a row's name.

    Examples
    --------
    >>> conv_title((8, 64, 56, 128, 3, 2, 1))
    '(8,64,56) to 128 @ 3x3 stride 2'
    """
    batch, channels, size, outputs, kernel, stride, _ = shape
    return f"({batch},{channels},{size}) to {outputs} @ {kernel}x{kernel}" + f" stride {stride}" * (stride > 1)


def conv_flops(shape: Sequence[int]) -> float:
    """Operations of a convolution, a multiply-add counted as two; each of its gradients takes as many."""
    batch, channels, size, outputs, kernel, stride, padding = shape
    return 2.0 * batch * outputs * channels * kernel**2 * output_size(size, kernel, stride, padding) ** 2


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
    """Three rows for each convolution."""
    cases = []
    for shapes, level in ((SMALL_CONVOLUTIONS, 1.2), (LARGE_CONVOLUTIONS, 0.95)):
        for shape in shapes:
            batch, channels, size, outputs, kernel, stride, padding = shape
            out = output_size(size, kernel, stride, padding)
            traffic = 4.0 * (batch * channels * size**2 + outputs * channels * kernel**2 + batch * outputs * out**2)
            for what in ("forward", "input gradient", "weight gradient"):
                name = f"conv {conv_title(shape)}, {what}"
                cases.append(Case(name, convolution, (what, shape), level, flops=conv_flops(shape), traffic=traffic))
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


CASES = [*convolution_cases(), *primitives.CASES, *product_cases()]
