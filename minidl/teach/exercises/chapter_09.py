"""Exercises of chapter 9, write an operation: two backwards, and a whole operation with its second derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import grad
from minidl.op import Op
from minidl.ops import exp, tanh
from minidl.teach.exercise import Exercise, Wrong
from minidl.tensor import Tensor

__all__ = ["exercises"]


# --- 09.1: smooth maximum ---------------------------------------------------------------------------------------------


def smooth_max_backward(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    e = np.exp(beta * (x - x.max(1, keepdims=True)))  # the largest exponent is 0: nothing overflows
    return gradient[:, None] * e / e.sum(1, keepdims=True)


def _smooth_max(x: np.ndarray, beta: float) -> np.ndarray:
    return np.log(np.mean(np.exp(beta * x), 1)) / beta


def _sample_rows(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    return rng.normal(size=(int(rng.integers(3, 5)), int(rng.integers(5, 7)))), float(rng.uniform(1.5, 3))


def _beta_again(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    return beta * smooth_max_backward(gradient, x, beta)


def _over_columns(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    e = np.exp(beta * x)
    return gradient[:, None] * e / e.sum(0)


def _mean_in_place_of_sum(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    e = np.exp(beta * x)
    return gradient[:, None] * e / e.mean(1, keepdims=True)


def _without_axis(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    e = np.exp(beta * x)
    return gradient * e / e.sum(1, keepdims=True)


def _hard_max(gradient: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
    return gradient[:, None] * (x == x.max(1, keepdims=True))


# --- 09.2: weighted distances -----------------------------------------------------------------------------------------


def weighted_distances_backward(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    difference = x[:, None, :] - y[None, :, :]
    pull = 2 * gradient[:, :, None] * s * difference
    return pull.sum(1), -pull.sum(0), (gradient[:, :, None] * difference**2).sum((0, 1))


def _weighted_distances(x: np.ndarray, y: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.array([[np.dot(s, (a - b) ** 2) for b in y] for a in x])


def _sample_points(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    n, m, k = int(rng.integers(2, 4)), int(rng.integers(4, 6)), 3
    return rng.normal(size=(n, k)), rng.normal(size=(m, k)), rng.uniform(0.5, 2, size=k)


def _sign_of_y(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    dx, dy, ds = weighted_distances_backward(gradient, x, y, s)
    return dx, -dy, ds


def _weight_forgotten(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    _, _, ds = weighted_distances_backward(gradient, x, y, s)
    dx, dy, _ = weighted_distances_backward(gradient, x, y, np.ones(len(s)))
    return dx, dy, ds


def _gradient_forgotten(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    dx, dy, _ = weighted_distances_backward(gradient, x, y, s)
    return dx, dy, ((x[:, None] - y[None]) ** 2).sum((0, 1))


def _two_of_three(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    return weighted_distances_backward(gradient, x, y, s)[:2]


def _summed_the_other_way(gradient: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray) -> Any:
    dx, dy, ds = weighted_distances_backward(gradient, x, y, s)
    return -dy, dx, ds


# --- 09.3: log cosh ---------------------------------------------------------------------------------------------------


class LogCosh(Op):
    def forward(self, x: Any) -> Any:
        self.save(x)
        size = np.abs(x)
        return size + np.log1p(np.exp(-2 * size)) - np.log(2)

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad * tanh(x)  # minidl.tanh


def _value_and_slopes(answer: Any, x: np.ndarray, weights: np.ndarray) -> tuple[Any, Any, Any]:
    """The values y, the gradient of Σ weights·y, and the gradient of the sum of that: one number for each x."""
    leaf = Tensor(x.copy(), requires_grad=True)
    value = answer()(leaf)
    (first,) = grad((value * weights).sum(), leaf, create_graph=True)
    assert first is not None
    second = np.zeros(x.shape)
    if first.requires_grad:
        (found,) = grad(first.sum(), leaf, allow_unused=True)
        second = second if found is None else found.numpy()
    return value.detach().numpy(), first.detach().numpy(), second


def _log_cosh_in_logarithms(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same from e^x and e^-x, whose sum is taken on the logarithmic scale."""
    value = np.logaddexp(x, -x) - np.log(2.0)
    up, down = np.exp(x - np.logaddexp(x, -x)), np.exp(-x - np.logaddexp(x, -x))
    return value, weights * (up - down), weights * 4 * up * down


def _sample_losses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([rng.normal(size=3), [1000.0, -1000.0]]), rng.normal(size=5)


class _Overflows(LogCosh):
    def forward(self, x: Any) -> Any:
        self.save(x)
        return np.log(np.cosh(x))


class _SlopeOverflows(LogCosh):
    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        up, down = exp(x), exp(-x)
        return grad * (up - down) / (up + down)


class _Smuggler(LogCosh):
    def forward(self, x: Any) -> Any:
        self.slope = np.tanh(x)
        return super().forward(x)

    def backward(self, grad: Any) -> Any:
        return grad * self.slope


class _InNumPy(LogCosh):
    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return grad * np.tanh(x)


class _SavesTheSlope(LogCosh):
    def forward(self, x: Any) -> Any:
        slope = np.tanh(x)
        value = super().forward(x)
        self.save(slope)
        return value


class _GradientForgotten(LogCosh):
    def backward(self, grad: Any) -> Any:
        (x,) = self.saved
        return tanh(x)


exercises: list[Any] = [
    Exercise(
        "09.1",
        "The backward of a smooth maximum",
        solution=smooth_max_backward,
        gradient_of=_smooth_max,
        wrt=(0,),
        samples=_sample_rows,
        hints=(
            "Which results depend on x[i, j]? Only y[i]. So ∂L/∂x[i, j] = gradient[i] · ∂y[i]/∂x[i, j].",
            "The derivative of log is one over what is inside; that of exp(βx) brings a β, which meets the 1/β.",
            "∂y[i]/∂x[i, j] = exp(βx[i, j]) / Σ_j exp(βx[i, j]): a softmax of each row. Give gradient a second axis: "
            "gradient[:, None].",
        ),
        wrong=(
            Wrong(_beta_again, "times the expected one everywhere"),
            Wrong(_over_columns, "largest difference"),
            Wrong(_mean_in_place_of_sum, "times the expected one everywhere"),
            Wrong(_without_axis, "raised ValueError"),
            Wrong(_hard_max, "largest difference"),
        ),
    ),
    Exercise(
        "09.2",
        "The backward of weighted distances",
        solution=weighted_distances_backward,
        gradient_of=_weighted_distances,
        samples=_sample_points,
        hints=(
            "Write down ∂D[i, j] for x[i, k], y[j, k] and s[k], and for each ask: over which indices must I sum?",
            "x[i, k] occurs in the row i: sum over j. y[j, k]: sum over i, with the other sign. s[k]: sum over both.",
            "With d = x[:, None] - y[None] and p = 2·gradient[:, :, None]·s·d: p.sum(1), -p.sum(0), and "
            "(gradient[:, :, None]·d²).sum((0, 1)).",
        ),
        wrong=(
            Wrong(_sign_of_y, "result 2 of 3: largest difference"),
            Wrong(_weight_forgotten, "result 1 of 3: largest difference"),
            Wrong(_gradient_forgotten, "result 3 of 3: largest difference"),
            Wrong(_two_of_three, "expected 3 results, got 2"),
            Wrong(_summed_the_other_way, "result 1 of 3: wrong shape"),
        ),
    ),
    Exercise(
        "09.3",
        "An operation of your own: log cosh",
        solution=LogCosh,
        reference=_log_cosh_in_logarithms,
        samples=_sample_losses,
        apply=_value_and_slopes,
        hints=(
            "Its slope is tanh x. In which functions must backward be written, so that it can be differentiated again?",
            "cosh x = e^|x| (1 + e^(-2|x|)) / 2: take the logarithm of each factor. Save x, and use minidl.tanh.",
            "forward: save(x) and |x| + log1p(exp(-2|x|)) - log 2; backward: grad * minidl.tanh(self.saved[0]).",
        ),
        wrong=(
            Wrong(_Overflows, "result 1 of 3: not finite where it should be"),
            Wrong(_SlopeOverflows, "result 2 of 3: not finite where it should be"),
            Wrong(_Smuggler, "result 3 of 3: largest difference"),
            Wrong(_InNumPy, "raised TypeError"),
            Wrong(_SavesTheSlope, "raised GraphError"),
            Wrong(_GradientForgotten, "result 2 of 3: largest difference"),
        ),
    ),
]
