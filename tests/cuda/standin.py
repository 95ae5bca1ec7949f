"""A stand-in for CuPy on NumPy, strict where CuPy is: the engine's CUDA road runs on machines without a GPU.

`install()` puts a module named ``cupy`` into `sys.modules`. Its arrays wrap NumPy's, they are not NumPy arrays: a
subclass would unwrap itself silently. It refuses what CuPy refuses: functions, methods and arguments that CuPy lacks
(by `cupy_signatures.json`, written from a real CuPy), NumPy arrays among the operands, conversion to NumPy but by
`.get()`. Under `no_synchronisation` it also refuses what makes the host wait for the device. RawModule compiles the
kernels' own source with g++ (emulate.py) and checks every argument against the declaration.
"""

from __future__ import annotations

import inspect
import json
import operator
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from emulate import Emulated

_TABLE = json.loads(Path(__file__).with_name("cupy_signatures.json").read_text())
THREADS = 32
"""Threads of a block here: fewer fibers, and another launch shape than on a GPU."""

_forbidden: list[str] = []
launched: list[str] = []
"""Names of the kernels that ran, in order."""


class Synchronised(AssertionError):
    """The host waited for the device where it must not."""


@contextmanager
def no_synchronisation() -> Iterator[None]:
    """Refuse whatever makes the host wait for the device."""
    _forbidden.append("here")
    try:
        yield
    finally:
        _forbidden.pop()


def _synchronise(what: str) -> None:
    if _forbidden:
        raise Synchronised(f"{what} makes the host wait for the device")


def _signature(text: str) -> inspect.Signature:
    scope: dict[str, Any] = {}
    exec(f"def function({text}): ...", scope)
    return inspect.signature(scope["function"])


_FUNCTIONS = {name: _signature(text) for name, text in _TABLE["functions"].items()}
_METHODS = {name: _signature(text) for name, text in _TABLE["methods"].items()}


def _host(value: Any) -> Any:
    """What NumPy computes with; NumPy's own arrays have no business here."""
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a NumPy array among CuPy's")
    if isinstance(value, (tuple, list)):
        return type(value)(_host(each) for each in value)
    if isinstance(value, dict):
        return {name: _host(each) for name, each in value.items()}
    return value


def _device(value: Any, sources: tuple[Any, ...] = ()) -> Any:
    """NumPy's result as an array of the device; a view remembers whose memory it is."""
    if isinstance(value, (tuple, list)):
        return type(value)(_device(each, sources) for each in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    result = ndarray.__new__(ndarray)
    result._array = np.asarray(value)
    if not result.dtype.isnative or result.dtype.itemsize > 8:
        raise ValueError(f"Unsupported dtype {result.dtype}")
    result._base = None
    for source in sources:
        if isinstance(source, ndarray) and source._array.size and np.may_share_memory(source._array, value):
            result._base = source if source._base is None else source._base
            break
    return result


def _call(name: str, signature: inspect.Signature, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"cupy {name}: {error}") from None
    out = bound.arguments.get("out")
    with np.errstate(all="ignore"):  # a GPU raises no floating-point warnings
        result = function(*_host(args), **_host(kwargs))
    return out if out is not None else _device(result, args)


class _Flags:
    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:
    """An array that claims to be on a GPU."""

    __array_priority__ = 100
    _array: np.ndarray
    _base: ndarray | None

    def __new__(cls, shape: Any = (), dtype: Any = float) -> ndarray:
        self = object.__new__(cls)
        self._array, self._base = np.empty(shape, dtype), None
        return self

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    base = property(lambda self: self._base)
    flags = property(lambda self: _Flags(self._array.flags))
    T = property(lambda self: _device(self._array.T, (self,)))
    device = property(lambda self: Device(0))
    data = property(lambda self: types.SimpleNamespace(ptr=self._array.ctypes.data))
    __cuda_array_interface__ = property(
        lambda self: {"shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False), "version": 3}
    )

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        _synchronise("get()")
        return np.array(self._array, order=order)

    def item(self) -> Any:
        _synchronise("item()")
        return self._array.item()

    def tolist(self) -> Any:
        _synchronise("tolist()")
        return self._array.tolist()

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        assert type(arr) is np.ndarray and arr.dtype == self.dtype and arr.shape == self.shape
        assert self.flags.c_contiguous and arr.flags.c_contiguous
        self._array[...] = arr

    def nonzero(self) -> Any:
        _synchronise("nonzero()")
        return _device(self._array.nonzero())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in _METHODS:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        method = getattr(self._array, name)
        return lambda *args, **kwargs: (
            _device(
                _call(f"ndarray.{name}", _METHODS[name], lambda _, *a, **k: method(*a, **k), (self, *args), kwargs),
                (self,),
            )
            if kwargs.get("out") is None
            else _call(name, _METHODS[name], lambda _, *a, **k: method(*a, **k), (self, *args), kwargs)
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or any(isinstance(each, np.ndarray) for each in inputs):
            raise TypeError(f"Unsupported type {np.ndarray}: {ufunc} of a NumPy array and CuPy's")
        return _call(ufunc.__name__, inspect.signature(lambda *a, out=None, dtype=None: 0), ufunc, inputs, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        _count_mask(key)
        return _device(np.asarray(self._array[_index(key)]), (self,))

    def __setitem__(self, key: Any, value: Any) -> None:
        _count_mask(key)
        if not isinstance(value, (ndarray, np.generic, int, float)):
            raise TypeError(f"a {type(value).__name__} written into an array of CuPy's")
        self._array[_index(key)] = _host(value)

    def __bool__(self) -> bool:
        _synchronise("bool()")
        return bool(self._array)

    def __float__(self) -> float:
        _synchronise("float()")
        return float(self._array)

    def __int__(self) -> int:
        _synchronise("int()")
        return int(self._array)

    def __index__(self) -> int:
        _synchronise("index()")
        return operator.index(self._array)

    def __repr__(self) -> str:
        _synchronise("repr()")
        return repr(self._array)

    def __deepcopy__(self, memo: dict[int, Any]) -> ndarray:
        return _device(self._array.copy())

    def __reduce__(self) -> Any:
        _synchronise("pickling")
        return _device, (self._array,)


def _count_mask(key: Any) -> None:
    """CuPy asks the device how many elements a mask chooses, reading as well as writing."""
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(each, (ndarray, np.ndarray)) and each.dtype.kind == "b" for each in keys):
        _synchronise("indexing by a mask")


def _index(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_index(each) for each in key)
    return key if isinstance(key, np.ndarray) else _host(key)  # CuPy sends an index of NumPy's up


def _operator(name: str) -> Any:
    function = getattr(operator, name.strip("_"), None) or getattr(operator, name)

    def forward(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, int, float, complex, np.generic)):
            if isinstance(other, np.ndarray):
                _host(other)
            return NotImplemented
        with np.errstate(all="ignore"):
            return _device(function(self._array, _host(other)))

    def backward(self: ndarray, other: Any) -> Any:
        _host(other)
        with np.errstate(all="ignore"):
            return _device(function(_host(other), self._array))

    def inplace(self: ndarray, other: Any) -> Any:
        with np.errstate(all="ignore"):
            getattr(operator, "i" + name.strip("_"))(self._array, _host(other))
        return self

    return forward, backward, inplace


def _unary(function: Any) -> Any:
    return lambda self: _device(function(self._array))


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
):
    for _prefix, _function in zip(("", "r", "i"), _operator(_name), strict=True):
        setattr(ndarray, f"__{_prefix}{_name.strip('_')}__", _function)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_name}__", _operator(_name)[0])
for _name in ("neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _unary(getattr(operator, _name)))
ndarray.__hash__ = object.__hash__  # type: ignore[method-assign]  # __eq__ compares elements
ndarray.__module__ = "cupy"


class Device:
    """The only device."""

    def __init__(self, number: int | None = None) -> None:
        self.id = number or 0

    def synchronize(self) -> None:
        _synchronise("Device.synchronize()")

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Stream:
    """Work of one stream; here everything is done at once."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 0

    def synchronize(self) -> None:
        _synchronise("Stream.synchronize()")

    def wait_event(self, event: Any) -> None:
        assert isinstance(event, Event)

    def record(self, event: Any = None) -> Any:
        return event or Event()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Event:
    """A moment in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        """Waits for a transfer that was queued long ago: allowed."""


class _Pool:
    def used_bytes(self) -> int:
        return 1000

    def total_bytes(self) -> int:
        return 4000

    def free_all_blocks(self, stream: Any = None) -> None:
        pass

    def n_free_blocks(self) -> int:
        return 1

    def get_limit(self) -> int:
        return 0


class RawKernel:
    """A kernel of a RawModule, emulated."""

    def __init__(self, emulated: Emulated, name: str) -> None:
        self.emulated, self.name = emulated, name

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        assert len(grid) == len(block) == 1, "one-dimensional launches"
        assert 0 < grid[0] < 2**31 and block[0] == 256
        launched.append(self.name)
        self.emulated.launch(self.name, grid[0], THREADS, tuple(_host(each) for each in args))


class RawModule:
    """Source and options as CuPy takes them, compiled by g++."""

    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        defines = dict(each[2:].split("=", 1) for each in options if each.startswith("-D"))
        self.emulated = Emulated(code, {**defines, "THREADS": str(THREADS)})

    def get_function(self, name: str) -> RawKernel:
        assert name in self.emulated.parameters, f"no kernel named {name}"
        return RawKernel(self.emulated, name)


class _Unsafe:
    """A function that is there but breaks a promise when it is called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def at(self, *arguments: Any) -> None:
        raise AssertionError(f"cupy.{self.name}.at adds by atomics, in any order: not the same bits run after run")


class Module(types.ModuleType):
    """The module ``cupy``: NumPy's functions behind CuPy's signatures."""

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return _function(name)
        value = getattr(np, name, None)
        if isinstance(value, type) and issubclass(value, np.generic):
            return value
        if name in ("inf", "nan", "pi", "newaxis", "e"):
            return value
        raise AttributeError(f"module 'cupy' has no attribute {name!r} (or it is not in make_signatures.py)")


_WAITING = {"nonzero", "unique", "asnumpy"}


def _function(name: str) -> Any:
    signature = _FUNCTIONS[name]

    def function(*args: Any, **kwargs: Any) -> Any:
        if name in _WAITING:
            _synchronise(f"cupy.{name}")
        if name == "asnumpy":
            return args[0].get()
        if name in ("array", "asarray", "ascontiguousarray") and type(args[0]) is np.ndarray:
            signature.bind(*args, **kwargs)  # the way up: the one place where NumPy's arrays are taken
            kwargs.pop("blocking", None)
            return _device(np.array(args[0], *args[1:], **{k: v for k, v in kwargs.items() if k != "copy"}))
        if name == "concatenate":
            kinds = {type(each) for each in args[0]}
            assert kinds <= {ndarray}, f"cupy.concatenate of {kinds}"
        if name in ("result_type", "promote_types"):
            return getattr(np, name)(*_host(args))
        if name == "take_along_axis":
            assert args[1].dtype.kind in "iu"
        return _call(name, signature, getattr(np, name), args, kwargs)

    if name == "add":
        function.at = _Unsafe("add").at  # type: ignore[attr-defined]
    function.__name__ = name
    return function


def make_module() -> Module:
    """A fresh module ``cupy``."""
    module = Module("cupy")
    module.__version__ = _TABLE["version"]
    Stream.null = Stream()
    cuda = types.ModuleType("cupy.cuda")
    cuda.__dict__.update(
        Device=Device, Stream=Stream, Event=Event, get_current_stream=lambda: Stream.null,
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=type("CUDARuntimeError",
        (RuntimeError,), {}),
                                      driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 12090),
        memory=types.SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {})),
        alloc_pinned_memory=bytearray,
    )  # fmt: skip
    types_of_products = {"float32": 1}
    linalg = types.SimpleNamespace(
        COMPUTE_TYPE_FP32=4, COMPUTE_TYPE_TF32=7,
        set_compute_type=lambda dtype, kind: types_of_products.__setitem__(dtype.name, kind),
        get_compute_type=lambda dtype: types_of_products[dtype.name],
    )  # fmt: skip
    module._core = types.SimpleNamespace(_routines_linalg=linalg)
    module.__dict__.update(
        ndarray=ndarray,
        RawModule=RawModule,
        cuda=cuda,
        get_default_memory_pool=_Pool,
        get_default_pinned_memory_pool=_Pool,
    )
    return module


def install() -> Module:
    """Let ``import cupy`` find the stand-in."""
    module = make_module()
    sys.modules["cupy"], sys.modules["cupy.cuda"] = module, module.cuda
    return module
