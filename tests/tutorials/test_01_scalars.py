"""Chapter 1 runs; its engine agrees with the table by hand and with minidl, and its neurons learn what they can."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("01_scalars")
    assert metrics["difference_by_hand"] == 0.0
    assert metrics["difference_from_minidl"] < 1e-12
    assert "minidl's gradients: [11.0, 4.0, 2.0]   ours: [11.0, 4.0, 2.0]" in metrics.output
    assert metrics["and_loss"] < 0.1
    assert abs(metrics["xor_one_neuron"] - 4.0) < 1e-3  # one line in the plane can do no better
    assert metrics["xor_right"] == 4
    assert set(metrics.figures) == {"graph", "neurons"}
    assert "[11.0, 4.0, 2.0]   with the bug [6.0, 4.0, 2.0]" in metrics.output
    assert metrics.output.count("not attempted") == 3
