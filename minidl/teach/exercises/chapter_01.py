"""Exercises of chapter 1, scalars that remember: a local slope, the walk back, a neuron's gradient by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]

Trails = list[list[tuple[int, float]]]


# --- 01.1 ------------------------------------------------------------------------------------------------------------


def _sigmoid(x: float) -> tuple[float, float]:
    s = 1 / (1 + math.exp(-x))
    return s, s * (1 - s)


def _sigmoid_by_cosh(x: float) -> tuple[float, float]:
    return 0.5 * (1 + math.tanh(x / 2)), 0.25 / math.cosh(x / 2) ** 2


def _sigmoid_with_slope_of_tanh(x: float) -> tuple[float, float]:
    s = 1 / (1 + math.exp(-x))
    return s, 1 - s * s


def _sigmoid_without_square(x: float) -> tuple[float, float]:
    return 1 / (1 + math.exp(-x)), math.exp(-x) / (1 + math.exp(-x))


def _sigmoid_without_inner_sign(x: float) -> tuple[float, float]:
    s = 1 / (1 + math.exp(-x))
    return s, -s * (1 - s)


def _sigmoid_slope_alone(x: float) -> float:
    s = 1 / (1 + math.exp(-x))
    return s * (1 - s)


# --- 01.2 ------------------------------------------------------------------------------------------------------------


def _graph(rng: np.random.Generator) -> tuple[Trails, int]:
    """A random graph with shuffled numbers: a number times itself, a short way beside a long one, and a dead end."""
    size = int(rng.integers(7, 10))
    result = size - 2  # the last node is made of the result, so it does not lead to it
    number = rng.permutation(size)
    trails: Trails = [[] for _ in range(size)]
    for node in range(2, size):
        other = {4: 3, result: 2}.get(node, int(rng.integers(node)))
        slopes = [float(slope) for slope in rng.choice([-1, 2, 3], size=2)]
        trails[number[node]] = [(int(number[node - 1]), slopes[0]), (int(number[other]), slopes[1])]
    return trails, int(number[result])


def _derivatives(trails: Trails, result: int) -> list[float]:
    order: list[int] = []
    stack = [result]
    while stack:
        node = stack[-1]
        waiting = [parent for parent, _ in trails[node] if parent not in order]
        if waiting:
            stack.extend(waiting)
        else:
            stack.pop()
            if node not in order:
                order.append(node)
    grads = [0.0] * len(trails)
    grads[result] = 1.0
    for node in reversed(order):
        for parent, slope in trails[node]:
            grads[parent] += slope * grads[node]
    return grads


def _derivatives_by_paths(trails: Trails, result: int) -> list[float]:
    """The definition: the sum over all paths of the product of their slopes, path by path."""
    sums = [0.0] * len(trails)
    paths = [(result, 1.0)]
    while paths:
        node, product = paths.pop()
        sums[node] += product
        paths.extend((parent, product * slope) for parent, slope in trails[node])
    return sums


def _ordered(trails: Trails, result: int) -> list[int]:
    order: list[int] = []

    def visit(node: int) -> None:
        for parent, _ in trails[node]:
            if parent not in order:
                visit(parent)
        order.append(node)

    visit(result)
    return order[::-1]


def _derivatives_overwriting(trails: Trails, result: int) -> list[float]:
    grads = [0.0] * len(trails)
    grads[result] = 1.0
    for node in _ordered(trails, result):
        for parent, slope in trails[node]:
            grads[parent] = slope * grads[node]
    return grads


def _derivatives_too_early(trails: Trails, result: int) -> list[float]:
    """Breadth first, each node once: it passes on before all who used it have reported."""
    grads = [0.0] * len(trails)
    grads[result] = 1.0
    queue, seen = [result], {result}
    while queue:
        node = queue.pop(0)
        for parent, slope in trails[node]:
            grads[parent] += slope * grads[node]
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return grads


def _derivatives_without_seed(trails: Trails, result: int) -> list[float]:
    grads = [0.0] * len(trails)
    for node in _ordered(trails, result):
        for parent, slope in trails[node]:
            grads[parent] += slope * grads[node]
    return grads


def _derivatives_one_edge_each(trails: Trails, result: int) -> list[float]:
    """A dictionary of parents: of two edges to the same parent (x·x) only the last is kept."""
    grads = [0.0] * len(trails)
    grads[result] = 1.0
    for node in _ordered(trails, result):
        for parent, slope in dict(trails[node]).items():
            grads[parent] += slope * grads[node]
    return grads


def _derivatives_of_ancestors_only(trails: Trails, result: int) -> list[float]:
    grads = _derivatives(trails, result)
    return [grads[node] for node in sorted(_ordered(trails, result))]


# --- 01.3 ------------------------------------------------------------------------------------------------------------


def _neuron(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    y = np.tanh(w @ x + b)
    slope = 2 * (y - t) * (1 - y**2)
    return slope * x, slope


def _neuron_by_complex_step(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    h = 1e-100
    found = []
    for i in range(len(w) + 1):
        parameters = np.append(w, b).astype(complex)
        parameters[i] += 1j * h
        found.append(((np.tanh(parameters[:-1] @ x + parameters[-1]) - t) ** 2).imag / h)
    return np.array(found[:-1]), float(found[-1])


def _neuron_without_tanh(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    slope = 2 * (np.tanh(w @ x + b) - t)
    return slope * x, slope


def _neuron_without_two(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    y = np.tanh(w @ x + b)
    slope = (y - t) * (1 - y**2)
    return slope * x, slope


def _neuron_other_sign(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    y = np.tanh(w @ x + b)
    slope = 2 * (t - y) * (1 - y**2)
    return slope * x, slope


def _neuron_bias_like_weight(w: np.ndarray, x: np.ndarray, b: float, t: float) -> Any:
    y = np.tanh(w @ x + b)
    slope = 2 * (y - t) * (1 - y**2)
    return slope * x, slope * b


def _neuron_sample(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(2, 6))
    return rng.normal(size=n), rng.normal(size=n), float(rng.normal()), float(rng.choice([-1.0, 1.0]))


exercises = [
    Exercise(
        "01.1",
        "The slope of a sigmoid",
        solution=_sigmoid,
        reference=_sigmoid_by_cosh,
        samples=lambda rng: (float(rng.uniform(-4, 4)),),
        hints=(
            "Write s = (1 + e⁻ˣ)⁻¹ and use the chain rule: the outer function is u⁻¹, the inner one 1 + e⁻ˣ.",
            "σ'(x) = e⁻ˣ / (1 + e⁻ˣ)². One of the two factors 1 / (1 + e⁻ˣ) is σ itself. What is the rest?",
            "e⁻ˣ / (1 + e⁻ˣ) = 1 - σ, so the slope is σ·(1 - σ): compute s once, and return (s, s * (1 - s)).",
        ),
        wrong=(
            Wrong(_sigmoid_with_slope_of_tanh, "result 2 of 2: largest difference"),
            Wrong(_sigmoid_without_square, "result 2 of 2: largest difference"),
            Wrong(_sigmoid_without_inner_sign, "the sign is the other one"),
            Wrong(_sigmoid_slope_alone, "expected 2 results, got a single float"),
        ),
    ),
    Exercise(
        "01.2",
        "The way back",
        solution=_derivatives,
        reference=_derivatives_by_paths,
        samples=_graph,
        hints=(
            "Two things are needed: an order in which each node comes after all that were made from it, and a list of "
            "zeros, one for each node, to add into.",
            "The result's own derivative is 1. Take the nodes in reverse topological order; from each, go along its "
            "trail.",
            "Find the order with the stack of the chapter, with numbers in place of objects. Then: for node in "
            "reversed(order): for parent, slope in trails[node]: grads[parent] += slope * grads[node].",
        ),
        wrong=(
            Wrong(_derivatives_overwriting, "largest difference"),
            Wrong(_derivatives_too_early, "largest difference"),
            Wrong(_derivatives_without_seed, "got 0"),
            Wrong(_derivatives_one_edge_each, "largest difference"),
            Wrong(_derivatives_of_ancestors_only, "results, got"),
        ),
    ),
    Exercise(
        "01.3",
        "A neuron's gradient by hand",
        solution=_neuron,
        reference=_neuron_by_complex_step,
        samples=_neuron_sample,
        hints=(
            "Name the steps: z = w·x + b, y = tanh(z), L = (y - t)². Each of the three has a slope; multiply them.",
            "∂L/∂y = 2(y - t), and ∂y/∂z = 1 - y² with the *output* y of the tanh. What are ∂z/∂w and ∂z/∂b?",
            "With s = 2(y - t)(1 - y²): the gradient with respect to w is s·x, and that with respect to b is s·1.",
        ),
        wrong=(
            Wrong(_neuron_without_tanh, "result 1 of 2: largest difference"),
            Wrong(_neuron_without_two, "yours is 0.5 times the expected one everywhere"),
            Wrong(_neuron_other_sign, "the sign is the other one"),
            Wrong(_neuron_bias_like_weight, "result 2 of 2: largest difference"),
        ),
    ),
]
