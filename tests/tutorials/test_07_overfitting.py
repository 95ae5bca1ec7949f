"""Chapter 7 runs; its penalties, dropout and metrics agree with their peers, and the bug costs accuracy."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_shows_what_the_text_says():
    metrics = run_chapter("07_overfitting")
    assert metrics["metric_error"] < 1e-12  # precision, recall, F1, AUC and kappa against scikit-learn
    assert metrics["decay_error"] < 1e-12 and metrics["dropout_mean_error"] < 0.1
    assert metrics["dropout_left_on"] < metrics["dropout_off"] - 0.02
    assert metrics["winner"] > 0.85 and metrics["test"] > 0.85 and metrics["auc"] > 0.9
    assert set(metrics.figures) == {"overfitting", "remedies", "roc", "learning_curve"}
    assert "'never an 8': accuracy 90.3%, kappa 0.000" in metrics.output
    assert metrics.output.count("not attempted") == 4
