"""The figures are drawn from rows, and the peaks are measured with and without a C compiler."""

from __future__ import annotations

import pytest

from benchmarks import figures, peaks
from benchmarks.compare import Row
from benchmarks.ladder import loops_convolution, loops_product
from benchmarks.peaks import Peaks
from benchmarks.timing import Ratio

PEAKS = Peaks(100.0, 200.0, 10.0, 50.0, "")


@pytest.fixture
def texts(monkeypatch):
    """All words of each figure that is saved, gathered without writing a file."""
    pytest.importorskip("matplotlib")
    from matplotlib.text import Text

    from minidl.io import figure as palette

    found = []

    def read(figure, path, caption=""):
        figure.draw_without_rendering()
        found.append(caption + " | ".join(text.get_text() for text in figure.findobj(Text)))

    monkeypatch.setattr(palette, "save_figure", read)
    return found


def test_the_ladder_tells_heights_and_peaks(texts, tmp_path):
    figures.draw_ladder(tmp_path / "a.png", {"product": [0.01, 10, 50, 90]}, PEAKS, "a Z80")
    for word in ("GFLOP/s", "plain Python\nloops", "0.01", "all threads, 200", "9,000 times", "a Z80"):
        assert word in texts[0]


def test_the_roofline_shows_each_family_of_kernels(texts, tmp_path):
    rows = [Row("conv a, forward", ours=1e-3, flops=1e8, traffic=1e6), Row("relu b", ours=1e-3, flops=1e6, traffic=8e6)]
    figures.draw_roofline(tmp_path / "a.png", rows, PEAKS, "a Z80")
    assert "convolution, forward" in texts[0]
    assert "relu" in texts[0]
    assert "weight gradient" not in texts[0]
    assert "FLOP per byte" in texts[0]


def test_the_bars_tell_their_ratio(texts, tmp_path):
    rows = [Row("LeNet", ratio=Ratio(2.5, 2.4, 2.6), level=2.0), Row("MLP", ratio=Ratio(0.9, 0.8, 1.0))]
    figures.draw_ratios(tmp_path / "a.png", rows, "a Z80")
    for word in ("LeNet", "2.50", "MLP", "0.90", "level to reach"):
        assert word in texts[0]


def test_a_figure_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    figures.draw_ratios(tmp_path / "a.png", [Row("LeNet", ratio=Ratio(2, 2, 2), level=1)], "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_plain_loops_multiply_and_convolve():
    assert len(loops_product("loops", 3, 4, 5).run()[0]) == 5
    result = loops_convolution("loops", 2, 5, 3, 3).run()
    assert (len(result), len(result[0]), len(result[0][0])) == (3, 3, 3)


@pytest.mark.parametrize("compiler", [True, False])
def test_peaks_are_positive(monkeypatch, compiler):
    if not compiler:
        monkeypatch.setattr(peaks.shutil, "which", lambda name: None)
        monkeypatch.setattr(peaks, "MEMORY", 2**15)
    measured = peaks.measure_peaks("baseline", 1, quick=True)
    assert min(measured[:4]) > 0
    assert compiler or "NumPy" in measured.how
