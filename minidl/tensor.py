"""Tensor: an array, its gradient, and the operation that made it.

This file knows nothing of calculus. It holds the data; `op.py` records what was done to it, `autograd.py` walks that
record backwards, and the table in `ops/methods.py` gives the Tensor its operators.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.backends import backend_of, device_of, host_array
from minidl.dtypes import DTypeLike, as_dtype, get_default_dtype
from minidl.errors import DeviceError, DTypeError, GraphError, IndexingError, OptionError, ShapeError
from minidl.modes import is_grad_enabled

if TYPE_CHECKING:
    from minidl.ops.signatures import TensorMethods
else:
    TensorMethods = object

__all__ = [
    "RemovableHandle",
    "Tensor",
    "as_array",
    "clock",
    "plain_index",
]

clock = itertools.count(1)
"""Numbers recorded operations and changes in place by the order in which they happen."""


def as_array(value: Any, dtype: DTypeLike | None = None) -> Any:
    """The array behind anything that a Tensor can be made of; lists of Python floats take the default dtype.

    Raises
    ------
    DTypeError
        If the elements are not real numbers (objects, strings, complex numbers, ragged lists).
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(value, Tensor):
        array = value.data
    elif hasattr(value, "__array_interface__"):
        array = host_array(value)
    elif hasattr(value, "__cuda_array_interface__"):
        backend_of(value)  # refuses what is not CuPy's
        array = value
    else:
        array = _from_python(value, wanted)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            "tensor",
            expected="real numbers, integers or booleans",
            actual=f"elements of type {array.dtype}",
            hint="complex numbers, strings, objects and ragged lists are not supported",
        )
    return array if wanted is None or wanted == array.dtype else array.astype(wanted)


def _from_python(value: Any, wanted: np.dtype | None) -> np.ndarray:
    """A new array from scalars and nested lists, which may hold Tensors; Python floats become what is wanted."""
    plain = _untensor(value)
    try:
        array = np.array(plain)
    except ValueError as error:
        raise ShapeError(
            "tensor",
            expected="nested lists of equal lengths",
            actual=str(error).splitlines()[0],
            hint="pad the rows to one length",
        ) from error
    if wanted is None and array.dtype == np.float64 and not _has_float64(plain):
        return array.astype(get_default_dtype())
    return array


def _untensor(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_untensor(item) for item in value]
    return value.detach().numpy() if isinstance(value, Tensor) else value


def _has_float64(value: Any) -> bool:
    """Whether NumPy itself, not Python's float, brought double precision in."""
    if isinstance(value, list):
        return any(_has_float64(item) for item in value)
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.float64


class RemovableHandle:
    """What a hook's registration returns: `remove()` takes the hook away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook
        hooks.append(hook)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


class Tensor(TensorMethods):
    """An n-dimensional array that remembers how it was computed.

    Parameters
    ----------
    data : array, Tensor, scalar or nested list
        An array is taken as it is, without a copy (`minidl.tensor` copies).
    dtype : dtype, optional
    requires_grad : bool
        Whether `backward` shall leave a gradient in `grad`.

    Attributes
    ----------
    data : array
        The plain array. Writing into it directly escapes the version check: use ``x[...] = value``.
    grad : Tensor or None
        Sum of the gradients that `backward` brought so far, of the same shape.
    edge : tuple or None
        The operation that made this Tensor, the number of the output that it is, and its shape; None for a leaf.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    # NumPy then leaves ``ndarray * Tensor`` to Tensor.__rmul__.
    __array_ufunc__ = None

    # Slots, not a dictionary: cheaper to make and to read, and a mistyped attribute (``requires_gard``) is an error.
    __slots__ = ("__weakref__", "_hooks", "_requires_grad", "_version", "data", "edge", "grad")

    data: Any
    grad: Tensor | None
    edge: tuple[Any, int, tuple[int, ...]] | None
    _requires_grad: bool
    _version: list[int] | None
    _hooks: list[Callable[..., Any]] | None

    def __init__(self, data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> None:
        # A view of its own: no two Tensors share one array object, so that a saved array names its Tensor.
        array = as_array(data, dtype)
        self.data = array[...]
        self.grad = self.edge = self._hooks = None
        self._requires_grad = False
        self._version = data.shared_version() if isinstance(data, Tensor) and array is data.data else None
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def of(cls, array: Any, edge: Any = None, version: list[int] | None = None) -> Tensor:
        """A Tensor around an array that is known to be fit: no checks, no copy."""
        self = object.__new__(cls)
        self.data = array
        self.edge = edge
        self._requires_grad = edge is not None
        self._version = version
        self.grad = self._hooks = None
        return self

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements. (A property as in NumPy; PyTorch's ``size()`` is `shape` here.)"""
        return self.data.size

    def numel(self) -> int:
        """Number of elements."""
        return self.data.size

    def dim(self) -> int:
        """Number of dimensions."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self.data.dtype

    @property
    def device(self) -> str:
        """Where the array lives: ``"cpu"`` or ``"cuda:0"``."""
        return device_of(self.data)

    @property
    def op(self) -> Any:
        """The operation that made it; None for a leaf."""
        return self.edge and self.edge[0]

    @property
    def is_leaf(self) -> bool:
        """Whether the user made it (True), or a recorded operation (False)."""
        return self.edge is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.data.dtype.kind != "f":
            raise DTypeError(
                "requires_grad",
                expected="a floating-point Tensor",
                actual=f"dtype {self.data.dtype}",
                hint="integers have no gradient: convert first, x.astype(minidl.float32)",
            )
        if self.op is not None and not value:
            raise GraphError(
                "requires_grad",
                expected="a leaf Tensor",
                actual=f"the result of {self.op.name}",
                hint="detach() gives the same values outside the graph",
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the Tensor itself."""
        self.requires_grad = requires_grad
        return self

    # Leaving the graph

    def detach(self) -> Tensor:
        """The same memory outside the graph; changes in place are still noticed."""
        return Tensor.of(self.data[...], version=self.shared_version())

    def item(self) -> Any:
        """The only element as a Python number.

        Raises
        ------
        ShapeError
            If there is not exactly one element.
        """
        if self.data.size != 1:
            raise ShapeError(
                "item", expected="one element", actual=f"shape {self.shape}", hint="reduce first, or use tolist()"
            )
        return self.data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The array itself, sharing memory.

        Raises
        ------
        GraphError
            If the Tensor requires a gradient: writing into the array would escape autograd.
        DeviceError
            If it lives on a GPU: fetching it is a copy, which `cpu()` says aloud.
        """
        if self._requires_grad:
            raise GraphError(
                "numpy",
                expected="a Tensor that requires no gradient",
                actual="requires_grad=True",
                hint="x.detach().numpy()",
            )
        if not isinstance(self.data, np.ndarray):
            raise DeviceError("numpy", expected="a Tensor in main memory", actual=f"one on {self.device}",
                              hint="x.cpu().numpy() fetches it")  # fmt: skip
        return self.data

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise GraphError(
                "__dlpack__", expected="a Tensor that requires no gradient", actual="requires_grad=True",
                hint="hand over x.detach()",
            )  # fmt: skip
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.data, self._requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy = _rebuild(type(self), self.data.copy(), self._requires_grad)
        if self.grad is not None:
            copy.grad = Tensor(self.grad.data.copy())
        memo[id(self)] = copy
        return copy

    # Gradients

    def zero_grad(self) -> None:
        """Forget the gradient (`grad` becomes None)."""
        self.grad = None

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in `grad` as well, like that of a leaf."""
        if self.edge is not None:
            op, number, _ = self.edge
            op.retain(self, number)
        elif not self._requires_grad:
            raise GraphError("retain_grad", expected="a Tensor that requires a gradient", actual="requires_grad=False")

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` when the gradient of this Tensor is known; what it returns replaces the gradient.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda gradient: gradient * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        if not self._requires_grad:
            raise GraphError(
                "register_hook", expected="a Tensor that requires a gradient", actual="requires_grad=False"
            )
        if not callable(hook):
            raise OptionError("register_hook", expected="a function of the gradient", actual=repr(hook))
        if self.edge is not None:
            op, number, _ = self.edge
            return RemovableHandle(op.hooks_of(number), hook)
        if self._hooks is None:
            self._hooks = []
        return RemovableHandle(self._hooks, hook)

    # Changes in place

    def mark_changed(self) -> None:
        """Say that the array was changed in place: a backward that saved it will refuse to use it."""
        self.shared_version()[0] = next(clock)

    def shared_version(self) -> list[int]:
        """When the array was last changed in place, by `clock`, in a list that views of the same memory share."""
        if self._version is None:
            self._version = [0]
        return self._version

    def _check_writable(self, what: str) -> None:
        if self._requires_grad and is_grad_enabled():
            raise GraphError(
                what,
                expected="a Tensor outside the graph",
                actual="one that requires a gradient",
                hint="changes in place are not recorded: write under minidl.no_grad(), or compute a new Tensor "
                "(where, scatter_add, concat)",
            )
        if not getattr(self.data.flags, "writeable", True):
            raise GraphError(
                what, expected="memory that can be written", actual="a read-only array", hint="write into x.clone()"
            )

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, Tensor) and value._requires_grad and is_grad_enabled():
            raise GraphError(
                "x[...] = value", expected="a value outside the graph", actual="one that requires a gradient",
                hint="changes in place are not recorded: use where, scatter_add or concat, or value.detach()",
            )  # fmt: skip
        self._check_writable("x[...] = value")
        given = value.data if isinstance(value, Tensor) else value
        here = isinstance(self.data, np.ndarray)
        if hasattr(given, "__cuda_array_interface__") if here else isinstance(given, np.ndarray):
            raise DeviceError("x[...] = value", expected=f"a value on {self.device}, as x is",
                              actual=f"one on {device_of(given)}", hint="value.to(x.device)")  # fmt: skip
        try:
            if not here and isinstance(given, (list, tuple)):
                given = backend_of(self.data).xp.asarray(np.asarray(given))
            self.data[plain_index(key)] = given
        except IndexError as error:
            raise IndexingError(
                "x[...] = value", expected=f"an index that fits shape {self.shape}", actual=str(error)
            ) from error
        except ValueError as error:
            raise ShapeError(
                "x[...] = value", expected=f"a value that fits a Tensor of shape {self.shape}", actual=str(error)
            ) from error
        self.mark_changed()

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the elements with those of `source` (broadcast to this shape)."""
        self[...] = source
        return self

    def fill_(self, value: float) -> Tensor:
        """Overwrite every element with `value`."""
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        """Overwrite every element with zero."""
        return self.fill_(0)

    # As Python sees it

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise ShapeError("len", expected="at least one dimension", actual="a 0-d Tensor")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self.data == (value.data if isinstance(value, Tensor) else value)).any())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ShapeError(
                "bool",
                expected="one element",
                actual=f"shape {self.shape}",
                hint="the truth of many elements is ambiguous: use .any() or .all()",
            )
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iub" or self.data.ndim != 0:
            raise DTypeError("index", expected="a 0-d integer Tensor", actual=f"{self.dtype} of shape {self.shape}")
        return int(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        body = np.array2string(host_array(self.data), separator=", ", prefix="tensor(", precision=4, threshold=200)
        notes = ""
        if self.data.dtype not in (get_default_dtype(), np.dtype(np.int64), np.dtype(bool)):
            notes += f", dtype={self.data.dtype}"
        if self.data.size == 0:
            notes += f", shape={self.shape}"
        if self.device != "cpu":
            notes += f", device={self.device!r}"
        if self.op is not None:
            notes += f", op={self.op.name}"
        elif self._requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({body}{notes})"


def _rebuild(cls: type[Tensor], array: Any, requires_grad: bool) -> Tensor:
    return cls(array, requires_grad=requires_grad)


def plain_index(key: Any) -> Any:
    """An index in which Tensors are replaced by their arrays.

    Raises
    ------
    DTypeError
        If a Tensor of floats is used as an index.
    """
    if isinstance(key, tuple):
        return tuple([plain_index(item) for item in key])
    if isinstance(key, Tensor):
        key = key.data
    if isinstance(key, list):
        key = np.asarray(key, dtype=np.int64 if not key else None)
    if isinstance(key, (np.ndarray, np.generic)) and key.dtype.kind == "f":
        raise DTypeError(
            "indexing", expected="integers, booleans or slices", actual=f"a {key.dtype} index", hint="astype(int64)"
        )
    return key
