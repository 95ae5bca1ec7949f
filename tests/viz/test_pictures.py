"""Pictures: files are written, show what they were given, and refuse what they cannot show."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

import minidl
from minidl.errors import OptionError, ShapeError
from minidl.io.figure import new_figure, save_figure
from minidl.train import History
from minidl.viz import plot_confusion, plot_filters, plot_history, plot_images

RNG = np.random.default_rng(0)
ROWS = [
    {"epoch": i, "loss": 1 / i, "val_loss": 1.1 / i, "accuracy": 1 - 0.5 / i, "lr": 0.1, "seconds": 1.0}
    for i in (1, 2, 3)
]


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


PICTURES = [
    lambda path, **o: plot_history(History(ROWS), path, **o),
    lambda path, **o: plot_confusion(RNG.integers(0, 50, (10, 10)), path, **o),
    lambda path, **o: plot_filters(minidl.randn(6, 1, 5, 5), path, **o),
    lambda path, **o: plot_images(RNG.normal(size=(11, 28, 28)), [str(i) for i in range(11)], path, **o),
    lambda path, **o: plot_images(RNG.random((2, 3, 8, 8)), ["a", "b"], path, **o),
]


@pytest.mark.parametrize("draw", PICTURES)
def test_each_picture_has_content_and_its_caption(draw, tmp_path):
    draw(tmp_path / "plain.png")
    draw(tmp_path / "captioned.png", caption="A sentence that says what is to be seen here, long enough to be wrapped.")
    plain, captioned = pixels(tmp_path / "plain.png"), pixels(tmp_path / "captioned.png")
    assert plain.std() > 5
    bottom = captioned[int(0.85 * len(captioned)) :]
    assert (bottom.min(axis=2) < 120).any()  # dark letters below the picture


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_ending_chooses_the_format(tmp_path, kind):
    path = tmp_path / f"p.{kind}"
    plot_history(History(ROWS), path)
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[kind])


def test_a_confusion_is_where_it_was_counted(tmp_path):
    matrix = np.diag([9, 9, 9])
    plot_confusion(matrix, tmp_path / "right.png")
    matrix[0, 2] = 9
    plot_confusion(matrix, tmp_path / "wrong.png")
    different = np.argwhere((pixels(tmp_path / "right.png") != pixels(tmp_path / "wrong.png")).any(axis=2))
    height = len(pixels(tmp_path / "right.png"))
    centre = different.mean(axis=0)
    assert centre[0] < 0.45 * height  # the first row


def test_matplotlibs_state_is_left_alone(tmp_path):
    before = dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)
    plot_filters(np.ones((2, 1, 3, 3)), tmp_path / "f.png")
    assert (dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)) == before


def test_bad_input(tmp_path):
    with pytest.raises(ShapeError, match="square"):
        plot_confusion(np.ones((2, 3)), tmp_path / "x.png")
    with pytest.raises(ShapeError, match="O, C"):
        plot_filters(np.ones((2, 3)), tmp_path / "x.png")
    with pytest.raises(ShapeError, match="titles"):
        plot_images(np.ones((2, 3, 3)), ["one"], tmp_path / "x.png")
    with pytest.raises(OptionError, match="empty"):
        plot_history(History(), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionError, match="pip install matplotlib"):
        new_figure()


def test_figures_are_written_in_one_step(tmp_path, monkeypatch):
    figure = new_figure()

    def broken(*_, **__):
        raise RuntimeError("drawing failed")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(RuntimeError):
        save_figure(figure, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
