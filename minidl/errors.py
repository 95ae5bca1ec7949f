"""Errors that teach: what was expected, what came, in which layer, and what to try."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AnomalyError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "GradcheckError",
    "GraphError",
    "IndexingError",
    "MinidlError",
    "OptionError",
    "OutOfMemoryError",
    "ShapeError",
]


class MinidlError(Exception):
    """Base of every error that minidl raises on purpose.

    Parameters
    ----------
    where : str
        The operation, class or file that refuses.
    expected, actual : str
        What was needed and what came.
    hint : str, optional
        What to try.

    Examples
    --------
    >>> error = ShapeError("matmul", expected="inner sizes that agree", actual="(2, 3) @ (4, 5)",
    ...                    hint="transpose one of the two")
    >>> print(error)
    matmul: expected inner sizes that agree; got (2, 3) @ (4, 5). Hint: transpose one of the two
    """

    def __init__(self, where: str, expected: str, actual: str, hint: str = "") -> None:
        super().__init__(where, expected, actual, hint)
        self.where = where
        self.expected = expected
        self.actual = actual
        self.hint = hint
        self.layers: list[str] = []
        self.module: Any = None

    def add_layer(self, description: str, module: Any = None) -> None:
        """Note a layer that the error passed through, innermost first (`Module.__call__` does this).

        The first `module` given is kept, so that the layers outside can add its path.
        """
        self.layers.append(description)
        if self.module is None:
            self.module = module

    def __str__(self) -> str:
        text = f"{self.where}: expected {self.expected}; got {self.actual}"
        if self.hint:
            text += f". Hint: {self.hint}"
        if self.layers:
            text += "\n  in layer " + " < ".join(self.layers)
        return text


class ShapeError(MinidlError, ValueError):
    """Sizes or numbers of dimensions that do not fit together."""


class DTypeError(MinidlError, TypeError):
    """An element type that the operation cannot take."""


class DeviceError(MinidlError, RuntimeError):
    """Arrays on different devices, or a device that is not there."""


class GraphError(MinidlError, RuntimeError):
    """The autograd graph cannot be used in this way (freed, changed in place, no gradient)."""


class AnomalyError(MinidlError, RuntimeError):
    """A NaN or an infinity appeared while `detect_anomaly` was on."""


class GradcheckError(MinidlError, AssertionError):
    """An analytic gradient that finite differences contradict."""


class IndexingError(MinidlError, IndexError):
    """An index outside its axis, or one that cannot index."""


class DataError(MinidlError, ValueError):
    """A file or data set that is missing, damaged or not what it claims to be."""


class OutOfMemoryError(MinidlError, MemoryError):
    """No memory left for a result, in main memory or on the GPU. What was there before is still there."""


class OptionError(MinidlError, ValueError):
    """An option or hyper-parameter outside its range."""
