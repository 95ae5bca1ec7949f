"""Chapter: modes, figures with captions, the report line."""

from __future__ import annotations

import re
import sys
import types

import numpy as np
import pytest
from PIL import Image

from minidl import teach
from minidl.errors import OptionError


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_FIGURES", str(tmp_path / "pictures"))
    monkeypatch.delenv("MINIDL_MODE", raising=False)
    return teach.Chapter("08_convolution", "Convolution three ways")


def drawn(chapter):
    figure = chapter.figure(4, 3)
    figure.subplots().plot([1, 2, 4])
    return figure


@pytest.mark.parametrize(("mode", "value"), [("", 50), ("default", 50), ("smoke", 2), ("full", 200)])
def test_modes(mode, value, monkeypatch):
    monkeypatch.setenv("MINIDL_MODE", mode)
    chapter = teach.Chapter("08_convolution", "Convolution three ways")
    assert chapter.pick(smoke=2, default=50, full=200) == value
    assert chapter.mode == (mode or "default")


def test_a_mode_that_is_none(monkeypatch):
    monkeypatch.setenv("MINIDL_MODE", "quick")
    with pytest.raises(OptionError, match="smoke, default or full"):
        teach.Chapter("08_convolution", "Convolution three ways")


def test_a_name_that_is_none():
    with pytest.raises(OptionError, match="08_convolution"):
        teach.Chapter("convolution", "Convolution three ways")


def test_heading(chapter, capsys):
    teach.Chapter("08_convolution", "Convolution three ways")
    assert capsys.readouterr().out == "8. Convolution three ways\n=========================\n"


def test_figures_go_to_a_folder_of_the_chapter(monkeypatch):
    monkeypatch.delenv("MINIDL_FIGURES", raising=False)
    assert teach.Chapter("08_convolution", "C").folder.as_posix() == "figures/08_convolution"


def test_a_saved_figure_has_its_caption(chapter, tmp_path):
    caption = "A line that climbs faster and faster: ∂y/∂x grows."
    chapter.save(drawn(chapter), "climb", caption)
    with Image.open(tmp_path / "pictures" / "08_convolution" / "climb.png") as image:
        assert image.text["Caption"] == caption
        pixels = np.asarray(image.convert("L"))
    assert pixels[-20:].min() < 128  # the caption is also drawn, at the bottom


def test_a_figure_without_a_caption_is_refused(chapter):
    with pytest.raises(OptionError, match="a caption"):
        chapter.save(drawn(chapter), "climb", " ")


def test_in_a_notebook_the_figure_is_shown(chapter, monkeypatch):
    shown = []
    module = types.ModuleType("IPython.display")
    module.Image = lambda filename: filename
    module.display = shown.append
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    chapter.save(drawn(chapter), "climb", "A line that climbs faster and faster.")
    assert shown == [str(chapter.folder / "climb.png")]


def test_figures_that_cannot_be_written_are_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIDL_FIGURES", str(tmp_path / "file" / "pictures"))
    with pytest.raises(OptionError, match="MINIDL_FIGURES=/tmp/figures"):
        teach.Chapter("08_convolution", "Convolution three ways")


def test_report(chapter, capsys):
    capsys.readouterr()
    chapter.report(accuracy=0.98125, max_error=3e-12, steps=np.int64(7), solved=True, mean=np.float32(0.5))
    line = r"report 08_convolution: accuracy=0.98125 max_error=3e-12 steps=7 solved=1 mean=0.5 "
    assert re.fullmatch(line + r"\(mode default, \d+\.\d s\)\n", capsys.readouterr().out)


def test_a_report_of_something_else(chapter):
    with pytest.raises(OptionError, match="a number for name"):
        chapter.report(name="LeNet")


def test_progress_is_quiet_where_nobody_watches(chapter, capsys):
    assert list(chapter.progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_progress_is_seen_on_a_terminal(chapter, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(chapter.progress(range(3), "counting", unit="sheep")) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err
