"""Faults planted in the kernels' source, and in how they are called, do not go unnoticed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from minidl.backends import host_array, to_device
from minidl.backends.cuda import CudaBackend, launch
from minidl.backends.cuda.source import source
from minidl.backends.reference import ReferenceBackend
from minidl.errors import DeviceError

reference, cuda = ReferenceBackend(), CudaBackend()

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the kernels for the CPU")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


CONV = (noise(2, 3, 6, 5), noise(4, 3, 3, 2), noise(4), (1, 1), (1, 0), (1, 1), 1)
POOL = (noise(2, 3, 7, 6), (3, 2), (2, 2), (1, 1), (1, 1), False)
NORM = (noise(3, 4, 50), noise(4), noise(4), 1e-5)
BARRIER = "__syncthreads();"

FAULTS = {
    # family, method, arguments, what stands there, what is planted
    "im2col: a row too far": ("conv", "conv2d", CONV, "p * stride_h - pad_h + i", "p * stride_h - pad_h + 1 + i"),
    "im2col: the edge is read": ("conv", "conv2d", CONV, "row >= 0 && row < h", "row >= 0 && row < h - 1"),
    "col2im: a tap is lost": (
        "conv",
        "conv2d_input_grad",
        (noise(2, 4, 6, 4), noise(4, 3, 3, 2), (6, 5), (1, 1), (1, 0), (1, 1), 1),
        "j < kw; j++",
        "j < kw - 1; j++",
    ),
    "max_pool: the last of equals": (
        "pool",
        "max_pool2d",
        (np.zeros((1, 1, 4, 4)), (2, 2), (2, 2), (0, 0), (1, 1), False),
        "value > best",
        "value >= best",
    ),
    "max_pool: columns begin one later": ("pool", "max_pool2d", POOL, "INDEX j = 0; j < kw", "INDEX j = 1; j < kw"),
    "max_pool_grad: the batch is not awaited": (
        "pool",
        "max_pool2d_grad",
        (noise(1, 2, 9, 9), np.random.default_rng(0).integers(0, 100, (1, 2, 9, 9)), (10, 10)),
        f"            {BARRIER}\n            for (INDEX k",
        "            for (INDEX k",
    ),
    "batch norm: the sums are not awaited": (
        "norm",
        "batch_norm",
        NORM,
        f"room[me] = value;\n    {BARRIER}",
        "room[me] = value;",
    ),
    "batch norm: halves are not awaited": (
        "norm",
        "batch_norm",
        NORM,
        f"room[me] += room[me + half];\n        {BARRIER}",
        "room[me] += room[me + half];",
    ),
    "batch norm: a single in double's place": (
        "norm",
        "batch_norm",
        NORM,
        "REAL sum = 0, squares = 0;",
        "float sum = 0; REAL squares = 0;",
    ),
    "softmax: no shift": ("softmax", "softmax", (noise(3, 70) + 1000, 1), "exp(AT(k) - shift)", "exp(AT(k))"),
    "cross entropy: labels from one": (
        "softmax",
        "cross_entropy",
        (noise(3, 4), np.array([0, 3, 1]), -100, None),
        "base[label]",
        "base[label - 1]",
    ),
    "dropout: nine rounds": ("random", "dropout", (noise(40), 0.5, 3, 0), "round < 10", "round < 9"),
    "sums by place: the run is cut": (
        "index",
        "scatter_add",
        (noise(9), np.array([0, 1, 1, 1, 0, 2, 1, 0, 3]), 4),
        "order[low] * depth",
        "low * depth",
    ),
}


def call(method, arguments):
    sent = [to_device(value.copy(), "cuda") if isinstance(value, np.ndarray) else value for value in arguments]
    result = getattr(cuda, method)(*sent)
    return [host_array(each) for each in (result if isinstance(result, tuple) else (result,))]


def agree(method, arguments):
    with np.errstate(all="ignore"):
        expected = getattr(reference, method)(*arguments)
    expected = expected if isinstance(expected, tuple) else (expected,)
    return all(
        np.allclose(ours, theirs, rtol=1e-10, atol=1e-10)
        for ours, theirs in zip(call(method, arguments), expected, strict=True)
    )


@pytest.fixture
def planted(monkeypatch):
    """Replace a kernel's source for one test."""

    def plant(family, before, after):
        text = source(family)
        assert before in text, "the place of the fault has changed: mend this test"
        changed = text.replace(before, after)
        monkeypatch.setattr(launch, "source", lambda name: changed if name == family else source(name))
        launch._module.cache_clear()
        launch._kernel.cache_clear()

    yield plant
    monkeypatch.undo()
    launch._module.cache_clear()
    launch._kernel.cache_clear()


@needs_compiler
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_seen(name, planted):
    family, method, arguments, before, after = FAULTS[name]
    assert agree(method, arguments), "the kernel is wrong before anything is planted"
    planted(family, before, after)
    try:
        noticed = not agree(method, arguments)
    except AssertionError as error:  # a block that falls apart at a barrier
        noticed = "barrier" in str(error)
    assert noticed


def test_arguments_are_checked_before_a_launch(cupy):
    x = to_device(noise(4, 6).astype(np.float32), "cuda")
    y = cupy.empty((4, 6), "float32")
    fine = (4, 6, 1, False)
    launch.launch("softmax", "softmax", "float32", 24, x, y, *fine, blocks=4)
    wrong = {
        "float64 for float32": (x.astype("float64"), y, *fine),
        "not contiguous": (x.reshape(6, 4).T, y, *fine),
        "one too few": (x, y, 4, 6, 1),
        "one too many": (x, y, *fine, 0),
        "in main memory": (noise(4, 6).astype(np.float32), y, *fine),
    }
    for name, arguments in wrong.items():
        with pytest.raises(DeviceError):
            launch.launch("softmax", "softmax", "float32", 24, *arguments, blocks=4)
            pytest.fail(f"{name} was launched")
