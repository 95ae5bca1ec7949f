"""Layers: that options reach their operation, that bad options are refused, and what batch norm keeps.

The operations have oracles of their own; tests/parity holds every layer against PyTorch's.
"""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import DTypeError, IndexingError, OptionError, ShapeError
from minidl.nn import functional as F


def double(layer):
    return layer.to("float64")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 3)),
        (nn.Conv1d(2, 4, 3, stride=2, padding=1, groups=2), (2, 2, 6)),
        (nn.Conv2d(2, 3, (2, 3), padding="same"), (2, 2, 4, 5)),
        (nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1), (1, 2, 4)),
        (nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1), (1, 2, 3, 3)),
        (nn.BatchNorm1d(3), (5, 3)),
        (nn.BatchNorm2d(2), (2, 2, 2, 3)),
        (nn.LayerNorm((2, 3)), (4, 2, 3)),
        (nn.GroupNorm(2, 4), (2, 4, 3)),
    ],
    ids=repr,
)
def test_gradients_of_input_and_parameters(layer, shape):
    """By finite differences, at first and second order, with the parameters as inputs."""
    double(layer)
    names = [name for name, _ in layer.named_parameters()]
    rng = np.random.default_rng(0)

    def run(x, *values):
        for name, value in zip(names, values, strict=True):
            object.__setattr__(layer, name, value)
        return layer(x)

    values = [minidl.tensor(p.data + 0.1 * rng.normal(size=p.shape)) for p in layer.parameters()]
    minidl.gradcheck(run, [minidl.tensor(rng.normal(size=shape)), *values], order=2)


def test_a_linear_layer_by_hand():
    layer = nn.Linear(2, 3)
    x = np.array([[1.0, 2.0]], np.float32)
    wanted = [[sum(layer.weight.data[o, i] * x[0, i] for i in range(2)) + layer.bias.data[o] for o in range(3)]]
    np.testing.assert_allclose(layer(x).data, wanted, rtol=1e-6)
    assert nn.Linear(2, 3, bias=False).bias is None
    first = layer.weight.data.copy()
    layer.reset_parameters()
    assert (layer.weight.data != first).any()


class TestBatchNorm:
    def test_running_statistics(self):
        rng = np.random.default_rng(0)
        layer, mean, var = double(nn.BatchNorm2d(3, momentum=0.3)), np.zeros(3), np.ones(3)
        for step in range(3):
            x = rng.normal(size=(4, 3, 2, 5)) * 2 + 1
            layer(minidl.tensor(x))
            rows = x.transpose(1, 0, 2, 3).reshape(3, -1)
            mean = 0.7 * mean + 0.3 * rows.mean(1)
            var = 0.7 * var + 0.3 * rows.var(1, ddof=1)
            assert layer.num_batches_tracked.item() == step + 1
        np.testing.assert_allclose(layer.running_mean.data, mean)
        np.testing.assert_allclose(layer.running_var.data, var)
        y = layer.eval()(minidl.tensor(x))
        column = (slice(None), None, None)
        np.testing.assert_allclose(y.data, (x - mean[column]) / np.sqrt(var[column] + 1e-5))
        assert layer.num_batches_tracked.item() == 3
        layer.reset_parameters()
        assert layer.num_batches_tracked.item() == 0 and not layer.running_mean.data.any()

    def test_plain_average(self):
        layer = double(nn.BatchNorm1d(1, momentum=None))
        batches = [np.array([[1.0], [3.0]]), np.array([[5.0], [5.5]]), np.array([[0.0], [9.0]])]
        for x in batches:
            layer(minidl.tensor(x))
        np.testing.assert_allclose(layer.running_mean.data, np.mean([x.mean() for x in batches]))

    def test_a_bad_batch_changes_nothing(self):
        layer = nn.BatchNorm2d(3)
        before = {name: tensor.data.copy() for name, tensor in layer.state_dict().items()}
        for shape in ((2, 4, 3, 3), (2, 3, 3), (1, 3, 1, 1)):
            with pytest.raises(ShapeError):
                layer(minidl.randn(shape))
        for name, tensor in layer.state_dict().items():
            np.testing.assert_array_equal(tensor.data, before[name])

    def test_without_statistics_the_batch_decides(self):
        layer = nn.BatchNorm1d(2, track_running_stats=False).eval()
        assert list(layer.state_dict()) == ["weight", "bias"]
        y = layer(minidl.tensor([[1.0, 2.0], [3.0, 6.0]]))
        np.testing.assert_allclose(y.data, [[-1, -1], [1, 1]], rtol=1e-4)


def test_dropout_only_in_training():
    minidl.manual_seed(0)
    layer, x = nn.Dropout(0.25), minidl.ones(100, 100)
    y = layer(x).data
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert layer.eval()(x).tolist() == x.tolist()


def test_embedding():
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3 and layer.weight.data[3].tolist() == [0, 0]
    layer(minidl.tensor([0, 3, 0])).sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2], [0, 0], [0, 0], [0, 0]]
    with pytest.raises(IndexingError):
        layer(minidl.tensor([4]))
    with pytest.raises(DTypeError):
        layer(minidl.tensor([1.0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(0, 2),
        lambda: nn.Linear(2, -1),
        lambda: nn.Linear(2.0, 1),
        lambda: nn.Linear(True, 1),
        lambda: nn.Linear(2, 3, 4),
        lambda: nn.Conv2d(1, 2, 0),
        lambda: nn.Conv2d(1, 2, (3, 3, 3)),
        lambda: nn.Conv2d(1, 2, 3, stride=0),
        lambda: nn.Conv2d(1, 2, 3, padding=-1),
        lambda: nn.Conv2d(1, 2, 3, padding="full"),
        lambda: nn.Conv2d(1, 2, 3, stride=2, padding="same"),
        lambda: nn.Conv2d(1, 2, 3, dilation=0),
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        lambda: nn.Conv2d(4, 3, 3, groups=2),
        lambda: nn.Conv2d(4, 4, 3, groups=0),
        lambda: nn.Conv1d(1, 2, (3, 3)),
        lambda: nn.ConvTranspose2d(1, 2, 3, output_padding=1),
        lambda: nn.ConvTranspose2d(1, 2, 3, padding="same"),
        lambda: nn.MaxPool2d(0),
        lambda: nn.MaxPool2d(2, stride=0),
        lambda: nn.MaxPool2d(2, padding=2),
        lambda: nn.MaxPool2d(2, ceil_mode=1),
        lambda: nn.AvgPool2d(2, padding=2),
        lambda: nn.AvgPool2d("2"),
        lambda: nn.AdaptiveAvgPool2d(0),
        lambda: nn.AdaptiveAvgPool2d((1, 2, 3)),
        lambda: nn.Flatten("a"),
        lambda: nn.Unflatten(1, 3),
        lambda: nn.Unflatten(1, ()),
        lambda: nn.Unflatten(1, (-1, -1)),
        lambda: nn.Upsample(),
        lambda: nn.Upsample(2, 2),
        lambda: nn.Upsample(scale_factor=0),
        lambda: nn.Upsample(size=2, mode="cubic"),
        lambda: nn.Upsample(size=2, align_corners=True),
        lambda: nn.Dropout(1.5),
        lambda: nn.Dropout(float("nan")),
        lambda: nn.Dropout("0.5"),
        lambda: nn.BatchNorm2d(0),
        lambda: nn.BatchNorm2d(3, eps=-1),
        lambda: nn.BatchNorm2d(3, momentum=2),
        lambda: nn.LayerNorm(()),
        lambda: nn.LayerNorm((3, 0)),
        lambda: nn.GroupNorm(2, 3),
        lambda: nn.Embedding(3, 0),
        lambda: nn.Embedding(3, 2, padding_idx=3),
        lambda: nn.Embedding(3, 2, padding_idx=-4),
        lambda: nn.LeakyReLU("steep"),
        lambda: nn.ReLU(3),
        lambda: nn.GELU("exact"),
        lambda: nn.Softplus(beta=0),
        lambda: nn.Hardtanh(1, 1),
        lambda: nn.Softmax(1.5),
        lambda: nn.MSELoss("average"),
        lambda: nn.CrossEntropyLoss(label_smoothing=2),
        lambda: nn.CrossEntropyLoss(weight=[1, 2]),
        lambda: nn.HuberLoss(delta=0),
        lambda: nn.SmoothL1Loss(beta=-1),
        lambda: nn.KLDivLoss(log_target="yes"),
    ],
)
def test_bad_options(make):
    with pytest.raises(OptionError) as caught:
        make()
    text = str(caught.value)
    assert "expected" in text and "got" in text and text.split(":")[0] in dir(nn)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 4)),
        (nn.Conv2d(3, 2, 3), (1, 2, 5, 5)),
        (nn.Conv2d(3, 2, 7), (1, 3, 5, 5)),
        (nn.Conv1d(3, 2, 3), (2, 2, 2, 2)),
        (nn.ConvTranspose2d(3, 2, 3), (1, 2, 5, 5)),
        (nn.MaxPool2d(9), (1, 2, 5, 5)),
        (nn.AvgPool2d(9), (1, 2, 5, 5)),
        (nn.Flatten(2), (3, 3)),
        (nn.Unflatten(1, (2, 2)), (3, 5)),
        (nn.BatchNorm1d(3), (4, 2)),
        (nn.BatchNorm1d(3), (4, 3, 2, 2)),
        (nn.LayerNorm(3), (4, 2)),
        (nn.GroupNorm(1, 3), (4, 2)),
        (nn.GroupNorm(1, 3), (3,)),
        (nn.Upsample(2), (3, 3)),
        (nn.Softmax(2), (3, 3)),
    ],
    ids=repr,
)
def test_bad_shapes(layer, shape):
    with pytest.raises(ShapeError) as caught:
        layer(minidl.zeros(shape))
    assert caught.value.layers == [repr(layer)]


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.BCEWithLogitsLoss()])
def test_losses_do_not_broadcast(loss):
    with pytest.raises(ShapeError):
        loss(minidl.zeros(4), minidl.zeros(4, 1))


@pytest.mark.parametrize("target", [[0, 3], [-1, 0], [0, 1, 2], [[0, 1]], [True, False]])
def test_bad_labels(target):
    with pytest.raises((OptionError, IndexingError, ShapeError, DTypeError)):
        nn.CrossEntropyLoss()(minidl.zeros(2, 3), minidl.tensor(target))


def test_weights_of_losses_are_buffers():
    loss = nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])
    assert list(loss.state_dict()) == ["weight"] and not list(loss.parameters())
    assert loss.to("float64").weight.dtype == "float64"
    assert list(nn.CrossEntropyLoss().state_dict()) == []


def test_functional_names_are_the_operations():
    assert F.conv2d is minidl.conv2d and F.relu is minidl.relu
    assert set(F.__all__) <= set(minidl.ops.__all__)
