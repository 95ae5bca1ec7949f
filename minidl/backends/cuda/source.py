"""The CUDA kernels' source files, and what their declarations say of the arguments."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["ARCHITECTURES", "INDEX_TYPES", "REAL_TYPES", "families", "parameters", "source"]

_FOLDER = Path(__file__).parents[2] / "_kernels" / "cuda"
_DECLARATION = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')

REAL_TYPES = {"float32": "float", "float64": "double"}
INDEX_TYPES = {"int32": "int", "int64": "long long"}
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
"""The chips that the kernels are known to compile for: Turing, Ampere, Hopper and both lines of Blackwell."""


@cache
def source(family: str) -> str:
    """The text of a family's kernels, ``_kernels/cuda/<family>.cu``, behind what they all share."""
    return (_FOLDER / "common.cuh").read_text() + (_FOLDER / f"{family}.cu").read_text()


@cache
def parameters(text: str) -> dict[str, list[tuple[str, str]]]:
    """For each kernel in a source its parameters: type and name.

    Examples
    --------
    >>> parameters('extern "C" __global__ void f(const REAL* x, INDEX n)')
    {'f': [('const REAL*', 'x'), ('INDEX', 'n')]}
    """
    return {
        name: [tuple(" ".join(each.split()).rsplit(" ", 1)) for each in declared.split(",")]  # type: ignore[misc]
        for name, declared in _DECLARATION.findall(text)
    }


def families() -> list[str]:
    """Names of all source files."""
    return sorted(path.stem for path in _FOLDER.glob("*.cu"))
