"""Padding: a border of a constant, a mirror image, the edge, or the other side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.index import index_select

__all__ = ["pad"]


class Pad(Op):
    """A border of a constant on each side of each dimension; a negative width crops. ∂L/∂x crops the border again.

    The widths change their sign for the gradient: the adjoint of padding is cropping and the other way round.
    """

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> None:
        self.widths = widths
        self.value = value

    def forward(self, x: Any) -> Any:
        shape = tuple([size + left + right for size, (left, right) in zip(x.shape, self.widths, strict=True)])
        y = backend_of(x).xp.full(shape, self.value, x.dtype)
        inner, kept = [], []
        for size, (left, right) in zip(x.shape, self.widths, strict=True):
            kept.append(slice(max(-left, 0), size - max(-right, 0)))
            inner.append(slice(max(left, 0), max(left, 0) + size - max(-left, 0) - max(-right, 0)))
        y[tuple(inner)] = x[tuple(kept)]
        return y

    def backward(self, grad: Any) -> Any:
        return Pad(tuple([(-left, -right) for left, right in self.widths]))(grad)


# Index tables: element i of the padded dimension is element table[i] of the old one.


def _reflect(size: int, left: int, right: int) -> np.ndarray:
    if max(left, right) >= size:
        raise ShapeError("pad", expected=f"widths below {size}, the size, to reflect", actual=f"({left}, {right})")
    return size - 1 - abs(size - 1 - abs(np.arange(-left, size + right)))


def _replicate(size: int, left: int, right: int) -> np.ndarray:
    if size == 0:
        raise ShapeError("pad", expected="an element to replicate", actual="a dimension of size 0")
    return np.clip(np.arange(-left, size + right), 0, size - 1)


def _circular(size: int, left: int, right: int) -> np.ndarray:
    # What wraps around is what cropping leaves, as in PyTorch.
    first, size = max(-left, 0), size + min(left, 0) + min(right, 0)
    if max(left, right) > size:
        raise ShapeError("pad", expected=f"widths up to {size}, the size, to wrap once", actual=f"({left}, {right})")
    return first + np.arange(-max(left, 0), size + max(right, 0)) % max(size, 1)


_TABLES = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}


def pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Put a border around the last dimensions.

    Parameters
    ----------
    x : Tensor or array
    pad : sequence of int
        Widths in pairs, *from the last dimension backwards* as in PyTorch: ``(left, right, top, bottom)`` for images.
        Negative widths crop.
    mode : {"constant", "reflect", "replicate", "circular"}
        What the border holds: `value`; the mirror image, without the edge itself; the edge; the opposite side.
        Any number of dimensions may be padded in each mode. (PyTorch asks for batch and channel dimensions in front.)
    value : float, optional
        Of the border in constant mode; 0 by default.

    Raises
    ------
    ShapeError
        If the widths are not in pairs, are more than there are dimensions, crop more than there is, or are too wide
        for the mode.
    OptionError
        If there is no such mode, or `value` is given for another mode than constant.

    Examples
    --------
    >>> import minidl
    >>> pad(minidl.tensor([1, 2, 3]), (1, 2))
    tensor([0, 1, 2, 3, 0, 0])
    >>> pad(minidl.tensor([1, 2, 3]), (2, 1), mode="reflect")
    tensor([3, 2, 1, 2, 3, 2])
    """
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ShapeError(
            "pad",
            expected=f"pairs of widths for up to {x.ndim} dimensions, the last one first",
            actual=f"{len(pad)} numbers",
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    widths = tuple([(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1])
    for size, (left, right) in zip(x.shape, widths, strict=True):
        if size + min(left, 0) + min(right, 0) < 0:
            raise ShapeError("pad", expected=f"to crop at most {size} elements", actual=f"widths ({left}, {right})")
    if mode == "constant":
        return Pad(widths, 0.0 if value is None else value)(x)
    if mode not in _TABLES:
        raise OptionError("pad", expected=f"mode constant, {', '.join(_TABLES)}", actual=repr(mode))
    if value is not None:
        raise OptionError("pad", expected="a value only in constant mode", actual=f"mode={mode!r}, value={value}")
    for dim, (left, right) in enumerate(widths):
        if left or right:
            x = index_select(x, dim, _TABLES[mode](x.shape[dim], left, right))
    return x


def _numpy_pad(x: np.ndarray, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> np.ndarray:
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    grown = [(max(left, 0), max(right, 0)) for left, right in pairs]
    names = {"replicate": "edge", "circular": "wrap"}
    options = {"constant_values": value or 0.0} if mode == "constant" else {}
    y = np.pad(x, grown, mode=names.get(mode, mode), **options)  # type: ignore[call-overload]
    return y[tuple([slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(y.shape, pairs, strict=True)])]


cases(
    pad,
    _numpy_pad,
    {
        "constant": lambda r: call(r.normal(size=(2, 3)), (1, 2), value=1.5),
        "two dimensions": lambda r: call(r.normal(size=(2, 3, 2)), (0, 1, 2, 1)),
        "crop": lambda r: call(r.normal(size=(3, 4)), (-1, 2, 1, -2)),
        "reflect": lambda r: call(r.normal(size=(2, 3, 4)), (3, 1, 0, 2), mode="reflect"),
        "replicate": lambda r: call(r.normal(size=(2, 2, 3)), (4, 1, 2, 0), mode="replicate"),
        "circular": lambda r: call(r.normal(size=(2, 2, 3)), (3, 1, 1, 2), mode="circular"),
    },
)
