"""Where arrays are computed: one class a backend, one method a hot primitive.

The backend follows from the type of the array. NumPy arrays go to the compiled kernels where they were built and
to the plain NumPy reference otherwise; `use_backend` switches between the two for teaching and for tests.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl import _kernels
from minidl.backends.compiled import CompiledBackend
from minidl.backends.reference import ReferenceBackend
from minidl.errors import DeviceError, OptionError

__all__ = ["available_backends", "backend_of", "device_of", "host_array", "use_backend"]

_CPU: dict[str, ReferenceBackend] = {"reference": ReferenceBackend()}
if _kernels.kernels is not None:
    _CPU["compiled"] = CompiledBackend()
_DEFAULT = _CPU.get("compiled", _CPU["reference"])


class _Choice(threading.local):
    cpu: ReferenceBackend = _DEFAULT


_choice = _Choice()


def backend_of(array: Any) -> ReferenceBackend:
    """Return the backend that computes on arrays of this type.

    Raises
    ------
    DeviceError
        If the type of the array belongs to no backend.
    """
    if isinstance(array, (np.ndarray, np.generic)):
        return _choice.cpu
    raise DeviceError(
        "backend_of",
        expected="an array of a known backend (numpy.ndarray)",
        actual=f"{type(array).__module__}.{type(array).__qualname__}",
        hint="make a Tensor of it with minidl.tensor(...)",
    )


def device_of(array: Any) -> str:
    """Name of the device on which an array lives."""
    backend_of(array)  # refuses arrays of unknown types
    return "cpu"


def host_array(array: Any) -> np.ndarray:
    """The array as NumPy sees it, without a copy where that is possible."""
    return np.asarray(array)


def available_backends() -> tuple[str, ...]:
    """Names of the CPU backends of this installation, the default last."""
    return tuple(_CPU)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute on another CPU backend inside the block (in this thread).

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
    previous = _choice.cpu
    _choice.cpu = _CPU[name]
    try:
        yield
    finally:
        _choice.cpu = previous
