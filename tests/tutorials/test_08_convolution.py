"""Chapter 8 runs; its three convolutions agree, and so do its gradients."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("08_convolution")
    assert metrics["max_error"] < 1e-12
    assert metrics["adjoint_gap"] < 1e-12
    assert metrics["gradient_error"] < 1e-12
    assert metrics["speedup_im2col"] > 3  # hundreds, on a quiet machine
    # The box: a symmetric kernel cannot see the missing flip, another one does.
    assert metrics["symmetric_test_error"] == 0 and metrics["asymmetric_test_error"] > 0.1
    assert set(metrics.figures) == {"adjoint", "kernels", "offsets", "race", "windows"}
    assert metrics.output.count("not attempted") == 4
