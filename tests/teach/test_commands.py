"""``python -m minidl exercises`` and ``python -m minidl tutorials``."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from minidl import teach
from minidl.__main__ import main
from minidl.teach.exercise import all_exercises, find_exercise
from minidl.teach.tutorials import make_notebook

SCRIPT = """# %% [markdown]
# # 7. Counting sheep
#
# **Time**: smoke 1 s, default 2 s, full 3 s. **Data**: none. But bring
# a pillow.
#
# More prose. **Data** is a word, too.

# %%
import os, sys
print("mode", os.environ.get("MINIDL_MODE"), sys.argv[1:])
sys.exit(len(sys.argv) - 1)
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "07_sheep.py").write_text(SCRIPT)
    monkeypatch.setenv("MINIDL_TUTORIALS", str(folder))
    return folder


def test_the_table_of_exercises(capsys):
    teach.check("12.1", find_exercise("12.1").solution)
    teach.check("12.2", lambda layers: 0)
    teach.check("12.2", lambda layers: 1)
    teach.hint("12.2")
    capsys.readouterr()
    assert main(["exercises"]) == 0
    lines = capsys.readouterr().out.splitlines()
    state = {line.split()[0]: line for line in lines if line.startswith("    ")}
    assert set(state) == {exercise.number for exercise in all_exercises()}
    assert state["12.1"].endswith("solved")
    assert state["12.2"].endswith("tried (2 answers, 1 of 3 hints)")
    assert state["12.3"].endswith("not attempted")
    assert any(line.startswith("12. LeNet") for line in lines)
    assert f"1 of {len(state)} solved" in lines[-1]


def test_a_damaged_progress_file_is_mentioned(progress_file, capsys):
    progress_file.parent.mkdir()
    progress_file.write_text("{")
    assert main(["exercises"]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_one_exercise(capsys):
    assert main(["exercises", "12.1"]) == 0
    assert "not attempted" in capsys.readouterr().out
    assert main(["exercises", "12.1", "--hint"]) == 0
    assert "hint 1 of 3" in capsys.readouterr().out
    assert main(["exercises", "12.1", "--solution"]) == 0
    assert "def size_after(size, layers):" in capsys.readouterr().out


def test_the_exercises_of_one_chapter(capsys):
    assert main(["exercises", "8"]) == 0
    shown = re.findall(r"^    (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert shown == [exercise.number for exercise in all_exercises() if exercise.chapter == 8]
    assert main(["exercises", "77"]) == 2
    assert "chapters with exercises" in capsys.readouterr().err


def test_a_reader_who_has_seen_enough():
    command = [sys.executable, "-m", "minidl", "exercises"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # before anything was written, as a `head` that has ended
        assert process.stderr.read() == ""


def test_an_exercise_that_is_not_there(capsys):
    assert main(["exercises", "12.77"]) == 2
    assert "12.1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["exercises", "--hint"])


def test_the_list_of_tutorials(scripts, capsys):
    assert main(["tutorials"]) == 0
    out = capsys.readouterr().out
    assert (
        " 7. Counting sheep\n    time: smoke 1 s, default 2 s, full 3 s\n    data: none. But bring a pillow\n\n" in out
    )


def test_the_checkout_has_its_tutorials_beside_the_package(capsys):
    assert main(["tutorials"]) == 0
    assert "12. LeNet: a convolutional network reads handwriting" in capsys.readouterr().out


def test_no_tutorials_is_an_error_that_teaches(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIDL_TUTORIALS", str(tmp_path))
    assert main(["tutorials"]) == 2
    assert "MINIDL_TUTORIALS" in capsys.readouterr().err
    assert main(["exercises"]) == 0  # without titles
    assert "12. Chapter" in capsys.readouterr().out


def test_running_one(scripts, capfd, monkeypatch):
    monkeypatch.setenv("MINIDL_MODE", "full")
    assert main(["tutorials", "run", "7"]) == 0
    assert main(["tutorials", "run", "7", "--mode", "smoke"]) == 0
    assert main(["tutorials", "run", "7", "--", "--epochs", "3"]) == 2  # its own exit status
    assert capfd.readouterr().out == "mode full []\nmode smoke []\nmode full ['--epochs', '3']\n"


def test_running_one_that_is_not_there(scripts, capsys):
    assert main(["tutorials", "run", "8"]) == 2
    assert "one of the chapters 7" in capsys.readouterr().err


def test_a_notebook(scripts, tmp_path, capsys):
    pytest.importorskip("jupytext")
    target = tmp_path / "sheep.ipynb"
    assert main(["tutorials", "notebook", "7", "--output", str(target)]) == 0
    cells = json.loads(target.read_text())["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code"]
    assert "# 7. Counting sheep" in "".join(cells[0]["source"])


def test_a_notebook_without_jupytext(scripts, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    with pytest.raises(ValueError, match="pip install jupytext"):
        make_notebook(7)


def test_a_script_finds_the_minidl_that_runs_it(scripts, tmp_path):
    (scripts / "07_sheep.py").write_text("import minidl; print(minidl.__file__)")
    command = [sys.executable, "-m", "minidl", "tutorials", "run", "7"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == __import__("minidl").__file__
