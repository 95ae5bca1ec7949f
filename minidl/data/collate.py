"""From a list of items to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.errors import DTypeError, ShapeError
from minidl.tensor import Tensor

__all__ = ["default_collate", "stack_items", "to_tensors"]


def default_collate(items: Sequence[Any]) -> Any:
    """Join items into one batch, along a new first axis.

    Arrays, Tensors and numbers become one Tensor; tuples, lists and dictionaries keep their structure;
    strings stay a list. Python numbers become int64, float32 or bool (PyTorch makes float64 of floats; minidl
    does not, so that one Python float in the data does not turn a float32 network into float64).

    Parameters
    ----------
    items : sequence
        The items of a batch, all of the same structure.

    Raises
    ------
    ShapeError
        The items differ in shape or length.
    DTypeError
        An item is of a type that has no array form (such as a PIL image).

    Examples
    --------
    >>> import numpy as np
    >>> x, y = default_collate([(np.zeros(3, np.float32), 0), (np.ones(3, np.float32), 1)])
    >>> x.shape, y.tolist()
    ((2, 3), [0, 1])
    """
    return to_tensors(stack_items(items))


def stack_items(items: Sequence[Any]) -> Any:
    """`default_collate` with NumPy arrays in place of Tensors: what a worker sends to its parent."""
    first = items[0]
    if isinstance(first, Tensor):
        return _stack([item.data for item in items])
    if isinstance(first, np.ndarray):
        return _stack(items)
    if isinstance(first, np.generic):
        return np.asarray(items)
    if isinstance(first, bool):
        return np.asarray(items, dtype=np.bool_)
    if isinstance(first, int):
        return np.asarray(items, dtype=np.int64)
    if isinstance(first, float):
        return np.asarray(items, dtype=np.float32)
    if isinstance(first, (str, bytes)):
        return list(items)
    if isinstance(first, Mapping):
        return {key: stack_items([item[key] for item in items]) for key in first}
    if isinstance(first, Sequence):
        return _stack_fields(items)
    hint = "end the transform with ToTensor()" if hasattr(first, "convert") else "give a collate_fn of your own"
    raise DTypeError(
        "collate",
        expected="arrays, Tensors, numbers, strings, and tuples, lists or dictionaries of them",
        actual=f"an item of type {type(first).__module__}.{type(first).__qualname__}",
        hint=hint,
    )


def to_tensors(batch: Any) -> Any:
    """Wrap every array of a stacked batch into a Tensor."""
    if isinstance(batch, np.ndarray):
        return Tensor(batch)
    if isinstance(batch, dict):
        return {key: to_tensors(value) for key, value in batch.items()}
    if isinstance(batch, tuple):
        fields = [to_tensors(value) for value in batch]
        return type(batch)(*fields) if hasattr(batch, "_fields") else tuple(fields)
    if isinstance(batch, list):
        return [to_tensors(value) for value in batch]
    return batch


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    shapes = {np.shape(array) for array in arrays}
    if len(shapes) > 1:
        raise ShapeError(
            "collate",
            expected="items of one shape, so that they form a batch",
            actual=f"shapes {sorted(shapes)}",
            hint="crop or resize every item to one size, or give a collate_fn that pads",
        )
    return np.stack(arrays)


def _stack_fields(items: Sequence[Any]) -> Any:
    first = items[0]
    lengths = {len(item) for item in items}
    if len(lengths) > 1:
        raise ShapeError(
            "collate",
            expected="items with the same number of fields",
            actual=f"{sorted(lengths)} fields",
            hint="return the same tuple from every dataset[i]",
        )
    fields = [stack_items(field) for field in zip(*items, strict=True)]
    if hasattr(first, "_fields"):
        return type(first)(*fields)
    return tuple(fields) if isinstance(first, tuple) else fields
