"""Exercises of chapter 3, tensors and broadcasting: the rule, and three ways back through repeated numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]

Shape = tuple[int, ...]


# --- 03.1 ------------------------------------------------------------------------------------------------------------


def _shapes(rng: np.random.Generator) -> tuple[Any, ...]:
    """Half of the pairs fit, often with sizes of one, of different lengths; the other half has one wrong size."""
    result = [int(size) for size in rng.integers(2, 6, size=int(rng.integers(2, 5)))]
    one = [size if rng.random() < 0.6 else 1 for size in result]
    other = [size if rng.random() < 0.6 else 1 for size in result][int(rng.integers(1, len(result))) :]
    if rng.random() < 0.4:
        one[-1], other[-1] = result[-1], result[-1] + 1
    return (tuple(one), tuple(other)) if rng.random() < 0.5 else (tuple(other), tuple(one))


def _broadcast_shape(one: Shape, other: Shape) -> Shape | bool:
    length = max(len(one), len(other))
    one, other = (1,) * (length - len(one)) + one, (1,) * (length - len(other)) + other
    sizes = []
    for a, b in zip(one, other, strict=True):
        if a != b and a != 1 and b != 1:
            return False
        sizes.append(b if a == 1 else a)
    return tuple(sizes)


def _broadcast_shape_by_numpy(one: Shape, other: Shape) -> Shape | bool:
    try:
        return np.broadcast_shapes(one, other)
    except ValueError:
        return False


def _flush_left(one: Shape, other: Shape) -> Shape | bool:
    length = max(len(one), len(other))
    one, other = one + (1,) * (length - len(one)), other + (1,) * (length - len(other))
    return _broadcast_shape(one, other)


def _largest_sizes(one: Shape, other: Shape) -> Shape:
    length = max(len(one), len(other))
    one, other = (1,) * (length - len(one)) + one, (1,) * (length - len(other)) + other
    return tuple(max(a, b) for a, b in zip(one, other, strict=True))


def _no_ones(one: Shape, other: Shape) -> Shape | bool:
    shorter = min(len(one), len(other))
    if one[len(one) - shorter :] != other[len(other) - shorter :]:
        return False
    return one if len(one) > len(other) else other


def _only_common_axes(one: Shape, other: Shape) -> Shape | bool:
    found = _broadcast_shape(one, other)
    return found[-min(len(one), len(other)) :] if isinstance(found, tuple) else found


# --- 03.2 ------------------------------------------------------------------------------------------------------------


def _layer(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(3, 5))  # as many rows as outputs: so a bias summed along the wrong axis has the right shape
    inputs = int(rng.integers(5, 7))
    return rng.normal(size=(n, inputs)), rng.normal(size=(inputs, n)), rng.normal(size=n)


def _dense(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ni,io->no", x, w) + b


def _dense_backward(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w.T, x.T @ gradient, gradient.sum(axis=0)


def _dense_wrong_axis(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w.T, x.T @ gradient, gradient.sum(axis=1)


def _dense_without_sum(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w.T, x.T @ gradient, gradient


def _dense_mean(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w.T, x.T @ gradient, gradient.mean(axis=0)


def _dense_without_transposes(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w, x @ gradient, gradient.sum(axis=0)


def _dense_transposed_weights(gradient: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Any:
    return gradient @ w.T, gradient.T @ x, gradient.sum(axis=0)


# --- 03.3 ------------------------------------------------------------------------------------------------------------


def _centre(x: np.ndarray) -> np.ndarray:
    return np.stack([row - sum(row) / len(row) for row in x])


def _centre_backward(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient - gradient.mean(axis=1, keepdims=True)


def _centre_straight_through(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient.copy()


def _centre_sum(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient - gradient.sum(axis=1, keepdims=True)


def _centre_columns(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient - gradient.mean(axis=0)


def _centre_of_the_input(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient - x.mean(axis=1, keepdims=True)


def _centre_without_keepdims(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
    return gradient - gradient.mean(axis=1)


# --- 03.4 ------------------------------------------------------------------------------------------------------------


def _pairs(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.array([[(a - b) ** 2 for b in v] for a in u])


def _pairs_backward(gradient: np.ndarray, u: np.ndarray, v: np.ndarray) -> Any:
    slope = 2 * gradient * (u[:, None] - v)
    return slope.sum(axis=1), -slope.sum(axis=0)


def _pairs_same_sign(gradient: np.ndarray, u: np.ndarray, v: np.ndarray) -> Any:
    slope = 2 * gradient * (u[:, None] - v)
    return slope.sum(axis=1), slope.sum(axis=0)


def _pairs_wrong_axes(gradient: np.ndarray, u: np.ndarray, v: np.ndarray) -> Any:
    slope = 2 * gradient * (u[:, None] - v)
    return slope.sum(axis=0), -slope.sum(axis=1)


def _pairs_without_square(gradient: np.ndarray, u: np.ndarray, v: np.ndarray) -> Any:
    return gradient.sum(axis=1), -gradient.sum(axis=0)


def _pairs_sums_too_early(gradient: np.ndarray, u: np.ndarray, v: np.ndarray) -> Any:
    """First the sum of the gradient, then its product with the sum of the slopes."""
    slope = 2 * (u[:, None] - v)
    return gradient.sum(axis=1) * slope.sum(axis=1), -gradient.sum(axis=0) * slope.sum(axis=0)


exercises = [
    Exercise(
        "03.1",
        "The rule of broadcasting",
        solution=_broadcast_shape,
        reference=_broadcast_shape_by_numpy,
        samples=_shapes,
        hints=(
            "Make both shapes equally long first. On which side do the missing sizes belong, and what are they?",
            "Pad the shorter one with ones in front. Then go along both: equal, or one of them 1, or else False.",
            "(1,) * (length - len(one)) + one pads in front. Of a pair (a, b) that fits, the result is b if a == 1 "
            "else a.",
        ),
        wrong=(
            Wrong(_flush_left, "got a single bool"),
            Wrong(_largest_sizes, "expected: False"),
            Wrong(_no_ones, "got a single bool"),
            Wrong(_only_common_axes, "results, got"),
        ),
    ),
    Exercise(
        "03.2",
        "Back through a dense layer",
        solution=_dense_backward,
        gradient_of=_dense,
        samples=_layer,
        hints=(
            "Each gradient has the shape of its array. For x and w there is one product each that has the right shape.",
            "(n, o) times (o, i) gives the (n, i) of x. b was repeated for each of the n rows: which axis is that?",
            "gradient @ w.T for x, x.T @ gradient for w, and for b the sum over the rows, gradient.sum(axis=0).",
        ),
        wrong=(
            Wrong(_dense_wrong_axis, "result 3 of 3: largest difference"),
            Wrong(_dense_without_sum, "result 3 of 3: wrong shape"),
            Wrong(_dense_mean, "times the expected one everywhere"),
            Wrong(_dense_without_transposes, "your answer raised ValueError"),
            Wrong(_dense_transposed_weights, "result 2 of 3: wrong shape"),
        ),
    ),
    Exercise(
        "03.3",
        "Back through centring",
        solution=_centre_backward,
        gradient_of=_centre,
        samples=lambda rng: (rng.normal(size=(4, 4) if rng.random() < 0.5 else (3, 5)),),
        hints=(
            "Two paths lead from an x to the loss: directly to its own y, and through the mean to all y of the row.",
            "The mean enters every y of the row with slope -1, and each x enters the mean with slope 1/m.",
            "So the second path brings -(sum of the row of gradients) / m to each x: the gradient is centred, too. "
            "keepdims=True keeps the mean a column.",
        ),
        wrong=(
            Wrong(_centre_straight_through, "largest difference"),
            Wrong(_centre_sum, "largest difference"),
            Wrong(_centre_columns, "largest difference"),
            Wrong(_centre_of_the_input, "largest difference"),
            Wrong(_centre_without_keepdims, "on input"),
        ),
    ),
    Exercise(
        "03.4",
        "All pairs, on purpose",
        solution=_pairs_backward,
        gradient_of=_pairs,
        samples=lambda rng: (rng.normal(size=int(rng.integers(2, 4))), rng.normal(size=int(rng.integers(4, 7)))),
        hints=(
            "First the gradient of each difference u_i - v_j, an (n, m) table; then what was repeated is summed.",
            "The table is 2 · gradient · (u[:, None] - v). u was repeated along the second axis, v along the first.",
            "slope = 2 * gradient * (u[:, None] - v); u gets slope.sum(axis=1), and v, which is subtracted, "
            "-slope.sum(axis=0).",
        ),
        wrong=(
            Wrong(_pairs_same_sign, "the sign is the other one"),
            Wrong(_pairs_wrong_axes, "result 1 of 2: wrong shape"),
            Wrong(_pairs_without_square, "result 1 of 2: largest difference"),
            Wrong(_pairs_sums_too_early, "result 1 of 2: largest difference"),
        ),
    ),
]
