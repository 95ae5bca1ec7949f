"""Checks of constructor arguments: each returns the clean value, or says what was expected.

`where` is the class that complains (``"Conv2d"``), `option` the name of its argument (``"stride"``).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection
from typing import Any

import numpy as np

from minidl.errors import OptionError

__all__ = ["choice", "flag", "integer", "number", "sizes"]


def number(
    where: str,
    option: str,
    value: Any,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number inside its bounds (`least` and `most` included, `above` and `below` excluded).

    Examples
    --------
    >>> number("Dropout", "p", 1.5, least=0, most=1)
    Traceback (most recent call last):
    ...
    minidl.errors.OptionError: Dropout: expected p to be a finite number >= 0, <= 1; got p=1.5
    """
    bounds = {">=": least, "<=": most, ">": above, "<": below}
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value):
        fits = {"least": least is None or value >= least, "most": most is None or value <= most,
                "above": above is None or value > above, "below": below is None or value < below}  # fmt: skip
        if all(fits.values()):
            return value if isinstance(value, int) else float(value)
    wanted = ", ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)
    raise OptionError(where, expected=f"{option} to be a finite number {wanted}".rstrip(), actual=f"{option}={value!r}")


def integer(where: str, option: str, value: Any, least: int | None = 1) -> int:
    """An integer of at least `least`; a bool or a float is refused.

    Examples
    --------
    >>> integer("Linear", "in_features", 0)
    Traceback (most recent call last):
    ...
    minidl.errors.OptionError: Linear: expected in_features to be an integer >= 1; got in_features=0
    """
    whole = None if isinstance(value, bool) else _index(value)
    if whole is None or (least is not None and whole < least):
        bound = "" if least is None else f" >= {least}"
        raise OptionError(where, expected=f"{option} to be an integer{bound}", actual=f"{option}={value!r}")
    return whole


def sizes(where: str, option: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """An option of `count` spatial axes as a tuple; a single integer serves all of them.

    Examples
    --------
    >>> sizes("Conv2d", "stride", 2, count=2), sizes("Conv2d", "padding", (0, 1), count=2, least=0)
    ((2, 2), (0, 1))
    """
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    whole = tuple(None if isinstance(entry, bool) else _index(entry) for entry in entries)
    fitting = tuple(entry for entry in whole if entry is not None and entry >= least)
    if len(entries) != count or len(fitting) != count:
        form = f"an integer or {count} integers" if count > 1 else "an integer"
        raise OptionError(where, expected=f"{option} to be {form} >= {least}", actual=f"{option}={value!r}")
    return fitting


def choice(where: str, option: str, value: Any, allowed: Collection[Any]) -> Any:
    """One of a few values.

    Examples
    --------
    >>> choice("GELU", "approximate", "tan", ("none", "tanh"))
    Traceback (most recent call last):
    ...
    minidl.errors.OptionError: GELU: expected approximate to be one of 'none', 'tanh'; got approximate='tan'
    """
    if not any(value is one or (isinstance(value, type(one)) and value == one) for one in allowed):
        names = ", ".join(repr(one) for one in allowed)
        raise OptionError(where, expected=f"{option} to be one of {names}", actual=f"{option}={value!r}")
    return value


def flag(where: str, option: str, value: Any) -> bool:
    """True or False; a number in its place is probably an argument in the wrong position.

    Examples
    --------
    >>> flag("Linear", "bias", 3)
    Traceback (most recent call last):
    ...
    minidl.errors.OptionError: Linear: expected bias to be True or False; got bias=3
    """
    if not isinstance(value, bool):
        raise OptionError(where, expected=f"{option} to be True or False", actual=f"{option}={value!r}")
    return value


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None
