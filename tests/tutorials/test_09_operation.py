"""Chapter 9 runs; its operation is proven, its mistakes are noticed, and its module goes through the command line."""

from __future__ import annotations

import os
import subprocess
import sys

from chapter_runs import ROOT, TUTORIALS, read_report, run_chapter, run_script


def test_it_runs_and_reports_what_it_promises():
    metrics = run_chapter("09_operation")
    assert metrics["proven"] == 1 and metrics["certified"] == 1
    assert metrics["worst_error"] < 1e-6
    assert metrics["mistakes_noticed"] == 6
    assert metrics["smuggled_second_derivative"] == 0  # the true one is 2
    assert metrics["certificate_refuses"] == 1
    assert metrics["error_by_differences"] < 1e-5 and metrics["error_by_products"] > 1
    assert metrics["largest_miss"] < 0.5  # the clouds have a radius of 0.5
    assert set(metrics.figures) == {"cancellation", "prototypes"}
    assert metrics.output.count("not attempted") == 3


def test_the_readers_module_is_certified(tmp_path):
    read_report(run_script(TUTORIALS / "09_operation.py", tmp_path), "09_operation", "smoke")
    command = [sys.executable, "-m", "minidl", "gradcheck", "squared_distances", "--module", "my_ops"]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path / "figures" / "09_operation",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "squared_distances" in result.stdout and "every gradient proven" in result.stdout
