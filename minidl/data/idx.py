"""The IDX format of MNIST: two zero bytes, a type, the number of dimensions, their sizes, the numbers."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import IO

import numpy as np

from minidl.data.files import open_unpacked, read_exactly, whole_gzip
from minidl.errors import DataError

__all__ = ["parse_idx", "read_idx"]

# The third byte of the file tells the type; numbers are big-endian.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str], max_bytes: int = 2**30) -> np.ndarray:
    """Read an IDX file, packed with gzip or not.

    Any IDX file will do: no checksum is compared. The header is read first, and the data is unpacked only as
    far as the header announces.

    Parameters
    ----------
    path : path
        The file.
    max_bytes : int
        Refuse a file that announces more data.

    Returns
    -------
    ndarray
        In native byte order; uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    DataError
        Wrong magic number, unknown type, or more or less data than announced.
    FileNotFoundError
        There is no such file.
    """
    where = str(path)
    with open_unpacked(Path(path)) as file:
        with whole_gzip(where):
            dtype, shape = _read_header(file, where)
        size = math.prod(shape) * dtype.itemsize
        if size > max_bytes:
            raise DataError(
                where,
                expected=f"at most {max_bytes} bytes of data",
                actual=f"a header that announces {size} (shape {shape})",
                hint="if this is right, give a larger max_bytes",
            )
        content = read_exactly(file, size, where)
    return _array(content, dtype, shape)


def parse_idx(content: bytearray, where: str) -> np.ndarray:
    """Parse the unpacked bytes of an IDX file; `where` names it in errors."""
    file = io.BytesIO(content)
    dtype, shape = _read_header(file, where)
    return _array(read_exactly(file, math.prod(shape) * dtype.itemsize, where), dtype, shape)


def _read_header(file: IO[bytes], where: str) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise DataError(
            where,
            expected="an IDX file: 00 00, a type (08, 09, 0b ... 0e), the number of dimensions",
            actual=f"{magic.hex(' ') or 'nothing'} at its beginning",
            hint="a web page saved under this name, perhaps, or another format",
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(where, expected=f"{magic[3]} sizes after the magic number", actual="the end of the file")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if len(shape) > 8:
        raise DataError(where, expected="at most 8 dimensions", actual=str(len(shape)))
    return np.dtype(_TYPES[magic[2]]), shape


def _array(content: bytearray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
