"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from minidl.errors import DataError

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a kill or a power cut leaves the old content or the new one.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the file is renamed, which is
    one step for the file system. Missing folders are made.

    Raises
    ------
    DataError
        If the folder cannot be written to; nothing has changed then.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; give this one the permissions of any other new file.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise DataError(
            "save", expected=f"a place where {path} can be written", actual=f"{type(error).__name__}: {error}",
            hint="choose another folder, or check its permissions and free space",
        ) from error  # fmt: skip
    finally:  # also when the user interrupts
        if temporary is not None:
            os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    """Flush the folder's entry, too, where the system lets folders be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
