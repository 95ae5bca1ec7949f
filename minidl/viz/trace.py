"""A graph and its backward pass as the engine walks it, written down: nodes, edges, and one step an operation.

The gradients are the engine's own. `grad` goes back through the graph as ever; on the way each operation's `backward`
passes through a recorder that notes what came in and what went out. For the values see `minidl.viz.values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.autograd import grad
from minidl.backends import host_array
from minidl.errors import GraphError
from minidl.op import Op
from minidl.tensor import Tensor
from minidl.viz.summary import summarise
from minidl.viz.values import constants_of, known_values

__all__ = ["Contribution", "Edge", "Node", "Step", "Trace", "trace_backward"]


@dataclass
class Node:
    """An operation, a leaf (its gradient is wanted) or a constant (no gradient flows to it).

    Attributes
    ----------
    kind : str
        ``"operation"``, ``"leaf"`` or ``"constant"``.
    name : str
        The operation's class, or the name of a leaf; empty if it has none.
    label : str
        The user's name for the result of an operation.
    value : dict or None
        Summary of the (first) output; None where nobody kept it.
    """

    kind: str
    name: str
    shape: tuple[int, ...]
    value: dict[str, Any] | None
    label: str = ""


@dataclass(frozen=True)
class Edge:
    """Output `output` of node `source` is input `input` of node `target`."""

    source: int
    output: int
    target: int
    input: int


@dataclass
class Contribution:
    """What one vector-Jacobian product brings to one edge's source, and the sum there afterwards."""

    edge: int
    value: dict[str, Any]
    total: dict[str, Any]
    count: int


@dataclass
class Step:
    """One operation goes back: its output's gradient is complete, its inputs' gradients grow."""

    node: int
    incoming: list[dict[str, Any]]
    contributions: list[Contribution]


@dataclass
class Trace:
    """Nodes (operations in the order they ran, then leaves and constants), edges, and the steps of the walk."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    loss: int = 0


def trace_backward(loss: Tensor, names: Mapping[str, Tensor]) -> Trace:
    """Go back from `loss` without changing any `grad`, and write down what happens.

    Parameters
    ----------
    loss : Tensor
        A scalar whose graph has not been used up.
    names : mapping
        Names of leaves, constants and results.

    Raises
    ------
    GraphError
        If `loss` has no graph, or an earlier backward freed it.
    """
    if not isinstance(loss, Tensor) or loss.edge is None:
        raise GraphError(
            "graph", expected="the result of a recorded computation",
            actual=f"a {type(loss).__name__} that no operation made",
            hint="give what you would call backward() on; something in it must require a gradient",
        )  # fmt: skip
    ops = _operations(loss)
    for op in ops:
        op.restore(False)  # raises if the graph was used up, or changed
    trace = Trace()
    leaves = _add_nodes(trace, loss, ops, {_identity(tensor): name for name, tensor in names.items()})
    _walk(trace, loss, ops, leaves)
    return trace


def _operations(loss: Tensor) -> list[Op]:
    """The operations behind a result, in the order in which they ran."""
    found: set[Op] = set()
    stack = [loss.op]
    while stack:
        op = stack.pop()
        if op not in found:
            found.add(op)
            stack.extend(edge[0] for edge in op.edges if isinstance(edge, tuple))
    return sorted(found, key=lambda op: op.seq)


def _identity(tensor: Any) -> Any:
    """What tells a result or a leaf from others: two Tensors may stand for the same one."""
    return tensor.edge[:2] if isinstance(tensor, Tensor) and tensor.edge is not None else id(tensor)


def _add_nodes(trace: Trace, loss: Tensor, ops: list[Op], names: Mapping[Any, str]) -> list[Tensor]:
    """Nodes and edges of the graph; returns the leaves."""
    values = known_values(ops, loss)
    shapes = {edge[:2]: edge[2] for op in ops for edge in op.edges or () if isinstance(edge, tuple)}
    shapes[loss.edge[:2]] = loss.shape  # type: ignore[index]
    number: dict[Any, int] = {}
    for op in ops:
        number[op] = len(trace.nodes)
        outputs = [i for i in range(len(op._outputs) or 1) if (op, i) in shapes]
        value = values.get((op, outputs[0]))
        label = next((names[op, i] for i in outputs if (op, i) in names), "")
        summary = None if value is None else summarise(value)
        trace.nodes.append(Node("operation", op.name, shapes[op, outputs[0]], summary, label))
    leaves: list[Tensor] = []

    def other(key: int, kind: str, array: Any) -> int:
        if key not in number:
            number[key] = len(trace.nodes)
            trace.nodes.append(Node(kind, names.get(key, ""), np.shape(array), summarise(array)))
        return number[key]

    for op in ops:
        for i, edge in enumerate(op.edges or ()):
            if isinstance(edge, Tensor):
                if id(edge) not in number:
                    leaves.append(edge)
                trace.edges.append(Edge(other(id(edge), "leaf", edge.data), 0, number[op], i))
            elif edge is not None:
                trace.edges.append(Edge(number[edge[0]], edge[1], number[op], i))
        for place, array, given in constants_of(op):
            if hasattr(array, "dtype"):
                trace.edges.append(
                    Edge(other(id(given), "constant", array), 0, number[op], -1 if place is None else place)
                )
    trace.loss = number[loss.op]
    return leaves


def _walk(trace: Trace, loss: Tensor, ops: list[Op], leaves: list[Tensor]) -> None:
    """Let the engine go back, with a recorder in front of each operation's `backward`."""
    edges = {(edge.target, edge.input): i for i, edge in enumerate(trace.edges)}
    totals: dict[tuple[int, int], Any] = {}
    counts: dict[tuple[int, int], int] = {}

    def recorder(node: int, op: Op) -> Any:
        backward = op.backward

        def recorded(*grads: Any) -> Any:
            results = backward(*grads)
            step = Step(node, [summarise(g) for g in grads if g is not None], [])
            for i, value in enumerate(results if isinstance(results, (tuple, list)) else (results,)):
                if value is None or not op.needs[i]:
                    continue
                edge = edges[node, i]
                source = trace.edges[edge].source, trace.edges[edge].output
                # A copy: the engine may add the next contribution to a leaf into this very array.
                value = np.array(host_array(value))
                totals[source] = totals[source] + value if source in totals else value
                counts[source] = counts.get(source, 0) + 1
                step.contributions.append(
                    Contribution(edge, summarise(value), summarise(totals[source]), counts[source])
                )
            trace.steps.append(step)
            return results

        return recorded

    retained = [(op, op._retained) for op in ops]
    try:
        for node, op in enumerate(ops):
            op._retained = None  # intermediate `grad`s stay as they are, too
            op.backward = recorder(node, op)  # type: ignore[method-assign]
        grad(loss, leaves, retain_graph=True)
    finally:
        for op, before in retained:
            vars(op).pop("backward", None)
            op._retained = before
