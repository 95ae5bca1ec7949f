"""The main job, shortened: it trains, reports and writes its pictures; and it can be resumed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl

SCRIPT = Path(__file__).parents[2] / "tutorials" / "12_lenet.py"


def run(folder: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "MINIDL_DATA"}
    command = [sys.executable, str(SCRIPT), "--output", str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenet") / "out"
    return folder, run(folder, "--epochs", "6")


def test_it_reports_an_accuracy(finished):
    _, printed = finished
    last = printed.strip().splitlines()[-1]
    assert float(re.search(r"accuracy ([\d.]+)%", last).group(1)) > 93
    assert "1,438 pictures to learn from, 359 to be tested on" in printed


def test_its_pictures_are_not_blank(finished):
    folder, _ = finished
    for name in ("curves", "confusion", "filters", "mistakes"):
        picture = np.asarray(Image.open(folder / f"{name}.png").convert("L"))
        assert picture.std() > 5 and min(picture.shape) > 150


def test_its_weights_can_be_loaded(finished):
    folder, _ = finished
    state = minidl.load(folder / "lenet.safetensors")
    assert state["0.weight"].shape == (6, 1, 5, 5) and len(state) == 10


def test_a_finished_run_resumes_without_training_again(finished):
    folder, printed = finished

    def accuracy(text: str) -> str:
        return re.search(r"accuracy [\d.]+%", text).group(0)

    assert accuracy(run(folder, "--epochs", "6", "--resume")) == accuracy(printed)
