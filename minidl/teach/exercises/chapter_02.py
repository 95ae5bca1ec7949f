"""Exercises of chapter 2, is it right?: a Jacobian, a measure of error, complex steps, and a lost bracket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]

Function = Callable[[np.ndarray], Any]


class _Map:
    """A function with its derivative, that says in a verdict what it computes."""

    def __init__(self, text: str, function: Function, derivative: Function) -> None:
        self.text = text
        self.function = function
        self.derivative = derivative

    def __call__(self, x: np.ndarray) -> Any:
        return self.function(x)

    def __repr__(self) -> str:
        return self.text


# --- 02.1 ------------------------------------------------------------------------------------------------------------


def _maps(rng: np.random.Generator) -> tuple[Any, ...]:
    n, m = (int(k) for k in rng.choice([2, 3, 4, 5], size=2, replace=False))
    a = rng.normal(size=(m, n))

    def derivative(x: np.ndarray) -> np.ndarray:
        return (1 + np.cos(a @ x))[:, None] * a  # d(z + sin z) = (1 + cos z) dz, and dz/dx = A

    f = _Map(f"<z + sin z with z = A x, from {n} numbers to {m}>", lambda x: a @ x + np.sin(a @ x), derivative)
    return f, rng.normal(size=n), 1e-4


def _jacobian(f: Function, x: np.ndarray, h: float) -> np.ndarray:
    columns = []
    for i in range(len(x)):
        e = np.zeros(len(x))
        e[i] = h
        columns.append((f(x + e) - f(x - e)) / (2 * h))
    return np.stack(columns, axis=1)


def _jacobian_transposed(f: Function, x: np.ndarray, h: float) -> np.ndarray:
    return np.stack([(f(x + e) - f(x - e)) / (2 * h) for e in h * np.eye(len(x))])


def _jacobian_forward(f: Function, x: np.ndarray, h: float) -> np.ndarray:
    return np.stack([(f(x + e) - f(x)) / h for e in h * np.eye(len(x))], axis=1)


def _jacobian_divided_by_h(f: Function, x: np.ndarray, h: float) -> np.ndarray:
    return np.stack([(f(x + e) - f(x - e)) / h for e in h * np.eye(len(x))], axis=1)


def _jacobian_moving_on(f: Function, x: np.ndarray, h: float) -> np.ndarray:
    columns = []
    for i in range(len(x)):
        x[i] += h
        above = f(x)
        x[i] -= 2 * h
        columns.append((above - f(x)) / (2 * h))
    return np.stack(columns, axis=1)


# --- 02.2 ------------------------------------------------------------------------------------------------------------


def _pair(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(3, 8))
    numeric = rng.normal(size=n) * 10.0 ** rng.uniform(-6, 3)
    analytic = numeric * (1 + 1e-3 * rng.normal(size=n))
    numeric[0], analytic[0] = 0.0, -1e-9 * np.abs(numeric).max()  # dust around a true zero
    analytic[1] *= -1.0  # a wrong sign
    return analytic, numeric


def _pair_or_zeros(rng: np.random.Generator) -> tuple[Any, ...]:
    analytic, numeric = _pair(rng)
    return (np.zeros(3), np.zeros(3)) if rng.random() < 0.4 else (analytic, numeric)


def _largest_error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    scale = np.abs(analytic) + np.abs(numeric) + np.abs(numeric).max() / 100
    return float((np.abs(analytic - numeric) / np.where(scale > 0, scale, 1.0)).max())


def _largest_error_by_loops(analytic: np.ndarray, numeric: np.ndarray) -> float:
    floor = max(abs(n) for n in numeric) / 100
    worst = 0.0
    for a, n in zip(analytic, numeric, strict=True):
        if a != n:
            worst = max(worst, abs(a - n) / (abs(a) + abs(n) + floor))
    return worst


def _absolute_error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    return float(np.abs(analytic - numeric).max())


def _error_without_floor(analytic: np.ndarray, numeric: np.ndarray) -> float:
    return float((np.abs(analytic - numeric) / (np.abs(analytic) + np.abs(numeric))).max())


def _error_of_zeros(analytic: np.ndarray, numeric: np.ndarray) -> float:
    scale = np.abs(analytic) + np.abs(numeric) + np.abs(numeric).max() / 100
    return float((np.abs(analytic - numeric) / scale).max())


def _mean_error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    scale = np.abs(analytic) + np.abs(numeric) + np.abs(numeric).max() / 100
    return float((np.abs(analytic - numeric) / np.where(scale > 0, scale, 1.0)).mean())


# --- 02.3 ------------------------------------------------------------------------------------------------------------


def _smooth(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(2, 6))
    a = rng.uniform(0.5, 2.0, size=n)
    f = _Map("<Σ exp(a x) sin x>", lambda x: (np.exp(a * x) * np.sin(x)).sum(),
             lambda x: np.exp(a * x) * (a * np.sin(x) + np.cos(x)))  # fmt: skip
    return f, rng.normal(size=n)


def _complex_gradient(f: Function, x: np.ndarray) -> np.ndarray:
    h = 1e-100
    return np.array([f(x + 1j * e).imag / h for e in h * np.eye(len(x))])


def _complex_gradient_undivided(f: Function, x: np.ndarray) -> np.ndarray:
    return np.array([f(x + 1j * e).imag for e in 1e-5 * np.eye(len(x))])


def _complex_gradient_real_part(f: Function, x: np.ndarray) -> np.ndarray:
    h = 1e-8
    return np.array([(f(x + 1j * e) - f(x)).real / h for e in h * np.eye(len(x))])


def _complex_gradient_all_at_once(f: Function, x: np.ndarray) -> np.ndarray:
    h = 1e-100
    return np.full(len(x), f(x + 1j * h).imag / h)


def _real_gradient(f: Function, x: np.ndarray) -> np.ndarray:
    h = 1e-5
    return np.array([(f(x + e) - f(x - e)) / (2 * h) for e in h * np.eye(len(x))])


# --- 02.4 ------------------------------------------------------------------------------------------------------------


def _scores(rng: np.random.Generator) -> tuple[Any, ...]:
    n, classes = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    return 2 * rng.normal(size=(n, classes)), rng.integers(0, classes, n)


def _cross_entropy(z: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, labels, strict=True)]))


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _cross_entropy_gradient(gradient: float, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), labels] -= 1  # p - y
    return gradient * p / len(z)


def _lost_bracket(gradient: float, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return gradient * (_softmax(z) - np.eye(z.shape[1])[labels] / len(z))


def _lost_mean(gradient: float, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return gradient * (_softmax(z) - np.eye(z.shape[1])[labels])


def _lost_incoming(gradient: float, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (_softmax(z) - np.eye(z.shape[1])[labels]) / len(z)


def _softmax_down_the_columns(gradient: float, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = np.exp(z) / np.exp(z).sum(axis=0)
    return gradient * (p - np.eye(z.shape[1])[labels]) / len(z)


exercises = [
    Exercise(
        "02.1",
        "The whole Jacobian",
        solution=_jacobian,
        reference=lambda f, x, h: f.derivative(x),
        samples=_maps,
        hints=(
            "Moving one input gives a change of all m outputs: that is a column of the Jacobian, not a row.",
            "For each i: e = an array of zeros with h at place i, and the column (f(x + e) - f(x - e)) / 2h.",
            "np.stack(columns, axis=1) puts n columns of m numbers side by side, into an (m, n) array.",
        ),
        wrong=(
            Wrong(_jacobian_transposed, "wrong shape"),
            Wrong(_jacobian_forward, "largest difference"),
            Wrong(_jacobian_divided_by_h, "yours is 2 times the expected one everywhere"),
            Wrong(_jacobian_moving_on, "changed its input x in place"),
        ),
    ),
    Exercise(
        "02.2",
        "Equal enough",
        solution=_largest_error,
        reference=_largest_error_by_loops,
        samples=_pair_or_zeros,
        hints=(
            "Absolute values everywhere: of the difference above, of a and of n below. And the floor is one number for "
            "the whole array.",
            "floor = np.abs(numeric).max() / 100. Where a and n are zero, and the floor too, the quotient is 0 / 0.",
            "scale = |a| + |n| + floor; replace zeros in it by ones (np.where), for there the difference is zero as "
            "well; then the largest of |a - n| / scale, as a float.",
        ),
        wrong=(
            Wrong(_absolute_error, "largest difference"),
            Wrong(_error_without_floor, "got 1"),
            Wrong(_error_of_zeros, "not finite where it should be"),
            Wrong(_mean_error, "largest difference"),
        ),
    ),
    Exercise(
        "02.3",
        "A gradient by complex steps",
        solution=_complex_gradient,
        reference=lambda f, x: f.derivative(x),
        samples=_smooth,
        rtol=1e-12,
        hints=(
            "One element at a time, as with central differences, but the step is i·h.",
            "f(x + i·e) is a complex number; its imaginary part is h times the derivative.",
            "For each row e of h * np.eye(len(x)): f(x + 1j * e).imag / h, with h = 1e-100; np.array of them.",
        ),
        wrong=(
            Wrong(_complex_gradient_undivided, "yours is 1e-05 times the expected one everywhere"),
            Wrong(_complex_gradient_real_part, "largest difference"),
            Wrong(_complex_gradient_all_at_once, "largest difference"),
            Wrong(_real_gradient, "largest difference"),
        ),
    ),
    Exercise(
        "02.4",
        "Cross-entropy with its bracket",
        solution=_cross_entropy_gradient,
        gradient_of=_cross_entropy,
        wrt=(0,),
        samples=_scores,
        hints=(
            "Three things stand in the formula: p = softmax of each row, y = 1 at the label and 0 elsewhere, and n.",
            "(p - y) / n: both parts are divided. And what comes from outside, `gradient`, multiplies it all.",
            "p = softmax(z); p[np.arange(n), labels] -= 1; return gradient * p / n.",
        ),
        wrong=(
            Wrong(_lost_bracket, "by central differences"),
            Wrong(_lost_mean, "times the expected one everywhere"),
            Wrong(_lost_incoming, "times the expected one everywhere"),
            Wrong(_softmax_down_the_columns, "by central differences"),
        ),
    ),
]
