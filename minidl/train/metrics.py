"""Metrics: numbers that say how good predictions are, gathered batch by batch.

A metric has three methods: `reset` at the start of an epoch, `update(outputs, targets)` after each batch, and
`compute` for the number over all that was seen, so that a short last batch counts for what it is. Accuracy, top-k and
the confusion matrix are counted here; the others keep scores and labels and ask scikit-learn at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.errors import OptionError, ShapeError
from minidl.tensor import Tensor

__all__ = [
    "F1",
    "ROC",
    "ROCAUC",
    "Accuracy",
    "CohenKappa",
    "ConfusionMatrix",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
]


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _scores_and_labels(name: str, outputs: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = _array(outputs), _array(targets)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ShapeError(
            name, expected="scores (N, classes) and labels (N,)", actual=f"{scores.shape} and {labels.shape}",
            hint="labels are class numbers, not one-hot rows",
        )  # fmt: skip
    return scores, labels


class Metric:
    """Base of the metrics.

    Attributes
    ----------
    name : str
        Its column in the history.
    scalar : bool
        Whether `compute` gives one number (a column) or a structure (left out of the history).
    """

    name = "metric"
    scalar = True

    def reset(self) -> None:
        """Forget what was seen."""
        raise NotImplementedError

    def update(self, outputs: Any, targets: Any) -> None:
        """Take in one batch: `outputs` of the model and the `targets`."""
        raise NotImplementedError

    def compute(self) -> Any:
        """The value over all batches since `reset`."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far, so that a run can go on in the middle of an epoch."""
        return {k: (list(v) if isinstance(v, list) else v) for k, v in vars(self).items() if k.startswith("_")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        vars(self).update({k: (list(v) if isinstance(v, list) else v) for k, v in state.items()})

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """The value for these outputs and targets alone."""
        self.reset()
        self.update(outputs, targets)
        return self.compute()


class Accuracy(Metric):
    """Fraction of predictions that are right: ``mean(argmax(outputs, 1) == targets)``.

    One column of outputs, or none, is taken as the logit of the second of two classes.

    Examples
    --------
    >>> Accuracy()(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._right = self._seen = 0

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = _array(outputs), _array(targets)
        if scores.shape in (labels.shape, (*labels.shape, 1)):
            predicted = scores.reshape(labels.shape) > 0
        else:
            scores, labels = _scores_and_labels(self.name, scores, labels)
            predicted = scores.argmax(axis=1)
        self._right += int((predicted == labels).sum())
        self._seen += labels.size

    def compute(self) -> float:
        return self._right / self._seen if self._seen else float("nan")


class TopK(Metric):
    """Fraction of samples whose label is among the `k` highest scores; a score equal to the label's counts before it.

    Examples
    --------
    >>> TopK(2)(np.array([[0.5, 0.3, 0.2]]), np.array([1]))
    1.0
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise OptionError("TopK", expected="k >= 1", actual=str(k))
        self.k = k
        self.name = f"top{k}"
        self.reset()

    def reset(self) -> None:
        self._right = self._seen = 0

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = _scores_and_labels(self.name, outputs, targets)
        if labels.size and not 0 <= labels.min() <= labels.max() < scores.shape[1]:
            raise ShapeError(self.name, expected=f"labels 0 to {scores.shape[1] - 1}",
                             actual=f"labels from {labels.min()} to {labels.max()}")  # fmt: skip
        own = scores[np.arange(len(labels)), labels][:, None]
        ahead = (scores >= own).sum(axis=1) - 1
        self._right += int((ahead < self.k).sum())
        self._seen += len(labels)

    def compute(self) -> float:
        return self._right / self._seen if self._seen else float("nan")


class ConfusionMatrix(Metric):
    """Counts ``matrix[label, predicted]``, of shape (classes, classes).

    Examples
    --------
    >>> ConfusionMatrix(2)(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    array([[0, 0],
           [1, 1]])
    """

    name = "confusion"
    scalar = False

    def __init__(self, classes: int) -> None:
        if classes < 2:
            raise OptionError("ConfusionMatrix", expected="at least 2 classes", actual=str(classes))
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        self._counts = np.zeros((self.classes, self.classes), np.int64)

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = _scores_and_labels(self.name, outputs, targets)
        predicted = scores.argmax(axis=1)
        if scores.shape[1] > self.classes or (labels.size and not 0 <= labels.min() <= labels.max() < self.classes):
            raise ShapeError(self.name, expected=f"{self.classes} classes, labels 0 to {self.classes - 1}",
                             actual=f"scores {scores.shape}, labels up to {labels.max()}")  # fmt: skip
        np.add.at(self._counts, (labels, predicted), 1)

    def compute(self) -> np.ndarray:
        return self._counts.copy()


class _Gathered(Metric):
    """Keeps scores and labels; scikit-learn computes at the end."""

    def __init__(self, average: str = "macro") -> None:
        if average not in ("macro", "micro", "weighted"):
            raise OptionError(self.name, expected='"macro", "micro" or "weighted"', actual=repr(average))
        self.average = average
        self.reset()

    def reset(self) -> None:
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def update(self, outputs: Any, targets: Any) -> None:
        scores, labels = _scores_and_labels(self.name, outputs, targets)
        self._scores.append(scores.copy())
        self._labels.append(labels.copy())

    def compute(self) -> Any:
        if not self._labels:
            return float("nan")
        return self._measure(_sklearn_metrics(), np.concatenate(self._scores), np.concatenate(self._labels))

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> Any:
        raise NotImplementedError


def _sklearn_metrics() -> Any:
    try:
        import sklearn.metrics
    except ImportError as error:
        raise OptionError(
            "metrics", expected="scikit-learn for this metric", actual="it is not installed",
            hint="pip install scikit-learn",
        ) from error  # fmt: skip
    return sklearn.metrics


class Precision(_Gathered):
    """Of those predicted as a class, the fraction that are: TP / (TP + FP), averaged over the classes."""

    name = "precision"

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> float:
        return float(sklearn.precision_score(labels, scores.argmax(1), average=self.average, zero_division=0))


class Recall(_Gathered):
    """Of those of a class, the fraction that is predicted: TP / (TP + FN), averaged over the classes."""

    name = "recall"

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> float:
        return float(sklearn.recall_score(labels, scores.argmax(1), average=self.average, zero_division=0))


class F1(_Gathered):
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), averaged over the classes."""

    name = "f1"

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> float:
        return float(sklearn.f1_score(labels, scores.argmax(1), average=self.average, zero_division=0))


class CohenKappa(_Gathered):
    """Agreement beyond chance: (p_observed - p_chance) / (1 - p_chance) (Cohen 1960)."""

    name = "kappa"

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> float:
        return float(sklearn.cohen_kappa_score(labels, scores.argmax(1)))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class ROCAUC(_Gathered):
    """Area under the ROC curve, from logits; with more than two classes each against the rest, averaged."""

    name = "auc"

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> float:
        probabilities = _softmax(scores)
        if scores.shape[1] == 2:
            return float(sklearn.roc_auc_score(labels, probabilities[:, 1]))
        classes = np.arange(scores.shape[1])
        return float(
            sklearn.roc_auc_score(labels, probabilities, multi_class="ovr", average=self.average, labels=classes)
        )


class ROC(_Gathered):
    """The ROC curve of each class against the rest: a list of (false positive rate, true positive rate, thresholds)."""

    name = "roc"
    scalar = False

    def _measure(self, sklearn: Any, scores: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        probabilities = _softmax(scores)
        return [tuple(sklearn.roc_curve(labels == c, probabilities[:, c])) for c in range(scores.shape[1])]
