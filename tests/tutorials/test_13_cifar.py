"""Chapter 13 runs; the explicit loop and `fit` agree to the last bit, and its small networks begin to learn."""

from __future__ import annotations

from chapter_runs import run_chapter


def test_it_runs_and_shows_what_the_text_says():
    metrics = run_chapter("13_cifar")
    assert metrics["same"] == 1
    assert metrics["loss_drop"] > 0.05  # nats, in twenty-one steps on a few pictures: it learns
    assert 0 < metrics["b"] <= 1 and 0 < metrics["a_crops"] <= 1
    assert set(metrics.figures) == {"pictures", "confusion", "results"}
    assert metrics.output.count("not attempted") == 3
    first, second = (
        line.split("epochs: ")[1] for line in metrics.output.splitlines() if "losses of two epochs" in line
    )
    assert first == second
    assert "MINIDL_MODE=full" in metrics.output  # no CIFAR-10 without a network, and it says where to get it
