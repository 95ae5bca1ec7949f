"""Comparing a state_dict with the module it is meant for: every mismatch at once, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidl.backends import host_array, to_device
from minidl.errors import DataError
from minidl.tensor import Tensor

__all__ = ["check_state"]

_KINDS = {"f": "float", "i": "integer", "u": "integer", "b": "bool"}


def check_state(
    owner: str, target: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Pair the entries of a state_dict with the Tensors that shall take them.

    Returns
    -------
    arrays : dict
        An array for each name that both have, on the device of its Tensor.
    missing, unexpected : list of str

    Raises
    ------
    DataError
        If a shape or a kind of element differs, or, where `strict`, a name.
    """
    if not isinstance(state, Mapping):
        raise DataError("load_state_dict", expected="a mapping of names to arrays", actual=type(state).__name__,
                        hint="minidl.load(path) reads one from a file")  # fmt: skip
    missing = [name for name in target if name not in state]
    unexpected = [str(name) for name in state if name not in target]
    problems = []
    arrays = {}
    for name, tensor in target.items():
        if name not in state:
            continue
        value = state[name]
        array = value.data if isinstance(value, Tensor) else host_array(value)
        kind = _KINDS.get(array.dtype.kind, str(array.dtype))
        if array.shape != tensor.shape:
            problems.append(f"wrong shape: {name} is {tensor.shape}, got {array.shape}")
        elif kind != _KINDS[tensor.dtype.kind]:
            problems.append(f"wrong type: {name} is {tensor.dtype}, got {array.dtype}")
        else:
            arrays[name] = to_device(array, tensor.device)
    if strict:
        problems += [f"missing: {name}" for name in missing]
        problems += [f"unexpected: {name}" for name in unexpected]
    if problems:
        raise DataError(
            "load_state_dict",
            expected=f"the parameters and buffers of {owner}",
            actual=f"{len(problems)} mismatch(es)\n  " + "\n  ".join(problems),
            hint=_hint(missing, unexpected) + "nothing was changed",
        )
    return arrays, missing, unexpected


def _hint(missing: list[str], unexpected: list[str]) -> str:
    """Whether the names differ by one prefix only, the usual trace of a wrapped model."""
    for longer, shorter, advice in ((unexpected, missing, "remove it"), (missing, unexpected, "add it")):
        parts = longer[0].split(".")[:-1] if longer else []
        for count in range(1, len(parts) + 1):
            prefix = ".".join(parts[:count]) + "."
            if {name.removeprefix(prefix) for name in longer} == set(shorter):
                return f"the names differ by the prefix {prefix!r}: {advice}; "
    return ""
