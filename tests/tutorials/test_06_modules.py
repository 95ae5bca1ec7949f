"""Chapter 6 runs; initialisation, normalisation and its two bugs do what the text says, in numbers."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_shows_what_the_text_says():
    metrics = run_chapter("06_modules")
    assert metrics["module_error"] < 1e-5 and metrics["norm_error"] < 1e-8
    assert 0.2 < metrics["he_growth"] < 5  # twenty layers of ReLU with He's weights
    assert metrics["small"] < 0.2 < 0.4 < min(metrics["he"], metrics["batch_norm"])  # the small weights are deaf
    assert metrics["eval_remembered"] > 0.8
    assert metrics["eval_forgotten"] < 0.5 and metrics["eval_too_late"] < metrics["eval_remembered"] - 0.1
    assert metrics["parity_linear"] < 0.8 and metrics["parity_tanh"] == 1
    assert set(metrics.figures) == {"depth", "histograms", "training"}
    assert metrics.output.count("not attempted") == 4
