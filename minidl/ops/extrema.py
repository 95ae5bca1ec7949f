"""Largest and smallest elements, and where they stand: max, min, amax, amin, argmax, argmin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.backends import backend_of
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, reduced_dims
from minidl.ops.broadcast import broadcast_to
from minidl.ops.cast import astype
from minidl.ops.comparison import eq
from minidl.ops.elementwise import maximum, minimum
from minidl.ops.oracles import over_groups
from minidl.ops.reduce import Reduction, sum
from minidl.ops.scatter import gather
from minidl.ops.shape import reshape, squeeze

__all__ = ["ValuesAndIndices", "amax", "amin", "argmax", "argmin", "max", "min"]


class ValuesAndIndices(NamedTuple):
    """Extreme (or sorted) values and where they stood along the dimension."""

    values: Any
    indices: Any


class Amax(Reduction):
    """y = max xᵢ;  ∂L/∂xᵢ = ∂L/∂y [xᵢ = y] / k, where k elements are as large as the largest."""

    def forward(self, x: Any) -> Any:
        y = x.max(axis=self.dims, keepdims=self.keepdim)
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        return _shared(self, grad, x, y)


class Amin(Reduction):
    """y = min xᵢ;  ∂L/∂xᵢ = ∂L/∂y [xᵢ = y] / k, where k elements are as small as the smallest."""

    def forward(self, x: Any) -> Any:
        y = x.min(axis=self.dims, keepdims=self.keepdim)
        self.save(x, y)
        return y

    def backward(self, grad: Any) -> Any:
        x, y = self.saved
        return _shared(self, grad, x, y)


def _shared(op: Reduction, grad: Any, x: Any, y: Any) -> Any:
    """The gradient, in equal parts to the elements that equal the extreme one."""
    ties = astype(eq(x, op.restored(y)), grad.dtype)
    count = sum(ties, op.dims, True) if op.dims else ties
    return broadcast_to(op.restored(grad) / count, x.shape) * ties


class ArgExtreme(Op):
    """The index of the largest or smallest element, the first of equals; NaN counts as extreme."""

    def __init__(self, function: str, axis: int | None, keepdim: bool) -> None:
        self.function = function
        self.axis = axis
        self.keepdim = keepdim

    @property
    def name(self) -> str:
        """The function, for messages."""
        return self.function

    def forward(self, x: Any) -> Any:
        return getattr(backend_of(x).xp, self.function)(x, axis=self.axis, keepdims=self.keepdim)


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest element: of all, or along one dimension together with its index; NaN if there is one.

    ``max(x)`` shares the gradient among elements that tie, as `amax` does. ``max(x, dim)`` gives values and indices,
    and the first of the largest gets the gradient. ``max(x, other)``, with a Tensor, is `maximum`. All as in PyTorch.

    Parameters
    ----------
    x : Tensor or array
    dim : int, optional
    keepdim : bool
        Keep the dimension, with size one.

    Returns
    -------
    Tensor, or ValuesAndIndices of two Tensors

    Raises
    ------
    ShapeError
        If there is no such dimension, or no element.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[1.0, 5.0], [4.0, 2.0]])
    >>> max(x)
    tensor(5.)
    >>> values, indices = max(x, dim=1)
    >>> values, indices
    (tensor([5., 4.]), tensor([1, 0]))
    """
    if dim is None:
        return Amax(_nonempty("max", x, None), keepdim)(x)
    return maximum(x, dim) if _is_array(dim) else _along("max", "argmax", x, dim, keepdim)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest element: of all, or along one dimension together with its index. Everything else as in `max`.

    Examples
    --------
    >>> import minidl
    >>> min(minidl.tensor([[1.0, 5.0], [4.0, 2.0]]), dim=1).indices
    tensor([0, 1])
    """
    if dim is None:
        return Amin(_nonempty("min", x, None), keepdim)(x)
    return minimum(x, dim) if _is_array(dim) else _along("min", "argmin", x, dim, keepdim)


def amax(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Largest element over some or all dimensions; NaN if there is one. Ties share the gradient in equal parts.

    Parameters
    ----------
    x : Tensor or array
    dim : int, tuple of int or None
        The dimensions to reduce; None, or an empty tuple, is all of them.
    keepdim : bool
        Keep the reduced dimensions, with size one.

    Raises
    ------
    ShapeError
        If there is no such dimension, it is named twice, or there is no element.

    Examples
    --------
    >>> import minidl
    >>> amax(minidl.tensor([[1.0, 5.0], [4.0, 2.0]]), dim=0)
    tensor([4., 5.])
    """
    return Amax(_nonempty("amax", x, dim), keepdim)(x)


def amin(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Smallest element over some or all dimensions. Everything else as in `amax`.

    Examples
    --------
    >>> import minidl
    >>> amin(minidl.tensor([[1.0, 5.0], [4.0, 2.0]]), dim=0)
    tensor([1., 2.])
    """
    return Amin(_nonempty("amin", x, dim), keepdim)(x)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the largest element along a dimension, or in the flattened array; the first of equals.

    Raises
    ------
    ShapeError
        If there is no such dimension, or no element.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([[1.0, 5.0], [4.0, 2.0]])
    >>> argmax(x), argmax(x, dim=0)
    (tensor(1), tensor([1, 0]))
    """
    return _position("argmax", x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the smallest element along a dimension, or in the flattened array; the first of equals.

    Errors as in `argmax`.

    Examples
    --------
    >>> import minidl
    >>> argmin(minidl.tensor([[1.0, 5.0], [4.0, 2.0]]), dim=0)
    tensor([0, 1])
    """
    return _position("argmin", x, dim, keepdim)


def _is_array(value: Any) -> bool:
    """Whether what stands in the place of `dim` is the second operand of `maximum`."""
    return hasattr(value, "dtype") and not (value.ndim == 0 and value.dtype.kind in "iu")


def _nonempty(name: str, x: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions to reduce; none of them may be empty, for nothing has no largest element."""
    dims = reduced_dims(name, dim, x.ndim)
    if 0 in [x.shape[i] for i in dims]:
        raise ShapeError(name, expected="at least one element to choose from", actual=f"shape {x.shape}, dim={dim}")
    return dims


def _position(name: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    dims = _nonempty(name, x, dim if dim is None else normalize_dim(name, dim, x.ndim))
    return ArgExtreme(name, None if dim is None or not dims else dims[0], keepdim)(x)


def _along(name: str, position: str, x: Any, dim: int, keepdim: bool) -> ValuesAndIndices:
    """The extreme elements along a dimension: found by index, so that the gradient goes to that one element."""
    axis = normalize_dim(name, dim, x.ndim)
    _nonempty(name, x, axis)
    if x.ndim == 0:
        x, keepdim = reshape(x, (1,)), False
    indices = ArgExtreme(position, axis, True)(x)
    values = gather(x, axis, indices)
    if not keepdim:
        values, indices = squeeze(values, axis), squeeze(indices, axis)
    return ValuesAndIndices(values, indices)


_SAMPLES = {
    "all": lambda r: call(r.normal(size=(2, 3))),
    "one": lambda r: call(r.normal(size=(2, 3, 2)), 1),
    "several": lambda r: call(r.normal(size=(2, 3, 2)), (0, -1)),
    "keepdim": lambda r: call(r.normal(size=(2, 3)), dim=-1, keepdim=True),
}
_ALONG = {
    "along": lambda r: call(r.normal(size=(2, 3, 2)), 1),
    "along, keepdim": lambda r: call(r.normal(size=(2, 3)), -1, keepdim=True),
}


def _first(rank: Any) -> Any:
    """Values and indices by sorting; equal numbers keep their order."""

    def of_group(numbers: list[float]) -> tuple[float, int]:
        return sorted([(rank * v, i) for i, v in enumerate(numbers)])[0]

    def oracle(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        value = over_groups(lambda numbers: rank * of_group(numbers)[0])(x, dim, keepdim)
        return value, over_groups(lambda numbers: of_group(numbers)[1])(x, dim, keepdim)

    return oracle


_largest, _smallest = _first(-1), _first(1)
cases(amax, lambda *a, **k: _largest(*a, **k)[0], _SAMPLES)
cases(amin, lambda *a, **k: _smallest(*a, **k)[0], _SAMPLES)
cases(max, lambda x: _largest(x)[0], {"all": _SAMPLES["all"]})
cases(min, lambda x: _smallest(x)[0], {"all": _SAMPLES["all"]})
cases(max, _largest, _ALONG)
cases(min, _smallest, _ALONG)
_POSITIONS = {
    "all": lambda r: call(r.integers(0, 3, (3, 4)).astype(float)),
    "one": lambda r: call(r.integers(0, 3, (3, 4)).astype(float), 1),
    "keepdim": lambda r: call(r.integers(0, 3, (3, 4)).astype(float), 0, True),
}
cases(argmax, lambda *a, **k: _largest(*a, **k)[1], _POSITIONS, order=0)
cases(argmin, lambda *a, **k: _smallest(*a, **k)[1], _POSITIONS, order=0)
