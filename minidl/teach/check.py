"""What the reader calls: `check` judges an answer, `hint` shows the next of three hints."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from minidl.teach.exercise import find_exercise
from minidl.teach.judge import TRIALS, judge
from minidl.teach.progress import Progress

__all__ = ["check", "hint", "solution"]


def check(number: str, answer: Any) -> bool | None:
    """Judge an answer to an exercise, print the verdict, and keep the progress.

    Parameters
    ----------
    number : str
        Chapter and exercise, ``"08.2"``.
    answer : callable
        What you wrote: most often a function.

    Returns
    -------
    bool or None
        True if it is right, False if not, None while the stub still raises NotImplementedError.

    Raises
    ------
    OptionError
        If there is no such exercise.

    Examples
    --------
    >>> from minidl import teach
    >>> def size_after(size, layers):
    ...     raise NotImplementedError
    >>> teach.check("12.1", size_after)
    12.1 The size of a picture after a stack of layers: not attempted
    """
    exercise = find_exercise(number)
    heading = f"{exercise.number} {exercise.title}"
    verdict = judge(exercise, answer)
    if verdict.passed is None:
        print(f"{heading}: not attempted")
        return None
    Progress().store(exercise.number, solved=verdict.passed, tries=1)
    if verdict.passed:
        print(f"{heading}: right, on {TRIALS} inputs")
        return True
    print(f"{heading}: not yet")
    print(textwrap.indent(verdict.text, "    "))
    print(f'    A hint: teach.hint("{exercise.number}"), or python -m minidl exercises {exercise.number} --hint')
    return False


def hint(number: str) -> None:
    """Print the next of the three hints of an exercise, and those shown before."""
    exercise = find_exercise(number)
    progress = Progress()
    shown = min(progress.hints(exercise.number), len(exercise.hints))
    print(f"{exercise.number} {exercise.title}")
    for i, text in enumerate(exercise.hints[: shown + 1]):
        print(textwrap.indent(f"hint {i + 1} of {len(exercise.hints)}: {text}", "    "))
    if shown < len(exercise.hints):
        progress.store(exercise.number, hints=1)
    else:
        print(f"    There is no further hint. A solution: python -m minidl exercises {exercise.number} --solution")


def solution(number: str) -> str:
    """The source of an answer that is right."""
    exercise = find_exercise(number)
    answer = exercise.solution
    return answer if isinstance(answer, str) else textwrap.dedent(inspect.getsource(answer))
