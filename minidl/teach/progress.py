"""Which exercises the reader has solved and which hints were shown: a small JSON file in the user's data folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from minidl.errors import DataError
from minidl.io.atomic import write_atomically

__all__ = ["Progress"]


def _default_path() -> Path:
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return folder / "minidl" / "exercises.json"


class Progress:
    """The progress file, read anew each time it is made.

    Attributes
    ----------
    path : Path
        ``MINIDL_PROGRESS``, or ``minidl/exercises.json`` in the user's data folder.
    damaged : bool
        The file is there but cannot be understood. Nothing is lost by that but the progress: the next `store` puts it
        aside as ``….damaged`` and begins a new one.
    """

    def __init__(self) -> None:
        named = os.environ.get("MINIDL_PROGRESS")
        self.path = Path(named).expanduser() if named else _default_path()
        self.damaged = False
        self._entries: dict[str, dict[str, Any]] = {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not all(_is_entry(entry) for entry in content.values()):
                raise ValueError("not a table of exercises")
            self._entries = content
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError):
            self.damaged = True

    def solved(self, number: str) -> bool:
        """Whether the exercise was ever solved."""
        return bool(self._entry(number)["solved"])

    def tries(self, number: str) -> int:
        """How many answers were judged."""
        return int(self._entry(number)["tries"])

    def hints(self, number: str) -> int:
        """How many hints were shown."""
        return int(self._entry(number)["hints"])

    def _entry(self, number: str) -> dict[str, Any]:
        return {"solved": False, "tries": 0, "hints": 0, **self._entries.get(number, {})}

    def store(self, number: str, *, solved: bool = False, tries: int = 0, hints: int = 0) -> None:
        """Add to what is known of an exercise and write the file.

        A place that cannot be written to is no reason to refuse an answer: it is said on the error stream.
        """
        entry = self._entry(number)
        entry = {
            "solved": entry["solved"] or solved,
            "tries": entry["tries"] + tries,
            "hints": entry["hints"] + hints,
        }
        if entry == self._entries.get(number):
            return
        self._entries[number] = entry
        try:
            if self.damaged:
                self.path.replace(self.path.with_name(self.path.name + ".damaged"))
                self.damaged = False
            text = json.dumps(self._entries, indent=1, sort_keys=True)
            write_atomically(self.path, text.encode())
        except (DataError, OSError) as error:
            print(f"progress could not be kept in {self.path}: {error}", file=sys.stderr)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    numbers = [entry.get("tries", 0), entry.get("hints", 0)]
    return isinstance(entry.get("solved", False), bool) and all(type(n) is int and n >= 0 for n in numbers)
