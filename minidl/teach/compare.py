"""Comparing what came with what was expected, and saying the difference in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.tensor import Tensor

__all__ = ["changed", "describe", "difference", "plain"]

_KINDS = {"b": "a truth value", "i": "an integer", "u": "an integer", "f": "a float", "c": "a complex number"}


def plain(value: Any) -> Any:
    """Tensors as arrays, also inside tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def describe(value: Any) -> str:
    """A value in one line: small arrays whole, large ones by shape and range."""
    if isinstance(value, list):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    value = plain(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(describe(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {describe(item)}" for key, item in value.items()) + "}"
    if isinstance(value, np.ndarray) and value.ndim:
        text = f"{value.dtype} array of shape {value.shape}"
        if 0 < value.size <= 12:
            body = np.array2string(value, separator=", ", precision=5, suppress_small=True).replace("\n", "")
            return f"{text}: {' '.join(body.split())}"
        if value.size and value.dtype.kind in "iuf":
            text += f" from {value.min():.5g} to {value.max():.5g}"
        return text
    if isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return f"{float(value):.9g}"
    if isinstance(value, (np.generic, np.ndarray)):
        return repr(value.item())
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def difference(expected: Any, got: Any, rtol: float) -> str | None:
    """What differs between two `plain` values, or None.

    Numbers may differ by `rtol` times the largest expected one. A scalar may be a Python number or a 0-d array, and an
    integer where a float is expected; arrays must have the shape and the element type that were expected.
    """
    if isinstance(expected, tuple):
        return _difference_of_tuples(expected, got, rtol)
    if isinstance(expected, dict):
        return _difference_of_dicts(expected, got, rtol)
    if isinstance(expected, (bool, int, float, complex, np.generic, np.ndarray)):
        return _difference_of_numbers(expected, got, rtol)
    if type(expected) is not type(got) and not isinstance(got, type(expected)):
        return f"expected a {type(expected).__name__}, got a {type(got).__name__}"
    return None if expected == got else f"expected {describe(expected)}, got {describe(got)}"


def changed(before: Any, after: Any) -> bool:
    """Whether any array in two `plain` values has other elements, bit for bit; other objects are not looked into."""
    if isinstance(before, tuple):
        return len(before) != len(after) or any(map(changed, before, after))
    if isinstance(before, dict):
        return before.keys() != after.keys() or any(changed(value, after[key]) for key, value in before.items())
    if isinstance(before, np.ndarray):
        return before.shape != after.shape or before.tobytes() != after.tobytes()
    return False


def _difference_of_tuples(expected: tuple[Any, ...], got: Any, rtol: float) -> str | None:
    if not isinstance(got, tuple):
        return f"expected {len(expected)} results, got a single {_type_name(got)}"
    if len(expected) != len(got):
        return f"expected {len(expected)} results, got {len(got)}"
    for i, (one, other) in enumerate(zip(expected, got, strict=True)):
        found = difference(one, other, rtol)
        if found is not None:
            return f"result {i + 1} of {len(expected)}: {found}"
    return None


def _difference_of_dicts(expected: dict[Any, Any], got: Any, rtol: float) -> str | None:
    if not isinstance(got, dict):
        return f"expected a dictionary, got a {_type_name(got)}"
    if expected.keys() != got.keys():
        return f"expected the keys {sorted(map(str, expected))}, got {sorted(map(str, got))}"
    for key, value in expected.items():
        found = difference(value, got[key], rtol)
        if found is not None:
            return f"under {key!r}: {found}"
    return None


def _difference_of_numbers(expected: Any, got: Any, rtol: float) -> str | None:
    if got is None:
        return "expected a number or an array, got None"
    if isinstance(got, tuple):
        found = f"expected {'an array' if np.ndim(expected) else 'one number'}, got a list or tuple of {len(got)}"
        return found + (": np.array(...) makes an array of it" if np.ndim(expected) else "")
    if not isinstance(got, (bool, int, float, complex, np.generic, np.ndarray)):
        return f"expected {'an array' if np.ndim(expected) else 'a number'}, got a {_type_name(got)}"
    want, have = np.asarray(expected), np.asarray(got)
    if want.shape != have.shape:
        return f"wrong shape: expected {want.shape}, got {have.shape}"
    return _difference_of_types(want, have) or _difference_of_values(want, have, rtol)


def _difference_of_types(want: np.ndarray, have: np.ndarray) -> str | None:
    if want.ndim == 0:  # a Python number has no precision to compare
        # An integer is a fine float, but not the other way round: 3.0 is no size of an array.
        same = want.dtype.kind == have.dtype.kind or (want.dtype.kind == "f" and have.dtype.kind in "iu")
        same = same or {want.dtype.kind, have.dtype.kind} <= set("iu")
        if not same:
            return f"wrong type: expected {_KINDS.get(want.dtype.kind)}, got {_KINDS.get(have.dtype.kind, have.dtype)}"
        return None
    if want.dtype != have.dtype and not (want.dtype.kind in "iu" and have.dtype.kind in "iu"):
        return f"wrong dtype: expected {want.dtype}, got {have.dtype}"
    return None


def _difference_of_values(want: np.ndarray, have: np.ndarray, rtol: float) -> str | None:
    if not want.size:
        return None
    if want.dtype.kind not in "fc":
        wrong = want != have
        if not wrong.any():
            return None
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"first difference{_at(index)}: expected {want[index].item()!r}, got {have[index].item()!r}"
    finite = np.isfinite(want)
    broken = finite != np.isfinite(have)
    if not broken.any():
        broken = ~finite & (want != have) & ~(np.isnan(want) & np.isnan(have))
    if broken.any():
        index = tuple(int(i) for i in np.argwhere(broken)[0])
        return f"not finite where it should be, or the other way round{_at(index)}: " + (
            f"expected {want[index]:.9g}, got {have[index]:.9g}"
        )
    largest = float(np.abs(want[finite]).max(initial=0.0))
    tolerance = (max(rtol, 1e-5) if want.dtype == np.float32 else rtol) * largest + 1e-12
    distance = np.where(finite, np.abs(np.where(finite, want, 0) - np.where(finite, have, 0)), 0.0)
    if distance.max() <= tolerance:
        return None
    index = tuple(int(i) for i in np.unravel_index(int(distance.argmax()), distance.shape))
    digits = 9 if f"{want[index]:.9g}" != f"{have[index]:.9g}" else 17  # enough to tell the two apart
    return (
        f"largest difference {distance[index]:.3g}{_at(index)}: "
        f"expected {want[index]:.{digits}g}, got {have[index]:.{digits}g}{_pattern(want, have, tolerance)}"
    )


def _pattern(want: np.ndarray, have: np.ndarray, tolerance: float) -> str:
    """What the difference looks like, where it is one of the usual suspects."""
    if np.abs(want + have).max() <= tolerance:
        return " (the sign is the other one)"
    if want.dtype.kind == "f" and np.abs(np.sort(want, axis=None) - np.sort(have, axis=None)).max() <= tolerance:
        return " (the right numbers, in another order)"
    nonzero = np.abs(want) > 1e3 * tolerance
    if nonzero.any():
        ratios = have[nonzero] / want[nonzero]
        if ratios.size > 1 and abs(ratios[0]) > 1e-6 and np.ptp(ratios) <= 1e-5 * abs(ratios[0]):
            factor = f"{ratios[0]:.5g}"
            return f" (yours is {factor} times the expected one everywhere)" if factor != "1" else ""
    return ""


def _at(index: tuple[int, ...]) -> str:
    return f" at index [{', '.join(map(str, index))}]" if index else ""


def _type_name(value: Any) -> str:
    return type(value).__name__
