"""The main job, shortened: it trains, reports and writes its pictures; and it can be resumed."""

from __future__ import annotations

import re

import pytest
from chapter_runs import TUTORIALS, check_figures, read_report, run_chapter, run_script

import minidl

NAME = "12_lenet"
PICTURES = ["confusion", "curves", "filters", "mistakes"]


def test_smoke():
    metrics = run_chapter(NAME)
    assert metrics["accuracy"] >= 0.5
    assert abs(metrics["first_loss"] - 2.303) < 0.2
    assert metrics.figures == PICTURES
    assert metrics.output.count("not attempted") == 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenet")
    printed = run_script(TUTORIALS / f"{NAME}.py", folder, "--epochs", "6", "--output", "out", mode="default")
    return folder, printed


def test_it_reports_an_accuracy(finished):
    _, printed = finished
    metrics = read_report(printed, NAME, "default")
    assert metrics["accuracy"] > 0.93 and metrics["epochs"] == 6
    # The same for people, as a percentage.
    assert re.search(r"accuracy ([\d.]+)%", printed).group(1) == f"{100 * metrics['accuracy']:.2f}"
    assert "1,438 pictures to learn from, 359 to be tested on" in printed


def test_its_pictures_are_where_they_were_asked_for(finished):
    folder, _ = finished
    assert check_figures(folder / "out") == PICTURES
    assert not (folder / "figures").exists()
    for page in ("convolution.html", "graph.html"):
        assert "</html>" in (folder / "out" / page).read_text()


def test_its_weights_can_be_loaded(finished):
    folder, _ = finished
    state = minidl.load(folder / "out" / "lenet.safetensors")
    assert state["0.weight"].shape == (6, 1, 5, 5) and len(state) == 10


def test_a_finished_run_resumes_without_training_again(finished):
    folder, printed = finished
    arguments = ("--epochs", "6", "--output", "out", "--resume")
    again = run_script(TUTORIALS / f"{NAME}.py", folder, *arguments, mode="default")
    assert read_report(again, NAME, "default")["loss"] == read_report(printed, NAME, "default")["loss"]
