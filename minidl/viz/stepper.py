"""The graph behind a result as a page: go back through it, one vector-Jacobian product at a time."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import Any

from minidl.errors import OptionError
from minidl.nn.module import Module
from minidl.tensor import Tensor
from minidl.viz.modules import Group, group_operations
from minidl.viz.page import Page, build_page
from minidl.viz.summary import short
from minidl.viz.trace import Edge, Step, Trace, trace_backward

__all__ = ["graph"]

_LARGEST = 1000  # operations; above all the picture would be of no use
_OPEN = 30  # up to so many operations, all groups are shown open


def graph(
    loss: Tensor,
    path: str | os.PathLike[str] | None = None,
    model: Module | None = None,
    names: Mapping[str, Tensor] | None = None,
    title: str = "Graph and backward stepper",
) -> Page:
    """Draw the graph of a result and let its reader step back through it.

    The page shows every operation with its shape, value and gradient, and fills the gradients in one operation after
    the other, in the order of the engine's walk: each vector-Jacobian product, and each ``+=`` where a result was used
    more than once. Values and gradients are the engine's. No `grad` changes, and the graph can still be used.

    Parameters
    ----------
    loss : Tensor
        A scalar, before `backward` has freed its graph.
    path : path, optional
        The HTML file to write. In a notebook it can be left out: the last line of a cell shows itself.
    model : Module, optional
        Gives the parameters their names, and groups the operations by the modules in which they ran. Large graphs open
        with closed groups: click one, or press Enter on it.
    names : mapping, optional
        Names of further Tensors: inputs, or results on the way.
    title : str

    Returns
    -------
    Page
        `save(path)` writes it.

    Raises
    ------
    GraphError
        If nothing was recorded, or the graph was used up by an earlier `backward`.
    OptionError
        If there are more than 1,000 operations.

    Examples
    --------
    >>> import minidl
    >>> from minidl import viz
    >>> a, b = (minidl.tensor(x, requires_grad=True) for x in (2.0, -3.0))
    >>> viz.graph((a * b + a).tanh(), "graph.html", names={"a": a, "b": b})
    <Page 'Graph and backward stepper', ... kB>
    """
    named = dict(names or {})
    parameters = dict(model.named_parameters()) if model is not None else {}
    trace = trace_backward(loss, {**parameters, **named})
    count = sum(node.kind == "operation" for node in trace.nodes)
    if count > _LARGEST:
        raise OptionError(
            "graph", expected=f"at most {_LARGEST:,} operations", actual=f"{count:,}",
            hint="draw one layer, fewer steps in time, or the loss of one part",
        )  # fmt: skip
    kinds = {path: type(module).__name__ for path, module in model.named_modules()} if model is not None else {}
    taken = [""] * count
    for edge in trace.edges:
        name = trace.nodes[edge.source].name
        if trace.nodes[edge.source].kind == "leaf" and name in parameters and not taken[edge.target]:
            taken[edge.target] = name
    groups = group_operations(taken, kinds)
    data = _data(trace, groups, count)
    page = build_page("graph", ["layout.js", "graph_model.js", "graph.js"], title, data, _table(trace))
    if path is not None:
        page.save(path)
    return page


def _data(trace: Trace, groups: list[Group], count: int) -> dict[str, Any]:
    innermost = [-1] * len(trace.nodes)
    for number, stretch in enumerate(groups):  # outer ones come first
        for i in stretch.operations:
            innermost[i] = number
    for i in range(count, len(trace.nodes)):
        users = [innermost[edge.target] for edge in trace.edges if edge.source == i]
        innermost[i] = _common(users, groups)
    nodes = []
    for node, group in zip(trace.nodes, innermost, strict=True):
        entry: dict[str, Any] = {"kind": node.kind, "name": node.name, "shape": list(node.shape), "group": group}
        entry["value"] = node.value
        if node.label:
            entry["label"] = node.label
        nodes.append(entry)
    return {
        "nodes": nodes,
        "edges": [[edge.source, edge.output, edge.target, edge.input] for edge in trace.edges],
        "steps": [_step(step) for step in trace.steps],
        "groups": [{"label": g.label, "parent": g.parent, "operations": len(g.operations)} for g in groups],
        "loss": trace.loss,
        "closed": count > _OPEN,
    }


def _step(step: Step) -> dict[str, Any]:
    """A step without what the page knows already: a gradient's shape, and a sum of only one contribution."""

    def bare(summary: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in summary.items() if key != "shape"}

    parts = []
    for one in step.contributions:
        part: dict[str, Any] = {"edge": one.edge, "count": one.count, "value": bare(one.value)}
        if one.count > 1:
            part["total"] = bare(one.total)
        parts.append(part)
    return {"node": step.node, "incoming": [bare(summary) for summary in step.incoming], "contributions": parts}


def _common(groups_of_users: list[int], groups: list[Group]) -> int:
    """The innermost group that holds all of these."""

    def around(group: int) -> list[int]:
        chain = []
        while group != -1:
            chain.append(group)
            group = groups[group].parent
        return chain

    chains = [around(group) for group in groups_of_users]
    return next((group for group in chains[0] if all(group in chain for chain in chains)), -1)


# The table: the same in words


def _name(trace: Trace, edge: Edge) -> str:
    node = trace.nodes[edge.source]
    if node.kind == "operation":
        return f"#{edge.source + 1} {node.label or node.name}"
    return node.name or f"{node.kind} of shape {node.shape}"


def _table(trace: Trace) -> str:
    rows = []
    for number, step in enumerate(trace.steps, 1):
        node = trace.nodes[step.node]
        inputs = [_name(trace, edge) for edge in trace.edges if edge.target == step.node]
        to = "".join(
            f"<li>{html.escape(_name(trace, trace.edges[c.edge]))} {'+=' if c.count > 1 else '='} {short(c.value)}"
            f"{f', now {short(c.total)}' if c.count > 1 else ''}</li>"
            for c in step.contributions
        )
        label = f"{node.label} = {node.name}" if node.label else node.name
        rows.append(
            f'<tr><td>{number}</td><th scope="row">#{step.node + 1} {html.escape(label)}</th>'
            f"<td>{html.escape(', '.join(inputs))}</td><td>{node.shape}</td><td>{short(node.value)}</td>"
            f"<td>{'; '.join(short(g) for g in step.incoming)}</td><td><ul>{to}</ul></td></tr>"
        )
    heads = ("step", "operation", "inputs", "shape", "value", "gradient of its result", "gradients of its inputs")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
