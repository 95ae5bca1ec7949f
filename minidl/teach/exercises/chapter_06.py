"""Chapter 6: He's standard deviation, batch norm with its running statistics and its gradient, layer norm.

Where a mistake is known by its number, the reason of a wrong answer is that number ("got 0.5").
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# 06.1


def _he_std(shape: tuple[int, ...]) -> float:
    fan_in = math.prod(shape[1:])  # inputs that one output is connected to
    return math.sqrt(2 / fan_in)


def _he_std_by_counting(shape: tuple[int, ...]) -> float:
    """One output's weights are one entry along the first axis: count them."""
    return (2 / np.empty(shape)[0].size) ** 0.5


def _shape(rng: np.random.Generator) -> tuple[Any, ...]:
    outputs, inputs = (int(size) for size in rng.permutation(np.arange(3, 12))[:2])
    kernel = int(rng.integers(2, 6))
    return ((outputs, inputs, kernel, kernel + 1),)


def _without_window(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / shape[1])


def _fan_out(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / (shape[0] * math.prod(shape[2:])))


def _variance(shape: tuple[int, ...]) -> float:
    return 2 / math.prod(shape[1:])


def _no_gain(shape: tuple[int, ...]) -> float:
    return math.sqrt(1 / math.prod(shape[1:]))


# 06.2 and 06.3


def _batch_norm(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    momentum: float,
    eps: float,
) -> Any:
    mu, var = x.mean(axis=0), x.var(axis=0)
    y = gamma * (x - mu) / np.sqrt(var + eps) + beta
    unbiased = var * len(x) / (len(x) - 1)
    return y, (1 - momentum) * running_mean + momentum * mu, (1 - momentum) * running_var + momentum * unbiased


def _batch_norm_by_loops(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    momentum: float,
    eps: float,
) -> Any:
    n, features = x.shape
    y, new_mean, new_var = np.zeros_like(x), np.zeros(features), np.zeros(features)
    for c in range(features):
        mu = math.fsum(x[:, c]) / n
        squares = math.fsum((value - mu) ** 2 for value in x[:, c])
        for i in range(n):
            y[i, c] = (x[i, c] - mu) / math.sqrt(squares / n + eps) * gamma[c] + beta[c]
        new_mean[c] = running_mean[c] + momentum * (mu - running_mean[c])
        new_var[c] = running_var[c] + momentum * (squares / (n - 1) - running_var[c])
    return y, new_mean, new_var


def _batch(rng: np.random.Generator) -> tuple[Any, ...]:
    n, features = int(rng.integers(3, 7)), int(rng.integers(2, 5))
    x = rng.normal(rng.normal(0, 3, features), 2, (n, features))
    vectors = rng.normal(size=(3, features))
    return (x, *vectors, rng.uniform(0.5, 2, features), float(rng.uniform(0.05, 0.3)), 1e-3)


def _eps_outside(x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any) -> Any:
    _, mean, var = _batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps)
    return gamma * (x - x.mean(axis=0)) / (np.sqrt(x.var(axis=0)) + eps) + beta, mean, var


def _all_unbiased(x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any) -> Any:
    _, mean, var = _batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps)
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=1) + eps) + beta, mean, var


def _all_biased(x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any) -> Any:
    y, mean, _ = _batch_norm(x, gamma, beta, running_mean, running_var, momentum, eps)
    return y, mean, (1 - momentum) * running_var + momentum * x.var(axis=0)


def _momentum_swapped(
    x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any, momentum: Any, eps: Any
) -> Any:
    return _batch_norm(x, gamma, beta, running_mean, running_var, 1 - momentum, eps)


def _scaled_normal(x: np.ndarray, gamma: np.ndarray, eps: float) -> np.ndarray:
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def _batch_norm_backward(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> Any:
    s = 1 / np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) * s
    dx = gamma * s * (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0))
    return dx, (g * x_hat).sum(axis=0)


def _constants(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> Any:
    s = 1 / np.sqrt(x.var(axis=0) + eps)
    return gamma * s * g, (g * (x - x.mean(axis=0)) * s).sum(axis=0)  # as if mu and sigma were constants


def _constant_sigma(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> Any:
    s = 1 / np.sqrt(x.var(axis=0) + eps)
    return gamma * s * (g - g.mean(axis=0)), (g * (x - x.mean(axis=0)) * s).sum(axis=0)


def _sums_for_means(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> Any:
    s = 1 / np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) * s
    return gamma * s * (g - g.sum(axis=0) - x_hat * (g * x_hat).sum(axis=0)), (g * x_hat).sum(axis=0)


def _gamma_of_x(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> Any:
    dx, _ = _batch_norm_backward(g, x, gamma, eps)
    return dx, (g * x).sum(axis=0)


# 06.4


def _layer_norm(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)


def _layer_norm_by_loops(x: np.ndarray, eps: float) -> np.ndarray:
    rows = []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        mu = math.fsum(row) / len(row)
        var = math.fsum((value - mu) ** 2 for value in row) / len(row)
        rows.append([(value - mu) / math.sqrt(var + eps) for value in row])
    return np.array(rows).reshape(x.shape)


def _features(rng: np.random.Generator) -> tuple[Any, ...]:
    shape = (int(rng.integers(2, 4)), 3, int(rng.integers(4, 6)))
    return rng.normal(rng.normal(0, 3, (*shape[:2], 1)), 2, shape), 1e-3


def _over_the_batch(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def _axis_lost(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(axis=-1)) / np.sqrt(x.var(axis=-1) + eps)


def _over_everything(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + eps)


def _unbiased_rows(x: np.ndarray, eps: float) -> np.ndarray:
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True, ddof=1) + eps)


exercises = [
    Exercise(
        "06.1",
        "He's standard deviation",
        solution=_he_std,
        reference=_he_std_by_counting,
        samples=_shape,
        hints=(
            "How many products are added up for one output? For a convolution that is more than the number of inputs.",
            "One output looks at every input channel and at every place of the kernel: fan_in is their product.",
            "fan_in = prod(shape[1:]); ReLU halves the mean square, so Var(w) = 2 / fan_in, and std is its root.",
        ),
        wrong=(
            Wrong(_without_window, "got 0.426401"),
            Wrong(_fan_out, "got 0.258198"),
            Wrong(_variance, "got 0.030303"),
            Wrong(_no_gain, "got 0.123091"),
        ),
    ),
    Exercise(
        "06.2",
        "Batch norm in training",
        solution=_batch_norm,
        reference=_batch_norm_by_loops,
        samples=_batch,
        hints=(
            "Three results. Which of the two variances, / N or / (N - 1), normalises, and which is remembered?",
            "y uses the biased variance (np.var), with eps under the root. Running ones: old + momentum (new - old).",
            "running_var becomes (1 - momentum) * running_var + momentum * x.var(axis=0, ddof=1); the mean likewise.",
        ),
        wrong=(
            Wrong(_eps_outside, "result 1 of 3"),
            Wrong(_all_unbiased, "result 1 of 3"),
            Wrong(_all_biased, "result 3 of 3"),
            Wrong(_momentum_swapped, "result 2 of 3"),
        ),
    ),
    Exercise(
        "06.3",
        "The gradient of batch norm",
        solution=_batch_norm_backward,
        gradient_of=_scaled_normal,
        wrt=(0, 1),
        samples=lambda rng: (*_batch(rng)[:2], 1e-3),
        hints=(
            "Moving one x moves the mean and the variance of its column, and so every output of the column.",
            "The result has three parts: g itself, what goes through the mean, and what goes through the variance.",
            "dx = gamma * s * (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) with s = 1 / sqrt(var + eps).",
        ),
        wrong=(
            Wrong(_constants, "result 1 of 2"),
            Wrong(_constant_sigma, "result 1 of 2"),
            Wrong(_sums_for_means, "result 1 of 2"),
            Wrong(_gamma_of_x, "result 2 of 2"),
        ),
    ),
    Exercise(
        "06.4",
        "Layer norm",
        solution=_layer_norm,
        reference=_layer_norm_by_loops,
        samples=_features,
        hints=(
            "Every row along the last axis is normalised by itself; no other row may matter.",
            "The mean and the variance need a last axis of length 1 to be subtracted from their own row.",
            "x.mean(axis=-1, keepdims=True) and x.var(axis=-1, keepdims=True); eps stands under the root.",
        ),
        wrong=(
            Wrong(_over_the_batch, "got 0.999858"),
            Wrong(_axis_lost, "your answer raised ValueError"),
            Wrong(_over_everything, "got 1.0108"),
            Wrong(_unbiased_rows, "got -1.5289"),
        ),
    ),
]
