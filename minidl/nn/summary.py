"""The table of a network: what each layer puts out, how many numbers it learns, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.dtypes import DTypeLike, as_dtype
from minidl.errors import OptionError
from minidl.modes import no_grad
from minidl.tensor import Tensor

__all__ = ["Summary", "SummaryRow", "summarize"]


@dataclass(frozen=True)
class SummaryRow:
    """One module.

    Attributes
    ----------
    path, kind : str
        Where it stands (``"features.0"``) and its class.
    output_shape : str
        What it put out; ``"not run"`` where the forward pass did not come by.
    parameters : int
        Its own, without its children; a shared parameter counts where it stands first.
    multiply_adds : int
        Of its own forward, summed over its calls.
    """

    path: str
    kind: str
    output_shape: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """Rows in the order of definition, and totals; `print` shows them as a table.

    Attributes
    ----------
    rows : tuple of SummaryRow
    total_parameters, trainable_parameters, total_multiply_adds : int
        Multiply-adds are those of the layers; functions called in a `forward` of your own are not seen.
    total_bytes : int
        Memory of parameters and buffers.
    """

    rows: tuple[SummaryRow, ...]
    total_parameters: int
    trainable_parameters: int
    total_multiply_adds: int
    total_bytes: int

    def __str__(self) -> str:
        header = ("Layer", "Output shape", "Parameters", "Multiply-adds")
        lines = [(_label(row), row.output_shape, f"{row.parameters:,}", f"{row.multiply_adds:,}") for row in self.rows]
        total = ("Total", "", f"{self.total_parameters:,}", f"{self.total_multiply_adds:,}")
        widths = [max(len(line[i]) for line in (header, *lines, total)) for i in range(4)]
        table = [_line(line, widths) for line in (header, *lines, total)]
        rule = "-" * (sum(widths) + 9)
        frozen = self.total_parameters - self.trainable_parameters
        note = (
            f"{self.trainable_parameters:,} parameters to learn, {frozen:,} frozen; "
            f"{self.total_bytes / 1e6:.2f} MB with buffers"
        )
        return "\n".join([table[0], rule, *table[1:-1], rule, table[-1], note])


def _label(row: SummaryRow) -> str:
    if not row.path:
        return row.kind
    return "  " * (row.path.count(".") + 1) + f"{row.path.rpartition('.')[2]}: {row.kind}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    texts = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return "   ".join(texts).rstrip()


def summarize(module: Any, input_shape: Any, dtype: DTypeLike = "float32") -> Summary:
    """Run `module` once on zeros and note what every layer did; see `Module.summary`."""
    inputs = [Tensor(np.zeros(shape, as_dtype(dtype))) for shape in _shapes(input_shape)]
    shapes: dict[int, str] = {}
    costs: dict[int, int] = {}

    def note(layer: Any, given: tuple[Any, ...], output: Any) -> None:
        shapes[id(layer)] = _describe(output)
        costs[id(layer)] = costs.get(id(layer), 0) + layer.multiply_adds(given, output)

    modes = [(layer, layer.training) for layer in module.modules()]
    handles = [layer.register_forward_hook(note) for layer in module.modules()]
    try:
        module.eval()
        with no_grad():
            module(*inputs)
    finally:
        for layer, mode in modes:
            layer.training = mode
        for handle in handles:
            handle.remove()

    rows = []
    counted: set[int] = set()
    for path, layer in module.named_modules():
        own = [p for p in layer.parameters(recurse=False) if id(p) not in counted]
        counted.update(id(p) for p in own)
        shape = shapes.get(id(layer), "not run")
        count = sum(p.size for p in own)
        rows.append(SummaryRow(path, type(layer).__name__, shape, count, costs.get(id(layer), 0)))
    parameters = list(module.parameters())
    return Summary(
        rows=tuple(rows),
        total_parameters=sum(p.size for p in parameters),
        trainable_parameters=sum(p.size for p in parameters if p.requires_grad),
        total_multiply_adds=sum(row.multiply_adds for row in rows),
        total_bytes=sum(tensor.data.nbytes for tensor in [*parameters, *module.buffers()]),
    )


def _shapes(input_shape: Any) -> list[tuple[int, ...]]:
    """The shapes of all inputs, given one shape or a list of them."""
    single = isinstance(input_shape, (tuple, list)) and not any(isinstance(s, (tuple, list)) for s in input_shape)
    shapes = [input_shape] if single else input_shape
    if not isinstance(shapes, (tuple, list)) or not all(
        isinstance(shape, (tuple, list)) and all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape)
        for shape in shapes
    ):
        raise OptionError("summary", expected="input_shape to be a tuple of sizes, or a list of such tuples",
                          actual=repr(input_shape), hint="with the batch dimension: (1, 3, 32, 32)")  # fmt: skip
    return [tuple(shape) for shape in shapes]


def _describe(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        return ", ".join(_describe(item) for item in output)
    return str(tuple(output.shape)) if hasattr(output, "shape") else type(output).__name__
