"""Chapter 5: sigmoid, cross-entropy and its gradient, the backward pass of a hidden layer.

Where a mistake is known by its number, the reason of a wrong answer is that number ("got 0.5").
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# 05.1


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # at most 1: nothing can overflow
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _exact_sigmoid(x: np.ndarray) -> np.ndarray:
    """In decimal arithmetic, whose exponent does not end at 308."""
    exact = [float(1 / (1 + (-Decimal(float(value))).exp())) for value in x.ravel()]
    return np.array(exact).reshape(x.shape)


def _aloud(answer: Callable[..., Any], *args: Any) -> Any:
    """Call the answer with NumPy's warnings about overflow made errors."""
    with np.errstate(over="raise", invalid="raise"):
        return answer(*args)


def _signals(rng: np.random.Generator) -> tuple[Any, ...]:
    x = rng.normal(0, 3, (int(rng.integers(1, 4)), 4))
    x[0, :2] = [1000.0, -1000.0]
    return (x,)


def _naive_sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _both_branches(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))  # where() computes both, then chooses


def _clipped_sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -3, 3)))


def _mirrored_sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, small / (1 + small), 1 / (1 + small))


# 05.2 and 05.3


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    largest = logits.max(axis=1)
    log_sum = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return float((log_sum - logits[np.arange(len(labels)), labels]).mean())


def _exact_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    losses = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        z = [Decimal(value) for value in row]
        losses.append(sum((value.exp() for value in z), Decimal(0)).ln() - z[label])
    return float(sum(losses, Decimal(0)) / len(losses))


def _classified(rng: np.random.Generator, extreme: bool) -> tuple[Any, ...]:
    n, classes = int(rng.integers(2, 6)), int(rng.integers(3, 6))
    logits, labels = rng.normal(0, 2, (n, classes)), rng.integers(0, classes, n)
    if extreme:
        logits[0, :3], labels[0] = [1000.0, 0.0, -1000.0], 2
    return logits, labels


def _probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _naive_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    powers = np.exp(logits)
    return float(-np.log(powers / powers.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels].mean())


def _log_of_softmax(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(_probabilities(logits))[np.arange(len(labels)), labels].mean())


def _padded_logarithm(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(_probabilities(logits) + 1e-12)[np.arange(len(labels)), labels].mean())


def _summed_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    return _cross_entropy(logits, labels) * len(labels)


def _cross_entropy_gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    return (p - np.eye(logits.shape[1])[labels]) / len(labels)


def _numeric_gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    step, numeric = 1e-5, np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        up, down = logits.copy(), logits.copy()
        up[index] += step
        down[index] -= step
        numeric[index] = (_cross_entropy(up, labels) - _cross_entropy(down, labels)) / (2 * step)
    return numeric


def _lost_bracket(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _probabilities(logits) - np.eye(logits.shape[1])[labels] / len(labels)


def _not_averaged(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _probabilities(logits) - np.eye(logits.shape[1])[labels]


def _uphill(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (np.eye(logits.shape[1])[labels] - _probabilities(logits)) / len(labels)


def _down_the_columns(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (_probabilities(logits.T).T - np.eye(logits.shape[1])[labels]) / len(labels)


# 05.4


def _hidden_layer(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(x @ w + b, 0)


def _hidden_layer_backward(dh: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    da = dh * (x @ w + b > 0)
    return da @ w.T, x.T @ da, da.sum(axis=0)


def _layer(rng: np.random.Generator) -> tuple[Any, ...]:
    n, inputs, outputs = (int(size) for size in rng.permutation([2, 3, 4, 5])[:3])
    return rng.normal(size=(n, inputs)), rng.normal(size=(inputs, outputs)), rng.normal(size=outputs)


def _no_mask(dh: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return dh @ w.T, x.T @ dh, dh.sum(axis=0)


def _masked_by_gradient(dh: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    da = np.maximum(dh, 0)  # ReLU once more, on the way back
    return da @ w.T, x.T @ da, da.sum(axis=0)


def _bias_not_summed(dh: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    da = dh * (x @ w + b > 0)
    return da @ w.T, x.T @ da, da


def _averaged_bias(dh: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    da = dh * (x @ w + b > 0)
    return da @ w.T, x.T @ da, da.mean(axis=0)


exercises = [
    Exercise(
        "05.1",
        "Sigmoid without overflow",
        solution=_sigmoid,
        reference=_exact_sigmoid,
        samples=_signals,
        apply=_aloud,
        hints=(
            "For which sign of x is exp(-x) large? For which sign is exp(x) large?",
            "Both 1 / (1 + exp(-x)) and exp(x) / (1 + exp(x)) are the sigmoid: use each where its exponential "
            "is small. But np.where(condition, a, b) computes a and b everywhere before it chooses.",
            "small = np.exp(-np.abs(x)) is at most 1. The answer is 1 / (1 + small) where x >= 0, and "
            "small / (1 + small) elsewhere.",
        ),
        wrong=(
            Wrong(_naive_sigmoid, "overflow encountered in exp"),
            Wrong(_both_branches, "overflow encountered in exp"),
            Wrong(_clipped_sigmoid, "got 0.047425"),
            Wrong(_mirrored_sigmoid, "largest difference 1 at index [0, 0]"),
        ),
    ),
    Exercise(
        "05.2",
        "Cross-entropy from logits",
        solution=_cross_entropy,
        reference=_exact_cross_entropy,
        samples=lambda rng: _classified(rng, extreme=True),
        hints=(
            "Take the logarithm on paper before you compute: what becomes of the exponential of the true class?",
            "The loss of a row is ln(sum of exp(z)) - z[label]. Subtract its maximum inside, add it back outside.",
            "largest = logits.max(axis=1); log_sum = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)); "
            "then the mean of log_sum - logits[np.arange(n), labels].",
        ),
        wrong=(
            Wrong(_naive_cross_entropy, "not finite where it should be"),
            Wrong(_log_of_softmax, "not finite where it should be"),
            Wrong(_padded_logarithm, "got 7.1442"),
            Wrong(_summed_cross_entropy, "got 2008.0"),
        ),
    ),
    Exercise(
        "05.3",
        "The gradient p - onehot",
        solution=_cross_entropy_gradient,
        reference=_numeric_gradient,
        samples=lambda rng: _classified(rng, extreme=False),
        hints=(
            "Each row is pushed down by what it predicted and pushed up at its label. What is the sum of a row?",
            "Compute the softmax p of each row, subtract the one-hot rows, and remember that the loss is a mean.",
            "np.eye(K)[labels] gives the one-hot rows; the answer is (p - onehot) / n, with the bracket.",
        ),
        wrong=(
            Wrong(_lost_bracket, "got 0.623784"),
            Wrong(_not_averaged, "times the expected one everywhere"),
            Wrong(_uphill, "the sign is the other one"),
            Wrong(_down_the_columns, "got 0.280102"),
        ),
    ),
    Exercise(
        "05.4",
        "Backward through a hidden layer",
        solution=_hidden_layer_backward,
        gradient_of=_hidden_layer,
        samples=_layer,
        hints=(
            "Go back through relu first, then through product and sum. A gradient has the shape of its array.",
            "da = dh where a = x w + b is positive, else 0. A bias was added to every row: its gradient is a sum.",
            "dx = da @ w.T, dw = x.T @ da, db = da.sum(axis=0).",
        ),
        wrong=(
            Wrong(_no_mask, "result 1 of 3"),
            Wrong(_masked_by_gradient, "result 1 of 3"),
            Wrong(_bias_not_summed, "result 3 of 3: wrong shape"),
            Wrong(_averaged_bias, "result 3 of 3"),
        ),
    ),
]
