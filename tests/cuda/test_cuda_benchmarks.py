"""The benchmarks' cases for a GPU compute what those for the CPU compute."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import cuda, steps
from benchmarks.compare import Row
from benchmarks.workers import as_arrays


@pytest.mark.parametrize("network", ["lenet", "resnet20"])
def test_training_steps_agree_with_the_cpu(network):
    ours, theirs = (
        work.inspect(work.run())
        for work in (build("minidl", network, 2, "SGD") for build in (cuda.training_step, steps.training_step))
    )
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-2, atol=1e-2 * np.abs(other).max())


def test_fractions_of_the_peak():
    rows = [
        Row(cuda.PEAK, ours=2.0, theirs=1.0, flops=8e12),
        Row("conv", ours=4.0, theirs=2.0, flops=4e12),
        Row("failed", flops=4e12),
    ]
    head, line = cuda.fractions_of_peak(rows)
    assert "8.0 TFLOP/s" in head
    assert line.split() == ["conv", "12.5%", "25.0%"]
    assert cuda.fractions_of_peak(rows[1:]) == []


def test_convolutions_and_products_run():
    shape = (2, 3, 8, 4, 3, 1, 1)
    sizes = {"forward": (2, 4, 8, 8), "input gradient": (2, 3, 8, 8), "weight gradient": (4, 3, 3, 3)}
    for what, size in sizes.items():
        (result,) = as_arrays(cuda.convolution("minidl", what, shape).run())
        assert result.shape == size and np.abs(result).max() > 0
    (result,) = as_arrays(cuda.product("minidl", 8).run())
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((8, 8)).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(result, left @ right, rtol=1e-5, atol=1e-5)
