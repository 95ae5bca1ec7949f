"""Data files: where they are looked for, and how they are read without trusting them.

A file may be truncated, may lie about its size, or may be a few kilobytes that unpack to gigabytes. So every
read has a limit that is known beforehand, a checksum is compared before anything is parsed, and nothing is
ever unpickled.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from minidl.errors import DataError

__all__ = [
    "check_sha256",
    "find_folder",
    "home",
    "open_unpacked",
    "read_exactly",
    "read_payload",
    "search_roots",
    "sha256",
    "whole_gzip",
]

_CHUNK = 1 << 20


def home() -> Path:
    """Where downloads go when no root is given: MINIDL_DATA, or else a folder in the user's cache."""
    if configured := os.environ.get("MINIDL_DATA"):
        return Path(configured).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "minidl"


def search_roots(root: str | os.PathLike[str] | None) -> Path:
    """The folder to look into: `root` if given, else `home`."""
    return home() if root is None else Path(root).expanduser()


def find_folder(name: str, root: Path, folders: Sequence[str], files: Sequence[Sequence[str]], hint: str) -> list[Path]:
    """Find the first folder under `root` that holds all the files of a data set.

    Parameters
    ----------
    name : str
        The data set, for the error.
    root : Path
        Where to look.
    folders : sequence of str
        Places below `root`, in order.
    files : sequence of sequence of str
        For each file, the names that it may have.
    hint : str
        What to do when nothing is found.

    Returns
    -------
    list of Path
        One for each file.

    Raises
    ------
    DataError
        No folder holds them all; the message tells every place that was looked at.
    """
    looked_at = []
    for folder in dict.fromkeys(root / place for place in folders):
        found = [_first_file(folder, names) for names in files]
        if all(found):
            return [path for path in found if path]
        if any(found):
            missing = ", ".join(names[0] for names, path in zip(files, found, strict=True) if not path)
            looked_at.append(f"{folder} (without {missing})")
        else:
            looked_at.append(str(folder))
    wanted = ", ".join(names[0] for names in files)
    raise DataError(name, expected=f"the files {wanted}", actual=f"none in {'; '.join(looked_at)}", hint=hint)


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file, through gzip if it begins like one (whatever its name)."""
    with open(path, "rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.GzipFile(path)) if packed else open(path, "rb")


@contextmanager
def whole_gzip(where: str) -> Iterator[None]:
    """Tell the damage that unpacking comes upon inside the block as a DataError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            where, expected="a whole gzip file", actual=f"a damaged one ({error})", hint="get the file again"
        ) from error


def read_exactly(file: IO[bytes], size: int, where: str) -> bytearray:
    """Read `size` bytes that must be all that is left.

    Memory grows with what really comes, not with what was announced, and never beyond `size`.

    Raises
    ------
    DataError
        There are fewer or more bytes, or the gzip stream is damaged.
    """
    content = bytearray()
    with whole_gzip(where):
        while len(content) <= size and (chunk := file.read(min(_CHUNK, size + 1 - len(content)))):
            content += chunk
    if len(content) != size:
        amount = f"only {len(content)}" if len(content) < size else "more"
        raise DataError(
            where,
            expected=f"{size} bytes of data",
            actual=amount,
            hint="the file is not whole, or not the right one",
        )
    return content


def read_payload(path: Path, size: int) -> bytearray:
    """The unpacked content of a file that must be `size` bytes long."""
    with open_unpacked(path) as file:
        return read_exactly(file, size, str(path))


def sha256(content: bytes | bytearray) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def check_sha256(content: bytes | bytearray, digest: str, where: str, hint: str) -> None:
    """Compare a checksum.

    Raises
    ------
    DataError
        It differs.
    """
    actual = sha256(content)
    if actual != digest:
        raise DataError(where, expected=f"SHA-256 {digest} of the unpacked data", actual=actual, hint=hint)
