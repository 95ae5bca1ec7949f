"""The table of a network."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import OptionError, ShapeError


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Linear(120, 84),
        nn.Linear(84, 10),
    )


def test_lenet():
    table = lenet().summary((1, 1, 28, 28))
    assert table.total_parameters == table.trainable_parameters == 61_706
    # 28·28·6·25 + 10·10·16·150 + 400·120 + 120·84 + 84·10
    assert table.total_multiply_adds == 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert [row.output_shape for row in table.rows][1:4] == ["(1, 6, 28, 28)", "(1, 6, 28, 28)", "(1, 6, 14, 14)"]
    assert table.total_bytes == 4 * 61_706
    text = str(table)
    assert "  7: Linear" in text and "61,706 parameters to learn, 0 frozen" in text
    assert len({len(line) for line in text.splitlines()[:2]}) == 1


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (nn.Conv1d(4, 6, 3, groups=2, stride=2), (2, 4, 9), 2 * 4 * 6 * 2 * 3),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (2, 3, 4, 4), 2 * 16 * 3 * 5 * 4),
        (nn.Linear(3, 5), (2, 7, 3), 14 * 15),
        (nn.LayerNorm(3), (2, 3), 6),
    ],
)
def test_multiply_adds(layer, shape, count):
    assert layer.summary(shape).total_multiply_adds == count


def test_nothing_is_changed():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Sequential(nn.ReLU()))
    net[3].eval()
    before = {name: tensor.data.copy() for name, tensor in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    random = minidl.random.get_rng_state()
    net.summary((3, 4))
    with pytest.raises(ShapeError):
        net.summary((3, 5))
    assert [module.training for module in net.modules()] == modes
    assert minidl.random.get_rng_state() == random
    assert not any(module._hooks for module in net.modules())
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.data, before[name])


def test_shared_unused_and_frozen_layers():
    class Net(nn.Module):
        def __init__(self):
            self.shared = nn.Linear(2, 2)
            self.unused = nn.Linear(3, 3)
            self.shared.bias.requires_grad = False

        def forward(self, x, y):
            return self.shared(self.shared(x)), y

    table = Net().summary([(1, 2), (5, 6)])
    rows = {row.path: row for row in table.rows}
    assert rows["shared"].multiply_adds == 8 and rows["shared"].parameters == 6
    assert rows["unused"].output_shape == "not run"
    assert rows[""].output_shape == "(1, 2), (5, 6)"
    assert (table.total_parameters, table.trainable_parameters) == (18, 16)


def test_integer_input_and_bad_shapes():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 1))
    assert net.summary((4, 2), dtype="int64").rows[1].output_shape == "(4, 2, 3)"
    for wrong in (3, "a", (1, -2), [(1, 2), 3], (1.5,)):
        with pytest.raises(OptionError, match="input_shape"):
            net.summary(wrong)
