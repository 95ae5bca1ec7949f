"""The benchmarks measure and judge correctly: a clock that is turned by hand, tables and JSON from made-up rows."""

from __future__ import annotations

import doctest
import importlib
import json
import os

import numpy as np
import pytest

from benchmarks import fractions, peaks, report, scaling, timing, workers
from benchmarks.compare import Arena, Row, Settings, agree
from benchmarks.kernels import product
from benchmarks.networks import NETWORKS, initial_state
from benchmarks.overhead import optimizer_step
from benchmarks.timing import Ratio
from benchmarks.workers import Case, Prepared, WorkerError, fingerprint
from minidl import nn

MODULES = ["imports", "kernels", "report", "scaling", "timing"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def work(self, *seconds):
        durations = iter(seconds)

        def run():
            self.now += next(durations)

        return run


def test_the_median_forgives_an_interruption(monkeypatch):
    # The first call wakes the threads and does not count.
    run = Clock(monkeypatch).work(5e-3, 1e-3, 1e-3, 9e-3, 1e-3, 1e-3)
    assert timing.median_seconds(run, calls=1, seconds=0.0, samples=5) == pytest.approx(1e-3)


def test_a_first_call_that_is_long_counts(monkeypatch):
    run = Clock(monkeypatch).work(5.0, 7.0)
    assert timing.median_seconds(run, calls=1, seconds=0.0, samples=1) == 5.0
    assert timing.median_seconds(run, calls=1, seconds=5.0, samples=1) == 7.0


def test_a_sample_of_several_calls_is_divided(monkeypatch):
    run = Clock(monkeypatch).work(0.0, 1.0, 2.0, 3.0)
    assert timing.median_seconds(run, calls=3, seconds=0.0, samples=1) == 2.0


@pytest.mark.parametrize("step", [1 / 128, 1.0])
def test_a_round_lasts_as_long_as_asked(monkeypatch, step):
    clock = Clock(monkeypatch)
    timing.median_seconds(clock.work(*[step] * 11), calls=1, seconds=10 * step, samples=1)
    assert clock.now == (11 * step if step < timing.LONG else 10 * step)


def test_warm_up_finds_the_fastest_call(monkeypatch):
    assert timing.warm_up(Clock(monkeypatch).work(7e-3, 2e-3, 3e-3), seconds=0.0, calls=3) == pytest.approx(2e-3)
    assert timing.warm_up(Clock(monkeypatch).work(7.0), seconds=0.0, calls=3) == 7.0


def test_numpy_gets_a_process_for_each_number_of_threads():
    arena = Arena(Settings(threads=2))
    try:
        one, two = arena.worker("numpy", 1), arena.worker("numpy")
        assert one is arena.worker("numpy", 1)
        assert one.process.pid != two.process.pid
        for worker, threads in ((one, "1"), (two, "2")):
            assert worker.ask("call", "os", "getenv", ("OPENBLAS_NUM_THREADS",)) == threads
        assert arena.worker("minidl") is arena.worker("minidl", 1)
        assert arena.worker("minidl", 1).ask("call", "minidl", "get_num_threads", ()) == 1
    finally:
        arena.close()


def test_ratios_are_taken_round_by_round():
    assert timing.ratio_of_rounds([1, 2, 4], [2, 6, 16]) == Ratio(3.0, 2.5, 3.5)
    assert timing.ratio_of_rounds([2.0], [3.0]) == Ratio(1.5, 1.5, 1.5)


@pytest.mark.parametrize(
    ("row", "hit"),
    [
        (Row("", ratio=Ratio(1.2, 1, 2), level=1.2), True),
        (Row("", ratio=Ratio(1.19, 1, 2), level=1.2), False),
        (Row("", ratio=Ratio(0.1, 0, 1)), None),
        (Row("", level=1.0), False),  # nothing was measured
        (Row("", level=15.0, judged=16.0, at_most=True), False),
        (Row("", level=15.0, judged=14.0, at_most=True), True),
        (Row("", verdict=False), False),
    ],
)
def test_hits_and_misses(row, hit):
    assert row.hit is hit
    assert ("MISS" in report.format_row(row)) is (hit is False)


def prepared(*arrays):
    return Prepared(0.0, fingerprint(arrays), "")


def test_results_that_differ_are_told():
    x = np.random.default_rng(1).standard_normal(1000)
    wrong = x.copy()
    wrong[7] += 1
    assert agree(prepared(x), prepared(x + 1e-6), 1e-3) == ""
    for other in (wrong, -x, x[::-1], x * 1.01, x * np.nan):
        assert "differ" in agree(prepared(x), prepared(other), 1e-3)
    assert "1 arrays against 2" in agree(prepared(x), prepared(x, x), 1e-3)
    assert "differ" in agree(
        prepared(np.array(2.30)), prepared(np.array(2.31)), 0.5
    )  # losses have a limit of their own


def test_a_line_is_told_from_a_curve():
    sizes = [16, 32, 64, 128]
    assert scaling.deviation_from_a_line(sizes, [10 + 3 * n for n in sizes]) < 1e-9
    assert scaling.deviation_from_a_line(sizes, [n**1.5 for n in sizes]) > scaling.ALLOWED


@pytest.mark.parametrize("threads", [1, 3])
def test_the_peak_does_as_many_operations_as_the_kernel(monkeypatch, threads):
    rounds = []

    class Library:
        @staticmethod
        def fma_chains(count, start):
            rounds.append(count)

    monkeypatch.setattr(fractions, "compile_library", lambda folder, isa: Library)
    monkeypatch.setattr("minidl._kernels.isa", "v4")
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    flops, lanes = 2.0 * 512**3, 16
    fractions.repeated("peak", "product", (512, 512, 512, 1), flops).run()
    assert len(rounds) == threads
    sample = sum(rounds) * 16 * lanes * 2  # sixteen registers, a multiplication and an addition
    assert sample / flops == pytest.approx(round(sample / flops), rel=1e-6)
    assert fractions.LONG_ENOUGH <= sample * 1.000001 < fractions.LONG_ENOUGH + flops


def test_without_a_compiler_there_is_no_fraction(monkeypatch):
    monkeypatch.setattr(peaks.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="no C compiler"):
        fractions.repeated("peak", "product", (8, 8, 8, 1), 1024.0)


def test_json_holds_every_round(tmp_path):
    row = Row("a", 1.0, 2.0, ratio=Ratio(2, 2, 2), level=1.5, rounds=[(1.0, 2.0)])
    report.write_json(tmp_path / "b.json", {"processor": "Z80"}, {"rounds": 1}, {"step": [row]})
    content = json.loads((tmp_path / "b.json").read_text())
    assert content["machine"]["processor"] == "Z80"
    (saved,) = content["suites"]["step"]
    assert (saved["hit"], saved["rounds"], saved["ratio"]["median"]) == (True, [[1.0, 2.0]], 2)


def test_the_summary_names_what_was_missed():
    rows = [Row("good", ratio=Ratio(2, 2, 2), level=1), Row("bad", ratio=Ratio(1, 1, 1), level=2), Row("free")]
    assert report.format_summary({"step": rows}) == "1 of 2 levels hit\n  missed: bad: 1.00, level 2"


@pytest.mark.parametrize("name", NETWORKS)
def test_both_libraries_build_the_same_network(name):
    torch = pytest.importorskip("torch")
    ours, theirs = NETWORKS[name](nn).state_dict(), NETWORKS[name](torch.nn).state_dict()
    assert {k: tuple(v.shape) for k, v in ours.items()} == {k: tuple(v.shape) for k, v in theirs.items()}


def test_resnets_have_the_parameters_of_the_papers():
    assert sum(p.size for p in NETWORKS["resnet20"](nn).parameters()) == 269_722
    assert sum(p.size for p in NETWORKS["resnet18"](nn).parameters()) == 11_689_512


def test_initial_weights_depend_on_names_alone():
    shapes = {"0.weight": (4, 3), "1.weight": (4,), "1.bias": (4,), "1.running_var": (4,)}
    state = initial_state(shapes)
    assert np.array_equal(state["0.weight"], initial_state(shapes)["0.weight"])
    assert state["0.weight"].std() > 0.3
    assert [float(state[name].sum()) for name in list(shapes)[1:]] == [4.0, 0.0, 4.0]


def test_a_contender_lives_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    worker = workers.Worker("numpy", threads=1)
    try:
        assert worker.ask("describe")["numpy"] == np.__version__
        assert worker.process.pid != os.getpid()
        assert os.environ["OMP_NUM_THREADS"] == "7"  # the parent's environment is as it was
        case = Case("", product, (8, 8, 8, 1))
        assert worker.ask("prepare", case, 0.0).fingerprint[0].size == 64
        assert 0 < worker.ask("measure", 0.0, 3) < 10
        with pytest.raises(WorkerError, match="ZeroDivisionError"):
            worker.ask("call", "operator", "truediv", (1, 0))
    finally:
        worker.close()
    with pytest.raises((WorkerError, OSError)):
        worker.ask("describe")


def test_the_first_result_is_kept_though_later_calls_change_it_in_place():
    case = Case("", optimizer_step, ("SGD", 2, {"momentum": 0.9}))
    worker = workers.Worker("minidl", threads=1)
    try:
        first, *more = [worker.ask("prepare", case, seconds).fingerprint for seconds in (0.0, 0.0, 0.05)]
    finally:
        worker.close()
    assert more == [first, first]


def test_a_comparison_runs_in_turn_and_reports_a_failure():
    arena = Arena(Settings(threads=1, quick=True))
    cases = [
        Case("product", product, (16, 16, 16, 1), level=0.0, peer="numpy"),
        Case("unknown", product, ("a", 16, 16, 1), level=1.0, peer="numpy"),
    ]
    seen = []
    try:
        good, bad = arena.compare(cases, seen.append)
    finally:
        arena.close()
    assert seen == [good, bad]
    assert len(good.rounds) == 3
    assert good.hit is True
    assert bad.hit is False
    assert "minidl" in bad.note
