"""Element types: their names, and the one that Python's floats become."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from minidl.errors import DTypeError

__all__ = ["DTypeLike", "as_dtype", "get_default_dtype", "set_default_dtype"]

DTypeLike: TypeAlias = Any
"""What NumPy takes for a data type: ``np.float32``, ``"float32"``, ``minidl.float32``."""


class _Defaults:
    dtype = np.dtype(np.float32)


def get_default_dtype() -> np.dtype:
    """Type of tensors made from Python floats; float32 at the start."""
    return _Defaults.dtype


def set_default_dtype(dtype: DTypeLike) -> None:
    """Choose the type of tensors made from Python floats (float32 or float64).

    Raises
    ------
    DTypeError
        If `dtype` is not a floating-point type.
    """
    dtype = as_dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError("set_default_dtype", expected="a floating-point dtype", actual=str(dtype))
    _Defaults.dtype = dtype


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """Turn a name or type into a NumPy dtype, or say which are known.

    Raises
    ------
    DTypeError
        If it names no real, integer or boolean type.
    """
    try:
        # NumPy takes None for float64, which would surprise here.
        result = None if dtype is None else np.dtype(_Defaults.dtype if dtype is float else dtype)
    except TypeError:
        result = None
    if result is None or result.kind not in "fiub":
        raise DTypeError(
            "dtype",
            expected="float16, float32, float64, int8 ... int64, uint8 ... or bool",
            actual=repr(dtype),
            hint='write it like np.float32 or "float32"',
        )
    return result
