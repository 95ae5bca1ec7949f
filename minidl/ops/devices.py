"""Moving between devices and types: `to`, `cpu`, `cuda`."""

from __future__ import annotations

from minidl.dtypes import DTypeLike
from minidl.errors import DeviceError
from minidl.ops.cast import astype
from minidl.tensor import Tensor

__all__ = ["cpu", "cuda", "to"]


def to(x: Tensor, target: str | DTypeLike) -> Tensor:
    """The Tensor on a device (``"cpu"``) or of an element type (``minidl.float64``); itself if it already is.

    Raises
    ------
    DeviceError
        For a device that is not there: this version computes on the CPU alone.

    Examples
    --------
    >>> import minidl
    >>> to(minidl.ones(2), "float64").dtype
    dtype('float64')
    """
    if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "gpu", "mps", "xla"):
        if target != "cpu":
            raise DeviceError("to", expected='the device "cpu"', actual=repr(target),
                              hint="this version has no GPU backend; leave the Tensor where it is")  # fmt: skip
        return x
    return astype(x, target)


def cpu(x: Tensor) -> Tensor:
    """The Tensor in main memory."""
    return to(x, "cpu")


def cuda(x: Tensor) -> Tensor:
    """The Tensor on the GPU. Raises DeviceError where there is none."""
    return to(x, "cuda")
