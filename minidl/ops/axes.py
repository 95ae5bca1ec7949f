"""Which dimensions are meant: negative numbers, tuples, and None for all of them, checked in one place."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from minidl.errors import DTypeError, ShapeError

__all__ = ["normalize_dim", "normalize_dims", "reduced_dims", "restore_dims"]


def normalize_dim(name: str, dim: Any, ndim: int) -> int:
    """Turn a dimension, which may count from the end, into a number from 0 to ndim - 1.

    A 0-d array is taken to have one dimension, as in PyTorch.

    Parameters
    ----------
    name : str
        The operation, for the message.
    dim : int
    ndim : int
        Number of dimensions of the array.

    Raises
    ------
    ShapeError
        If there is no such dimension.
    DTypeError
        If `dim` is no integer.

    Examples
    --------
    >>> normalize_dim("sum", -1, 3)
    2
    """
    if type(dim) is int and -ndim <= dim < ndim:  # by far the most frequent
        return dim % ndim
    try:
        if isinstance(dim, bool):
            raise TypeError
        number = operator.index(dim)
    except TypeError:
        raise DTypeError(
            name, expected="an integer as dim", actual=repr(dim), hint="name flags: keepdim=True, unbiased=False"
        ) from None
    size = max(ndim, 1)
    if not -size <= number < size:
        raise ShapeError(
            name,
            expected=f"dim from {-size} to {size - 1}",
            actual=f"dim {number} for {ndim} dimension{'' if ndim == 1 else 's'}",
        )
    return number % size


def normalize_dims(name: str, dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Turn one dimension, several, or None (all of them) into a tuple of numbers from 0 to ndim - 1, in their order.

    Raises
    ------
    ShapeError
        If there is no such dimension, or one is named twice.
    DTypeError
        If a dimension is no integer.

    Examples
    --------
    >>> normalize_dims("sum", (-1, 0), 3)
    (2, 0)
    >>> normalize_dims("sum", None, 3)
    (0, 1, 2)
    """
    if dims is None:
        return tuple(range(ndim))
    if not isinstance(dims, (tuple, list)):
        dims = (dims,)  # type: ignore[assignment]  # one integer
    numbers = tuple([normalize_dim(name, dim, ndim) for dim in dims])  # type: ignore[union-attr]
    if len(set(numbers)) != len(numbers):
        raise ShapeError(name, expected="each dim once", actual=f"dim={tuple(dims)} for {ndim} dimensions")  # type: ignore[arg-type]
    return numbers if ndim else ()


def reduced_dims(name: str, dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The dimensions that a reduction removes: those of `normalize_dims`, and all for an empty tuple as in PyTorch."""
    return normalize_dims(name, None if isinstance(dims, (tuple, list)) and not dims else dims, ndim)


def restore_dims(y: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """Give the result (or gradient) of a reduction over `dims` its dimensions of size one back, as a view.

    Examples
    --------
    >>> import minidl
    >>> restore_dims(minidl.ones(3), (0, 2), keepdim=False).shape
    (1, 3, 1)
    """
    if keepdim or not dims:
        return y
    sizes = iter(y.shape)
    return y.reshape(tuple([1 if i in dims else next(sizes) for i in range(y.ndim + len(dims))]))
