"""Exercises of chapter 11, speed and memory: what a convolution costs, the roofline, the peak of a trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# --- 11.1: what a convolution costs -----------------------------------------------------------------------------------


def cost_of_convolution(
    batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int
) -> tuple[int, int]:
    out = (size + 2 * padding - kernel) // stride + 1
    operations = 2 * batch * outputs * out**2 * channels * kernel**2
    numbers = batch * channels * size**2 + outputs * channels * kernel**2 + batch * outputs * out**2
    return operations, 4 * numbers


def _counted(
    batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int
) -> tuple[int, int]:
    """Make the arrays, walk through the outputs, and count."""
    x = np.zeros((batch, channels, size, size), np.float32)
    weight = np.zeros((outputs, channels, kernel, kernel), np.float32)
    starts = range(0, size + 2 * padding - kernel + 1, stride)
    y = np.zeros((batch, outputs, len(starts), len(starts)), np.float32)
    operations = sum(weight[0].size + weight[0].size for _ in range(y.size))
    return operations, x.nbytes + weight.nbytes + y.nbytes


def _sample_convolution(rng: np.random.Generator) -> tuple[int, ...]:
    bounds = ((2, 4), (2, 5), (9, 14), (5, 8), (3, 4), (2, 4), (0, 3))
    return tuple(int(rng.integers(low, high)) for low, high in bounds)


def _multiplications(batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int) -> Any:
    operations, moved = cost_of_convolution(batch, channels, size, outputs, kernel, stride, padding)
    return operations // 2, moved


def _numbers(batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int) -> Any:
    operations, moved = cost_of_convolution(batch, channels, size, outputs, kernel, stride, padding)
    return operations, moved // 4


def _same_size(batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int) -> Any:
    """As if the output were as large as the input."""
    return cost_of_convolution(batch, channels, size, outputs, kernel, 1, (kernel - 1) // 2)


def _im2col_bytes(batch: int, channels: int, size: int, outputs: int, kernel: int, stride: int, padding: int) -> Any:
    """The input counted once for each kernel pixel, as im2col would write it."""
    operations, moved = cost_of_convolution(batch, channels, size, outputs, kernel, stride, padding)
    return operations, moved + 4 * batch * channels * size**2 * (kernel**2 - 1)


# --- 11.2: the roofline -----------------------------------------------------------------------------------------------


def least_time(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    return max(operations / gflops, bytes_moved / gigabytes) / 1e9 * 1e3


def _by_the_roof(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    """Operations over the height of the roof at this intensity."""
    roof = np.minimum(gflops, operations / bytes_moved * gigabytes)
    return float(operations / (roof * 1e6))


def _sample_roof(rng: np.random.Generator) -> tuple[float, ...]:
    """On both sides of the edge."""
    moved, gflops, gigabytes = (
        float(rng.integers(1, 9) * 1e6),
        float(rng.integers(50, 300)),
        float(rng.integers(10, 40)),
    )
    edge = gflops / gigabytes
    return float(moved * edge * rng.choice([0.1, 0.5, 2.0, 10.0])), moved, gflops, gigabytes


def _added(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    return (operations / gflops + bytes_moved / gigabytes) / 1e6


def _smaller(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    return min(operations / gflops, bytes_moved / gigabytes) / 1e6


def _in_seconds(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    return max(operations / gflops, bytes_moved / gigabytes) / 1e9


def _arithmetic_alone(operations: float, bytes_moved: float, gflops: float, gigabytes: float) -> float:
    return operations / gflops / 1e6


# --- 11.3: the peak of a trace ----------------------------------------------------------------------------------------


def peak_of_trace(changes: list[int]) -> int:
    held = peak = 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return peak


def _by_sums(changes: list[int]) -> int:
    return int(np.cumsum(np.array([0, *changes])).max())


def _sample_trace(rng: np.random.Generator) -> tuple[list[int]]:
    """Blocks that are taken and given back, some of them kept to the end."""
    held: list[int] = []
    changes = []
    for _ in range(14):
        if held and rng.random() < 0.45:
            changes.append(-held.pop(int(rng.integers(len(held)))))
        else:
            held.append(int(rng.integers(1, 10)) * 1024)
            changes.append(held[-1])
    changes += [-size for size in held[1:]]  # the way back
    return (changes,)


def _at_the_end(changes: list[int]) -> int:
    return sum(changes)


def _everything_ever_taken(changes: list[int]) -> int:
    return sum(change for change in changes if change > 0)


def _largest_block(changes: list[int]) -> int:
    return max(changes)


def _never_given_back(changes: list[int]) -> int:
    """Given back memory is counted as if it had been taken."""
    held = peak = 0
    for change in changes:
        held += abs(change)
        peak = max(peak, held)
    return peak


exercises: list[Any] = [
    Exercise(
        "11.1",
        "What a convolution costs",
        solution=cost_of_convolution,
        reference=_counted,
        samples=_sample_convolution,
        hints=(
            "How many numbers does the output have? Each of them is one inner product: how long is it?",
            "The output has batch·outputs·OH² numbers (OH: exercise 8.1); each sums channels·kernel² products.",
            "operations = 2·batch·outputs·OH²·channels·kernel²; bytes = 4·(input + weights + output).",
        ),
        wrong=(
            Wrong(_multiplications, "result 1 of 2"),
            Wrong(_numbers, "result 2 of 2"),
            Wrong(_same_size, "result 1 of 2"),
            Wrong(_im2col_bytes, "result 2 of 2"),
        ),
    ),
    Exercise(
        "11.2",
        "The shortest time under the roof",
        solution=least_time,
        reference=_by_the_roof,
        samples=_sample_roof,
        hints=(
            "Arithmetic and memory work at the same time. Which of the two do you wait for?",
            "The longer of operations / (gflops · 10⁹) and bytes / (gigabytes · 10⁹), in seconds.",
            "max(operations / gflops, bytes_moved / gigabytes) / 1e6 is the time in milliseconds.",
        ),
        wrong=(
            Wrong(_added, "largest difference"),
            Wrong(_smaller, "largest difference"),
            Wrong(_in_seconds, "largest difference"),
            Wrong(_arithmetic_alone, "largest difference"),
        ),
    ),
    Exercise(
        "11.3",
        "The peak of a memory trace",
        solution=peak_of_trace,
        reference=_by_sums,
        samples=_sample_trace,
        hints=(
            "Walk through the trace and keep count of what is held at each moment.",
            "Two numbers are enough: what is held now, and the most that was ever held.",
            "held += change; peak = max(peak, held), for each change in turn.",
        ),
        wrong=(
            Wrong(_at_the_end, "first difference: expected"),
            Wrong(_everything_ever_taken, "first difference: expected"),
            Wrong(_largest_block, "first difference: expected"),
            Wrong(_never_given_back, "first difference: expected"),
        ),
    ),
]
