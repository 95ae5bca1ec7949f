"""The judge: what it accepts, what it rejects, and what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl.errors import OptionError
from minidl.teach.compare import describe, difference
from minidl.teach.exercise import Exercise, Wrong, find_exercise
from minidl.teach.judge import TRIALS, judge

HINTS = ("a gentle hint for the reader", "a closer hint for the reader", "nearly the answer, for the reader")


def exercise(**changes) -> Exercise:
    fields = {
        "number": "99.1",
        "title": "Twice",
        "solution": lambda x: 2 * x,
        "reference": lambda x: x + x,
        "samples": lambda rng: (rng.normal(size=(int(rng.integers(1, 4)), 3)),),
        "hints": HINTS,
        "wrong": (Wrong(lambda x: x, "largest difference"),),
    }
    return Exercise(**{**fields, **changes})


def verdict_of(answer, **changes) -> str:
    verdict = judge(exercise(**changes), answer)
    assert verdict.passed is False
    return verdict.text


def test_right_and_not_attempted():
    def stub(x):
        raise NotImplementedError

    assert judge(exercise(), lambda x: x * 2.0).passed is True
    assert judge(exercise(), lambda x: minidl.tensor(x) * 2).passed is True
    assert judge(exercise(), stub).passed is None


def test_every_trial_counts():
    seen = []

    def wrong_on_the_last(x):
        seen.append(x)
        return 2 * x if len(seen) < TRIALS else x

    assert f"on input {TRIALS} of {TRIALS}" in verdict_of(wrong_on_the_last)
    assert len({x.tobytes() for x in seen}) == TRIALS


def test_a_difference_is_located():
    def wrong(x):
        y = 2 * x
        y[-1, 1] += 0.25
        return y

    text = verdict_of(wrong, samples=lambda rng: (rng.normal(size=(2, 3)),))
    assert "x = float64 array of shape (2, 3): [[" in text
    assert "expected: float64 array" in text and "your answer: float64 array" in text
    assert "largest difference 0.25 at index [1, 1]: expected" in text


def test_the_usual_suspects_are_named():
    assert "(the sign is the other one)" in verdict_of(lambda x: -2 * x)
    assert "(yours is 1.5 times the expected one everywhere)" in verdict_of(lambda x: 3 * x)
    assert "(the right numbers, in another order)" in verdict_of(lambda x: 2 * x[:, ::-1])


def test_a_small_difference_is_shown_with_the_digits_that_differ():
    line = verdict_of(lambda x: 2 * x * (1 + 1e-11), rtol=1e-13).splitlines()[-1]
    expected, got = re.search(r"expected (\S+), got (\S+)$", line).groups()
    assert float(expected) != float(got)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: (2 * x).T, "wrong shape: expected"),
        (lambda x: (2 * x).astype(np.float32), "wrong dtype: expected float64, got float32"),
        (lambda x: (2 * x).tolist(), "np.array(...) makes an array of it"),
        (lambda x: "2x", "expected an array, got a str"),
        (lambda x: None, "is a return missing?"),
        (lambda x: 2 * x / 0.0 * 0.0, "not finite where it should be"),
        (lambda x: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda x: x.no_such_thing, "has no attribute 'no_such_thing'"),
        (lambda: 0, "takes 0 positional arguments but 1 was given"),
        (7, "'int' object is not callable"),
    ],
)
def test_answers_of_another_kind_are_reported(answer, words):
    assert words in verdict_of(answer)


def test_the_line_that_raised_is_shown():
    def broken(x):
        return x @ x[:, :2]

    assert "in broken, line " in verdict_of(broken) and ": return x @ x[:, :2]" in verdict_of(broken)


def test_changing_an_input_in_place_is_reported():
    def doubling(x):
        x *= 2
        return x

    assert "changed its input x in place" in verdict_of(doubling)


def test_an_answer_cannot_change_what_the_reference_sees():
    def clever(x):
        x[...] = 0
        return x

    assert "changed its input x" in verdict_of(clever)


def bilinear(x, w, n):
    return x @ w * n


def bilinear_backward(gradient, x, w, n):
    return gradient @ w.T * n, x.T @ gradient * n


BACKWARD = {
    "solution": bilinear_backward,
    "reference": None,
    "gradient_of": bilinear,
    "samples": lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), int(rng.integers(2, 5))),
}


def test_a_backward_is_judged_by_central_differences():
    assert judge(exercise(**BACKWARD), bilinear_backward).passed
    text = verdict_of(lambda g, x, w, n: (g @ w.T * n, x.T @ g), **BACKWARD)
    assert "expected by central differences" in text and "result 2 of 2" in text and "gradient = " in text
    assert "(yours is" in text
    assert "expected 2 results" in verdict_of(lambda g, x, w, n: g @ w.T * n, **BACKWARD)
    assert judge(exercise(**{**BACKWARD, "wrt": (1,)}), lambda g, x, w, n: x.T @ g * n).passed


def test_a_backward_of_a_scalar_function():
    slope = {**BACKWARD, "gradient_of": lambda x: x**3, "samples": lambda rng: (float(rng.normal()),)}
    assert judge(exercise(**slope), lambda g, x: g * 3 * x**2).passed
    assert "largest difference" in verdict_of(lambda g, x: 3 * x**2, **slope)


def test_answers_that_are_not_called():
    of_text = {"apply": lambda answer, x: eval(answer, {"x": x})}
    assert judge(exercise(**of_text), "x * 2").passed
    assert "raised SyntaxError" in verdict_of("x *", **of_text)


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        (3, 3, None),
        (3, np.int64(3), None),
        (3, 3.0, "expected an integer, got a float"),
        (3.0, 3, None),
        (True, 1, "expected a truth value"),
        ((1, 2), [1, 2], None),
        ((1, 2), (1, 2, 3), "expected 2 results, got 3"),
        ({"a": 1.0}, {"a": 2.0}, "under 'a'"),
        ({"a": 1.0}, {"b": 1.0}, "the keys"),
        ("yes", "no", "expected 'yes', got 'no'"),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), None),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf]), "not finite"),
        (np.array([1, 2]), np.array([1, 3]), "first difference at index [1]: expected 2, got 3"),
        (np.zeros((0, 3)), np.zeros((0, 3)), None),
        (np.zeros(2), np.full(2, 1e-9), "largest difference"),
        (1.0, None, "got None"),
    ],
)
def test_comparing(expected, got, words):
    from minidl.teach.compare import plain

    found = difference(plain(expected), plain(got), 1e-6)
    assert found is None if words is None else words in (found or "")


def test_describing():
    assert describe(np.arange(3)) == "int64 array of shape (3,): [0, 1, 2]"
    assert describe(np.zeros((20, 20))) == "float64 array of shape (20, 20) from 0 to 0"
    assert describe([1, (2.5,)]) == "[1, (2.5,)]"
    assert len(describe("x" * 500)) < 250


def test_exercises_that_cannot_be_judged_are_refused():
    with pytest.raises(OptionError, match="a reference, or gradient_of"):
        exercise(reference=None)
    with pytest.raises(OptionError, match="a number such as"):
        exercise(number="8.2")


@pytest.mark.parametrize("number", ["12.1", "12.01"])
def test_finding(number):
    assert find_exercise(number).number == "12.1"


@pytest.mark.parametrize(
    ("number", "hint"), [("88.1", "chapters with exercises"), ("x", "12"), ("12.99", "12.1, 12.2")]
)
def test_finding_what_is_not_there(number, hint):
    with pytest.raises(OptionError, match=hint):
        find_exercise(number)
