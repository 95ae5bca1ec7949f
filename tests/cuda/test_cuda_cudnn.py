"""The road through cuDNN: on a GPU the real one, else a fake that computes with the reference and checks its orders.

The fake knows the names of nvidia-cudnn-frontend 1.32 that the road uses, and refuses all others.
"""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
import standin

from minidl.backends import host_array, to_device
from minidl.backends.cuda import CudaBackend, cudnn
from minidl.backends.cuda.device import allow_tf32, tf32_allowed
from minidl.backends.reference import ReferenceBackend
from minidl.errors import DeviceError, OptionError

reference, cuda = ReferenceBackend(), CudaBackend()


class FakeTensor:
    def __init__(self, dim, stride, data_type):
        self.dim, self.stride, self.data_type = dim, stride, data_type

    def set_output(self, output):
        assert output
        return self

    def set_data_type(self, data_type):
        self.data_type = data_type
        return self

    def set_dim(self, dim):
        self.dim = dim
        return self

    def set_stride(self, stride):
        self.stride = stride
        return self


class FakeGraph:
    """A graph of one convolution, which goes through its steps in cuDNN's order."""

    STEPS = ("validate", "build_operation_graph", "create_execution_plans", "deselect_numeric_notes", "check_support",
             "build_plans")  # fmt: skip

    def __init__(self, *, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert io_data_type == intermediate_data_type == compute_data_type and handle == "handle"
        self.steps, self.notes = [], []

    def __getattr__(self, name):
        if name not in self.STEPS:
            raise AttributeError(name)

        def step(*arguments):
            self.steps.append(name)
            if name == "deselect_numeric_notes":
                (self.notes,) = arguments

        return step

    def tensor(self, *, name, dim, stride, data_type):
        return FakeTensor(dim, stride, data_type)

    def conv_fprop(self, *, image, weight, padding, stride, dilation):
        return self._result("conv2d", (image, weight), padding, stride, dilation)

    def conv_dgrad(self, *, loss, filter, padding, stride, dilation):
        return self._result("conv2d_input_grad", (loss, filter), padding, stride, dilation)

    def conv_wgrad(self, *, image, loss, padding, stride, dilation):
        return self._result("conv2d_weight_grad", (image, loss), padding, stride, dilation)

    def _result(self, method, operands, padding, stride, dilation):
        self.method, self.operands = method, operands
        self.options = tuple(map(tuple, (stride, padding, dilation)))
        self.result = FakeTensor(None, None, None)
        return self.result

    def get_workspace_size(self):
        return 1000

    def execute(self, tensors, workspace, *, handle):
        assert tuple(self.steps) == self.STEPS and workspace.size == 1000 and handle == "handle"
        for tensor, array in tensors.items():
            assert tuple(tensor.dim) == array.shape and array.flags.c_contiguous
            assert [step * array.itemsize for step in tensor.stride] == list(array.strides)
            assert tensor.data_type == array.dtype.name
        first, second = (tensors[operand]._array for operand in self.operands)
        stride, padding, dilation = self.options
        if self.method == "conv2d":
            y = reference.conv2d(first, second, None, stride, padding, dilation, 1)
        elif self.method == "conv2d_input_grad":
            size = tuple(self.result.dim[2:])
            y = reference.conv2d_input_grad(first, second, size, stride, padding, dilation, 1)
        else:
            size = tuple(self.result.dim[2:])
            y = reference.conv2d_weight_grad(second, first, size, stride, padding, dilation, 1)
        tensors[self.result]._array[...] = y


@pytest.fixture
def road(monkeypatch, cupy):
    """cuDNN chosen; the fake where the arrays are the stand-in's."""
    monkeypatch.setenv("MINIDL_CONV", "cudnn")
    graphs = []
    if cupy.__dict__.get("ndarray") is standin.ndarray:
        module = types.ModuleType("cudnn")
        module.__spec__ = importlib.util.spec_from_loader("cudnn", None)
        module.pygraph = lambda **options: graphs.append(FakeGraph(**options)) or graphs[-1]
        module.data_type = types.SimpleNamespace(FLOAT="float32", DOUBLE="float64")
        module.heur_mode = types.SimpleNamespace(A="a", FALLBACK="fallback")
        module.numerical_note = types.SimpleNamespace(NONDETERMINISTIC="unordered", TENSOR_CORE="tensor cores")
        module.create_handle = lambda: "handle"
        module.set_stream = lambda *, handle, stream: None
        monkeypatch.setitem(sys.modules, "cudnn", module)
    elif importlib.util.find_spec("cudnn") is None:
        pytest.skip("nvidia-cudnn-frontend is not installed")
    caches = (cudnn._chosen, cudnn._handle, cudnn._plan)
    for cache in caches:
        cache.cache_clear()
    yield graphs
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [((1, 1), (1, 1), (1, 1)), ((2, 1), (0, 2), (1, 2))])
def test_the_family_computes_the_same(road, dtype, options):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=shape).astype(dtype) for shape in ((2, 3, 9, 8), (4, 3, 3, 2), (4,)))
    y = reference.conv2d(x, weight, bias, *options, 1)
    grad = rng.normal(size=y.shape).astype(dtype)
    calls = {
        "conv2d": (x, weight, bias, *options, 1),
        "conv2d_input_grad": (grad, weight, x.shape[2:], *options, 1),
        "conv2d_weight_grad": (grad, x, weight.shape[2:], *options, 1),
    }
    for method, call in calls.items():
        sent = [to_device(each, "cuda") if isinstance(each, np.ndarray) else each for each in call]
        for _ in range(2):
            ours = host_array(getattr(cuda, method)(*sent))
            expected = getattr(reference, method)(*call)
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    if road:
        assert len(road) == 3, "a plan is built once for each operation"


def test_groups_take_the_readable_road(road):
    x, weight = np.ones((1, 4, 5, 5), np.float32), np.ones((2, 2, 3, 3), np.float32)
    y = cuda.conv2d(to_device(x, "cuda"), to_device(weight, "cuda"), None, (1, 1), (0, 0), (1, 1), 2)
    np.testing.assert_allclose(host_array(y), 18)
    assert not road


def test_tensor_cores_only_where_tf32_is_allowed(road, emulated):
    x, weight = (
        to_device(np.ones((1, 1, 3, 3), np.float32), "cuda"),
        to_device(np.ones((1, 1, 2, 2), np.float32), "cuda"),
    )
    for allowed in (False, True):
        allow_tf32(allowed)
        assert tf32_allowed() == allowed
        cuda.conv2d(x, weight, None, (1, 1), (0, 0), (1, 1), 1)
        assert "unordered" in road[-1].notes
        assert ("tensor cores" in road[-1].notes) != allowed
    allow_tf32(False)


def test_what_is_missing_is_said(monkeypatch):
    for value, error in (("winograd", OptionError), ("cudnn", DeviceError)):
        monkeypatch.setenv("MINIDL_CONV", value)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        cudnn._chosen.cache_clear()
        with pytest.raises(error, match="cudnn"):
            cudnn.takes(1, np.ones(1))
    monkeypatch.undo()
    cudnn._chosen.cache_clear()
