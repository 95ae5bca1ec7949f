"""Every exercise of every chapter: its judge accepts the solution and sees through the wrong answers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minidl.teach.check import solution
from minidl.teach.exercise import all_exercises
from minidl.teach.judge import judge

EXERCISES = all_exercises()
WRONG = [(exercise, i) for exercise in EXERCISES for i in range(len(exercise.wrong))]


def answer_name(answer) -> str:
    return getattr(answer, "__name__", type(answer).__name__)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)
def test_the_solution_is_accepted(exercise):
    verdict = judge(exercise, exercise.solution)
    assert verdict.passed, verdict.text


@pytest.mark.parametrize(
    ("exercise", "i"), WRONG, ids=[f"{e.number}-{i + 1}-{answer_name(e.wrong[i].function)}" for e, i in WRONG]
)
def test_a_wrong_answer_is_rejected_for_the_right_reason(exercise, i):
    wrong = exercise.wrong[i]
    verdict = judge(exercise, wrong.function)
    assert verdict.passed is False
    assert wrong.reason and wrong.reason in verdict.text
    assert re.match(r"on input \d of \d: \S", verdict.text)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)
def test_an_exercise_is_whole(exercise):
    assert len(exercise.wrong) >= 3
    assert len(exercise.hints) == 3 and len(set(exercise.hints)) == 3 and all(len(h) > 20 for h in exercise.hints)
    assert exercise.title and exercise.title[0].isupper() and not exercise.title.endswith(".")
    independent = [exercise.reference, exercise.gradient_of]
    assert all(exercise.solution is not one for one in independent)
    assert len(solution(exercise.number)) > 20


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)
def test_the_inputs_differ(exercise):
    first, second = (repr(exercise.samples(np.random.default_rng(seed))) for seed in (0, 1))
    assert first != second


def test_numbers_count_from_one_in_each_chapter():
    chapters: dict[str, list[int]] = {}
    for exercise in EXERCISES:
        chapter, number = exercise.number.split(".")
        chapters.setdefault(chapter, []).append(int(number))
    assert list(chapters) == sorted(chapters)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in chapters.values())
    assert all(len(numbers) >= 2 for numbers in chapters.values())
