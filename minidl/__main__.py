"""The command line: ``python -m minidl info``, ``gradcheck``, ``exercises`` and ``tutorials``."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import time
from collections.abc import Iterable, Sequence

from minidl.backends import available_backends
from minidl.certificate import certify, format_table
from minidl.config import show_config
from minidl.errors import MinidlError, OptionError
from minidl.gradcheck import Case, registry
from minidl.teach.commands import add_commands
from minidl.viz.certificate import write_certificate_page


def _progress(cases: list[Case]) -> Iterable[Case]:
    from tqdm import tqdm

    return tqdm(cases, desc="gradcheck", unit="case", disable=None, leave=False)


def _import(name: str) -> None:
    """Import a module of the user's, which registers cases of its own."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks another
        raise OptionError(
            "--module", expected="the name of a module that Python finds", actual=repr(name),
            hint="start it in the module's folder, and leave .py out",
        ) from error  # fmt: skip


def _gradcheck(arguments: argparse.Namespace) -> int:
    for name in arguments.module:
        _import(name)
    known = {case.name for case in registry}
    unknown = [name for name in arguments.operation if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, cutoff=0.5) or sorted(known)
        raise OptionError(
            "operation", expected=f"a known one, such as {', '.join(near)}", actual=", ".join(map(repr, unknown)),
            hint="--module MODULE imports a module of your own, which registers its cases, first",
        )  # fmt: skip
    started = time.perf_counter()
    backends = [arguments.backend] if arguments.backend else None
    reports = certify(arguments.operation, arguments.order, backends, _progress)
    print(format_table(reports))
    print(f"{time.perf_counter() - started:.1f} s")
    if arguments.html:
        write_certificate_page(reports, arguments.html)
        print(f"page written to {arguments.html}")
    return 0 if all(report.passed for report in reports) else 1


def _info(arguments: argparse.Namespace) -> int:
    show_config()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m minidl", description="A deep-learning engine to read, import and run."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="what is in use here: kernels, instruction set, threads, versions")
    info.set_defaults(run=_info)
    gradcheck = commands.add_parser("gradcheck", help="prove every gradient by finite differences; exit 1 if one fails")
    gradcheck.add_argument("operation", nargs="*", help="only these operations (default: all)")
    gradcheck.add_argument("--order", type=int, default=2, choices=(1, 2, 3), help="highest order of derivative")
    gradcheck.add_argument(
        "--backend", choices=(*available_backends(), "cuda"), help="only this backend (default: all)"
    )
    gradcheck.add_argument(
        "--module", action="append", default=[], help="import this first: a module that registers cases of your own"
    )
    gradcheck.add_argument("--html", metavar="FILE", help="write the certificate as a page, with heat maps")
    gradcheck.set_defaults(run=_gradcheck)
    add_commands(commands)
    arguments = parser.parse_args(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `| head` has read enough; what is left to write goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MinidlError as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
