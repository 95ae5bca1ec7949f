"""``python -m benchmarks``: measure minidl and PyTorch side by side, print the table, write JSON, draw figures."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cuda, fractions, imports, kernels, memory, overhead, scaling, steps
from benchmarks.compare import Arena, Row, Settings
from benchmarks.figures import draw_figures
from benchmarks.report import format_head, format_row, format_summary, machine, write_json
from benchmarks.workers import Case, WorkerError

SUITES = ("step", "kernels", "peak", "overhead", "memory", "import", "threads", "scaling")
TABLES: dict[str, list[Case]] = {
    "step": steps.CASES,
    "kernels": kernels.CASES,
    "peak": fractions.CASES,
    "overhead": overhead.CASES,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--suite", nargs="+", choices=SUITES, default=list(SUITES), help="default: all of them")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only rows whose name contains TEXT")
    parser.add_argument("--quick", action="store_true", help="under a minute: short rounds, so wider quartiles")
    parser.add_argument("--threads", type=int, help="threads for every contender; default: as many as minidl takes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round to FILE")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="draw the pictures of what was measured into DIR")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute; default: cpu")
    parser.add_argument("--tf32", action="store_true", help="with --device cuda: 10 bits of mantissa in products")
    options = parser.parse_args(arguments)
    if options.threads is not None and options.threads < 1:
        parser.error("--threads must be at least 1")
    if options.tf32 and options.device != "cuda":
        parser.error("--tf32 is for --device cuda")
    return options


def run_suite(
    suite: str, device: str, arena: Arena, selected: Callable[[str], bool], show: Callable[[Row], None]
) -> list[Row]:
    """All selected rows of one suite."""
    tables = cuda.TABLES if device == "cuda" else TABLES
    if suite in tables:
        return arena.compare([case for case in tables[suite] if selected(case.name)], show)
    measure = {
        "memory": memory.measure,
        "import": imports.measure,
        "threads": scaling.measure_threads,
        "scaling": scaling.measure_scaling,
    }[suite]
    return measure(arena, selected, show)


def default_threads() -> int:
    """As many as minidl takes by itself."""
    from minidl._kernels import available_cores

    return available_cores()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites; return 1 if a contender is missing."""
    options = parse(arguments)
    settings = Settings(options.threads or default_threads(), options.quick)
    arena = Arena(settings)
    started = time.perf_counter()
    suites: dict[str, list[Row]] = {}
    try:
        facts = machine({name: arena.worker(name).ask("describe") for name in ("torch", "minidl")}, settings.threads)
        print("\n".join(f"{name:17}  {value}" for name, value in facts.items()))
        if "reference" in str(facts["kernels"]):
            print("\nNo compiled kernels here: what follows measures the plain NumPy reference.")
            print("In a checkout, `python setup.py build_ext --inplace` builds them.")
        if (facts["load at the start"] or 0) > 0.5 * (os.cpu_count() or 1):
            print("\nThis machine is busy with something else: what follows is of little worth.")
        if options.quick:
            print("\n--quick: few and short rounds. Good for seeing that all is well, too coarse for a claim.")
        if options.device == "cuda":
            for name in ("torch", "minidl"):
                arena.worker(name).ask("call", "benchmarks.cuda", "prepare", (name, options.tf32))
        for suite in options.suite:
            if options.device == "cuda" and suite not in cuda.TABLES:
                continue
            print(format_head(suite))
            suites[suite] = run_suite(
                suite,
                options.device,
                arena,
                lambda name: options.filter in name,
                lambda row: print(format_row(row), flush=True),
            )
        if options.device == "cuda":
            print("\n".join(["", *cuda.fractions_of_peak(suites.get("kernels", []))]))
        print(f"\n{format_summary(suites)}")
        if options.json:
            write_json(options.json, facts, {"rounds": settings.rounds, "quick": settings.quick}, suites)
            print(f"written: {options.json}")
        if options.figures:
            for path in draw_figures(options.figures, arena, facts, suites):
                print(f"drawn: {path}")
    except WorkerError as error:
        print(f"{error}\n\nThe benchmarks need PyTorch: pip install -e '.[bench]'", file=sys.stderr)
        return 1
    finally:
        arena.close()
    print(f"{time.perf_counter() - started:.0f} s in all, on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
