"""Downloads: several mirrors, resumed when the line breaks, checked, and only then given their name."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minidl.errors import DataError

__all__ = ["download", "file_sha256"]

_CHUNK = 1 << 16
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
_RANGE_NOT_SATISFIABLE = 416


def download(
    urls: Sequence[str],
    path: Path,
    max_bytes: int,
    check: Callable[[Path], None],
) -> Path:
    """Fetch a file from the first mirror that has it.

    What arrives is written to ``<name>.part``, checked, and renamed; so `path` is either absent or right.
    When a connection breaks, the next attempt, or the next call, goes on where it stopped.

    Parameters
    ----------
    urls : sequence of str
        The mirrors.
    path : Path
        Where the file shall be; folders are made.
    max_bytes : int
        Refuse to receive more than this.
    check : callable
        Called with the path of the temporary file; raises DataError if the content is wrong.

    Raises
    ------
    DataError
        No mirror gave the right file (the message tells what happened at each), or the folder cannot be
        written.
    """
    # Imported here: they take 30 ms, which only a download should pay.
    from http.client import HTTPException
    from urllib.error import HTTPError

    part = path.with_name(path.name + ".part")
    _make_folder(path.parent)
    reasons = []
    for url in urls:
        for attempt in range(_ATTEMPTS):
            resumes = part.exists()
            try:
                _receive(url, part, max_bytes)
                check(part)
            except DataError as error:
                part.unlink(missing_ok=True)
                reasons.append(f"{url}: {error}")
                if not resumes:  # else the beginning may have come from elsewhere: once more from the start
                    break
            except HTTPError as error:
                reasons.append(f"{url}: HTTP {error.code} {error.reason}")
                if error.code != _RANGE_NOT_SATISFIABLE:
                    break
                part.unlink(missing_ok=True)
            except (OSError, HTTPException) as error:
                reasons.append(f"{url}: {getattr(error, 'reason', error)}")
                time.sleep(_PAUSE_SECONDS * attempt)
            else:
                os.replace(part, path)
                return path
    raise DataError(
        f"download of {path.name}",
        expected=f"one of {len(urls)} mirrors to deliver it",
        actual="; ".join(dict.fromkeys(reasons)),
        hint=f"is there a network? You can also put the file at {path} yourself",
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        writable, reason = False, str(error)
    else:
        reason = "no permission to write there"
    if not writable:
        raise DataError(
            "download",
            expected=f"a folder {folder} that can be written",
            actual=reason,
            hint="give another root=",
        )


def _receive(url: str, part: Path, max_bytes: int) -> None:
    """Append what is missing to `part`."""
    import urllib.request

    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "minidl", "Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        resumed = response.status == 206
        have = have if resumed else 0
        announced = response.headers.get("Content-Length")
        total = None if announced is None else have + int(announced)
        if total is not None and total > max_bytes:
            raise DataError(url, expected=f"at most {max_bytes} bytes", actual=f"{total} announced")
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None) as progress,
        ):
            while chunk := response.read(_CHUNK):
                have += len(chunk)
                if have > max_bytes:
                    raise DataError(url, expected=f"at most {max_bytes} bytes", actual="more")
                file.write(chunk)
                progress.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")
