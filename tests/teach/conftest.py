"""The reader's own progress file stays as it is."""

import pytest


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "progress" / "exercises.json"
    monkeypatch.setenv("MINIDL_PROGRESS", str(path))
    return path
