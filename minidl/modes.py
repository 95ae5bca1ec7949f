"""Modes of a thread or asyncio task: whether operations are recorded, and whether they are searched for anomalies."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from minidl.errors import OptionError

__all__ = ["Mode", "detect_anomaly", "enable_grad", "inference_mode", "is_grad_enabled", "mode", "no_grad"]


@dataclasses.dataclass(frozen=True, slots=True)
class Mode:
    """What operations do besides computing, in this thread or asyncio task."""

    recording: bool = True  # record the graph
    anomaly: bool = False  # look for NaN and infinities after each operation


_USUAL = Mode()
mode: ContextVar[Mode] = ContextVar("mode", default=_USUAL)

_F = TypeVar("_F", bound=Callable[..., Any])


class _ModeContext:
    """A mode of this thread or task, as a ``with`` block and as a decorator."""

    _changes: Mapping[str, bool] = {"recording": False}

    def __init__(self) -> None:
        self._previous: list[Mode] = []  # a stack, so that one object may be entered again

    def __enter__(self) -> None:
        self._previous.append(mode.get())
        mode.set(dataclasses.replace(mode.get(), **self._changes))

    def __exit__(self, *exception: object) -> None:
        mode.set(self._previous.pop())

    def __call__(self, function: _F) -> _F:
        context = type(self)
        if inspect.isgeneratorfunction(function):
            raise OptionError(
                context.__name__, expected="an ordinary function", actual=f"the generator function {function.__name__}",
                hint=f"its body runs after the call: write `with minidl.{context.__name__}():` inside it",
            )  # fmt: skip

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with context():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # the wrapper keeps the signature


class no_grad(_ModeContext):
    """Compute without recording: results require no gradient.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.ones(2, requires_grad=True)
    >>> with minidl.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """


class enable_grad(_ModeContext):
    """Record again, inside a `no_grad` block."""

    _changes = {"recording": True}


class inference_mode(no_grad):
    """Like `no_grad`. PyTorch also forbids using the results in a later graph; here they are ordinary Tensors."""


class detect_anomaly(_ModeContext):
    """Stop at the first operation whose result or gradient is NaN or infinite while its inputs are finite.

    The error names the operation and the line of the user's program that called it. Each operation is checked, so
    this is for finding a mistake, not for training.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([1.0, 0.0], requires_grad=True)
    >>> with minidl.detect_anomaly():
    ...     minidl.log(x)
    Traceback (most recent call last):
    ...
    minidl.errors.AnomalyError: Log: expected a finite result from finite inputs; got 0 NaN and 1 infinite ...
    """

    _changes = {"anomaly": True}


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task."""
    return mode.get().recording
