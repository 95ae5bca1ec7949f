"""Chapter 3 runs; views are walked by hand, the array engine agrees with minidl, and both refusals are seen."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("03_tensors")
    assert metrics["views_walked"] == 6
    assert metrics["unbroadcast"] < 1e-8
    assert metrics["difference_from_minidl"] < 1e-12
    assert metrics["version_noticed"] == 1 and metrics["shapes_refused"] == 1
    # The program with the lost axis ends at the variance of its targets, the other one far below.
    assert abs(metrics["loss_b"] - metrics["variance"]) < 0.02 * metrics["variance"]
    assert metrics["loss_a"] < 0.1 * metrics["variance"]
    assert set(metrics.figures) == {"views", "broadcast", "shapes"}
    assert "prediction - target has shape (80, 80)" in metrics.output
    assert metrics.output.count("not attempted") == 4
