"""What the operations on images share: one 4-d layout for all of them, and options given once or per axis.

Every kernel works on a batch of images (N, C, H, W). A single image (C, H, W) gets a batch axis, and a sequence
(N, C, L) is an image of height one; the result goes back to the layout that came.
"""

from __future__ import annotations

import operator
from typing import Any

from minidl.backends.geometry import pair
from minidl.errors import OptionError, ShapeError
from minidl.ops.shape import reshape

__all__ = ["axis_pair", "from_images", "to_images"]

_LAYOUT = {1: ("(N, C, L)", "(C, L)"), 2: ("(N, C, H, W)", "(C, H, W)")}


def to_images(name: str, x: Any, axes: int) -> Any:
    """The input as (N, C, H, W): `axes` spatial axes after the channels, with or without a batch axis in front.

    Raises
    ------
    ShapeError
        If `x` has another number of dimensions.
    """
    ndim = x.ndim
    if ndim == 4 and axes == 2:
        return x
    if ndim not in (axes + 1, axes + 2):
        batch, single = _LAYOUT[axes]
        raise ShapeError(
            name,
            expected=f"an input {batch}, or {single} without a batch",
            actual=f"shape {x.shape}",
            hint="add the missing axis with x[None], or reshape",
        )
    lead = x.shape[: ndim - axes]
    batch_and_channels = lead if len(lead) == 2 else (1, *lead)
    return reshape(x, (*batch_and_channels, *[1] * (2 - axes), *x.shape[ndim - axes :]))


def from_images(y: Any, ndim: int, axes: int) -> Any:
    """A result (N, C, H, W) in the layout of an input that had `ndim` dimensions, `axes` of them spatial."""
    if ndim == 4:
        return y
    lead = y.shape[:2] if ndim == axes + 2 else y.shape[1:2]
    return reshape(y, (*lead, *y.shape[4 - axes :]))


def axis_pair(value: Any, name: str, option: str, axes: int, filler: int) -> tuple[int, int]:
    """An option of an operation as (height, width); with one spatial axis the height takes the `filler`.

    Raises
    ------
    OptionError
        If it is neither an integer nor a tuple with one for each axis.
    """
    if type(value) is int:  # by far the most common, as a pair of them is; `pair` checks the rest
        return (value if axes == 2 else filler), value
    if axes == 2:
        if type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
            return value
        return pair(value, f"{name} {option}")
    entry = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    if isinstance(entry, bool) or not hasattr(entry, "__index__"):
        raise OptionError(f"{name} {option}", expected="an integer, or a tuple of one", actual=repr(value))
    return filler, operator.index(entry)
