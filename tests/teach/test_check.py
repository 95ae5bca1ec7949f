"""`check`, hints, and the progress file, as the reader meets them."""

from __future__ import annotations

import json

import pytest

from minidl import teach
from minidl.teach.exercise import find_exercise
from minidl.teach.progress import Progress

RIGHT = find_exercise("12.1").solution


def test_right(capsys, progress_file):
    assert teach.check("12.1", RIGHT) is True
    assert "right, on 5 inputs" in capsys.readouterr().out
    assert json.loads(progress_file.read_text())["12.1"]["solved"] is True


def test_wrong(capsys):
    assert teach.check("12.1", lambda size, layers: size) is False
    out = capsys.readouterr().out
    assert "not yet" in out and "on input 1 of 5: size = " in out and "exercises 12.1 --hint" in out


def test_not_attempted_leaves_no_trace(capsys, progress_file):
    def stub(size, layers):
        raise NotImplementedError

    assert teach.check("12.1", stub) is None
    assert capsys.readouterr().out.endswith("not attempted\n")
    assert not progress_file.exists()


def test_once_solved_stays_solved():
    teach.check("12.1", RIGHT)
    teach.check("12.1", lambda size, layers: size)
    assert Progress().solved("12.1") and Progress().tries("12.1") == 2 and not Progress().solved("12.2")


def test_three_steps_of_hints(capsys):
    texts = find_exercise("12.1").hints
    for shown in (1, 2, 3, 3):
        teach.hint("12.1")
        out = capsys.readouterr().out
        assert [text in out for text in texts] == [i < shown for i in range(3)]
    assert "no further hint" in out
    assert Progress().hints("12.1") == 3


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"12.1": 3}', '{"12.1": {"tries": -1}}', '{"12.1": {"solved": 2}}', "[" * 100_000, "\x00"],
)
def test_a_damaged_file_is_no_crash(content, progress_file, capsys):
    progress_file.parent.mkdir()
    progress_file.write_text(content)
    assert Progress().damaged and not Progress().solved("12.1")
    assert teach.check("12.1", RIGHT) is True
    assert Progress().solved("12.1") and not Progress().damaged
    assert progress_file.with_name("exercises.json.damaged").read_text() == content


def test_bytes_that_are_no_text(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_bytes(b"\xff\xfe\xff")
    assert Progress().damaged


def test_a_place_that_cannot_be_written_is_said(progress_file, capsys):
    progress_file.parent.write_text("a file where the folder should be")
    assert teach.check("12.1", RIGHT) is True
    captured = capsys.readouterr()
    assert "right" in captured.out and "could not be kept" in captured.err


@pytest.mark.parametrize(
    ("platform", "variable", "ending"),
    [
        ("linux", "XDG_DATA_HOME", "data/minidl/exercises.json"),
        ("linux", None, "home/.local/share/minidl/exercises.json"),
        ("darwin", None, "home/Library/Application Support/minidl/exercises.json"),
        ("win32", "LOCALAPPDATA", "data/minidl/exercises.json"),
    ],
)
def test_the_users_data_folder(platform, variable, ending, tmp_path, monkeypatch):
    for name in ("MINIDL_PROGRESS", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr("minidl.teach.progress.sys.platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    assert Progress().path == tmp_path / ending
