"""No input and no way of calling may crash the process: the public operations, threads, forks, the switches."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from kernel_layouts import laid_out

import minidl
from minidl import _kernels, nn, optim
from minidl.errors import MinidlError, OptionError
from minidl.nn import functional as F

HOME = Path(minidl.__file__).parents[1]  # so that a fresh interpreter imports the same minidl
F4, F8 = np.float32, np.float64


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a program in a fresh interpreter; a hang is an error."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MINIDL_ISA", "MINIDL_KERNELS")}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, cwd=HOME, capture_output=True, text=True, timeout=120
    )


def numbers(*shape: int, dtype: type = F4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------- strange arrays through the public operations

OPERATIONS = {
    "conv2d": (F.conv2d, (2, 3, 7, 6), (4, 3, 3, 2), (4,)),
    "conv_transpose2d": (F.conv_transpose2d, (2, 3, 5, 4), (3, 2, 3, 2), (2,)),
    "linear": (F.linear, (5, 7), (4, 7), (4,)),
    "matmul": (minidl.matmul, (2, 1, 5, 7), (3, 7, 4)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 8, 7)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (2, 3), 2, 1), (2, 3, 8, 7)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 3, 8, 7)),
    "interpolate": (lambda x: F.interpolate(x, (5, 9), mode="bilinear"), (2, 3, 4, 7)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (4, 3, 5, 2), (3,), (3,)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (5, 2), w, b), (4, 3, 5, 2), (5, 2), (5, 2)),
    "softmax": (lambda x: F.softmax(x, 1), (4, 7, 3)),
    "gelu": (F.gelu, (3, 5, 7)),
    "sum": (lambda x: x.sum(1), (3, 5, 7)),
}


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("layout", ["fortran", "reversed", "strided", "swapped", "unaligned", "read-only", "constant"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_any_layout_gives_the_result_and_the_gradients_of_the_plain_array(name, layout, dtype):
    operation, *shapes = OPERATIONS[name]
    arrays = [laid_out(numbers(*shape, dtype=dtype, seed=i), layout) for i, shape in enumerate(shapes)]
    outcomes = []
    for convert in (lambda a: a, lambda a: np.array(a, dtype, order="C")):
        inputs = [minidl.from_numpy(convert(a)).requires_grad_() for a in arrays]
        y = operation(*inputs)
        (y * y).sum().backward()
        outcomes.append([y.data, *[x.grad.data for x in inputs]])
    for ours, plain in zip(*outcomes, strict=True):
        assert ours.dtype.kind == plain.dtype.kind and ours.itemsize == plain.itemsize  # in its own byte order
        np.testing.assert_allclose(
            ours, plain, rtol=1e-5 if dtype == F4 else 1e-12, atol=1e-5 if dtype == F4 else 1e-12
        )


def test_huge_strides():
    far = np.lib.stride_tricks.as_strided(np.zeros(2**22, F4), (3, 4), (2**22, 2**20))
    far[...] = numbers(3, 4)
    w = numbers(5, 4, seed=1)
    np.testing.assert_allclose(F.linear(far, w), numbers(3, 4) @ w.T, rtol=1e-5, atol=1e-6)
    image = far.reshape(1, 1, 3, 4)
    np.testing.assert_array_equal(F.max_pool2d(image, (3, 4)).ravel(), numbers(3, 4).max(keepdims=True).ravel())
    windows = np.lib.stride_tricks.sliding_window_view(numbers(9), 4)  # elements that share memory
    np.testing.assert_array_equal(F.relu(windows), np.maximum(windows, 0))
    np.testing.assert_allclose(minidl.matmul(windows, w.T), windows.copy() @ w.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_empty_axis_gives_an_empty_result_or_an_error_that_teaches(name, empty):
    operation, first, *rest = OPERATIONS[name]
    x = np.zeros([0 if i == empty else n for i, n in enumerate(first)], F4)
    try:
        y = operation(x, *[np.zeros(shape, F4) for shape in rest])
    except MinidlError as error:
        assert error.expected and error.actual
    else:
        assert not np.isnan(y).any()


@pytest.mark.parametrize("bad", [-1, 5, 2**31, 2**62, -(2**63)])
def test_indices_that_point_outside_are_refused(bad):
    weight, x = minidl.randn(5, 3, requires_grad=True), minidl.randn(2, 5, requires_grad=True)
    for call in (
        lambda: F.embedding(np.array([0, bad]), weight),
        lambda: F.cross_entropy(x, np.array([0, bad])),
        lambda: F.nll_loss(x, np.array([0, bad])),
        lambda: minidl.index_select(weight, 0, np.array([0, bad])),
        lambda: minidl.gather(x, 1, np.array([[0], [bad]])),
        lambda: minidl.scatter_add(x, 1, np.array([[0], [bad]]), minidl.ones(2, 1)),
    ):
        with pytest.raises(MinidlError) as caught:
            call()
        assert str(bad) in str(caught.value) or "range" in str(caught.value) or "from 0" in str(caught.value)
    assert weight.grad is None and x.grad is None


@pytest.mark.parametrize("labels", [np.array([0.0, 1.0]), np.array([0]), np.array([[0], [1]]), np.array(["a", "b"])])
def test_labels_of_a_wrong_kind_are_refused(labels):
    with pytest.raises(MinidlError):
        F.cross_entropy(minidl.randn(2, 5), labels)


def test_the_smallest_and_largest_integers_are_refused_too():
    weight = numbers(5, 3)
    for indices in (np.array([255], np.uint8), np.array([-128], np.int8), np.array([2**64 - 1], np.uint64)):
        with pytest.raises(MinidlError):
            F.embedding(indices, weight)


def repeated(*shape: int) -> np.ndarray:
    """An array of any size that takes four bytes."""
    return np.broadcast_to(F4(1), shape)


IMPOSSIBLE = {
    "depth": lambda: minidl.matmul(repeated(1, 2**61 - 1), repeated(2**61 - 1, 1)),
    "deep linear": lambda: F.linear(repeated(1, 2**61 - 1), repeated(1, 2**61 - 1)),
    "stack": lambda: minidl.matmul(repeated(2**50, 1, 1), repeated(2**50, 1, 1)),
    "stride": lambda: F.conv2d(numbers(1, 4, 1, 1), numbers(1, 4, 1, 1), stride=2**30, padding=2**29),
    "dilation": lambda: F.conv2d(numbers(1, 4, 1, 1), numbers(1, 4, 3, 3), padding=2**30, dilation=2**30),
    "padding": lambda: F.conv2d(numbers(1, 1, 1, 1), numbers(1, 1, 1, 1), padding=2**62),
    "pool": lambda: F.max_pool2d(numbers(1, 1, 8, 8), 2, dilation=2**62),
    "size": lambda: F.interpolate(numbers(1, 1, 2, 2), (2**40, 2**40)),
    "one-hot": lambda: F.one_hot(np.array([0]), 2**62),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_sizes_beyond_any_memory_are_refused(name):
    with pytest.raises((MinidlError, MemoryError, ValueError)):
        IMPOSSIBLE[name]()


def test_windows_of_mostly_padding_neither_hang_nor_crash():
    y = F.max_pool2d(numbers(1, 1, 8, 8), 2**40, 1, 2**39)
    np.testing.assert_array_equal(y, np.full((1, 1, 9, 9), numbers(1, 1, 8, 8).max()))
    y = F.avg_pool2d(numbers(1, 1, 8, 8), 2**40, 1, 2**39, count_include_pad=False)
    np.testing.assert_allclose(y, np.full((1, 1, 9, 9), numbers(1, 1, 8, 8).mean()), rtol=1e-5)


# ---------------------------------------------------------------- threads

CALLS = {
    "conv2d": lambda: F.conv2d(numbers(8, 16, 20, 20), numbers(32, 16, 3, 3, seed=1), padding=1),
    "matmul": lambda: minidl.matmul(numbers(200, 300), numbers(300, 250, seed=1)),
    "max_pool2d": lambda: F.max_pool2d(numbers(16, 16, 20, 20), 2),
    "batch_norm": lambda: F.batch_norm(numbers(16, 16, 20, 20), None, None, training=True),
    "softmax": lambda: F.softmax(numbers(2000, 50), 1),
    "gelu": lambda: F.gelu(numbers(200_000)),
}


def test_python_threads_that_call_at_once_get_the_right_results(restore_threads):
    _kernels.set_num_threads(2)
    expected = {name: call().tobytes() for name, call in CALLS.items()}
    wrong: list[object] = []
    start = threading.Barrier(6)

    def work(seed):
        start.wait()
        try:
            for i in np.random.default_rng(seed).permutation(len(CALLS) * 4):
                name = list(CALLS)[i % len(CALLS)]
                if CALLS[name]().tobytes() != expected[name]:
                    wrong.append(name)
                with pytest.raises(MinidlError):
                    minidl.matmul(numbers(2, 3), numbers(2, 3))
        except BaseException as error:
            wrong.append(error)

    workers = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert not worker.is_alive(), "a thread hangs"
    assert not wrong


def train_a_little(threads: int) -> list[bytes]:
    """Three steps of a small CNN with everything in it; the bits of its parameters and of the losses."""
    _kernels.set_num_threads(threads)
    minidl.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, stride=2, groups=2), nn.GELU(), nn.AvgPool2d(2), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(288, 64), nn.LayerNorm(64), nn.Tanh(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, labels, bits = numbers(32, 3, 28, 28), np.random.default_rng(1).integers(0, 10, 32), []
    for _ in range(3):
        loss = F.cross_entropy(model(minidl.from_numpy(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        bits.append(loss.data.tobytes())
    return bits + [parameter.data.tobytes() for parameter in model.parameters()]


def test_training_gives_the_same_bits_for_any_number_of_threads(restore_threads):
    first = train_a_little(1)
    assert first == train_a_little(2) == train_a_little(3)
    assert len(set(first[:3])) == 3  # something was learned


@pytest.mark.parametrize("bad", [0, -1, 10**6, 2**70, 1.5, "2", None])
def test_the_number_of_threads_is_checked(bad):
    before = _kernels.get_num_threads()
    with pytest.raises(OptionError, match="whole number"):
        _kernels.set_num_threads(bad)
    assert _kernels.get_num_threads() == before


def test_an_error_leaves_everything_usable():
    x, weight = minidl.randn(2, 3, 6, 6, requires_grad=True), minidl.randn(4, 3, 3, 3, requires_grad=True)
    expected = F.conv2d(x, weight).data
    for _ in range(50):  # more often than there are blocks of working memory
        for broken in (
            lambda: F.conv2d(x, weight, np.zeros(7, F4)),
            lambda: F.conv2d(x, weight, groups=2),
            lambda: F.conv2d(x, weight, dilation=2**30, padding=2**30),
            lambda: F.cross_entropy(minidl.randn(2, 3), np.array([0, 7])),
        ):
            with pytest.raises((MinidlError, MemoryError)):
                broken()
    np.testing.assert_array_equal(F.conv2d(x, weight).data, expected)


# ---------------------------------------------------------------- processes and switches

TRAIN = """
import numpy as np, minidl
from minidl import nn, optim
from minidl.nn import functional as F

def train():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 26 * 26, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = np.random.default_rng(0).standard_normal((64, 1, 28, 28)).astype("f4")
    for _ in range(2):
        loss = F.cross_entropy(model(minidl.from_numpy(x)), np.arange(64) % 10)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    return loss.item()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_made_by_fork_trains_like_its_parent_even_if_it_asks_for_threads():
    code = """
import os, warnings
warnings.simplefilter("ignore")
minidl.set_num_threads(2)
expected = train()
for asks in (False, True):
    child = os.fork()
    if child == 0:
        if asks:
            minidl.set_num_threads(2)
        os._exit(0 if train() == expected and minidl.get_num_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
assert train() == expected and minidl.get_num_threads() == (2 if minidl._kernels.openmp else 1)
print("same")
"""
    assert run(TRAIN + code).stdout == "same\n"


def test_without_kernels_the_same_program_runs():
    compiled, plain = (run(TRAIN + "print(train())", **env) for env in ({}, {"MINIDL_KERNELS": "off"}))
    assert float(compiled.stdout) == pytest.approx(float(plain.stdout), rel=1e-4), plain.stderr


def test_an_unknown_instruction_set_is_named_with_those_there_are():
    result = run("import minidl", MINIDL_ISA="sse9")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "OptionError" in last and "MINIDL_ISA" in last and "sse9" in last and "baseline" in last


def test_required_kernels_that_are_missing_are_an_error():
    code = "import sys; sys.modules['minidl._kernels.cpu'] = None; import minidl"
    result = run(code, MINIDL_KERNELS="require")
    assert result.returncode == 1 and "MINIDL_KERNELS=require" in result.stderr
    assert run(code + "; print(minidl._kernels.kernels)").stdout == "None\n"
