"""The results inside a graph, found again: a graph keeps only what its backward needs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import host_array
from minidl.modes import no_grad
from minidl.op import Op, _Output
from minidl.tensor import Tensor

__all__ = ["constants_of", "known_values"]


def constants_of(op: Op) -> list[tuple[int | None, Any, Any]]:
    """What an operation saved of inputs that no gradient flows to: ``(position, array, what was given)``.

    The position is None where it cannot be told.
    """
    edges = op.edges or ()
    if not op._origins:
        return []
    if type(op._origins) is tuple and not _is_output(op._origins[0]):  # the first inputs, in order
        return [(i, saved, op._origins[i]) for i, saved in enumerate(op.saved) if edges[i] is None]
    found = [
        (saved, origin)
        for saved, origin in zip(op.saved, op._origins)  # noqa: B905 - no origins where nothing was saved
        if (isinstance(origin, Tensor) and not origin.requires_grad) or isinstance(origin, np.ndarray)
    ]
    places = [i for i, edge in enumerate(edges) if edge is None]
    known = len(found) == len(places) == 1
    return [(places[0] if known else None, saved, origin) for saved, origin in found]


def known_values(ops: Sequence[Op], loss: Tensor) -> dict[tuple[Op, int], Any]:
    """Arrays of the results, by operation and number of the output.

    First what operations saved: of their inputs, so the results of others, and of their own outputs. Then, in the order
    of the computation, what `forward` gives once more where every input is known. A result that is neither is missing:
    nobody kept it.
    """
    assert loss.edge is not None
    values: dict[tuple[Op, int], Any] = {loss.edge[:2]: loss.data}
    for op in ops:
        for saved, origin in zip(op.saved, op._origins):  # noqa: B905 - no origins where nothing was saved
            if _is_output(origin):
                values[op, origin[0]] = saved
            elif isinstance(origin, Tensor) and origin.edge is not None:
                values[origin.edge[:2]] = saved
    for op in ops:
        if (op, 0) not in values:
            for i, output in enumerate(_once_more(op, values)):
                values.setdefault((op, i), output)
    return values


def _is_output(origin: Any) -> bool:
    """Whether a saved array is an output of the operation itself."""
    return type(origin) is _Output


def _once_more(op: Op, values: dict[tuple[Op, int], Any]) -> tuple[Any, ...]:
    """The outputs of `forward` for the inputs that it had; none where these are unknown."""
    constants = {place: array for place, array, _ in constants_of(op) if place is not None}
    inputs = []
    for i, edge in enumerate(op.edges or ()):
        if isinstance(edge, Tensor):
            inputs.append(edge.data)
        elif edge is None and i in constants:
            inputs.append(constants[i])
        elif edge is not None and edge[:2] in values:
            inputs.append(values[edge[:2]])
        else:
            return ()
    twin = copy.copy(op)  # forward saves into the node that it belongs to: let that be another one
    twin.saved = ()
    try:
        with no_grad(), np.errstate(all="ignore"):
            outputs = twin.forward(*inputs)
    except Exception:  # an operation of the reader's that cannot be run twice; its value is not needed to go on
        return ()
    same = len(twin.saved) == len(op.saved) and all(map(_equal, twin.saved, op.saved))
    if not same:  # it draws random numbers, and these are others
        return ()
    return outputs if type(outputs) is tuple else (outputs,)


def _equal(one: Any, other: Any) -> bool:
    if not hasattr(one, "dtype"):
        return bool(one == other)
    one, other = host_array(one), host_array(other)
    return one.shape == other.shape and one.tobytes() == other.tobytes()
