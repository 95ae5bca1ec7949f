"""Metrics against scikit-learn and plain counting, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

import minidl
from minidl.errors import OptionError, ShapeError
from minidl.train import F1, ROC, ROCAUC, Accuracy, CohenKappa, ConfusionMatrix, Precision, Recall, TopK

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 60)
SCORES = RNG.normal(size=(60, 4)) + 1.5 * np.eye(4)[LABELS]
PREDICTED = SCORES.argmax(1)
PROBABILITIES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)


def top_k_by_hand(k: int) -> float:
    return float(np.mean([label in np.argsort(-row)[:k] for row, label in zip(SCORES, LABELS, strict=True)]))


CASES = [
    (Accuracy(), reference.accuracy_score(LABELS, PREDICTED)),
    (TopK(1), reference.accuracy_score(LABELS, PREDICTED)),
    (TopK(2), top_k_by_hand(2)),
    (TopK(9), 1.0),
    (Precision(), reference.precision_score(LABELS, PREDICTED, average="macro")),
    (Recall("weighted"), reference.recall_score(LABELS, PREDICTED, average="weighted")),
    (F1("micro"), reference.f1_score(LABELS, PREDICTED, average="micro")),
    (CohenKappa(), reference.cohen_kappa_score(LABELS, PREDICTED)),
    (ROCAUC(), reference.roc_auc_score(LABELS, PROBABILITIES, multi_class="ovr")),
]


@pytest.mark.parametrize(("metric", "wanted"), CASES, ids=lambda v: getattr(v, "name", ""))
@pytest.mark.parametrize("batch", [60, 7])
def test_value(metric, wanted, batch):
    metric.reset()
    for start in range(0, 60, batch):
        part = slice(start, start + batch)
        metric.update(minidl.Tensor(SCORES[part]), minidl.Tensor(LABELS[part]))
    assert metric.compute() == pytest.approx(wanted, rel=1e-12)
    state = metric.state_dict()
    metric.reset()
    metric.load_state_dict(state)
    assert metric.compute() == pytest.approx(wanted, rel=1e-12)


def test_confusion_matrix():
    assert (ConfusionMatrix(4)(SCORES, LABELS) == reference.confusion_matrix(LABELS, PREDICTED)).all()
    with pytest.raises(ShapeError, match="4 classes"):
        ConfusionMatrix(4)(SCORES, LABELS + 3)
    with pytest.raises(OptionError):
        ConfusionMatrix(1)


def test_roc_curve_of_each_class():
    curves = ROC()(SCORES, LABELS)
    assert len(curves) == 4
    for c, (fpr, tpr, _) in enumerate(curves):
        wanted = reference.roc_auc_score(LABELS == c, PROBABILITIES[:, c])
        assert np.trapezoid(tpr, fpr) == pytest.approx(wanted)


def test_two_classes():
    labels = LABELS % 2
    scores = SCORES[:, :2]
    wanted = reference.roc_auc_score(labels, scores[:, 1] - scores[:, 0])
    assert ROCAUC()(scores, labels) == pytest.approx(wanted)
    logits = scores[:, 0]
    assert Accuracy()(logits, labels) == ((logits > 0) == labels).mean()
    assert Accuracy()(logits[:, None], labels) == ((logits > 0) == labels).mean()


def test_ties_count_against_the_network():
    assert TopK(1)(np.zeros((1, 3)), np.array([0])) == 0.0


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(label):
    for metric in (TopK(2), ConfusionMatrix(3)):
        with pytest.raises(ShapeError, match="labels 0 to 2"):
            metric(np.zeros((2, 3)), np.array([0, label]))


def test_nothing_seen_is_nan():
    assert np.isnan(Accuracy().compute()) and np.isnan(TopK(1).compute()) and np.isnan(F1().compute())


@pytest.mark.parametrize("metric", [Accuracy(), TopK(2), F1(), ConfusionMatrix(3)])
def test_wrong_shapes(metric):
    with pytest.raises(ShapeError, match="labels"):
        metric(np.zeros((4, 3)), np.zeros((4, 1)))
    with pytest.raises(OptionError):
        TopK(0)
    with pytest.raises(OptionError, match="macro"):
        F1("median")
