"""Cross entropy: the loss of classification, from scores or from log-probabilities.

Softmax, logarithm and the choice of the label are one kernel, and their gradient, softmax minus one-hot, is another:
this is the last step of every classifier, and it is where one-by-one arithmetic loses precision as well as time.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, IndexingError, OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops import reduce
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import astype, floats, plain
from minidl.ops.elementwise import where
from minidl.ops.index import index_select
from minidl.ops.loss import check_reduction, reduced
from minidl.ops.permutation import movedim
from minidl.ops.scatter import gather
from minidl.ops.shape import reshape
from minidl.ops.softmax import log_softmax, softmax
from minidl.tensor import as_array

__all__ = ["cross_entropy", "nll_loss"]

_INT64 = np.dtype(np.int64)  # comparing a dtype with a class takes ten times as long


class CrossEntropy(Op):
    """ℓₙ = -ln softmax(zₙ)[tₙ], or with a share s the scalar s Σ ℓₙ;  the gradient is `CrossEntropyGrad`."""

    def __init__(self, ignore_index: int, share: Any) -> None:
        self.ignore_index = ignore_index
        self.share = share

    def forward(self, logits: Any, labels: Any) -> Any:
        self.save(logits, labels)
        return backend_of(logits).cross_entropy(logits, labels, self.ignore_index, self.share)

    def backward(self, grad: Any) -> Any:
        logits, labels = self.saved
        return CrossEntropyGrad(self.ignore_index, self.share)(grad, logits, labels), None


class CrossEntropyGrad(Op):
    """dz = g (p - e) with p = softmax(z) and e the one-hot label, 0 where it is ignored; g is (N,), or with a share s
    g = s γ for all rows.

    With h = ∂L/∂dz:  ∂L/∂g = Σ h (p - e),  ∂L/∂γ = s Σ h (p - e) over all rows,  ∂L/∂z = p (g h - Σ p g h).
    """

    def __init__(self, ignore_index: int, share: Any) -> None:
        self.ignore_index = ignore_index
        self.share = share

    def forward(self, grad: Any, logits: Any, labels: Any) -> Any:
        self.save(grad, logits, labels)
        return backend_of(logits).cross_entropy_grad(grad, logits, labels, self.ignore_index, self.share)

    def backward(self, direction: Any) -> Any:
        grad, logits, labels = self.saved
        t = plain(labels)[:, None]
        one_hot = (backend_of(t).xp.arange(logits.shape[1]) == t).astype(logits.dtype)
        direction = direction * (t != self.ignore_index).astype(logits.dtype)
        if self.share is not None:
            direction = direction * self.share
        p = softmax(logits, 1)
        scaled = p * (direction * (grad if grad.ndim == 0 else reshape(grad, (grad.shape[0], 1))))
        return (
            sum_to(reduce.sum(direction * (p - one_hot), 1), grad.shape),
            scaled - p * reduce.sum(scaled, 1, True),
            None,
        )


class Rows(NamedTuple):
    """A classification as a matrix: one row of scores and one label for each sample and pixel."""

    scores: Any
    labels: Any
    counted: Any
    """Mask of the labels that are not ignored; None where all count."""
    shape: tuple[int, ...]
    """Of the labels as they came."""


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    r"""Cross entropy between scores (logits) and labels, or class probabilities.

    .. math:: \ell_n = -w_{t_n} \ln \operatorname{softmax}(x_n)_{t_n} \qquad\text{or}\qquad \ell_n = -\sum_c w_c\,
              t_{nc} \ln \operatorname{softmax}(x_n)_c

    Exact for scores of any size: the softmax is never formed on its own.

    Parameters
    ----------
    x : Tensor or array, (N, C), (C,) or (N, C, d1, ...)
        Scores of each class, not probabilities: no softmax before.
    target : Tensor or array
        Integer labels, (N,), () or (N, d1, ...); or probabilities as floats, of the shape of `x`.
    weight : Tensor or array, (C,), optional
        Of each class.
    ignore_index : int
        Samples with this label do not count. (Only with labels.)
    reduction : {"mean", "sum", "none"}
        With labels "mean" divides by the sum of the weights of the labels that count; with probabilities by the
        number of samples.
    label_smoothing : float
        Share of the target that is spread evenly over the classes.

    Returns
    -------
    Tensor
        A scalar, or of the shape of the labels with ``reduction="none"``.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If labels are neither integers nor, in the shape of `x`, probabilities.
    IndexingError
        If a label is neither from 0 to C - 1 nor `ignore_index`.
    OptionError
        If an option is out of range.

    References
    ----------
    Label smoothing: C. Szegedy et al., *Rethinking the Inception architecture*, CVPR 2016.

    Examples
    --------
    >>> import minidl
    >>> scores = minidl.tensor([[0.0, 0.0], [0.0, 5.0]])
    >>> cross_entropy(scores, minidl.tensor([0, 1]), reduction="none")
    tensor([0.6931, 0.0067])
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise OptionError(
            "cross_entropy label_smoothing", expected="a number from 0 to 1", actual=repr(label_smoothing)
        )
    x, weight = _checked_weight("cross_entropy", x, weight)
    target = target if hasattr(target, "dtype") else as_array(target)
    if plain(target).dtype.kind == "f":
        return _soft_cross_entropy(x, target, weight, reduction, label_smoothing)
    ignore_index = _checked_ignore_index("cross_entropy", ignore_index)
    rows = _as_rows("cross_entropy", x, target, ignore_index)
    if label_smoothing == 0.0 and weight is None:
        if reduction == "none":
            return reshape(CrossEntropy(ignore_index, None)(rows.scores, rows.labels), rows.shape)
        share = 1.0 if reduction == "sum" else _share(rows)
        return CrossEntropy(ignore_index, share)(rows.scores, rows.labels)
    if label_smoothing == 0.0:
        losses = CrossEntropy(ignore_index, None)(rows.scores, rows.labels)
        return _reduce_labelled(losses, rows, weight, reduction)
    log_p = log_softmax(rows.scores, 1)
    weighted = log_p if weight is None else log_p * weight
    evenly = reduce.sum(weighted, 1) * (-label_smoothing / x.shape[1 if x.ndim > 1 else 0])
    return _reduce_labelled(_picked(log_p, rows), rows, weight, reduction, 1.0 - label_smoothing, evenly)


def nll_loss(x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    r"""Negative log-likelihood of labels: what `cross_entropy` computes, from log-probabilities.

    .. math:: \ell_n = -w_{t_n}\, x_{n, t_n}

    Parameters, shapes and errors as in `cross_entropy` with labels.

    Examples
    --------
    >>> import minidl
    >>> log_p = minidl.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    >>> nll_loss(log_p, minidl.tensor([0, 1]), reduction="none")
    tensor([1.3863, 0.6931])
    """
    check_reduction("nll_loss", reduction)
    x, weight = _checked_weight("nll_loss", x, weight)
    ignore_index = _checked_ignore_index("nll_loss", ignore_index)
    rows = _as_rows("nll_loss", x, target if hasattr(target, "dtype") else as_array(target), ignore_index)
    return _reduce_labelled(_picked(rows.scores, rows), rows, weight, reduction)


def _checked_weight(name: str, x: Any, weight: Any) -> tuple[Any, Any]:
    (x,) = floats(x)
    shape = x.shape
    classes = shape[1 if len(shape) > 1 else 0] if shape else 0
    if not classes:
        raise ShapeError(
            name, expected="scores (N, C), (C,) or (N, C, ...) of at least one class", actual=f"shape {x.shape}"
        )
    if weight is not None:
        weight = astype(floats(weight)[0], x.dtype)
        if weight.shape != (classes,):
            raise ShapeError(name, expected=f"one weight for each of {classes} classes", actual=f"shape {weight.shape}")
    return x, weight


def _as_rows(name: str, x: Any, target: Any, ignore_index: int) -> Rows:
    """Scores (M, C) and checked labels (M,) of every sample and pixel."""
    array = plain(target)
    if array.dtype.kind not in "iu":
        raise DTypeError(name, expected="integer labels", actual=f"a target of {array.dtype}",
                         hint='target.astype("int64")')  # fmt: skip
    axes = x.shape
    ndim = len(axes)
    shape = axes[:1] + axes[2:] if ndim > 1 else ()
    if array.shape != shape:
        raise ShapeError(
            name,
            expected=f"labels of shape {shape} for an input of shape {axes}",
            actual=f"shape {array.shape}",
            hint="one label for each sample: target.squeeze(1)" if array.shape == (*shape, 1) else "",
        )
    classes = axes[1 if ndim > 1 else 0]
    counted = _checked_range(name, array, classes, ignore_index)
    if ndim == 2:
        scores = x
    else:
        scores = reshape(movedim(x, 1, -1) if ndim > 2 else x, (array.size, classes))
        counted = None if counted is None else counted.reshape(array.size)
    # Labels that are fit already stay the user's Tensor: changing them before backward is noticed then.
    fit = array.dtype == _INT64 and array.ndim == 1
    return Rows(scores, target if fit else array.astype(np.int64).reshape(array.size), counted, shape)


def _checked_ignore_index(name: str, ignore_index: Any) -> int:
    try:
        number = operator.index(ignore_index)
        if -(2**63) <= number < 2**63:
            return number
    except TypeError:
        pass
    raise OptionError(
        f"{name} ignore_index", expected="an integer of 64 bits", actual=repr(ignore_index),
        hint="the label of samples that do not count; -100, the default, where all do",
    )  # fmt: skip


def _checked_range(name: str, labels: Any, classes: int, ignore_index: int) -> Any:
    """The mask of the labels that count, or None if all do."""
    backend = backend_of(labels)
    if not backend.looks:
        return labels != ignore_index
    count = backend.count_labels(labels, classes, ignore_index)
    if count == labels.size:
        return None
    counted = labels != ignore_index
    if count < 0:
        wrong = counted & ((labels < 0) | (labels >= classes))
        raise IndexingError(
            name,
            expected=f"labels from 0 to {classes - 1}, or ignore_index={ignore_index}",
            actual=f"label {int(labels[wrong][0])}",
            hint="classes are counted from 0, and x has one score for each along axis 1",
        )
    return counted


def _picked(log_p: Any, rows: Rows) -> Any:
    """The negative log-probability of each label, (M,); of class 0 where the label is ignored."""
    labels = rows.labels
    if rows.counted is not None:
        labels = backend_of(rows.counted).xp.where(rows.counted, plain(labels), 0)
    return -reshape(gather(log_p, 1, labels[:, None]), labels.shape)


def _reduce_labelled(
    losses: Any, rows: Rows, weight: Any, reduction: str, factor: float = 1.0, evenly: Any = None
) -> Any:
    """Weigh each loss (M,) by its label (and the factor), add the even part, and reduce over those that count."""
    weights = None
    if weight is not None:
        labels = plain(rows.labels)
        if rows.counted is not None:
            labels = backend_of(labels).xp.where(rows.counted, labels, 0)
        weights = index_select(weight, 0, labels)
        losses = losses * weights
    if evenly is not None:
        losses = losses * factor + evenly
    if rows.counted is not None:
        losses = where(rows.counted, losses, 0.0)
        weights = weights if weights is None else where(rows.counted, weights, 0.0)
    if reduction != "mean":
        return reduced(reshape(losses, rows.shape), reduction)
    if weights is not None:
        return reduce.sum(losses) / reduce.sum(weights)
    return reduce.sum(losses) * _share(rows)


def _share(rows: Rows) -> Any:
    """One by the number of labels that count: a number, or a 0-d array where values cannot be looked at."""
    if rows.counted is None:
        count = rows.labels.size
    elif backend_of(rows.counted).looks:
        count = int(rows.counted.sum())
    else:
        return (1.0 / rows.counted.sum()).astype(rows.scores.dtype)
    return 1.0 / count if count else math.nan


def _soft_cross_entropy(x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Cross entropy against probabilities."""
    if target.shape != x.shape:
        raise ShapeError(
            "cross_entropy",
            expected=f"probabilities of shape {x.shape}, or integer labels",
            actual=f"a {target.dtype} target of shape {target.shape}",
            hint='labels must be integers: target.astype("int64")',
        )
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    target = astype(target, x.dtype)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        target = target * reshape(weight, (classes, *[1] * (x.ndim - axis - 1)))
    losses = -reduce.sum(log_softmax(x, axis) * target, axis)
    if reduction == "mean":
        return reduce.sum(losses) * (1.0 / losses.size if losses.size else math.nan)
    return reduced(losses, reduction)


def _loop_nll(
    log_p: np.ndarray, labels: np.ndarray, weight: Any, ignore_index: int, reduction: str, smoothing: float = 0.0
) -> Any:
    """Sample by sample: each label is a distribution over the classes, and the weights add up as they go."""
    losses, total = np.zeros(labels.shape), 0.0
    for place in np.ndindex(*labels.shape):
        label = int(labels[place])
        if label == ignore_index:
            continue
        scores = np.moveaxis(log_p, 1, -1)[place] if labels.ndim else log_p
        w = np.ones(len(scores)) if weight is None else weight
        target = [smoothing / len(scores) + (1 - smoothing) * (c == label) for c in range(len(scores))]
        losses[place] = -math.fsum(w[c] * t * scores[c] for c, t in enumerate(target))
        total += w[label]
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total}[reduction]


def _loop_cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    axis = 1 if x.ndim > 1 else 0
    log_p = np.log(np.exp(x) / np.exp(x).sum(axis, keepdims=True))
    if target.dtype.kind != "f":
        return _loop_nll(log_p, target, weight, ignore_index, reduction, label_smoothing)
    w = np.ones(x.shape[axis]) if weight is None else weight
    smooth = (1 - label_smoothing) * target + label_smoothing / x.shape[axis]
    losses = -np.einsum("nc...,c,nc...->n...", log_p, w, smooth)
    return {"none": losses, "sum": losses.sum(), "mean": losses.mean()}[reduction]


def _loop_nll_loss(
    x: np.ndarray, target: np.ndarray, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    return _loop_nll(x, target, weight, ignore_index, reduction)


def _scores(r: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels of which one is -100 and so ignored."""
    classes, label_shape = (shape[1], (shape[0], *shape[2:])) if len(shape) > 1 else (shape[0], ())
    labels = np.asarray(r.integers(0, classes, label_shape))
    if labels.size > 2:
        labels.flat[1] = -100
    return r.normal(size=shape), labels


def _distribution(r: np.random.Generator, *shape: int) -> np.ndarray:
    p = r.uniform(0.1, 1, shape)
    return p / p.sum(1, keepdims=True)


cases(
    cross_entropy,
    _loop_cross_entropy,
    {
        "labels": lambda r: call(r.normal(size=(3, 4)), r.integers(0, 4, 3)),
        "labels, one ignored": lambda r: call(*_scores(r, 4, 3)),
        "labels, sum": lambda r: call(*_scores(r, 4, 3), reduction="sum"),
        "labels, none": lambda r: call(*_scores(r, 4, 3), reduction="none"),
        "one sample": lambda r: call(*_scores(r, 5)),
        "pixels": lambda r: call(*_scores(r, 2, 3, 2, 2)),
        "pixels, class 1 ignored, weight": lambda r: call(
            r.normal(size=(2, 3, 3)), np.array([[0, 1, 2], [2, 0, 1]]), r.uniform(0.5, 2, 3), 1
        ),
        "weight, none": lambda r: call(*_scores(r, 4, 3), r.uniform(0.5, 2, 3), reduction="none"),
        "label smoothing": lambda r: call(*_scores(r, 4, 3), label_smoothing=0.2),
        "label smoothing, weight": lambda r: call(
            *_scores(r, 4, 3), r.uniform(0.5, 2, 3), reduction="mean", label_smoothing=0.2
        ),
        "label smoothing, pixels, none": lambda r: call(*_scores(r, 2, 3, 2), reduction="none", label_smoothing=0.3),
        "probabilities": lambda r: call(r.normal(size=(3, 4)), _distribution(r, 3, 4)),
        "probabilities, all options": lambda r: call(
            r.normal(size=(2, 3, 2)), _distribution(r, 2, 3, 2), r.uniform(0.5, 2, 3), label_smoothing=0.2
        ),
    },
)
cases(
    nll_loss,
    _loop_nll_loss,
    {
        "mean": lambda r: call(*_scores(r, 4, 3)),
        "none": lambda r: call(*_scores(r, 4, 3), reduction="none"),
        "one sample": lambda r: call(*_scores(r, 3)),
        "pixels, weight": lambda r: call(*_scores(r, 2, 3, 2), r.uniform(0.5, 2, 3)),
    },
)
