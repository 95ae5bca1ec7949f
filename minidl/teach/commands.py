"""``python -m minidl exercises`` and ``python -m minidl tutorials``."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from typing import Any

from minidl.errors import DataError
from minidl.teach.chapter import MODES
from minidl.teach.check import hint, solution
from minidl.teach.exercise import Exercise, all_exercises, find_exercise
from minidl.teach.progress import Progress
from minidl.teach.tutorials import find_scripts, make_notebook, run_script

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the two commands to those of ``python -m minidl``; each sets `run`, which returns an exit status."""
    exercises = commands.add_parser("exercises", help="progress in the exercises of the tutorials; hints; solutions")
    exercises.add_argument("number", nargs="?", help="one exercise, such as 08.2, or a chapter, such as 8")
    exercises.add_argument("--hint", action="store_true", help="show its next hint")
    exercises.add_argument("--solution", action="store_true", help="show an answer that is right")
    exercises.set_defaults(run=lambda options: _exercises(exercises, options))

    tutorials = commands.add_parser("tutorials", help="list the chapters; run one; make a notebook of one")
    tutorials.set_defaults(run=_list_tutorials)
    actions = tutorials.add_subparsers(dest="action")
    run = actions.add_parser("run", help="run a chapter")
    run.add_argument("chapter", type=int)
    run.add_argument("--mode", choices=MODES, help="default: MINIDL_MODE, or else default")
    run.add_argument("arguments", nargs="*", help="after --: passed on to the chapter")
    run.set_defaults(run=_run_tutorial)
    notebook = actions.add_parser("notebook", help="write a chapter as a Jupyter notebook")
    notebook.add_argument("chapter", type=int)
    notebook.add_argument("--output", metavar="FILE", help="default: its name with .ipynb, in this folder")
    notebook.set_defaults(run=_make_notebook)


# Exercises


def _exercises(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.number is None:
        if options.hint or options.solution:
            parser.error("which exercise? For example: exercises 08.2 --hint")
        _print_table()
        return 0
    if options.number.isdecimal() and not (options.hint or options.solution):
        find_exercise(f"{options.number}.1")  # names the chapters if there is no such one
        _print_table(int(options.number))
        return 0
    exercise = find_exercise(options.number)
    if options.hint:
        hint(exercise.number)
    if options.solution:
        print(solution(exercise.number))
    if not (options.hint or options.solution):
        print(f"{exercise.number} {exercise.title}: {_state(exercise, Progress())}")
    return 0


def _print_table(only: int | None = None) -> None:
    progress = Progress()
    exercises = [exercise for exercise in all_exercises() if only in (None, exercise.chapter)]
    width = max(len(exercise.title) for exercise in exercises)
    titles = _titles()
    for chapter, group in itertools.groupby(exercises, key=lambda exercise: exercise.chapter):
        print(f"{chapter:>2}. {titles.get(chapter, 'Chapter')}")
        for exercise in group:
            print(f"    {exercise.number:<6} {exercise.title:<{width}}  {_state(exercise, progress)}")
    solved = sum(progress.solved(exercise.number) for exercise in exercises)
    print(f"\n{solved} of {len(exercises)} solved. A hint: python -m minidl exercises {exercises[0].number} --hint")
    if progress.damaged:
        print(f"The progress file {progress.path} cannot be read; the next answer begins a new one.")


def _titles() -> dict[int, str]:
    try:
        return {script.number: script.title for script in find_scripts()}
    except DataError:  # installed without the scripts
        return {}


def _state(exercise: Exercise, progress: Progress) -> str:
    tries, hints = progress.tries(exercise.number), progress.hints(exercise.number)
    words = "solved" if progress.solved(exercise.number) else "tried" if tries else "not attempted"
    notes = []
    if tries > 1:
        notes.append(f"{tries} answers")
    if hints:
        notes.append(f"{hints} of {len(exercise.hints)} hints")
    return words + (f" ({', '.join(notes)})" if notes else "")


# Tutorials


def _list_tutorials(options: argparse.Namespace) -> int:
    scripts = find_scripts()
    for script in scripts:
        print(f"{script.number:>2}. {script.title}")
        for what, text in (("time", script.time), ("data", script.data)):
            if text:
                print(textwrap.fill(f"{what}: {text}", 110, initial_indent="    ", subsequent_indent=" " * 10))
    print("\nRun one: python -m minidl tutorials run 8 [--mode smoke|default|full]")
    return 0


def _run_tutorial(options: argparse.Namespace) -> int:
    return run_script(options.chapter, options.mode, options.arguments)


def _make_notebook(options: argparse.Namespace) -> int:
    print(f"written: {make_notebook(options.chapter, options.output)}")
    return 0
