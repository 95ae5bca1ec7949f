"""Making Tensors: from data, filled, counted and random."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_for, device_of, to_device
from minidl.dtypes import DTypeLike, as_dtype, get_default_dtype
from minidl.errors import DeviceError, DTypeError, OptionError, ShapeError
from minidl.random import default_generator
from minidl.tensor import Tensor, as_array

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new leaf Tensor with a copy of the data.

    Parameters
    ----------
    data : scalar, nested list, array or Tensor
        Python floats take the default dtype (float32), Python integers int64; arrays keep theirs.
    dtype : dtype, optional
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:0"``; by default where the data is.
    requires_grad : bool

    Raises
    ------
    DTypeError
        If the elements are not real numbers, or integers are asked for a gradient.
    ShapeError
        If nested lists have unequal lengths.

    Examples
    --------
    >>> import minidl
    >>> minidl.tensor([[1, 2], [3, 4]], dtype="float32")
    tensor([[1., 2.],
            [3., 4.]])
    """
    array = as_array(data, dtype)
    return Tensor(array.copy() if device is None else to_device(array, device, copy=True), requires_grad=requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares memory with a NumPy array.

    Raises
    ------
    DTypeError
        If it is no array, or holds complex numbers, strings or objects.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            "from_numpy", expected="a numpy.ndarray", actual=type(array).__name__, hint="minidl.tensor(...)"
        )
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A Tensor that shares memory with another library's tensor, through the DLPack protocol.

    Examples
    --------
    >>> a = np.arange(3.0)
    >>> from_dlpack(a)[0] = 7
    >>> a
    array([7., 1., 2.])
    """
    if not hasattr(source, "__dlpack__"):
        raise DTypeError("from_dlpack", expected="a tensor with the method __dlpack__", actual=type(source).__name__,
                         hint="minidl.tensor(...) copies anything else")  # fmt: skip
    kind, number = source.__dlpack_device__()
    if kind == 1:
        return Tensor(np.from_dlpack(source))
    if kind != 2:
        raise DeviceError("from_dlpack", expected="main memory or a CUDA device", actual=f"DLPack's device type {kind}",
                          hint="bring it to the CPU first")  # fmt: skip
    return Tensor(backend_for(f"cuda:{number}").xp.from_dlpack(source))


def _shape(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    shape = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    if not builtins.all(isinstance(size, (int, np.integer)) and size >= 0 for size in shape):
        raise ShapeError(name, expected="sizes that are integers >= 0", actual=str(shape))
    return tuple(int(size) for size in shape)


def _float_kind(name: str, dtype: DTypeLike | None) -> np.dtype:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    if kind.kind != "f":
        raise DTypeError(name, expected="a floating-point dtype", actual=str(kind), hint="randint draws integers")
    return kind


def _sent(array: np.ndarray, device: str | None, requires_grad: bool = False) -> Tensor:
    """Drawn or counted in main memory, so that the numbers are the same on every device."""
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def _filled(
    name: str, sizes: tuple[Any, ...], value: Any, dtype: DTypeLike | None, device: str | None, requires_grad: bool
) -> Tensor:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    array = backend_for(device).empty(_shape(name, sizes), kind)
    array.fill(value)
    return Tensor(array, requires_grad=requires_grad)


def zeros(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return _filled("zeros", size, 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    return _filled("ones", size, 1, dtype, device, requires_grad)


def empty(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose elements are yet to be written."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return Tensor(backend_for(device).empty(_shape("empty", size), kind), requires_grad=requires_grad)


def full(
    size: Sequence[int] | int,
    fill_value: Any,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of the given shape, every element `fill_value`; its type follows the value as in `tensor`.

    Examples
    --------
    >>> full((2,), 7)
    tensor([7, 7])
    """
    kind = as_array(fill_value).dtype if dtype is None else dtype
    sizes = tuple(size) if isinstance(size, Sequence) else (size,)
    return _filled("full", sizes, fill_value, kind, device, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (included) to `end` (excluded); ``arange(n)`` counts from 0.

    Integers if every argument is one, the default dtype otherwise.

    Examples
    --------
    >>> arange(1, 2, 0.25)
    tensor([1.  , 1.25, 1.5 , 1.75])
    """
    if end is None:
        start, end = 0, start
    numbers = builtins.all(isinstance(value, (int, float, np.number)) for value in (start, end, step))
    if not numbers or not np.isfinite([start, end, step]).all() or step == 0 or (end - start) * step < 0:
        raise OptionError("arange", expected="finite numbers, and a step that leads from start to end",
                          actual=f"start {start}, end {end}, step {step}")  # fmt: skip
    whole = builtins.all(isinstance(value, (int, np.integer)) for value in (start, end, step))
    kind = (np.dtype(np.int64) if whole else get_default_dtype()) if dtype is None else as_dtype(dtype)
    return _sent(np.arange(start, end, step).astype(kind), device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    (count,) = _shape("linspace", (steps,))
    return _sent(np.linspace(start, end, count, dtype=kind), device, requires_grad)


def eye(
    n: int, m: int | None = None, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix, n × n or n × m."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    rows, columns = _shape("eye", (n, n if m is None else m))
    return _sent(np.eye(rows, columns, dtype=kind), device, requires_grad)


def rand(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1) from the default generator."""
    kind = _float_kind("rand", dtype)
    # As many binary digits as the type has: rounding a longer number could give 1.
    steps = 2.0 ** (np.finfo(kind).nmant + 1)
    drawn = np.floor(default_generator().random(_shape("rand", size)) * steps) / steps
    return _sent(drawn.astype(kind), device, requires_grad)


def randn(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers from the default generator."""
    kind = _float_kind("randn", dtype)
    drawn = default_generator().standard_normal(_shape("randn", size))
    return _sent(drawn.astype(kind), device, requires_grad)


def randint(
    low: int,
    high: int | None = None,
    size: Sequence[int] | int = (),
    dtype: DTypeLike = "int64",
    device: str | None = None,
) -> Tensor:
    """Random integers in [low, high), or in [0, low) when `high` is None."""
    low, high = (0, low) if high is None else (low, high)
    if high <= low:
        raise OptionError("randint", expected="low < high", actual=f"low {low}, high {high}")
    drawn = default_generator().integers(low, high, _shape("randint", (size,)))
    return _sent(drawn.astype(as_dtype(dtype)), device)


def randperm(n: int, device: str | None = None) -> Tensor:
    """A random order of the integers 0 … n-1."""
    (count,) = _shape("randperm", (n,))
    return _sent(default_generator().permutation(count), device)


def zeros_like(
    x: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape and type of `x`."""
    return full_like(x, 0, dtype, device, requires_grad)


def ones_like(x: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and type of `x`."""
    return full_like(x, 1, dtype, device, requires_grad)


def empty_like(
    x: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Of the shape and type of `x`, elements yet to be written."""
    x = as_array(x)
    return empty(*x.shape, dtype=dtype or x.dtype, device=device or device_of(x), requires_grad=requires_grad)


def full_like(
    x: Any, fill_value: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Of the shape and type of `x`, every element `fill_value`."""
    x = as_array(x)
    return _filled("full_like", (x.shape,), fill_value, dtype or x.dtype, device or device_of(x), requires_grad)


def rand_like(x: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1) of the shape and type of `x`."""
    x = as_array(x)
    return rand(*x.shape, dtype=dtype or x.dtype, device=device or device_of(x), requires_grad=requires_grad)


def randn_like(
    x: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal random numbers of the shape and type of `x`."""
    x = as_array(x)
    return randn(*x.shape, dtype=dtype or x.dtype, device=device or device_of(x), requires_grad=requires_grad)
