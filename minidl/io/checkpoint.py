"""`save` and `load`: nested states as safetensors, never pickle.

A safetensors file holds named arrays and a table of strings, and reading one runs no code. A state (of a model, an
optimizer, a trainer) is nested: its arrays are stored under their path, ``"model/conv1.weight"``, and the nesting with
its numbers and strings as JSON in the table of strings. A flat dict of Tensors gives an ordinary file that every other
reader of safetensors understands. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backends import host_array
from minidl.errors import DataError, DTypeError
from minidl.io.atomic import write_atomically
from minidl.io.npz import load_npz
from minidl.tensor import Tensor

__all__ = ["load", "save"]

_STRUCTURE = "minidl.structure"
_RESERVED = "__metadata__"  # the format's own entry
_PLAIN = (str, bool, int, float, type(None))


def save(state: Any, path: str | os.PathLike[str]) -> None:
    """Write a state to a safetensors file, in one step that a kill cannot leave half done.

    Parameters
    ----------
    state : nested dict, list or tuple
        Its leaves are Tensors, arrays, numbers, strings, booleans or None; keys are strings or integers.
    path : path
        Conventionally ends in ``.safetensors``.

    Raises
    ------
    DTypeError
        If the state holds anything else; nothing is written then.
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import minidl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> minidl.save({"weight": minidl.ones(2), "epoch": 3}, path)
    >>> minidl.load(path)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, np.ndarray] = {}
    try:
        structure = _encode(state, "", arrays)
    except RecursionError as error:
        raise DTypeError("save", expected="a nested state", actual="one that contains itself") from error
    flat = (
        isinstance(state, dict) and list(state) == list(arrays) and all(isinstance(v, Tensor) for v in state.values())
    )
    metadata = None if flat else {_STRUCTURE: json.dumps(structure)}
    write_atomically(path, to_bytes(arrays, metadata=metadata))


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote; any other safetensors file, or NumPy's ``.npz``, as a flat dict of Tensors.

    Raises
    ------
    DataError
        If the file is missing, truncated, lies about its sizes or is no safetensors file at all.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if not path.is_file():
            raise DataError(
                "load", expected=f"a file at {path}", actual="nothing there" if not path.exists() else "a folder"
            )
        if path.suffix == ".npz":
            return load_npz(path)
        with safe_open(str(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, TypeError) as error:
        raise DataError(
            "load", expected=f"a whole safetensors file at {path}", actual=str(error),
            hint="it may be cut short, of another format, or hold types NumPy lacks (bfloat16)",
        ) from error  # fmt: skip
    if _STRUCTURE not in metadata:
        return {name: Tensor(array) for name, array in arrays.items()}
    try:
        return _decode(json.loads(metadata[_STRUCTURE]), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            "load", expected=f"the structure that save wrote in {path}", actual=f"{type(error).__name__}: {error}",
            hint="the file was changed by another program",
        ) from error  # fmt: skip


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON form of a state; its arrays are collected under their paths."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Tensor) or hasattr(value, "__array_interface__") or hasattr(value, "__cuda_array_interface__"):
        array = host_array(value.data if isinstance(value, Tensor) else value)
        if array.dtype.kind not in "fiub":
            raise DTypeError("save", expected="arrays of numbers", actual=f"{array.dtype} at {path or 'the top'}")
        name = path or "value"
        if name in arrays or name == _RESERVED:  # {"a/b": x, "a": {"b": y}}
            name = f"{name}#{len(arrays)}"
        arrays[name] = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, dict):
        items = []
        for key, item in value.items():
            if not isinstance(key, (str, int)):
                raise DTypeError("save", expected="keys that are strings or integers", actual=f"{key!r} in {path}")
            items.append([key, _encode(item, f"{path}/{key}" if path else str(key), arrays)])
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, f"{path}/{i}" if path else str(i), arrays) for i, v in enumerate(value)]}
    raise DTypeError(
        "save",
        expected="Tensors, arrays, numbers, strings, booleans, None, and dicts, lists and tuples of them",
        actual=f"{type(value).__name__} at {path or 'the top'}",
        hint="save state_dict() instead of the object itself",
    )


def _decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return Tensor(arrays[content])
    if kind == "array":
        return arrays[content]
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_decode(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    raise KeyError(kind)
