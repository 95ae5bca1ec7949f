"""Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import minidl
from minidl import nn
from minidl.errors import OptionError


def layers(count):
    return [nn.Linear(2, 2) for _ in range(count)]


def test_sequential_applies_in_order():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
    x = minidl.randn(2, 2, 2)
    wanted = minidl.relu(net[1](x.reshape(2, 4)))
    assert net(x).tolist() == wanted.tolist()
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_series_like_a_list(kind):
    a, b, c, d = layers(4)
    series = kind(a, b) if kind is nn.Sequential else kind([a, b])
    assert series.append(c) is series and series.extend([d]) is series
    assert len(series) == 4 and list(series) == [a, b, c, d]
    assert series[0] is a and series[-1] is d and series[1:3][1] is c
    assert type(series[1:]) is kind and len(series[::2]) == 2
    for wrong in (4, -5):
        with pytest.raises(IndexError, match="out of range"):
            series[wrong]
    with pytest.raises(TypeError):
        series["0"]
    series[-1] = a
    assert series[3] is a and len(series) == 4
    del series[1]
    assert list(series) == [a, c, a]
    assert [name for name, _ in series.named_parameters()][:4] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    series.insert(1, d)
    assert list(series) == [a, d, c, a]
    del series[1:]
    assert list(series) == [a]
    with pytest.raises(OptionError, match="not Linear"):
        series.append(nn.Linear)
    with pytest.raises(OptionError, match="forward"):
        series[0] = minidl.relu
    assert list(series) == [a]


def test_named_sequential():
    a, b = layers(2)
    net = nn.Sequential(OrderedDict(first=a, second=b))
    assert net.first is a and net[1] is b
    assert list(net.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert list(net[1:].state_dict()) == ["second.weight", "second.bias"]
    net[0] = b
    assert net.first is b
    with pytest.raises(OptionError, match="'forward'"):
        nn.Sequential({"forward": a})


def test_a_list_of_layers_has_no_forward():
    with pytest.raises(NotImplementedError):
        nn.ModuleList(layers(1))(minidl.ones(1, 2))


def test_module_dict():
    a, b, c = layers(3)
    heads = nn.ModuleDict({"left": a, "right": b})
    assert list(heads) == ["left", "right"] == list(heads.keys())
    assert list(heads.values()) == [a, b] and dict(heads.items()) == {"left": a, "right": b}
    assert "left" in heads and "middle" not in heads and len(heads) == 2
    heads["left"] = c
    assert heads["left"] is c and heads.left is c
    assert heads.pop("left") is c and len(heads) == 1
    heads.update({"up": a})
    del heads["right"]
    assert list(heads.state_dict()) == ["up.weight", "up.bias"]
    for call in (lambda: heads["left"], lambda: heads.pop("left")):
        with pytest.raises(KeyError):
            call()
    for name, value in (("keys", a), ("training", a), ("a.b", a), ("x", 3), (1, a)):
        with pytest.raises(OptionError):
            heads[name] = value
    assert list(heads) == ["up"]
