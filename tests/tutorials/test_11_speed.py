"""Chapter 11 runs, and what it says of memory and of counting holds on any machine. Times are not tested."""

from __future__ import annotations

import pytest
from chapter_runs import run_chapter

from minidl.backends import available_backends


@pytest.fixture(scope="module")
def metrics():
    return run_chapter("11_speed")


def test_it_runs_and_reports_what_it_promises(metrics):
    assert metrics["intensity_ratio"] > 50
    assert metrics["profiled_primitives"] >= 8
    for name in (
        "step_ms",
        "peak_gflops",
        "memory_gb_per_s",
        "overhead_us",
        "claimed_speedup",
        "honest_speedup",
        "pool_speedup",
    ):
        assert 0 < metrics[name] < float("inf")
    assert set(metrics.figures) == {"memory", "overhead", "profile", "roofline", "timing"}
    assert metrics.output.count("not attempted") == 3


@pytest.mark.skipif("compiled" not in available_backends(), reason="only the kernels' pool counts its memory")
def test_activations_are_held_for_backward_and_let_go(metrics):
    assert metrics["peak_over_no_grad"] > 1.5
    assert metrics["after_over_peak"] < 0.5
