"""NumPy's ``.npz`` archives, read with distrust: no pickles, no sizes beyond a cap, no header that lies."""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib

import numpy as np

from minidl.errors import DataError
from minidl.tensor import Tensor

__all__ = ["load_npz"]


def load_npz(path: str | os.PathLike[str], max_bytes: int = 2**33) -> dict[str, Tensor]:
    """Read the arrays of an ``.npz`` file (written by `numpy.savez` or `numpy.savez_compressed`).

    Parameters
    ----------
    path : path
    max_bytes : int
        Refuse archives that declare more than this unpacked (8 GiB by default): a small file can claim to hold
        terabytes of zeros.

    Returns
    -------
    dict of Tensor
        By name.

    Raises
    ------
    DataError
        If the file is missing, no such archive, cut short, too large, holds objects (which would need pickle), or an
        array's header does not fit its data.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> np.savez(path, w=np.arange(3))
    >>> load_npz(path)
    {'w': tensor([0, 1, 2])}
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            foreign = [member.filename for member in members if not member.filename.endswith(".npy")]
            if foreign or not members:
                raise _refusal(
                    path,
                    f"a member {foreign[0]!r}" if foreign else "an empty archive",
                    "PyTorch's .pt and .pth files hold pickles, which can run any code: convert to safetensors",
                )
            declared = sum(member.file_size for member in members)
            if declared > max_bytes:
                raise _refusal(
                    path, f"{declared:,} bytes unpacked", f"load_npz(path, max_bytes={declared}) if it is right"
                )
            return {member.filename[:-4]: Tensor(_array(path, member, archive.read(member))) for member in members}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        raise _refusal(path, f"{type(error).__name__}: {error}", "the file may be cut short: fetch it again") from error


def _refusal(path: str | os.PathLike[str], actual: str, hint: str) -> DataError:
    return DataError("load_npz", expected=f"a whole .npz archive of plain arrays at {path}", actual=actual, hint=hint)


def _array(path: str | os.PathLike[str], member: zipfile.ZipInfo, content: bytes) -> np.ndarray:
    """Read one ``.npy`` after comparing its header with the bytes that are there."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(stream)
        rest = len(content) - stream.tell()
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which need pickle")
        if math.prod(shape) * dtype.itemsize != rest:
            raise ValueError(f"its header declares shape {shape} of {dtype}, but {rest} bytes follow")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise _refusal(
            path, f"{member.filename}: {error}", "the file was damaged or made by another program"
        ) from error
