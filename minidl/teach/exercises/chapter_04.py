"""Exercises of chapter 4, linear regression and optimizers: a clipped pull, two optimizers, and the largest rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# --- 04.1 ------------------------------------------------------------------------------------------------------------


def _predictions(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(4, 9))
    target = rng.normal(size=n)
    return target + 2 * rng.normal(size=n), target, float(rng.uniform(0.4, 0.8))


def _huber(prediction: np.ndarray, target: np.ndarray, delta: float) -> float:
    total = 0.0
    for r in prediction - target:
        total += r * r / 2 if abs(r) < delta else delta * (abs(r) - delta / 2)
    return float(total / len(prediction))


def _huber_gradient(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    return gradient * np.clip(prediction - target, -delta, delta) / prediction.size


def _huber_unclipped(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    return gradient * (prediction - target) / prediction.size


def _huber_clipped_at_one(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    r = prediction - target
    return gradient * np.where(np.abs(r) < delta, r, np.sign(r)) / prediction.size


def _huber_without_sign(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    r = prediction - target
    return gradient * np.where(np.abs(r) < delta, r, delta) / prediction.size


def _huber_without_mean(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    return gradient * np.clip(prediction - target, -delta, delta)


def _huber_turned(gradient: float, prediction: np.ndarray, target: np.ndarray, delta: float) -> np.ndarray:
    return gradient * np.clip(target - prediction, -delta, delta) / prediction.size


# --- 04.2 ------------------------------------------------------------------------------------------------------------


def _adam_state(rng: np.random.Generator) -> tuple[Any, ...]:
    n, t = int(rng.integers(2, 5)), int(rng.integers(1, 6))
    g = rng.normal(size=n)
    m = np.zeros(n) if t == 1 else rng.normal(size=n) * 0.1
    v = np.zeros(n) if t == 1 else rng.uniform(0.001, 0.01, size=n)
    return rng.normal(size=n), g, m, v, t, 0.1, 0.9, 0.99, 1e-3


def _adam(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Any:
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def _adam_one_by_one(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Any:
    """Weight by weight, with the correction moved into the step size (section 2 of Kingma and Ba, at the end)."""
    new = [np.zeros(len(w)), np.zeros(len(w)), np.zeros(len(w))]
    root = math.sqrt(1 - beta2**t)
    for i in range(len(w)):
        new[1][i] = m[i] + (1 - beta1) * (g[i] - m[i])
        new[2][i] = v[i] + (1 - beta2) * (g[i] * g[i] - v[i])
        new[0][i] = w[i] - lr * root / (1 - beta1**t) * new[1][i] / (math.sqrt(new[2][i]) + eps * root)
    return tuple(new)


def _adam_without_hats(
    w: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float
) -> Any:
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return w - lr * m / (np.sqrt(v) + eps), m, v


def _adam_eps_inside(w: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return w - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + eps), m, v


def _adam_keeps_hats(w: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    m, v = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m / (np.sqrt(v) + eps), m, v


def _adam_counts_from_zero(
    w: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float
) -> Any:
    return _adam(w, g, m, v, t + 1, lr, beta1, beta2, eps)


def _adam_in_place(w: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    return w - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


# --- 04.3 ------------------------------------------------------------------------------------------------------------


def _sgdw_state(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(2, 5))
    return rng.normal(size=n), rng.normal(size=n), rng.normal(size=n), 0.1, 0.9, 0.05


def _sgdw(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    w = w * (1 - lr * decay)
    v = mu * v + g
    return w - lr * v, v


def _sgdw_one_by_one(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    rolled = [mu * one + pull for one, pull in zip(v, g, strict=True)]
    return np.array([a - lr * decay * a - lr * b for a, b in zip(w, rolled, strict=True)]), np.array(rolled)


def _sgdw_coupled(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    v = mu * v + g + decay * w
    return w - lr * v, v


def _sgdw_without_rate(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    v = mu * v + g
    return w * (1 - decay) - lr * v, v


def _sgdw_after(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    v = mu * v + g
    return (w - lr * v) * (1 - lr * decay), v


def _sgdw_forgets(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    return w * (1 - lr * decay) - lr * (mu * v + g)


def _sgdw_without_momentum(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float, decay: float) -> Any:
    return w * (1 - lr * decay) - lr * g, g.copy()


# --- 04.4 ------------------------------------------------------------------------------------------------------------


def _largest_rate(X: np.ndarray) -> float:
    hessian = 2 / len(X) * X.T @ X
    return float(2 / np.linalg.eigvalsh(hessian)[-1])


def _largest_rate_by_singular_value(X: np.ndarray) -> float:
    return float(len(X) / np.linalg.svd(X, compute_uv=False)[0] ** 2)


def _rate_without_mean(X: np.ndarray) -> float:
    return float(2 / np.linalg.eigvalsh(2 * X.T @ X)[-1])


def _rate_without_two(X: np.ndarray) -> float:
    return float(2 / np.linalg.eigvalsh(X.T @ X / len(X))[-1])


def _rate_of_the_flattest(X: np.ndarray) -> float:
    return float(2 / np.linalg.eigvalsh(2 / len(X) * X.T @ X)[0])


def _rate_of_the_best(X: np.ndarray) -> float:
    curvature = np.linalg.eigvalsh(2 / len(X) * X.T @ X)
    return float(2 / (curvature[0] + curvature[-1]))


exercises = [
    Exercise(
        "04.1",
        "Huber's pull",
        solution=_huber_gradient,
        gradient_of=_huber,
        wrt=(0,),
        samples=_predictions,
        hints=(
            "Differentiate the two branches: r²/2 in the middle, δ(|r| - δ/2) outside. What is the derivative of |r|?",
            "In the middle the pull is r, outside it is +δ or -δ, with the sign of r. And L is a mean.",
            "That is r clipped to [-δ, δ]: gradient * np.clip(prediction - target, -delta, delta) / prediction.size.",
        ),
        wrong=(
            Wrong(_huber_unclipped, "by central differences"),
            Wrong(_huber_clipped_at_one, "by central differences"),
            Wrong(_huber_without_sign, "by central differences"),
            Wrong(_huber_without_mean, "times the expected one everywhere"),
            Wrong(_huber_turned, "the sign is the other one"),
        ),
    ),
    Exercise(
        "04.2",
        "A step of Adam",
        solution=_adam,
        reference=_adam_one_by_one,
        samples=_adam_state,
        hints=(
            "Three stages: the two running means, their corrections, the step. Only the means are handed on.",
            "m = β₁ m + (1 - β₁) g and v = β₂ v + (1 - β₂) g². The hats divide by 1 - β₁ᵗ and 1 - β₂ᵗ; ε stands "
            "outside the root.",
            "w - lr * m_hat / (np.sqrt(v_hat) + eps), and return m and v without their hats. `m = ...` makes a new "
            "array, `m *= ...` would change the caller's.",
        ),
        wrong=(
            Wrong(_adam_without_hats, "result 1 of 3: largest difference"),
            Wrong(_adam_eps_inside, "result 1 of 3: largest difference"),
            Wrong(_adam_keeps_hats, "result 2 of 3: largest difference"),
            Wrong(_adam_counts_from_zero, "result 1 of 3: largest difference"),
            Wrong(_adam_in_place, "changed its input m in place"),
        ),
    ),
    Exercise(
        "04.3",
        "Momentum with decoupled weight decay",
        solution=_sgdw,
        reference=_sgdw_one_by_one,
        samples=_sgdw_state,
        hints=(
            "Two things happen to w that know nothing of each other: it shrinks, and it takes a step.",
            "The shrinking is w · (1 - ηλ), with the old w. The decay must not get into v.",
            "w = w * (1 - lr * decay); v = mu * v + g; return w - lr * v, v.",
        ),
        wrong=(
            Wrong(_sgdw_coupled, "result 2 of 2: largest difference"),
            Wrong(_sgdw_without_rate, "result 1 of 2: largest difference"),
            Wrong(_sgdw_after, "result 1 of 2: largest difference"),
            Wrong(_sgdw_forgets, "expected 2 results"),
            Wrong(_sgdw_without_momentum, "result 1 of 2: largest difference"),
        ),
    ),
    Exercise(
        "04.4",
        "The cliff",
        solution=_largest_rate,
        reference=_largest_rate_by_singular_value,
        samples=lambda rng: (rng.normal(size=(int(rng.integers(5, 9)), int(rng.integers(2, 5)))),),
        hints=(
            "The limit is 2 / λ_max of the Hessian. Differentiate mean((X w - y)²) twice; y drops out.",
            "The gradient is 2/n Xᵀ(X w - y), so the Hessian is 2/n XᵀX. It is symmetric: np.linalg.eigvalsh.",
            "eigvalsh sorts from the smallest to the largest: 2 / np.linalg.eigvalsh(2 / len(X) * X.T @ X)[-1].",
        ),
        wrong=(
            Wrong(_rate_without_mean, "largest difference"),
            Wrong(_rate_without_two, "largest difference"),
            Wrong(_rate_of_the_flattest, "largest difference"),
            Wrong(_rate_of_the_best, "largest difference"),
        ),
    ),
]
