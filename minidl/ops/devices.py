"""Moving between devices and types: `to`, `cpu`, `cuda`."""

from __future__ import annotations

from typing import Any

from minidl.backends import device_of, to_device
from minidl.dtypes import DTypeLike
from minidl.op import Op
from minidl.ops.cast import astype
from minidl.tensor import Tensor

__all__ = ["cpu", "cuda", "to"]


class ToDevice(Op):
    """y = x, in the memory of another device;  ∂L/∂x = ∂L/∂y, sent back."""

    def __init__(self, device: str) -> None:
        self.device = device

    def forward(self, x: Any) -> Any:
        self.before = device_of(x)
        return to_device(x, self.device)

    def backward(self, grad: Any) -> Any:
        return ToDevice(self.before)(grad)


def to(x: Tensor, target: str | DTypeLike) -> Tensor:
    """The Tensor on a device (``"cpu"``) or of an element type (``minidl.float64``); itself if it already is.

    Raises
    ------
    DeviceError
        For a device that is not there; the message says what is missing.

    Examples
    --------
    >>> import minidl
    >>> to(minidl.ones(2), "float64").dtype
    dtype('float64')
    """
    if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "gpu", "mps", "xla"):
        return x if x.device == (f"{target}:0" if target == "cuda" else target) else ToDevice(target)(x)
    return astype(x, target)


def cpu(x: Tensor) -> Tensor:
    """The Tensor in main memory."""
    return to(x, "cpu")


def cuda(x: Tensor) -> Tensor:
    """The Tensor on the GPU. Raises DeviceError where there is none."""
    return to(x, "cuda")
