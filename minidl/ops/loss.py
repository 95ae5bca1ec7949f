"""Losses between a prediction and a target of the same shape, element by element, then reduced to one number.

Most are a line of basic operations, and autograd does the rest. Shapes must be equal: a prediction (N, 1) against a
target (N,) would broadcast to (N, N) without a word and train towards nonsense, so here it is an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops import reduce
from minidl.ops.activation import softplus
from minidl.ops.cast import floats, plain
from minidl.ops.comparison import eq
from minidl.ops.elementwise import abs, clip, where
from minidl.ops.powers import exp, log, log1p

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Refuse a reduction that is not among the allowed ones."""
    if reduction not in allowed:
        raise OptionError(f"{name} reduction", expected=f"one of {', '.join(allowed)}", actual=repr(reduction))


def reduced(losses: Any, reduction: str) -> Any:
    """The losses themselves, their sum or their mean."""
    if reduction == "none":
        return losses
    return reduce.sum(losses) if reduction == "sum" else reduce.mean(losses)


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    r"""Squared error: :math:`\ell_i = (x_i - t_i)^2`.

    Parameters
    ----------
    x, target : Tensor or array, of the same shape
    reduction : {"mean", "sum", "none"}
        Of the losses: one number, or as they are.

    Raises
    ------
    ShapeError
        If the shapes differ, even if they would broadcast.
    OptionError
        If there is no such reduction.

    Examples
    --------
    >>> import minidl
    >>> mse_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(2.)
    """
    x, target = _checked("mse_loss", x, target, reduction)
    difference = x - target
    return reduced(difference * difference, reduction)


def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    r"""Absolute error: :math:`\ell_i = |x_i - t_i|`, with slope 0 at 0. Shapes and errors as in `mse_loss`.

    Examples
    --------
    >>> import minidl
    >>> l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, target = _checked("l1_loss", x, target, reduction)
    return reduced(abs(x - target), reduction)


def huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    r"""Squared error near zero, absolute error beyond δ, so that outliers pull no harder than that.

    .. math:: \ell_i = \begin{cases} d_i^2 / 2 & |d_i| < \delta \\ \delta\,(|d_i| - \delta/2) & \text{otherwise}
              \end{cases} \qquad d = x - t

    Parameters
    ----------
    x, target : Tensor or array, of the same shape
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the two pieces meet; positive.

    Raises
    ------
    ShapeError
        If the shapes differ.
    OptionError
        If `delta` is not positive, or there is no such reduction.

    References
    ----------
    P. Huber, *Robust estimation of a location parameter*, Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> import minidl
    >>> huber_loss(minidl.tensor([0.5, 3.0]), minidl.tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    if not delta > 0:
        raise OptionError("huber_loss delta", expected="a positive number", actual=repr(delta))
    x, target = _checked("huber_loss", x, target, reduction)
    return reduced(_huber(x - target, delta), reduction)


def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    r"""Absolute error, rounded off near zero: `huber_loss` with δ = β, divided by β.

    .. math:: \ell_i = \begin{cases} d_i^2 / 2\beta & |d_i| < \beta \\ |d_i| - \beta/2 & \text{otherwise}
              \end{cases} \qquad d = x - t

    For β = 0 it is `l1_loss`. Shapes and errors as in `huber_loss`.

    References
    ----------
    R. Girshick, *Fast R-CNN*, ICCV 2015.

    Examples
    --------
    >>> import minidl
    >>> smooth_l1_loss(minidl.tensor([0.5, 3.0]), minidl.tensor([0.0, 0.0]), beta=2.0, reduction="none")
    tensor([0.0625, 2.    ])
    """
    if not beta >= 0:
        raise OptionError("smooth_l1_loss beta", expected="zero or a positive number", actual=repr(beta))
    x, target = _checked("smooth_l1_loss", x, target, reduction)
    losses = abs(x - target) if beta == 0 else _huber(x - target, beta) * (1 / beta)
    return reduced(losses, reduction)


def _huber(difference: Any, delta: float) -> Any:
    """With c = d cut to ±δ both pieces are c d - c²/2, and its slope is c."""
    cut = clip(difference, -delta, delta)
    return cut * (difference - 0.5 * cut)


class BinaryCrossEntropy(Op):
    """ℓ = -t ln x - (1 - t) ln(1 - x), the logarithms cut at -100;  ∂ℓ/∂x = (x - t) / max(x (1 - x), 1e-12).

    ∂ℓ/∂t = ln(1 - x) - ln x. The cut keeps a loss finite, and the floor its slope, where x is exactly 0 or 1.
    """

    def forward(self, x: Any, target: Any) -> Any:
        self.save(x, target)
        xp = backend_of(x).xp
        with np.errstate(all="ignore"):
            return (target - 1) * xp.maximum(xp.log1p(-x), -100) - target * xp.maximum(xp.log(x), -100)

    def backward(self, grad: Any) -> Any:
        x, target = self.saved
        x_grad = target_grad = None
        if self.needs[0]:
            x_grad = grad * (x - target) / clip(x * (1 - x), 1e-12)
        if self.needs[1]:
            target_grad = grad * (clip(log1p(-x), -100.0) - clip(log(x), -100.0))
        return x_grad, target_grad


def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    r"""Cross entropy between probabilities of a yes and what it was.

    .. math:: \ell_i = -w_i \left( t_i \ln x_i + (1 - t_i) \ln (1 - x_i) \right)

    The logarithms are cut at -100, so that the loss stays finite at 0 and 1. Where `x` is the result of a sigmoid,
    `binary_cross_entropy_with_logits` does both at once and loses no precision.

    Parameters
    ----------
    x : Tensor or array
        Probabilities, from 0 to 1.
    target : Tensor or array, of the same shape
        Usually 0 or 1.
    weight : Tensor or array, optional
        Of each loss; broadcasts to their shape.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ShapeError
        If the shapes differ.
    OptionError
        If an element of `x` is no probability, or there is no such reduction.

    Examples
    --------
    >>> import minidl
    >>> binary_cross_entropy(minidl.tensor([0.5, 1.0]), minidl.tensor([1.0, 0.0]), reduction="none")
    tensor([  0.6931, 100.    ])
    """
    x, target = _checked("binary_cross_entropy", x, target, reduction)
    values = plain(x)
    if bool((values < 0).any()) or bool((values > 1).any()):
        raise OptionError(
            "binary_cross_entropy", expected="probabilities from 0 to 1",
            actual=f"elements from {float(values.min()):g} to {float(values.max()):g}",
            hint="use binary_cross_entropy_with_logits for scores of any size",
        )  # fmt: skip
    return reduced(_weighted("binary_cross_entropy", BinaryCrossEntropy()(x, target), weight), reduction)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    r"""Cross entropy between scores for a yes (logits) and what it was; exact for scores of any size.

    .. math:: \ell_i = w_i \left( p\, t_i\, \operatorname{softplus}(-x_i) + (1 - t_i) \operatorname{softplus}(x_i)
              \right)

    which is `binary_cross_entropy` of sigmoid(x), since softplus(-x) = -ln sigmoid(x).

    Parameters
    ----------
    x, target : Tensor or array, of the same shape
    weight : Tensor or array, optional
        Of each loss; broadcasts to their shape.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor or array, optional
        The weight p of the positive examples, usually one number for each class; broadcasts likewise.

    Raises
    ------
    ShapeError
        If the shapes differ.
    OptionError
        If there is no such reduction.

    Examples
    --------
    >>> import minidl
    >>> scores, target = minidl.tensor([1000.0, 1000.0]), minidl.tensor([1.0, 0.0])
    >>> binary_cross_entropy_with_logits(scores, target, reduction="none")
    tensor([   0., 1000.])
    """
    name = "binary_cross_entropy_with_logits"
    x, target = _checked(name, x, target, reduction)
    # PyTorch's threshold, beyond which softplus(x) = x, would cost the last digits.
    positive = _weighted(name, target * softplus(-x, threshold=math.inf), pos_weight)
    return reduced(_weighted(name, positive + (1 - target) * softplus(x, threshold=math.inf), weight), reduction)


def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    r"""Kullback-Leibler divergence of log-probabilities x from a target distribution.

    .. math:: \ell_i = t_i\,(\ln t_i - x_i)

    with 0 ln 0 = 0. Note the order: the prediction comes first, as a logarithm.

    Parameters
    ----------
    x : Tensor or array
        Log-probabilities, say from `log_softmax`.
    target : Tensor or array, of the same shape
        Probabilities, or their logarithms with `log_target`.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean", the sum divided by the first size, is the divergence per sample; "mean" divides by all elements.
    log_target : bool

    Raises
    ------
    ShapeError
        If the shapes differ.
    OptionError
        If there is no such reduction.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[0.5, 0.5]]).log()
    >>> kl_div(x, minidl.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    x, target = _checked("kl_div", x, target, reduction, (*REDUCTIONS, "batchmean"))
    if log_target:
        losses = exp(target) * (target - x)
    else:
        losses = target * (log(where(eq(target, 0), 1.0, target)) - x)
    if reduction == "batchmean":
        return reduced(losses, "sum") / (x.shape[0] if x.ndim else 1)
    return reduced(losses, reduction)


def _checked(name: str, x: Any, target: Any, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> tuple[Any, Any]:
    """Prediction and target as floats of one type and, without fail, of one shape."""
    check_reduction(name, reduction, allowed)
    x, target = floats(x, target)
    if x.shape != target.shape:
        raise ShapeError(
            name,
            expected="a target of the same shape as the input",
            actual=f"input {x.shape}, target {target.shape}",
            hint="they are not broadcast: reshape one of them, e.g. x.squeeze(1) or target[:, None]",
        )
    return x, target


def _weighted(name: str, losses: Any, weight: Any) -> Any:
    """The losses times weights that may be broadcast, but must not broadcast the losses."""
    if weight is None:
        return losses
    losses, weight = floats(losses, weight)
    try:
        fits = np.broadcast_shapes(losses.shape, weight.shape) == losses.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(name, expected=f"weights that broadcast to the losses' shape {losses.shape}",
                         actual=f"shape {weight.shape}")  # fmt: skip
    return losses * weight


def _oracle(loss: Any) -> Any:
    """An oracle from the loss of one pair of numbers: element by element, and a plain sum at the end."""

    def total(x: np.ndarray, target: np.ndarray, reduction: str = "mean", **options: Any) -> Any:
        losses = np.array([loss(float(a), float(b), **options) for a, b in zip(x.ravel(), target.ravel(), strict=True)])
        divisor = {"mean": x.size, "sum": 1, "batchmean": len(x), "none": 0}[reduction]
        return math.fsum(losses) / divisor if divisor else losses.reshape(x.shape)

    return total


def _one_huber(x: float, t: float, delta: float = 1.0) -> float:
    return (x - t) ** 2 / 2 if math.fabs(x - t) < delta else delta * math.fabs(x - t) - delta**2 / 2


def _one_smooth_l1(x: float, t: float, beta: float = 1.0) -> float:
    return _one_huber(x, t, beta) / beta if beta else math.fabs(x - t)


def _total(losses: np.ndarray, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return math.fsum(losses.ravel()) / (losses.size if reduction == "mean" else 1)


def _array_bce(x: np.ndarray, t: np.ndarray, weight: Any = None, reduction: str = "mean") -> Any:
    """By the probability that was given to what happened, x or 1 - x, mixed geometrically where t is between."""
    losses = -np.log2(x**t * (1 - x) ** (1 - t)) / np.log2(np.e) * (1 if weight is None else weight)
    return _total(losses, reduction)


def _array_bce_with_logits(
    x: np.ndarray, t: np.ndarray, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    p = 1 / (1 + np.exp(-x))
    losses = -(t * np.log(p) * (1 if pos_weight is None else pos_weight) + (1 - t) * np.log(1 - p))
    return _total(losses * (1 if weight is None else weight), reduction)


def _pair(r: np.random.Generator, **options: Any) -> Any:
    return call(r.normal(size=(3, 4)), r.normal(size=(3, 4)), **options)


def _probabilities(r: np.random.Generator, *shape: int) -> np.ndarray:
    return r.uniform(0.1, 0.9, shape)


def _draws(**options: Any) -> dict[str, Any]:
    """A case for each reduction, with these options."""
    return {f"reduction={how}": lambda r, how=how: _pair(r, reduction=how, **options) for how in REDUCTIONS}


cases(mse_loss, _oracle(lambda x, t: (x - t) ** 2), _draws())
cases(l1_loss, _oracle(lambda x, t: math.fabs(x - t)), _draws())
cases(huber_loss, _oracle(_one_huber), _draws(delta=0.7))
cases(smooth_l1_loss, _oracle(_one_smooth_l1), {**_draws(beta=1.3), "beta = 0": lambda r: _pair(r, beta=0.0)})
cases(
    binary_cross_entropy,
    _array_bce,
    {
        "mean": lambda r: call(_probabilities(r, 3, 4), _probabilities(r, 3, 4)),
        "weight": lambda r: call(_probabilities(r, 3, 2), _probabilities(r, 3, 2), r.uniform(0.5, 2, 2), "none"),
    },
)
cases(
    binary_cross_entropy_with_logits,
    _array_bce_with_logits,
    {
        "mean": lambda r: call(r.normal(size=(3, 4)), _probabilities(r, 3, 4)),
        "weights": lambda r: call(
            r.normal(size=(3, 2)), _probabilities(r, 3, 2), r.uniform(0.5, 2, (3, 1)), "sum", r.uniform(0.5, 2, 2)
        ),
    },
)
cases(
    kl_div,
    _oracle(lambda x, t, log_target=False: math.exp(t) * (t - x) if log_target else t * math.log(t) - t * x),
    {
        "mean": lambda r: call(r.normal(size=(3, 4)), _probabilities(r, 3, 4)),
        "batchmean": lambda r: call(r.normal(size=(3, 4)), _probabilities(r, 3, 4), reduction="batchmean"),
        "log_target": lambda r: call(r.normal(size=(3, 4)), r.normal(size=(3, 4)), "none", log_target=True),
    },
)
