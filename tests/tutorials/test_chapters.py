"""What all chapters have in common: their form, and that nothing in them reaches out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from chapter_runs import ROOT, TUTORIALS, check_figures, read_report, run_script

from minidl.teach.exercise import all_exercises
from minidl.teach.tutorials import find_scripts

SCRIPTS = sorted(TUTORIALS.glob("*.py"))
# Filler, talking down, leftovers of writing, and what needs a display or a network.
BANNED = (
    "obviously", "trivially", "needless to say", "as we all know", "delve", "TODO", "FIXME", "XXX", "lorem ipsum",
    "pyplot", "plt.show", "urllib", "requests.get",
)  # fmt: skip


def names(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_its_first_cell_says_what_it_is(path):
    text = path.read_text()
    assert re.fullmatch(r"\d\d_\w+", path.stem)
    assert text.startswith("# %% [markdown]\n# # ")
    script = next(script for script in find_scripts() if script.path == path)
    assert f"# # {script.number}. {script.title}\n" in text and script.number == int(path.stem[:2])
    assert script.time and script.data, "the first cell needs a line '# **Time**: … . **Data**: … .'"
    assert all(mode in script.time for mode in ("smoke", "default", "full"))


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_it_is_made_of_cells_of_prose_and_code(path):
    text = path.read_text()
    kinds = re.findall(r"^# %%(.*)$", text, re.MULTILINE)
    assert set(kinds) <= {"", " [markdown]"}
    assert kinds.count(" [markdown]") >= 5 and kinds.count("") >= 5
    for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        if cell.startswith(" [markdown]"):
            assert all(line.startswith("#") or not line for line in cell.splitlines()[1:]), cell[:80]
    assert re.search(r"^# .*what to remember", text, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_its_last_statement_is_its_only_report(path):
    tree = ast.parse(path.read_text())
    last = tree.body[-1]
    assert isinstance(last, ast.Expr) and ast.unparse(last).startswith("chapter.report(")
    reports = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "chapter.report"]
    assert len(reports) == 1
    assert f'teach.Chapter("{path.stem}"' in path.read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_it_uses_no_banned_words(path):
    text = path.read_text().lower()
    assert not [word for word in BANNED if word.lower() in text]


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_its_exercises_are_those_that_are_judged(path):
    asked = re.findall(r'teach\.check\("(\d\d\.\d+)"', path.read_text())
    there = [exercise.number for exercise in all_exercises() if exercise.number.startswith(path.stem[:2])]
    assert asked == there


def test_every_exercise_has_its_chapter():
    assert {exercise.chapter for exercise in all_exercises()} <= {int(path.stem[:2]) for path in SCRIPTS}


def test_figures_and_notebooks_are_not_committed():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/figures/" in ignored and "*.ipynb" in ignored


# The checks themselves


def script(folder: Path, body: str) -> Path:
    path = folder / "99_probe.py"
    path.write_text(body)
    return path


@pytest.mark.parametrize(
    "code",
    [
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/', timeout=2)",
        "import socket; socket.create_connection(('127.0.0.1', 9), timeout=2)",
        "import socket; socket.socket().connect(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('example.org', 80)",
    ],
)
def test_the_network_is_blocked(tmp_path, code):
    caught = f"try:\n    exec({code!r})\nexcept Exception as error:\n    print(error)\n"
    assert "there is no network in tests" in run_script(script(tmp_path, caught), tmp_path)


@pytest.mark.parametrize(
    "printed",
    ["", "report 99_probe: a=1 (mode smoke, 0.1 s)\nmore", "report 99_probe: a=x (mode smoke, 0.1 s)",
     "report 99_probe: a=1 (mode smoke, 0.1 s)\n" * 2, "report 98_other: a=1 (mode smoke, 0.1 s)"],
)  # fmt: skip
def test_a_report_that_is_none_is_refused(printed):
    with pytest.raises(AssertionError):
        read_report(printed, "99_probe", "smoke")


def test_a_report_is_read():
    line = "report 99_probe: a=1 error=3.25e-12 low=-0.5 (mode full, 12.3 s)"
    assert read_report(f"hello\n{line}\n", "99_probe", "full") == {"a": 1.0, "error": 3.25e-12, "low": -0.5}


def test_blank_pictures_and_those_without_a_caption_are_refused(tmp_path):
    from minidl.io.figure import new_figure, save_figure

    with pytest.raises(AssertionError, match="no figure"):
        check_figures(tmp_path)
    save_figure(new_figure(4, 3), tmp_path / "blank.png", "An empty sheet of paper, nothing else is to be seen.")
    with pytest.raises(AssertionError, match="is blank"):
        check_figures(tmp_path)
    figure = new_figure(4, 3)
    figure.subplots().plot([1, 2, 4])
    save_figure(figure, tmp_path / "blank.png")
    with pytest.raises(AssertionError, match="no caption"):
        check_figures(tmp_path)
    save_figure(figure, tmp_path / "blank.png", "A line that climbs faster and faster.")
    assert check_figures(tmp_path) == ["blank"]
