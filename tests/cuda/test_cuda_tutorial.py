"""The main job on the device: the same script, told ``--device cuda``."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tutorials" / "12_lenet.py"


def test_lenet_trains_on_the_device(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MINIDL_MODE", "smoke")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--device", "cuda", "--epochs", "1", "--output", str(tmp_path)])
    names = runpy.run_path(str(SCRIPT), run_name="__main__")
    assert names["logits"].device == "cuda:0"
    report = re.search(r"^report 12_lenet: .*loss=([\d.]+) first_loss=([\d.]+)", capsys.readouterr().out, re.M)
    assert float(report[1]) < float(report[2])
