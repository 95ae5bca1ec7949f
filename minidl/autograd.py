"""Backward: walk the graph from the result to the leaves, newest operation first.

The whole of reverse-mode differentiation is the loop in `_walk`: take the newest operation whose output gradients are
complete, ask it for the gradients of its inputs, and add each to what is already waiting there. Operations carry a
sequence number, and an operation is always newer than those that made its inputs; so a heap gives the right order
without recursion, and a chain of 100,000 operations is no deeper than one of two.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from minidl.backends import backend_of
from minidl.errors import AnomalyError, DTypeError, GraphError, ShapeError
from minidl.modes import Mode, enable_grad, mode
from minidl.op import Op, all_finite, describe_nonfinite
from minidl.tensor import Tensor

__all__ = ["backward", "grad"]


def backward(
    tensor: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """Add to each leaf's `grad` the gradient of `tensor` with respect to it.

    Parameters
    ----------
    tensor : Tensor
        The result to go back from; a scalar unless `gradient` is given.
    gradient : array or Tensor, optional
        The weights of the outputs (the vector of the vector-Jacobian product), of the shape of `tensor`.
    retain_graph : bool, optional
        Keep the saved arrays for another backward. Default: the value of `create_graph`.
    create_graph : bool
        Record the gradient computation itself, so that it can be differentiated.

    Raises
    ------
    GraphError
        If nothing requires a gradient, the graph was freed, or a saved array was changed in place.
    ShapeError
        If the tensor is not a scalar and no `gradient` is given, or its shape differs. No `grad` has changed then.
    """
    seeds = _seed([tensor], [gradient], create_graph, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    with _Recording(create_graph):
        gathered = _walk(seeds, None, create_graph, retain)
        # All hooks run before the first grad changes: one that raises leaves everything as it was.
        for leaf in [leaf for leaf in gathered if leaf._hooks]:
            gathered[leaf] = _run_hooks(leaf._hooks, gathered[leaf][0]), False
        for leaf, (value, owned) in gathered.items():
            if owned and leaf.grad is None and type(value) is ndarray and value.dtype is leaf.data.dtype:
                leaf.grad = Tensor.of(value)  # by far the most frequent
            else:
                _accumulate(leaf, value, owned, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the (sum of the) outputs with respect to the inputs, leaving every `grad` as it is.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensors
        Inputs may be leaves or intermediate results.
    grad_outputs : array, Tensor or sequence, optional
        Weight of each output, as in `backward`.
    retain_graph, create_graph : bool
        As in `backward`.
    allow_unused : bool
        Return None, instead of raising, for an input on which no output depends.

    Returns
    -------
    tuple of Tensor
        One gradient for each input.

    Examples
    --------
    The third derivative of x⁴ at 2 is 24 · 2:

    >>> import minidl
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> y = x**4
    >>> for _ in range(3):
    ...     (y,) = minidl.grad(y, x, create_graph=True)
    >>> y.item()
    48.0
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else _listed("outputs", outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else _listed("inputs", inputs)
    weights = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(outputs)
    for tensor in inputs:
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            raise GraphError("grad", expected="inputs that require a gradient",
                             actual=f"a {type(tensor).__name__} that requires none",
                             hint="x.requires_grad_() before computing the outputs")  # fmt: skip
    seeds = _seed(outputs, weights, create_graph, "grad")
    retain = create_graph if retain_graph is None else retain_graph
    results: list[Tensor | None] = []
    with _Recording(create_graph):
        gathered = _walk(seeds, inputs, create_graph, retain)
        for tensor in inputs:
            key = _key(tensor)
            if key not in gathered:
                if not allow_unused:
                    raise GraphError("grad", expected="inputs on which the outputs depend",
                                     actual=f"input {len(results)} of shape {tensor.shape} is not used",
                                     hint="allow_unused=True gives None for it")  # fmt: skip
                results.append(None)
                continue
            value, owned = gathered[key]
            value = _run_hooks(tensor._hooks, value)
            results.append(_own(tensor, value, owned and not tensor._hooks, create_graph))
            gathered[key] = value, False  # the same input may be asked for again
        for key, (value, _) in gathered.items():
            if isinstance(key, Tensor) and key.op is not None:  # it retains its gradient
                _accumulate(key, value, False, create_graph)
    return tuple(results)


_QUIET = Mode(recording=False)


class _Recording:
    """Record what backward computes, or not. An infinite slope (sqrt at 0) is a result, nothing to warn of."""

    def __init__(self, create_graph: bool) -> None:
        self.create_graph = create_graph
        self.warnings: Any = np.errstate(all="ignore")

    def __enter__(self) -> None:
        self.before = mode.get()
        quiet = not self.create_graph and not self.before.anomaly  # by far the most frequent
        mode.set(_QUIET if quiet else Mode(self.create_graph, self.before.anomaly))
        self.warnings.__enter__()

    def __exit__(self, *exception: object) -> None:
        self.warnings.__exit__(*exception)
        mode.set(self.before)


def _listed(what: str, values: Any) -> list[Tensor]:
    if not isinstance(values, Iterable):
        raise GraphError("grad", expected=f"{what} that are a Tensor or several", actual=f"a {type(values).__name__}")
    return list(values)


def _key(tensor: Tensor) -> Any:
    """Under which its gradient is gathered: a leaf itself, or the operation and the number of its output."""
    return tensor if tensor.edge is None else tensor.edge[:2]


def _seed(outputs: list[Tensor], weights: list[Any], create_graph: bool, name: str) -> list[tuple[Tensor, Any]]:
    """Check the starting points and give each the gradient to start with."""
    if len(outputs) != len(weights):
        raise ShapeError(name, expected=f"{len(outputs)} grad_outputs", actual=f"{len(weights)}")
    seeds = []
    for output, weight in zip(outputs, weights, strict=True):
        if not isinstance(output, Tensor) or not output.requires_grad:
            raise GraphError(
                name,
                expected="a result that depends on a Tensor with requires_grad=True",
                actual=f"a {type(output).__name__} that requires no gradient",
                hint="set requires_grad=True before computing it, and do not compute it under no_grad()",
            )
        backend = backend_of(output.data)
        if weight is None:
            if output.data.size != 1:
                raise ShapeError(
                    name,
                    expected="a scalar, or the argument gradient",
                    actual=f"shape {output.shape}",
                    hint="reduce to one number first, e.g. .sum() or .mean()",
                )
            data = backend.xp.empty(output.data.shape, output.data.dtype)
            data.fill(1)
        else:
            data = weight.data if isinstance(weight, Tensor) else backend.xp.asarray(weight)
            if data.shape != output.data.shape:
                raise ShapeError(name, expected=f"a gradient of shape {output.shape}", actual=f"shape {data.shape}")
            if data.dtype != output.data.dtype:
                if create_graph and isinstance(weight, Tensor) and weight.requires_grad:
                    raise DTypeError(name, expected=f"a gradient of dtype {output.dtype}", actual=str(data.dtype),
                                     hint="convert it with astype, so that the conversion is recorded")  # fmt: skip
                data, weight = data.astype(output.dtype), None
        if create_graph:
            seeds.append((output, weight if isinstance(weight, Tensor) else Tensor.of(data[...])))
        else:
            seeds.append((output, data))
    return seeds


def _walk(seeds: list[tuple[Tensor, Any]], targets: list[Tensor] | None, create_graph: bool, retain: bool) -> Any:
    """Carry gradients from the seeds back to the targets (None: to every leaf).

    Returns ``{key: (gradient, owned)}``; `owned` says that no one else holds the gradient's memory.
    """
    wanted = None if targets is None else {_key(t) for t in targets}
    useful = None if wanted is None else _useful([output for output, _ in seeds], wanted)
    pending: dict[Op, list[Any]] = {}  # what has arrived for the outputs of an operation
    gathered: dict[Any, tuple[Any, bool]] = {}
    heap: list[tuple[int, Op]] = []
    anomaly = mode.get().anomaly
    push, pop = heapq.heappush, heapq.heappop
    # The seeds are handed on first, as if one operation with all these inputs had just gone back.
    op: Any = None
    edges: Sequence[Any] = [output.edge or output for output, _ in seeds]
    grads: Sequence[Any] = [value for _, value in seeds]
    results, saved = tuple(grads), ()
    while True:
        holders: list[int] | None = None
        for value, edge in zip(results, edges):  # noqa: B905 - of equal length, and strict is slow
            if value is None or edge is None:
                continue
            inner = type(edge) is tuple
            shape = edge[2] if inner else edge.data.shape
            try:
                fits = value.shape == shape
            except AttributeError:
                fits = False
            if not fits:
                _refuse_shape(op, results, value, shape)
            if inner:
                source, index, _ = edge
                waiting = pending.get(source)
                if waiting is None:
                    pending[source] = waiting = [None] * (len(source._outputs) or 1) if source.special else [None]
                    push(heap, (-source.seq, source))
                elif waiting[index] is not None:
                    value = waiting[index] + value
                waiting[index] = value
            elif edge in gathered:
                gathered[edge] = _sum(*gathered[edge], value)
            else:
                # Memory that belongs to no one else the leaf may take without a copy.
                if holders is None:
                    holders = [*map(id, results), *map(id, grads), *map(id, saved)]
                owned = holders.count(id(value)) == 1 and type(value) is ndarray and value.base is None
                gathered[edge] = value, owned
        results = saved = ()  # let go of what is not needed while the next operation goes back
        if not heap:
            return gathered
        op = pop(heap)[1]
        grads = pending.pop(op)
        special = op.special
        if special:
            grads = _finish(op, grads, create_graph, gathered)
        edges = op.edges
        asked = None
        if wanted is not None and useful is not None:
            for index, value in enumerate(grads):
                if (op, index) in wanted:
                    gathered[op, index] = value, False
            if op not in useful:
                continue
            asked = tuple([_leads_on(edge, wanted, useful) for edge in edges])
            edges = [edge if leads else None for edge, leads in zip(edges, asked, strict=True)]
        ready = op.restore(create_graph, asked)
        results = ready.backward(*grads) if special else ready.backward(grads[0])
        if type(results) is not tuple:
            results = tuple(results) if type(results) is list else (results,)
        if len(results) != len(edges) or anomaly:
            _check_results(op, edges, results, grads)
        saved = ready.saved
        if saved and not retain:  # they are let go of: the operation cannot go back again
            op.saved, op._origins = None, ()


def _sum(total: Any, owned: bool, value: Any) -> tuple[Any, bool]:
    """The gradient of a leaf with another one added: into the same memory from the second sum on."""
    if owned and type(total) is ndarray:
        np.add(total, value, out=total)
        return total, True
    return total + value, True


def _leads_on(edge: Any, wanted: Any, useful: Any) -> bool:
    if edge is None or wanted is None:
        return edge is not None
    return edge in wanted if isinstance(edge, Tensor) else edge[:2] in wanted or edge[0] in useful


def _useful(outputs: list[Tensor], wanted: set[Any]) -> set[Op]:
    """The operations on a path from the outputs to the wanted Tensors; only these are asked for gradients."""
    reached: set[Op] = set()
    stack = [output.op for output in outputs if output.op is not None]
    while stack:
        op = stack.pop()
        if op not in reached:
            reached.add(op)
            stack.extend(edge[0] for edge in op.edges if isinstance(edge, tuple))
    useful: set[Op] = set()
    for op in sorted(reached, key=lambda node: node.seq):
        if any(_leads_on(edge, wanted, useful) for edge in op.edges):  # type: ignore[union-attr]
            useful.add(op)
    return useful


def _finish(op: Op, grads: list[Any], create_graph: bool, gathered: dict[Any, Any]) -> list[Any]:
    """The complete gradients of an operation's outputs: zeros where none came, hooks run, gathered where retained."""
    for index, value in enumerate(grads):
        if value is None:
            shape, dtype = op._outputs[index]
            if dtype.kind != "f":
                continue
            like = next(g for g in grads if g is not None)
            zeros = backend_of(like.data if create_graph else like).xp.zeros(shape, dtype)
            grads[index] = Tensor.of(zeros) if create_graph else zeros
        elif op._hooks and index in op._hooks:
            hooked = _run_hooks(op._hooks[index], value)
            grads[index] = hooked if create_graph or not isinstance(hooked, Tensor) else hooked.data
        if op._retained and index in op._retained:
            tensor = op._retained[index]()
            if tensor is not None:
                gathered[tensor] = grads[index], False
    return grads


def _run_hooks(hooks: list[Any] | None, value: Any) -> Any:
    for hook in list(hooks or ()):
        tensor = value if isinstance(value, Tensor) else Tensor.of(np.asarray(value))
        replaced = hook(tensor)
        if replaced is not None and (not isinstance(replaced, Tensor) or replaced.shape != tensor.shape):
            raise GraphError(
                "register_hook", expected=f"a hook that returns None or a Tensor of shape {tensor.shape}",
                actual=f"a {type(replaced).__name__} of shape {np.shape(replaced)}",
            )  # fmt: skip
        value = tensor if replaced is None else replaced.astype(tensor.dtype)
    return value


def _check_results(op: Op, edges: Sequence[Any], results: tuple[Any, ...], grads: list[Any]) -> None:
    if len(results) != len(edges):
        raise GraphError(
            f"{op.name}.backward", expected=f"{len(edges)} gradients, one for each input", actual=f"{len(results)}",
            hint="return None for inputs that have no gradient",
        )  # fmt: skip
    arrays = [v.data if isinstance(v, Tensor) else v for v in results]
    incoming = [g.data if isinstance(g, Tensor) else g for g in grads]
    if all_finite(incoming) and not all_finite(arrays):
        raise AnomalyError(
            op.name,
            expected="finite gradients from finite gradients",
            actual=f"{describe_nonfinite(arrays)} in the backward pass",
            hint=f"computed at {op.line or 'a line that ran outside detect_anomaly()'}",
        )


def _refuse_shape(op: Op, results: tuple[Any, ...], value: Any, shape: tuple[int, ...] | None) -> None:
    number = next(i for i, result in enumerate(results) if result is value)
    raise ShapeError(
        f"{op.name}.backward",
        expected=f"a gradient of shape {shape} for input {number}",
        actual=f"shape {value.shape}" if hasattr(value, "shape") else f"a {type(value).__name__}",
        hint="sum over the axes that forward broadcast: minidl.sum_to(gradient, shape)",
    )


def _own(like: Tensor, value: Any, owned: bool, create_graph: bool) -> Tensor:
    """A gradient as a Tensor that shares its memory with nothing else, of the type of `like`."""
    if create_graph:
        value = value if isinstance(value, Tensor) else Tensor.of(value)
        return value.astype(like.dtype)
    if isinstance(value, Tensor):
        value = value.data
    if not owned or value.dtype != like.dtype or isinstance(value, np.generic):  # what sums of 0-d arrays are
        value = backend_of(like.data).xp.array(value, like.dtype)
    return Tensor.of(value)


def _accumulate(leaf: Tensor, value: Any, owned: bool, create_graph: bool) -> None:
    """Add a gradient to ``leaf.grad``."""
    if create_graph:
        value = _own(leaf, value, owned, create_graph)
        leaf.grad = value.clone() if leaf.grad is None else leaf.grad + value
    elif leaf.grad is None:
        leaf.grad = _own(leaf, value, owned, create_graph)
    elif leaf.grad.requires_grad:
        with enable_grad():
            leaf.grad = leaf.grad + _own(leaf, value, owned, create_graph)
    else:
        leaf.grad.data += value.data if isinstance(value, Tensor) else value
        leaf.grad.mark_changed()
