"""Losses against PyTorch: values, gradients and second derivatives over random options, and at extreme scores."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch.nn import functional as F  # noqa: E402
from torch_agreement import agree  # noqa: E402  # needs torch

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(5,), (3, 4), (2, 3, 2), ()]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("huber_loss", {"delta": 0.6}),
        ("smooth_l1_loss", {"beta": 0.6}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("kl_div", {"log_target": True}),
    ],
)
def test_regression(name, options, shape, reduction):
    rng = np.random.default_rng(0)
    agree(
        lambda *a: getattr(minidl, name)(*a, reduction=reduction, **options),
        lambda *a: getattr(F, name)(*a, reduction=reduction, **options),
        [rng.normal(size=shape), rng.normal(size=shape)],
    )


def test_kinks_and_ties():
    x, t = np.array([0.0, 1.0, -1.0, 2.0]), np.array([0.0, 0.0, 0.0, 2.0])
    for name in ("l1_loss", "huber_loss", "smooth_l1_loss"):
        agree(getattr(minidl, name), getattr(F, name), [x, t], order=1)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_kl_div(reduction):
    rng = np.random.default_rng(0)
    x, t = np.log(rng.dirichlet(np.ones(4), 3)), rng.dirichlet(np.ones(4), 3)
    agree(lambda *a: minidl.kl_div(*a, reduction=reduction), lambda *a: F.kl_div(*a, reduction=reduction), [x, t])
    t[0, 0] = 0.0
    agree(
        lambda a: minidl.kl_div(a, t, reduction=reduction),
        lambda a: F.kl_div(a, torch.tensor(t), reduction=reduction),
        [x],
        order=1,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy(reduction):
    rng = np.random.default_rng(0)
    x, t, weight = rng.uniform(0.05, 0.95, (4, 3)), rng.uniform(0, 1, (4, 3)), rng.uniform(0.5, 2, 3)
    agree(
        lambda *a: minidl.binary_cross_entropy(*a, reduction=reduction),
        lambda *a: F.binary_cross_entropy(*a, reduction=reduction),
        [x, t],
    )
    agree(
        lambda a: minidl.binary_cross_entropy(a, t, weight, reduction),
        lambda a: F.binary_cross_entropy(a, torch.tensor(t), torch.tensor(weight), reduction=reduction),
        [x],
    )


def test_binary_cross_entropy_at_the_ends():
    x, t = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    agree(
        lambda a: minidl.binary_cross_entropy(a, t, reduction="none"),
        lambda a: F.binary_cross_entropy(a, torch.tensor(t), reduction="none"),
        [x],
        order=1,
        rtol=1e-8,  # PyTorch's floor of 1e-12 is a float32
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_with_logits(reduction):
    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 3, (4, 3)), rng.uniform(0, 1, (4, 3))
    x[0] = [1000.0, -1000.0, 50.0]
    t[0] = [1.0, 0.0, 0.0]
    weight, pos_weight = rng.uniform(0.5, 2, (4, 1)), rng.uniform(0.5, 2, 3)
    agree(
        lambda *a: minidl.binary_cross_entropy_with_logits(*a, reduction=reduction),
        lambda *a: F.binary_cross_entropy_with_logits(*a, reduction=reduction),
        [x, t],
    )
    agree(
        lambda *a: minidl.binary_cross_entropy_with_logits(*a, weight, reduction, pos_weight),
        lambda *a: F.binary_cross_entropy_with_logits(
            *a, torch.tensor(weight), reduction=reduction, pos_weight=torch.tensor(pos_weight)
        ),
        [x, t],
    )


def classification(seed):
    """Draw scores, labels, and the options of a cross entropy."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 6))
    lead, pixels = [((4,), ()), ((), ()), ((3,), (2,)), ((2,), (2, 3))][seed % 4]
    x = rng.normal(0, 3, (*lead, classes, *pixels))
    labels = rng.integers(0, classes, (*lead, *pixels))
    ignore_index = int(rng.choice([-100, -1, 0]))
    if labels.size > 2:
        labels.flat[0] = ignore_index
        labels.flat[1] = classes - 1
    weight = rng.uniform(0.5, 2, classes) if rng.integers(2) else None
    return rng, x, labels, weight, ignore_index


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("seed", range(16))
def test_cross_entropy_with_labels(seed, reduction):
    rng, x, labels, weight, ignore_index = classification(seed)
    options = dict(ignore_index=ignore_index, reduction=reduction, label_smoothing=float(rng.choice([0.0, 0.2])))
    torch_weight = None if weight is None else torch.tensor(weight)
    if reduction == "mean" and np.all(labels == ignore_index):
        return  # both are NaN, and so is every gradient
    agree(
        lambda a: minidl.cross_entropy(a, labels, weight, **options),
        lambda a: F.cross_entropy(a, torch.tensor(labels), torch_weight, **options),
        [x],
    )
    del options["label_smoothing"]
    agree(
        lambda a: minidl.nll_loss(minidl.log_softmax(a, 1 if a.ndim > 1 else 0), labels, weight, **options),
        lambda a: F.nll_loss(F.log_softmax(a, 1 if a.ndim > 1 else 0), torch.tensor(labels), torch_weight, **options),
        [x],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_cross_entropy_with_probabilities(seed, reduction):
    rng, x, _, weight, _ = classification(seed)
    target = rng.uniform(size=x.shape)
    options = dict(reduction=reduction, label_smoothing=float(rng.choice([0.0, 0.2])))
    agree(
        lambda *a: minidl.cross_entropy(*a, weight, **options),
        lambda *a: F.cross_entropy(*a, None if weight is None else torch.tensor(weight), **options),
        [x, target],
    )


def test_cross_entropy_at_extreme_scores():
    x = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0], [0.0, -np.inf, 3.0]])
    for labels in ([0, 1, 2], [1, 0, 0]):
        agree(
            lambda a, t=labels: minidl.cross_entropy(a, np.array(t), reduction="none"),
            lambda a, t=labels: F.cross_entropy(a, torch.tensor(t), reduction="none"),
            [x],
            order=1,
        )


def test_single_precision_stays():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(8, 5)).astype(np.float32), rng.integers(0, 5, 8)
    for smoothing in (0.0, 0.1):
        agree(
            lambda a, s=smoothing: minidl.cross_entropy(a, labels, label_smoothing=s),
            lambda a, s=smoothing: F.cross_entropy(a, torch.tensor(labels), label_smoothing=s),
            [x],
            order=1,
            rtol=1e-5,
        )
