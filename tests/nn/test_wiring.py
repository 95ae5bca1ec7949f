"""Every option of a layer reaches its operation: the layer against the operation, with the options as keywords."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F

IMAGES, SIGNALS = (2, 4, 7, 6), (2, 4, 9)


def weights(layer):
    return {"weight": layer.weight, "bias": layer.bias}


CONV = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
TRANSPOSED = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 3}
MAX = {"stride": 1, "padding": 1, "dilation": 2, "ceil_mode": True, "return_indices": True}
AVG = {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}

LAYERS = [
    (nn.Linear(6, 3), IMAGES, lambda n, x: F.linear(x, **weights(n))),
    (nn.Conv1d(4, 6, 3, **CONV), SIGNALS, lambda n, x: F.conv1d(x, **weights(n), **CONV)),
    (nn.Conv2d(4, 6, (3, 2), **CONV), IMAGES, lambda n, x: F.conv2d(x, **weights(n), **CONV)),
    (
        nn.ConvTranspose1d(4, 6, 3, **TRANSPOSED),
        SIGNALS,
        lambda n, x: F.conv_transpose1d(x, **weights(n), **TRANSPOSED),
    ),
    (
        nn.ConvTranspose2d(4, 6, (3, 2), **TRANSPOSED),
        IMAGES,
        lambda n, x: F.conv_transpose2d(x, **weights(n), **TRANSPOSED),
    ),
    (nn.MaxPool1d(2, **MAX), SIGNALS, lambda n, x: F.max_pool1d(x, 2, **MAX)),
    (nn.MaxPool2d((2, 3), **MAX), IMAGES, lambda n, x: F.max_pool2d(x, (2, 3), **MAX)),
    (nn.AvgPool1d(3, **AVG), SIGNALS, lambda n, x: F.avg_pool1d(x, 3, **AVG)),
    (nn.AvgPool2d((2, 3), **AVG), IMAGES, lambda n, x: F.avg_pool2d(x, (2, 3), **AVG)),
    (nn.MaxPool2d(3), IMAGES, lambda n, x: F.max_pool2d(x, 3, stride=3)),
    (nn.AdaptiveAvgPool1d(2), SIGNALS, lambda n, x: F.adaptive_avg_pool1d(x, 2)),
    (nn.AdaptiveAvgPool2d((2, None)), IMAGES, lambda n, x: F.adaptive_avg_pool2d(x, (2, None))),
    (nn.AdaptiveMaxPool2d((3, 2), True), IMAGES, lambda n, x: F.adaptive_max_pool2d(x, (3, 2), return_indices=True)),
    (nn.LayerNorm((7, 6), eps=0.5), IMAGES, lambda n, x: F.layer_norm(x, (7, 6), **weights(n), eps=0.5)),
    (nn.GroupNorm(2, 4, eps=0.5), IMAGES, lambda n, x: F.group_norm(x, 2, **weights(n), eps=0.5)),
    (
        nn.BatchNorm2d(4, eps=0.5).eval(),
        IMAGES,
        lambda n, x: F.batch_norm(x, n.running_mean, n.running_var, **weights(n), eps=0.5),
    ),
    (nn.Flatten(1, 2), IMAGES, lambda n, x: F.flatten(x, 1, 2)),
    (nn.Unflatten(2, (3, 3)), SIGNALS, lambda n, x: F.unflatten(x, 2, (3, 3))),
    (
        nn.Upsample((5, 9), mode="bilinear", align_corners=True),
        IMAGES,
        lambda n, x: F.interpolate(x, size=(5, 9), mode="bilinear", align_corners=True),
    ),
    (nn.Upsample(scale_factor=(2, 1.5)), IMAGES, lambda n, x: F.interpolate(x, scale_factor=(2, 1.5))),
    (nn.ReLU(), IMAGES, lambda n, x: F.relu(x)),
    (nn.ReLU6(), IMAGES, lambda n, x: F.relu6(x)),
    (nn.LeakyReLU(0.3), IMAGES, lambda n, x: F.leaky_relu(x, 0.3)),
    (nn.ELU(0.3), IMAGES, lambda n, x: F.elu(x, 0.3)),
    (nn.GELU("tanh"), IMAGES, lambda n, x: F.gelu(x, "tanh")),
    (nn.SiLU(), IMAGES, lambda n, x: F.silu(x)),
    (nn.Softplus(2, 1), IMAGES, lambda n, x: F.softplus(x, 2, 1)),
    (nn.Hardtanh(-0.2, 0.7), IMAGES, lambda n, x: F.hardtanh(x, -0.2, 0.7)),
    (nn.Sigmoid(), IMAGES, lambda n, x: F.sigmoid(x)),
    (nn.Tanh(), IMAGES, lambda n, x: F.tanh(x)),
    (nn.Softmax(1), IMAGES, lambda n, x: F.softmax(x, 1)),
    (nn.LogSoftmax(1), IMAGES, lambda n, x: F.log_softmax(x, 1)),
]


@pytest.mark.parametrize(("layer", "shape", "call"), LAYERS, ids=[repr(layer) for layer, *_ in LAYERS])
def test_layer(layer, shape, call):
    minidl.manual_seed(0)
    for parameter in layer.parameters():
        parameter.data[...] += minidl.rand(parameter.shape).data
    x = minidl.randn(shape)
    found, wanted = layer(x), call(layer, x)
    for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, wanted)), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


W = minidl.tensor([0.5, 1.0, 2.0], dtype="float32")
LABELS = minidl.tensor([0, 2, 1, 2])

LOSSES = [
    (nn.MSELoss("sum"), lambda x, t: F.mse_loss(x, t, reduction="sum")),
    (nn.L1Loss("none"), lambda x, t: F.l1_loss(x, t, reduction="none")),
    (nn.HuberLoss("sum", delta=0.3), lambda x, t: F.huber_loss(x, t, reduction="sum", delta=0.3)),
    (nn.SmoothL1Loss("sum", beta=0.3), lambda x, t: F.smooth_l1_loss(x, t, reduction="sum", beta=0.3)),
    (nn.BCELoss(W, "sum"), lambda x, t: F.binary_cross_entropy(x, t, weight=W, reduction="sum")),
    (
        nn.BCEWithLogitsLoss(W, "sum", pos_weight=W * 2),
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, weight=W, reduction="sum", pos_weight=W * 2),
    ),
    (nn.KLDivLoss("batchmean", True), lambda x, t: F.kl_div(x, t, reduction="batchmean", log_target=True)),
    (
        nn.CrossEntropyLoss(W, 1, "sum", 0.2),
        lambda x, t: F.cross_entropy(x, LABELS, weight=W, ignore_index=1, reduction="sum", label_smoothing=0.2),
    ),
    (nn.NLLLoss(W, 1, "none"), lambda x, t: F.nll_loss(x, LABELS, weight=W, ignore_index=1, reduction="none")),
]


@pytest.mark.parametrize(("loss", "call"), LOSSES, ids=[type(loss).__name__ for loss, _ in LOSSES])
def test_loss(loss, call):
    minidl.manual_seed(0)
    x, target = minidl.rand(4, 3), minidl.rand(4, 3)
    labels = isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss))
    np.testing.assert_array_equal(loss(x, LABELS if labels else target).data, call(x, target).data)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(50, 400), 50),
        (nn.Conv1d(4, 300, 5, groups=2), 10),
        (nn.Conv2d(4, 300, (3, 5)), 60),
        (nn.ConvTranspose2d(4, 300, 3), 2700),
    ],
    ids=repr,
)
def test_first_values_are_uniform_within_one_over_root_fan_in(layer, fan_in):
    for parameter in (layer.weight, layer.bias):
        values = abs(parameter.data) * math.sqrt(fan_in)
        assert values.max() <= 1 + 1e-6 and values.max() > 0.95
        assert values.mean() == pytest.approx(0.5, abs=0.1)
