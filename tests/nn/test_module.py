"""Module: parts by attribute, modes, state, hooks, words, and errors that know their layer."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import DataError, DeviceError, DTypeError, OptionError, ShapeError


class Net(nn.Module):
    """Without super().__init__(), which is not needed."""

    def __init__(self):
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.scale = nn.Parameter([2.0])
        self.register_buffer("steps", minidl.tensor(0), persistent=False)
        self.register_buffer("table", minidl.ones(2))
        self.nothing = None
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3))) * self.scale


def test_parts_are_found_in_order():
    net = Net()
    wanted = ["scale", "features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"]
    assert [name for name, _ in net.named_parameters()] == [*wanted, "head.weight", "head.bias"]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in net.named_parameters(prefix="net")][:2] == ["net.scale", "net.features.0.weight"]
    running = ["features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"]
    assert [name for name, _ in net.named_buffers()] == ["steps", "table", *running]
    assert [name for name, _ in net.named_children()] == ["features", "head"]
    paths = ["", "features", "features.0", "features.1", "features.2", "head"]
    assert [name for name, _ in net.named_modules()] == paths
    assert list(net.state_dict()) == ["scale", "table", *wanted[1:], *running, "head.weight", "head.bias"]
    assert net.get_submodule("features.2") is net.features[2]
    assert net.get_submodule("") is net
    with pytest.raises(OptionError, match=r"features\.7"):
        net.get_submodule("features.7")


def test_shared_parts_come_once_but_are_saved_under_each_name():
    a = nn.Linear(2, 2)
    net = nn.Sequential(a, a, nn.Linear(2, 2))
    net[2].weight = a.weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    net.load_state_dict(net.state_dict())


def test_replacing_and_removing_parts():
    layer = nn.Linear(2, 3)
    with pytest.raises(OptionError, match=r"Linear.weight.*the parameter would be lost.*nn.Parameter"):
        layer.weight = np.zeros((3, 2))
    with pytest.raises(OptionError, match="Parameter"):
        layer.weight = minidl.zeros(3, 2)
    layer.weight = nn.Parameter(minidl.zeros(3, 2))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    layer.register_parameter("bias", nn.Parameter(minidl.ones(3)))
    assert layer(minidl.ones(1, 2)).tolist() == [[1, 1, 1]]
    norm = nn.BatchNorm1d(2)
    with pytest.raises(OptionError, match="buffer"):
        norm.running_mean = 0.0
    norm.running_mean = minidl.ones(2)
    assert "running_mean" in norm.state_dict()
    del norm.running_mean
    assert "running_mean" not in norm.state_dict()


@pytest.mark.parametrize("name", ["forward", "training", "", "a.b", 3])
def test_names_that_are_not_free(name):
    for call in (nn.Module().add_module, nn.Module().register_parameter, nn.Module().register_buffer):
        with pytest.raises(OptionError):
            call(name, None)


def test_wrong_kinds_of_parts():
    with pytest.raises(OptionError):
        nn.Module().add_module("a", nn.Linear)
    with pytest.raises(OptionError):
        nn.Module().register_parameter("a", minidl.ones(1))
    with pytest.raises(OptionError):
        nn.Module().register_buffer("a", np.ones(1))
    with pytest.raises(DTypeError):
        nn.Parameter([1, 2])


def test_a_parameter_can_be_written():
    array = np.ones(2)
    array.flags.writeable = False
    parameter = nn.Parameter(array)
    parameter.data[0] = 5
    assert array[0] == 1
    own = np.ones(2)
    nn.Parameter(own).data[0] = 5
    assert own[0] == 5


def test_modes():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.features.train()
    assert net.features[1].training and not net.training
    assert net.train().head.training
    with pytest.raises(OptionError):
        net.train("yes")


def test_freezing_and_gradients():
    net = Net()
    net(minidl.randn(2, 1, 5, 5)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.data.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not net(minidl.randn(2, 1, 5, 5)).requires_grad


def test_apply_goes_to_the_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Conv2d", "BatchNorm2d", "ReLU", "Sequential", "Linear", "Net"]


def test_conversion():
    net = Net()
    net(minidl.randn(2, 1, 5, 5)).sum().backward()
    weight = net.head.weight
    assert net.to("float64") is net
    assert net.head.weight is weight
    assert weight.dtype == weight.grad.dtype == net.features[1].running_mean.dtype == "float64"
    assert net.features[1].num_batches_tracked.dtype == "int64"
    assert net(minidl.randn(2, 1, 5, 5, dtype="float64")).dtype == "float64"
    assert net.float().head.weight.dtype == "float32"
    assert net.double().cpu().to("cpu").head.weight.dtype == "float64"
    for wrong in ("int64", "float65", "tpu"):
        with pytest.raises(DTypeError):
            net.to(wrong)
    if not minidl.cuda.is_available():
        with pytest.raises(DeviceError):
            net.cuda()
    assert net.head.weight.dtype == "float64"


def test_copies_are_independent():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(other.scale) is nn.Parameter and other.scale.requires_grad
        other.head.weight.data[...] = 7
        other.features[1].running_mean.data[...] = 7
        assert not (net.head.weight.data == 7).any() and not (net.features[1].running_mean.data == 7).any()
        assert repr(other) == repr(net)


def test_a_network_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        net = Net()
        net(minidl.randn(2, 1, 5, 5)).sum().backward()
        gone = weakref.ref(net.head.weight)
        del net
        assert gone() is None
    finally:
        gc.enable()


# The state_dict


def test_the_state_shares_memory_and_comes_back():
    net, other = Net(), Net()
    state = net.state_dict()
    assert np.shares_memory(state["head.weight"].data, net.head.weight.data)
    assert not state["head.weight"].requires_grad
    version = other.head.weight.shared_version()[0]
    wider = {np.dtype("float32"): "float64", np.dtype("int64"): "int32"}
    found = other.load_state_dict({name: tensor.numpy().astype(wider[tensor.dtype]) for name, tensor in state.items()})
    assert found == ([], []) and found.missing_keys == []
    assert other.head.weight.shared_version()[0] > version
    assert other.head.weight.dtype == "float32"
    for name, tensor in other.state_dict().items():
        np.testing.assert_array_equal(tensor.data, state[name].data)
    assert not np.shares_memory(other.head.weight.data, net.head.weight.data)


def test_all_mismatches_stand_in_one_error_and_nothing_changes():
    net = Net()
    before = {name: tensor.data.copy() for name, tensor in net.state_dict().items()}
    state = {name: np.full_like(array, 9) for name, array in before.items()}
    state["head.weight"] = np.ones((3, 5))
    state["features.0.bias"] = np.ones(2, "int64")
    state["features.1.num_batches_tracked"] = np.ones((), "float32")
    state["table"] = np.array(["a", "b"])
    del state["scale"]
    state["extra"] = np.ones(1)
    with pytest.raises(DataError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert "6 mismatch(es)" in text and "nothing was changed" in text
    for part in (
        "wrong shape: head.weight is (3, 2), got (3, 5)",
        "wrong type: features.0.bias is float32, got int64",
        "wrong type: features.1.num_batches_tracked is int64, got float32",
        "wrong type: table is float32, got <U1",
        "missing: scale",
        "unexpected: extra",
    ):
        assert part in text
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.data, before[name])
    with pytest.raises(DataError, match="mapping"):
        net.load_state_dict([1, 2])


def test_loading_what_fits():
    net = Net()
    found = net.load_state_dict({"head.bias": np.full(3, 5.0), "extra": np.ones(1)}, strict=False)
    assert "head.weight" in found.missing_keys and found.unexpected_keys == ["extra"]
    assert net.head.bias.tolist() == [5, 5, 5]
    with pytest.raises(DataError, match="wrong shape"):
        net.load_state_dict({"head.bias": np.ones(4)}, strict=False)


def test_a_prefix_is_recognised():
    net = Net()
    wrapped = {f"model.module.{name}": tensor for name, tensor in net.state_dict().items()}
    with pytest.raises(DataError, match=r"prefix 'model.module.': remove it"):
        net.load_state_dict(wrapped)
    with pytest.raises(DataError, match=r"prefix '0.': add it"):
        nn.Sequential(net).load_state_dict(net.state_dict())


# Hooks


def test_hooks():
    layer = nn.Linear(2, 2)
    calls = []
    x = minidl.ones(1, 2)
    handles = [
        layer.register_forward_pre_hook(lambda module, inputs: calls.append(("before", module, inputs))),
        layer.register_forward_pre_hook(lambda module, inputs: inputs[0] * 0),
        layer.register_forward_hook(lambda module, inputs, output: calls.append(("after", inputs[0].tolist()))),
        layer.register_forward_hook(lambda module, inputs, output: output + 1),
    ]
    np.testing.assert_allclose(layer(x).data, layer.bias.data[None] + 1)
    assert calls == [("before", layer, (x,)), ("after", [[0, 0]])]
    for handle in handles:
        handle.remove()
        handle.remove()
    np.testing.assert_array_equal(layer(x).data, layer.forward(x).data)
    assert len(calls) == 2


# Errors


def test_an_error_names_the_path_of_its_layer():
    class LeNet(nn.Module):
        def __init__(self):
            self.features = nn.Sequential(nn.Identity(), nn.Conv2d(1, 6, 5))

        def forward(self, x):
            return self.features(x)

    with pytest.raises(ShapeError) as caught:
        LeNet()(minidl.zeros(1, 2, 8, 8))
    assert caught.value.layers == ["features.1 (Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1)))", "LeNet"]
    assert "in layer features.1 (Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))) < LeNet" in str(caught.value)
    with pytest.raises(ShapeError) as caught:
        LeNet().features[1](minidl.zeros(1, 2, 8, 8))
    assert caught.value.layers == ["Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))"]


def test_an_error_in_a_layer_that_is_no_part():
    class Hidden(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 2)]  # a plain list: not found

        def forward(self, x):
            return self.layers[0](x)

    with pytest.raises(ShapeError) as caught:
        nn.Sequential(Hidden())(minidl.zeros(1, 3))
    text = "Linear(in_features=2, out_features=2, bias=True)"
    assert caught.value.layers == [text, "Hidden", "Sequential"]


def test_other_errors_pass_unchanged():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        nn.Sequential(Broken())(1)
    with pytest.raises(NotImplementedError, match="must define forward"):
        nn.Module()(1)


# Words


def test_repr():
    class Scaled(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential(nn.Linear(1, 2))

        def extra_repr(self):
            return "factor=2"

    assert repr(nn.Module()) == "Module()"
    assert repr(Scaled()) == (
        "Scaled(\n  factor=2\n  (inner): Sequential(\n    (0): Linear(in_features=1, out_features=2, bias=True)\n  )\n)"
    )
    assert repr(nn.Parameter([1.0])) == "Parameter containing:\ntensor([1.], requires_grad=True)"
