"""Chapter 7: inverted dropout, precision, recall and F1, the area under the ROC curve, Cohen's kappa.

Where a mistake is known by its number, the reason of a wrong answer is that number ("got 0.5").
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# 07.1


def _dropout(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    return x * (u >= p) / (1 - p)


def _dropout_by_loops(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    y = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        if not u[index] < p:
            y[index] = x[index] / (1 - p)
    return y


def _coins(rng: np.random.Generator) -> tuple[Any, ...]:
    shape = (int(rng.integers(3, 6)), 4)
    return rng.normal(size=shape), rng.random(shape), float(rng.uniform(0.15, 0.35))


def _not_scaled(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    return x * (u >= p)


def _scaled_by_p(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    return x * (u >= p) / p


def _keeps_p(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    return x * (u < p) / p


def _scaled_down(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    return x * (u >= p) * (1 - p)


# 07.2


def _precision_recall_f1(truth: np.ndarray, alarm: np.ndarray) -> Any:
    tp, fp, fn = int((truth & alarm).sum()), int((~truth & alarm).sum()), int((truth & ~alarm).sum())
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
    return precision, recall, f1


def _precision_recall_f1_by_lists(truth: np.ndarray, alarm: np.ndarray) -> Any:
    alarmed = [t for t, a in zip(truth.tolist(), alarm.tolist(), strict=True) if a]
    wanted = [a for t, a in zip(truth.tolist(), alarm.tolist(), strict=True) if t]
    precision = alarmed.count(True) / len(alarmed) if alarmed else 0.0
    recall = wanted.count(True) / len(wanted) if wanted else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _alarms(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(12, 30))
    truth = rng.random(n) < 0.4
    truth[:3] = [True, True, False]
    alarm = truth ^ (rng.random(n) < 0.3)
    alarm[:3] = [True, False, True]
    if rng.random() < 0.4:
        alarm[:] = False  # a detector that is never alarmed
    return truth, alarm


def _swapped(truth: np.ndarray, alarm: np.ndarray) -> Any:
    precision, recall, f1 = _precision_recall_f1(truth, alarm)
    return recall, precision, f1


def _arithmetic_mean(truth: np.ndarray, alarm: np.ndarray) -> Any:
    precision, recall, _ = _precision_recall_f1(truth, alarm)
    return precision, recall, (precision + recall) / 2


def _accuracy_for_precision(truth: np.ndarray, alarm: np.ndarray) -> Any:
    _, recall, f1 = _precision_recall_f1(truth, alarm)
    return float((truth == alarm).mean()), recall, f1


def _no_alarm_divides_by_zero(truth: np.ndarray, alarm: np.ndarray) -> Any:
    tp = (truth & alarm).sum()
    precision, recall = tp / alarm.sum(), tp / truth.sum()
    return precision, recall, 2 * precision * recall / (precision + recall)


# 07.3


def _auc(truth: np.ndarray, score: np.ndarray) -> float:
    positive, negative = score[truth][:, None], score[~truth][None, :]
    return float((positive > negative).mean() + (positive == negative).mean() / 2)


def _auc_by_area(truth: np.ndarray, score: np.ndarray) -> float:
    """Trapezoids under the curve, one point for each threshold, so that tied scores make one slanted step."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(score.tolist()), reverse=True):
        alarm = score >= threshold
        points.append(((alarm & ~truth).sum() / (~truth).sum(), (alarm & truth).sum() / truth.sum()))
    return float(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)))


def _scores(rng: np.random.Generator) -> tuple[Any, ...]:
    n = int(rng.integers(14, 26))
    truth = rng.random(n) < 0.4
    truth[:4] = [True, False, True, False]
    score = np.round(rng.normal(size=n) + truth, 0) / 4  # rounded, so that there are ties
    score[:2] = 0.25
    return truth, score


def _ties_lost(truth: np.ndarray, score: np.ndarray) -> float:
    return float((score[truth][:, None] > score[~truth][None, :]).mean())


def _ties_won(truth: np.ndarray, score: np.ndarray) -> float:
    return float((score[truth][:, None] >= score[~truth][None, :]).mean())


def _upside_down(truth: np.ndarray, score: np.ndarray) -> float:
    return 1 - _auc(truth, score)


def _one_threshold(truth: np.ndarray, score: np.ndarray) -> float:
    alarm = score > 0.5  # the area under a single point, in place of a curve
    return float(((alarm & truth).sum() / truth.sum() + (~alarm & ~truth).sum() / (~truth).sum()) / 2)


# 07.4


def _kappa(confusion: np.ndarray) -> float:
    n = confusion.sum()
    observed = np.trace(confusion) / n
    chance = (confusion.sum(axis=1) / n) @ (confusion.sum(axis=0) / n)
    return float((observed - chance) / (1 - chance))


def _kappa_by_pictures(confusion: np.ndarray) -> float:
    """Write out every picture's pair of labels; chance is the agreement of all pairs of a row with a column."""
    truth, guess = [], []
    for (label, predicted), count in np.ndenumerate(confusion):
        truth += [label] * int(count)
        guess += [predicted] * int(count)
    n = len(truth)
    observed = sum(t == g for t, g in zip(truth, guess, strict=True)) / n
    chance = sum(t == g for t in truth for g in guess) / n**2
    return (observed - chance) / (1 - chance)


def _counts(rng: np.random.Generator) -> tuple[Any, ...]:
    classes = int(rng.integers(2, 5))
    return (rng.integers(0, 4, (classes, classes)) + np.diag(rng.integers(1, 9, classes)),)


def _plain_accuracy(confusion: np.ndarray) -> float:
    return float(np.trace(confusion) / confusion.sum())


def _equal_classes(confusion: np.ndarray) -> float:
    chance = 1 / len(confusion)
    return float((np.trace(confusion) / confusion.sum() - chance) / (1 - chance))


def _rows_squared(confusion: np.ndarray) -> float:
    shares = confusion.sum(axis=1) / confusion.sum()
    chance = shares @ shares
    return float((np.trace(confusion) / confusion.sum() - chance) / (1 - chance))


def _not_divided(confusion: np.ndarray) -> float:
    n = confusion.sum()
    return float(np.trace(confusion) / n - (confusion.sum(axis=1) / n) @ (confusion.sum(axis=0) / n))


exercises = [
    Exercise(
        "07.1",
        "Inverted dropout",
        solution=_dropout,
        reference=_dropout_by_loops,
        samples=_coins,
        hints=(
            "Which share of the units survives? By how much must the survivors grow so that the mean stays?",
            "A unit survives where u >= p. Survivors are divided by their probability to survive.",
            "x * (u >= p) / (1 - p).",
        ),
        wrong=(
            Wrong(_not_scaled, "times the expected one everywhere"),
            Wrong(_scaled_by_p, "times the expected one everywhere"),
            Wrong(_keeps_p, "got 9.7743"),
            Wrong(_scaled_down, "times the expected one everywhere"),
        ),
    ),
    Exercise(
        "07.2",
        "Precision, recall and F1",
        solution=_precision_recall_f1,
        reference=_precision_recall_f1_by_lists,
        samples=_alarms,
        hints=(
            "Count true positives, false positives and false negatives first. The true negatives are not needed.",
            "Precision divides by the alarms, recall by the true ones. What if there was no alarm at all?",
            "TP / (TP + FP), TP / (TP + FN), 2 TP / (2 TP + FP + FN), and 0.0 where the divisor is 0.",
        ),
        wrong=(
            Wrong(_swapped, "result 1 of 3"),
            Wrong(_arithmetic_mean, "result 3 of 3"),
            Wrong(_accuracy_for_precision, "result 1 of 3"),
            Wrong(_no_alarm_divides_by_zero, "not finite where it should be"),
        ),
    ),
    Exercise(
        "07.3",
        "The area under the ROC curve",
        solution=_auc,
        reference=_auc_by_area,
        samples=_scores,
        hints=(
            "You need no curve: the area is the share of (positive, negative) pairs that are in the right order.",
            "score[truth][:, None] and score[~truth][None, :] compare every positive with every negative at once.",
            "The mean of (positive > negative), plus half of the mean of (positive == negative).",
        ),
        wrong=(
            Wrong(_ties_lost, "got 0.488888"),
            Wrong(_ties_won, "got 0.725925"),
            Wrong(_upside_down, "got 0.392592"),
            Wrong(_one_threshold, "got 0.5"),
        ),
    ),
    Exercise(
        "07.4",
        "Cohen's kappa",
        solution=_kappa,
        reference=_kappa_by_pictures,
        samples=_counts,
        hints=(
            "Kappa is 0 for agreement by chance and 1 for perfect agreement: a shift and a division.",
            "Chance: for each class, the share of its row times the share of its column; then add these up.",
            "(observed - chance) / (1 - chance), observed = trace / n, chance = (row sums / n) @ (column sums / n).",
        ),
        wrong=(
            Wrong(_plain_accuracy, "got 0.75"),
            Wrong(_equal_classes, "got 0.5"),
            Wrong(_rows_squared, "got 0.696808"),
            Wrong(_not_divided, "got 0.242187"),
        ),
    ),
]
