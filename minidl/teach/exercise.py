"""An exercise: what the reader writes, how it is judged, what helps, and the mistakes that the judge must see through.

The exercises of chapter 8 stand in `minidl/teach/exercises/chapter_08.py` as a list named `exercises`. Nothing else
knows their numbers: the module is found by the chapter's, and imported when one of its exercises is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.errors import OptionError
from minidl.teach import exercises as modules

__all__ = ["Exercise", "Wrong", "all_exercises", "find_exercise"]


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that readers really give, and what the verdict on it must say.

    Attributes
    ----------
    function : callable
        The answer, in place of the reader's.
    reason : str
        Words that stand in the verdict if it was rejected for the right reason.
    """

    function: Any
    reason: str


def _call(answer: Callable[..., Any], *args: Any) -> Any:
    return answer(*args)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    number : str
        Chapter and exercise, ``"08.2"``.
    title : str
        What is to be written, in a few words.
    solution : callable
        An answer that is right; its source is what `--solution` shows.
    samples : callable
        Takes a `numpy.random.Generator`, returns the arguments of one call as a tuple: random shapes, random values,
        float64 where there are floats. Called several times.
    reference : callable, optional
        Takes the same arguments and computes what is expected by other means than the solution: loops, NumPy, SciPy.
    gradient_of : callable, optional
        For "write the backward": the forward, ``f(*args)`` on float64 arrays. The reader's function is then called with
        ``(gradient, *args)``, where `gradient` is a random array of the shape of ``f(*args)`` (∂L/∂f), and must return
        the gradient of each float argument, several as a tuple in their order. Central differences of `f` judge.
        With a `reference` as well, that is called with ``(gradient, *args)``, too, and must agree.
    wrt : tuple of int, optional
        With `gradient_of`: the positions in ``args`` to differentiate; by default every float or float array.
    hints : tuple of str
        Three: a gentle one, a closer one, and nearly the answer.
    wrong : tuple of Wrong
        At least three answers that must be rejected.
    apply : callable
        How an answer is used, ``apply(answer, *args)``; by default it is called. For answers that are classes or text.
    rtol : float
        Largest error that passes, relative to the largest expected number.
    """

    number: str
    title: str
    solution: Any
    samples: Callable[..., tuple[Any, ...]]
    hints: Sequence[str]
    wrong: Sequence[Wrong]
    reference: Callable[..., Any] | None = None
    gradient_of: Callable[..., Any] | None = None
    wrt: tuple[int, ...] | None = None
    apply: Callable[..., Any] = _call
    rtol: float = 1e-6

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d\.\d+", self.number):
            raise OptionError("Exercise", expected="a number such as '08.2'", actual=repr(self.number))
        if self.reference is None and self.gradient_of is None:
            raise OptionError(
                f"Exercise {self.number}", expected="a reference, or gradient_of", actual="neither",
                hint="what is expected must come from code that is independent of the solution",
            )  # fmt: skip

    @property
    def chapter(self) -> int:
        """Number of the chapter."""
        return int(self.number.split(".")[0])


def all_exercises() -> list[Exercise]:
    """Every exercise of every chapter, in order."""
    names = sorted(m.name for m in pkgutil.iter_modules(modules.__path__) if m.name.startswith("chapter_"))
    return [exercise for name in names for exercise in _exercises_of(name)]


def find_exercise(number: str) -> Exercise:
    """The exercise of a number such as ``"08.2"``.

    Raises
    ------
    OptionError
        If there is none; it names those of the chapter, or the chapters.
    """
    match = re.fullmatch(r"(\d{1,2})\.(\d+)", str(number))
    name = f"chapter_{int(match.group(1)):02d}" if match else ""
    chapters = sorted(m.name for m in pkgutil.iter_modules(modules.__path__) if m.name.startswith("chapter_"))
    if match is None or name not in chapters:
        there = ", ".join(str(int(chapter.removeprefix("chapter_"))) for chapter in chapters)
        raise OptionError("number", expected="a number such as '08.2': chapter, point, exercise",
                          actual=repr(number), hint=f"chapters with exercises: {there}")  # fmt: skip
    wanted = f"{int(match.group(1)):02d}.{int(match.group(2))}"
    found = {exercise.number: exercise for exercise in _exercises_of(name)}
    if wanted not in found:
        raise OptionError("number", expected=f"one of {', '.join(found)}", actual=repr(number))
    return found[wanted]


def _exercises_of(module: str) -> list[Exercise]:
    return list(importlib.import_module(f"{modules.__name__}.{module}").exercises)
