"""Chapter 4 runs; descent ends at least squares, the optimizers are minidl's, and theory predicts what is measured."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("04_optimizers")
    assert metrics["least_squares_gap"] < 1e-6
    assert metrics["optimizer_gap"] < 1e-12 and metrics["huber_gap"] < 1e-15
    assert metrics["factor_gap"] < 1e-4
    assert 0 < 2 * metrics["momentum_steps"] < metrics["plain_steps"]
    # Outliers turn the line of least squares (true slope 1.5), not Huber's.
    assert abs(metrics["huber_slope"] - 1.5) < 0.3 < abs(metrics["squared_slope"] - 1.5)
    # Coupled decay leaves the weight with the loud gradient almost as it was; decoupled decay shrinks it as promised.
    assert metrics["decay_loud_adam"] > 0.6 and abs(metrics["decay_loud_adamw"] - 0.998**1000) < 0.1
    assert metrics["cosine_floor"] < 0.5 * metrics["constant_floor"]
    assert metrics["bug_gap"] < 1e-12
    assert set(metrics.figures) == {"learning_rate", "losses", "paths", "schedules"}
    assert metrics.output.count("not attempted") == 4
