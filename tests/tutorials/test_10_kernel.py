"""Chapter 10 runs; its kernel agrees with NumPy and is certified; without a compiler it ends well, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from chapter_runs import ROOT, TUTORIALS, read_report, run_chapter, run_script

# Compiled kernels are kept here, by content: only the first run of the tests compiles.
CACHE = str(ROOT / "build" / "cache")


@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="needs a C compiler")
def test_it_compiles_and_reports_what_it_promises():
    pytest.importorskip("Cython")
    metrics = run_chapter("10_kernel", environment={"XDG_CACHE_HOME": CACHE})
    assert metrics["compiled"] == 1, metrics.output
    assert metrics["agreement"] < 10  # times the precision of the type
    assert metrics["certified"] == 1 and metrics["worst_error"] < 1e-6
    assert metrics["times_the_slowest"] > 20  # thousands, optimised and on a quiet machine
    assert metrics["wrong_by"] > 1  # the box: trusting Fortran order gives wrong numbers
    assert metrics.figures == ["ladder"]
    assert metrics.output.count("not attempted") == 3
    assert "ValueError: ndarray is not C-contiguous" in metrics.output


def test_without_a_compiler_it_ends_well_and_its_module_falls_back_to_numpy(tmp_path):
    nowhere = {"CC": str(tmp_path / "no-compiler"), "XDG_CACHE_HOME": str(tmp_path)}
    output = run_script(TUTORIALS / "10_kernel.py", tmp_path, environment=nowhere)
    metrics = read_report(output, "10_kernel", "smoke")
    assert metrics["compiled"] == 0 and metrics["certified"] == 1
    assert "no kernel could be compiled" in output and "a C compiler such as gcc" in output
    command = [sys.executable, "-m", "minidl", "gradcheck", "squared_distances", "--module", "my_ops"]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path / "figures" / "10_kernel",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "1 operation, 1 case: every gradient proven" in result.stdout
