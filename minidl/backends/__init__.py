"""Where arrays are computed: one class a backend, one method a hot primitive.

The backend follows from the type of the array. NumPy arrays go to the compiled kernels where they were built and
to the plain NumPy reference otherwise; `use_backend` switches between the two for teaching and for tests. CuPy arrays
go to the GPU: one a process, CUDA's current device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy import ndarray

from minidl import _kernels
from minidl.backends.compiled import CompiledBackend
from minidl.backends.cuda import CudaBackend
from minidl.backends.cuda.device import check_device
from minidl.backends.cuda.transfer import send
from minidl.backends.reference import ReferenceBackend
from minidl.errors import DeviceError, OptionError

__all__ = ["available_backends", "backend_for", "backend_of", "device_of", "host_array", "to_device", "use_backend"]

_CPU: dict[str, ReferenceBackend] = {"reference": ReferenceBackend()}
if _kernels.kernels is not None:
    _CPU["compiled"] = CompiledBackend()
_DEFAULT = _CPU.get("compiled", _CPU["reference"])
_CUDA = CudaBackend()


_choice: ContextVar[ReferenceBackend] = ContextVar("CPU backend", default=_DEFAULT)


def backend_of(array: Any) -> ReferenceBackend:
    """Return the backend that computes on arrays of this type.

    Raises
    ------
    DeviceError
        If the type of the array belongs to no backend.
    """
    if type(array) is ndarray or isinstance(array, (ndarray, np.generic)):
        return _choice.get()
    if _is_cupy(array):
        return _CUDA
    raise DeviceError(
        "backend_of",
        expected="an array of a known backend (numpy.ndarray, cupy.ndarray)",
        actual=f"{type(array).__module__}.{type(array).__qualname__}",
        hint="make a Tensor of it with minidl.tensor(...)",
    )


def device_of(array: Any) -> str:
    """Name of the device on which an array lives."""
    backend = backend_of(array)  # refuses arrays of unknown types
    return f"cuda:{array.device.id}" if backend is _CUDA else "cpu"


def backend_for(device: str | None) -> ReferenceBackend:
    """The backend that computes on a device: None or ``"cpu"``, ``"cuda"``, ``"cuda:0"``.

    Raises
    ------
    DeviceError
        If there is no such device, or it cannot be used; the message says what is missing.
    """
    if device is None or device == "cpu":
        return _choice.get()
    kind, _, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or not (number == "" or number.isdigit()):
        raise DeviceError("device", expected='"cpu", "cuda" or "cuda:0"', actual=repr(device))
    current = check_device().cuda.Device().id
    if number and int(number) != current:
        raise DeviceError("device", expected=f'"cuda" or "cuda:{current}": a process computes on one GPU',
                          actual=repr(device), hint=f"start Python with CUDA_VISIBLE_DEVICES={number}")  # fmt: skip
    return _CUDA


def to_device(array: Any, device: str | None, copy: bool = False) -> Any:
    """The array on a device; itself where it is there already, unless a `copy` is asked for."""
    backend = backend_for(device)
    if backend is not _CUDA:
        fetched = host_array(array)
        return fetched.copy() if copy and fetched is array else fetched
    if not _is_cupy(array):
        return send(np.asarray(array))
    return array if array.device.id == backend.xp.cuda.Device().id and not copy else backend.xp.array(array)


def host_array(array: Any) -> np.ndarray:
    """The array as NumPy sees it, without a copy where that is possible; from a GPU it is fetched."""
    return array.get() if _is_cupy(array) else np.asarray(array)


def _is_cupy(array: Any) -> bool:
    """Without importing CuPy: whoever has an array of it has imported it."""
    return type(array).__module__.partition(".")[0] == "cupy"


def available_backends() -> tuple[str, ...]:
    """Names of the CPU backends of this installation, the default last."""
    return tuple(_CPU)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute on another CPU backend inside the block (in this thread or asyncio task).

    Parameters
    ----------
    name : {"reference", "compiled"}

    Examples
    --------
    >>> import minidl
    >>> with minidl.use_backend("reference"):
    ...     y = minidl.ones(2, 2) @ minidl.ones(2, 2)
    >>> y.tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    if name not in _CPU:
        raise OptionError(
            "use_backend",
            expected=f"one of {', '.join(_CPU)}",
            actual=repr(name),
            hint="the compiled kernels are missing here; minidl.show_config() says why" if name == "compiled" else "",
        )
    previous = _choice.get()
    _choice.set(_CPU[name])
    try:
        yield
    finally:
        _choice.set(previous)
