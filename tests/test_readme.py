"""The code in the README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.splitlines()[0][:30])
def test_block_runs(block, capsys, tmp_path, monkeypatch):
    from minidl.gradcheck import registry

    monkeypatch.chdir(tmp_path)
    before = len(registry)
    try:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    finally:
        del registry[before:]
    printed = capsys.readouterr().out
    if "accuracy" in block:
        assert float(re.search(r"accuracy ([\d.]+)%", printed).group(1)) > 90


def test_there_are_exactly_two_setup_commands():
    assert len(re.findall(r"^ *python3 -m venv", README.read_text(), re.MULTILINE)) == 2


def test_the_files_of_the_first_hour_exist():
    hour = README.read_text().split("## A reader's first hour")[1].split("##")[0]
    paths = re.findall(r"`(minidl/[^`]+)`", hour)
    assert len(paths) >= 6
    assert all((README.parent / path).exists() for path in paths)
