"""The compiled core: which variant serves, and on how many threads.

Every ``.pyx`` here is compiled once for each instruction set (see setup.py) into a folder of its own: ``baseline``,
``v3`` (AVX2) and ``v4`` (AVX-512). At import the fastest one that this processor runs is chosen, once, and
`kernels` is the package of its modules: ``kernels.gemm``, ``kernels.conv``, ... Without a compiled variant
`kernels` is None, and the NumPy reference serves.

Environment: ``MINIDL_ISA=baseline|v3|v4`` forces a variant; ``MINIDL_KERNELS=off`` ignores the compiled core and
``MINIDL_KERNELS=require`` makes its absence an error.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import OptionError

__all__ = ["available_cores", "get_num_threads", "isa", "kernels", "openmp", "reason", "set_num_threads"]

_FOLDER = Path(__file__).parent


def _quota_cores() -> float:
    """Cores that the control group grants (containers), infinity without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            group = Path("/sys/fs/cgroup/cpu")
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        except OSError:
            return float("inf")
    try:
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except ValueError:  # "max"
        return float("inf")


def available_cores() -> int:
    """Cores this process may use: its affinity and the quota of its container, whichever is smaller."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cores, _quota_cores())))


def _load() -> tuple[Any, str, str]:
    """Import the best variant: (the package of its modules, its name, why there is none)."""
    choice = os.environ.get("MINIDL_KERNELS", "")
    if choice not in ("", "off", "require"):
        raise OptionError("MINIDL_KERNELS", expected="'off' or 'require'", actual=repr(choice))
    if choice == "off":
        return None, "none", "switched off by MINIDL_KERNELS=off"
    try:
        from minidl._kernels import cpu  # type: ignore[attr-defined]  # compiled

        runnable = cpu.variants()
    except ImportError:
        runnable, reason = [], f"no compiled modules in {_FOLDER}"
    else:
        reason = "not built for this processor"
    forced = os.environ.get("MINIDL_ISA", "")
    if forced and runnable and forced not in runnable:
        raise OptionError("MINIDL_ISA", expected=f"one of {', '.join(runnable)}", actual=repr(forced))
    for variant in [forced] if forced and runnable else runnable:
        names = [module.name for module in pkgutil.iter_modules([str(_FOLDER / variant)])]
        if not names:
            continue
        try:
            for name in names:
                importlib.import_module(f"minidl._kernels.{variant}.{name}")
        except ImportError as error:
            reason = f"variant {variant} does not load: {error}"
            continue
        return importlib.import_module(f"minidl._kernels.{variant}"), variant, ""
    if choice == "require":
        raise ImportError(f"MINIDL_KERNELS=require, but the compiled kernels are missing ({reason})")
    return None, "none", reason


kernels, isa, reason = _load()
openmp: bool = kernels is not None and bool(kernels.threads.openmp)


# More threads than this only get in each other's way, and where the system refuses one OpenMP ends the process.
_MOST_THREADS = max(64, os.cpu_count() or 1)
_forked = False


def set_num_threads(threads: int) -> None:
    """Set how many threads the compiled kernels use. The results do not depend on it, bit for bit.

    In a process made by fork it stays 1 whatever is asked for: OpenMP's threads do not survive a fork, and waiting for
    them would hang. (Processes that are started by "spawn" or "forkserver" have no such limit.)

    Parameters
    ----------
    threads : int
        At least 1, and at most 64 or the number of the machine's processors. Small problems use fewer.

    Raises
    ------
    OptionError
        If it is no integer, or out of range.
    """
    if not isinstance(threads, int | np.integer) or not 1 <= threads <= _MOST_THREADS:
        raise OptionError("set_num_threads", expected=f"a whole number from 1 to {_MOST_THREADS}", actual=repr(threads))
    if kernels is not None:
        kernels.threads.set_limit(1 if _forked else int(threads))


def get_num_threads() -> int:
    """How many threads the compiled kernels use (1 without them, or without OpenMP)."""
    return int(kernels.threads.get_limit()) if kernels is not None else 1


def _work_alone() -> None:
    global _forked
    _forked = True
    set_num_threads(1)


if kernels is not None:
    kernels.memory.serve_kernels()
set_num_threads(available_cores())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_work_alone)
