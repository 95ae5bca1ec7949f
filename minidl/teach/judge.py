"""Judging an answer: several random inputs, an independent reference or central differences, and a kind verdict.

The verdict names the input, what was expected, what came, and where the difference is largest. It also says when the
answer has another shape or element type, raises an error, or changes the arrays that it was given.
"""

from __future__ import annotations

import copy
import inspect
import traceback
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.teach.compare import changed, describe, difference, plain
from minidl.teach.exercise import Exercise

__all__ = ["Verdict", "judge"]

TRIALS = 5
_STEP = 1e-5


@dataclass(frozen=True)
class Verdict:
    """What the judge found.

    Attributes
    ----------
    passed : bool or None
        None if the exercise was not attempted (the stub's NotImplementedError came).
    text : str
        The finding in words; empty unless `passed` is False.
    """

    passed: bool | None
    text: str = ""


class _Finding(Exception):
    """What is wrong on one input."""


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Judge an answer on several inputs, the same ones each time, and stop at the first that goes wrong.

    Parameters
    ----------
    exercise : Exercise
    answer : object
        What the reader wrote; it is used as ``exercise.apply(answer, *args)``.
    """
    for trial in range(TRIALS):
        rng = np.random.default_rng([zlib.crc32(exercise.number.encode()), trial])
        args = tuple(exercise.samples(rng))
        names = _names(exercise, args)
        if exercise.gradient_of is not None:
            output = np.asarray(exercise.gradient_of(*copy.deepcopy(args)), dtype=np.float64)
            gradient = rng.normal(size=output.shape) if output.ndim else float(rng.normal())
            args, names = (gradient, *args), ["gradient", *names]
        try:
            _judge_one(exercise, answer, args, names)
        except NotImplementedError:
            return Verdict(None)
        except _Finding as finding:
            given = ", ".join(f"{name} = {describe(value)}" for name, value in zip(names, args, strict=True))
            return Verdict(False, f"on input {trial + 1} of {TRIALS}: {given}\n{finding}")
    return Verdict(True)


def _judge_one(exercise: Exercise, answer: Any, args: tuple[Any, ...], names: list[str]) -> None:
    given = copy.deepcopy(args)
    got = _run(exercise, answer, given)
    for name, before, after in zip(names, args, given, strict=True):
        if changed(plain(before), plain(after)):
            raise _Finding(
                f"your answer changed its input {name} in place (now {describe(after)}); the caller still needs it: "
                "compute into a new array"
            )
    if got is None:
        raise _Finding("your answer returned None: is a return missing?")
    if exercise.reference is not None:
        _hold_against(exercise, "", exercise.reference(*copy.deepcopy(args)), got)
    if exercise.gradient_of is not None:
        numeric = central_differences(exercise, args[0], args[1:])
        _hold_against(exercise, " by central differences", numeric, got)


def _run(exercise: Exercise, answer: Any, args: tuple[Any, ...]) -> Any:
    try:
        with np.errstate(all="ignore"):  # a NaN is shown as one; whether it also warns depends on the reader's settings
            return exercise.apply(answer, *args)
    except NotImplementedError:
        raise
    except Exception as error:
        raise _Finding(f"your answer raised {type(error).__name__}: {error}{_place(error)}") from None


def _place(error: Exception) -> str:
    """The line of the reader's code that raised, where there is its source."""
    package = __name__.rpartition(".")[0]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not str(frame.f_globals.get("__name__", "")).startswith(package + ".judge"):
            entry = traceback.extract_stack(frame, limit=1)[0]
            text = traceback.FrameSummary(entry.filename, line, entry.name).line
            return f"\n    in {entry.name}, line {line}" + (f": {text}" if text else "")
    return ""


def _hold_against(exercise: Exercise, how: str, expected: Any, got: Any) -> None:
    found = difference(plain(expected), plain(got), exercise.rtol)
    if found is not None:
        raise _Finding(f"expected{how}: {describe(expected)}\nyour answer: {describe(got)}\n{found}")


def central_differences(exercise: Exercise, gradient: Any, args: tuple[Any, ...]) -> Any:
    """Σ gradient · (f(x + h e) - f(x - h e)) / 2h for each element e of each float argument, in float64."""
    function = exercise.gradient_of
    assert function is not None
    wrt = exercise.wrt
    if wrt is None:
        wrt = tuple(i for i, value in enumerate(args) if np.asarray(value).dtype.kind == "f")
    found: list[Any] = []
    for place in wrt:
        x = np.array(args[place], dtype=np.float64)
        numeric = np.zeros(x.shape)
        for index in np.ndindex(*x.shape):
            step = _STEP * max(1.0, abs(float(x[index])))
            sides = []
            for sign in (1.0, -1.0):
                moved = x.copy()
                moved[index] += sign * step
                arguments = copy.deepcopy(args)
                value = moved if np.ndim(args[place]) else float(moved)
                output = function(*arguments[:place], value, *arguments[place + 1 :])
                sides.append(float(np.sum(np.asarray(gradient) * np.asarray(output))))
            numeric[index] = (sides[0] - sides[1]) / (2 * step)
        found.append(numeric if numeric.ndim else float(numeric))
    return found[0] if len(found) == 1 else tuple(found)


def _names(exercise: Exercise, args: tuple[Any, ...]) -> list[str]:
    """Names of the arguments as the independent code calls them."""
    source = exercise.gradient_of or exercise.reference
    names: list[str] = []
    try:
        for name, parameter in inspect.signature(source).parameters.items():  # type: ignore[arg-type]
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(name)
    except (TypeError, ValueError):
        pass
    return [names[i] if i < len(names) else f"argument {i + 1}" for i in range(len(args))]
