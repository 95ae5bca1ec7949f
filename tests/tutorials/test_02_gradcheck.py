"""Chapter 2 runs; the U-curve has the slopes of Taylor and of rounding, and the check finds each planted bug."""

from __future__ import annotations

import math

from chapter_runs import run_chapter


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("02_gradcheck")
    assert abs(metrics["slope_forward"] - 1) < 0.05
    assert abs(metrics["slope_central"] - 2) < 0.05
    assert abs(metrics["slope_rounding"] + 1) < 0.25
    assert metrics["operations"] == 2 and 0 < metrics["certificate"] < 1e-7
    assert metrics["bracket_a"] < 1e-6 < 0.5 < metrics["bracket_b"]
    # The wrong gradient classifies well, and its loss stays near that of guessing.
    assert metrics["accuracy_b"] > 0.8
    assert 0.85 * math.log(10) < metrics["loss_b"] < math.log(10)
    assert metrics["loss_a_faster"] < 0.5 * metrics["loss_b"]
    assert set(metrics.figures) == {"u_curve", "kink", "certificate"}
    assert "complex step through abs says 0.0" in metrics.output
    assert metrics.output.count("gradcheck: expected relative errors") == 3
    assert metrics.output.count("not attempted") == 4
