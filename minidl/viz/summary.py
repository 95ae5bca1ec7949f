"""Arrays as small entries of a page: small ones whole, large ones by range, mean and one corner."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import host_array

__all__ = ["number", "short", "summarise"]

_WHOLE = 16
_CORNER = 3


def number(value: Any) -> float | str:
    """A number with six significant digits; JSON has no word for those that are not finite, so these become text."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)


def summarise(array: Any) -> dict[str, Any]:
    """What a page shows of an array: ``shape``, ``dtype``, and ``values`` (up to 16) or range, mean and a corner.

    The corner is 3 × 3 at most, of the last two axes, at the first place of the others.
    """
    array = host_array(array)
    array = np.asarray(array)
    summary: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.size <= _WHOLE:
        summary["values"] = _numbers(array)
    else:
        plain = array.astype(np.float64) if array.dtype.kind in "bf" else array
        summary |= {"min": number(plain.min()), "max": number(plain.max()), "mean": number(plain.mean())}
        corner = array[(0,) * max(array.ndim - 2, 0)]
        summary["corner"] = _numbers(corner[(slice(_CORNER),) * min(array.ndim, 2)])
    return summary


def _numbers(array: np.ndarray) -> Any:
    if array.ndim == 0:
        return number(array)
    return [_numbers(item) for item in array]


def short(summary: dict[str, Any] | None) -> str:
    """One line for a table: the value of a single element, small arrays whole, else mean and range."""
    if summary is None:
        return "not kept"
    if "values" in summary:
        return str(summary["values"]).replace("'", "")
    return f"mean {summary['mean']}, from {summary['min']} to {summary['max']}"
