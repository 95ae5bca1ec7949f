"""The one door to the CUDA kernels. CuPy passes whatever it is given; here every argument is checked first."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minidl.backends.cuda.source import INDEX_TYPES, REAL_TYPES, parameters, source
from minidl.errors import DeviceError

__all__ = ["THREADS", "fits", "launch"]

THREADS = 256
_BLOCKS = 4096  # enough to fill any chip; the kernels go on by strides of the whole grid
_SMALL = 2**31 - 1 - THREADS * _BLOCKS  # a stride beyond the last element does not overflow


@cache
def _module(family: str, real: str, index: str) -> Any:
    import cupy

    options = ("--std=c++14", f"-DREAL={REAL_TYPES[real]}", f"-DINDEX={INDEX_TYPES[index]}")
    return cupy.RawModule(code=source(family), options=options)


@cache
def _kernel(family: str, name: str, real: str, index: str) -> Any:
    return _module(family, real, index).get_function(name)


def fits(*arrays: Any) -> bool:
    """Whether the kernels take these arrays (None counts as one): all float32 or all float64."""
    types = {array.dtype.name for array in arrays if array is not None}
    return len(types) == 1 and types <= REAL_TYPES.keys()


def launch(family: str, name: str, dtype: Any, work: int, *arguments: Any, blocks: int | None = None) -> None:
    """Run the kernel `name` of ``_kernels/cuda/<family>.cu`` on the current stream.

    Parameters
    ----------
    dtype : dtype
        The element type REAL.
    work : int
        How many results a thread each computes; the grid is made from it unless `blocks` says how many blocks there
        are.
    arguments
        As the kernel declares them: arrays for pointers (None for one that is not read), numbers for all others.

    Raises
    ------
    DeviceError
        If an argument is of another type than declared, or an array is not contiguous. Nothing has run then.
    """
    if work == 0 or blocks == 0:
        return
    sizes = [argument.size for argument in arguments if hasattr(argument, "size")]
    real = np.dtype(dtype).name
    index = "int32" if max([work, *sizes]) < _SMALL else "int64"
    declared = parameters(source(family))[name]
    if len(declared) != len(arguments):
        raise DeviceError(name, expected=f"{len(declared)} arguments", actual=f"{len(arguments)}")
    passed = [_checked(name, *each, real, index) for each in zip(declared, arguments, strict=True)]
    if blocks is None:
        blocks = -(-work // THREADS)
    _kernel(family, name, real, index)((min(blocks, _BLOCKS),), (THREADS,), tuple(passed))


def _checked(kernel: str, declared: tuple[str, str], value: Any, real: str, index: str) -> Any:
    """A pointer's array, or a number in the width that the kernel reads."""
    kind, name = declared
    kind = kind.removeprefix("const ")
    if kind.endswith("*"):
        if value is None:  # flagged as absent by another argument, and not read
            return np.uintp(0)
        wanted = real if kind == "REAL*" else "int64"
        if isinstance(value, np.ndarray) or value.dtype.name != wanted or not value.flags.c_contiguous:
            where = "in main memory" if isinstance(value, np.ndarray) else "on the GPU"
            raise DeviceError(
                kernel,
                expected=f"a contiguous array of {wanted} on the GPU for {name}",
                actual=f"{value.dtype} {where}, strides {value.strides} of shape {value.shape}",
            )
        return value
    types = {"INDEX": index, "double": "float64", "long long": "int64", "unsigned long long": "uint64"}
    return np.dtype(types[kind]).type(value)
