"""Chapter 10 runs; its kernel agrees with NumPy and is certified; without a compiler it ends well, too."""

from __future__ import annotations

import shutil

import pytest
from chapter_runs import ROOT, run_chapter

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


def test_it_ends_well_without_a_compiler(tmp_path):
    nowhere = {"CC": str(tmp_path / "no-compiler"), "XDG_CACHE_HOME": str(tmp_path)}
    metrics = run_chapter("10_kernel", environment=nowhere)
    assert metrics["compiled"] == 0 and metrics["certified"] == 1
    assert "no kernel could be compiled" in metrics.output and "a C compiler such as gcc" in metrics.output
