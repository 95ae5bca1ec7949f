"""Chapter 5 runs; its formulas agree with differences and with minidl, and its networks learn what they are said to."""

from __future__ import annotations

import re

from chapter_runs import run_chapter


def test_it_runs_and_shows_what_the_text_says():
    metrics = run_chapter("05_mlp")
    assert metrics["gradient_error"] < 1e-8 and metrics["backward_error"] < 1e-12
    assert metrics["spiral"] >= 0.97
    assert metrics["spiral_linear"] < 0.7  # three straight wedges can do no better
    assert metrics["digits"] >= 0.97
    assert metrics["lost_bracket"] < 0.5
    assert 0 < metrics["loss_floor_gap"] < 0.1  # near ln(e + 9) - 1, and never below it
    assert set(metrics.figures) == {"activations", "boundaries", "mistakes", "softmax_twice"}
    assert metrics.output.count("not attempted") == 4
    output = metrics.output
    assert "logarithm of the stable softmax: inf" in output
    assert re.search(r"from the logits: +2000\.0", output) and re.search(r"minidl\.cross_entropy: +2000\.0", output)
    assert "\n0 %\n28 %\n29%\n" in output
