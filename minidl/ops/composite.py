"""Differentiating a composite formula: the derivative of a fused kernel for which nobody wants to write one.

A fused gradient kernel (`BatchNormGrad`) computes in one pass what many basic operations would compute in ten. Its own
derivative, needed at second order, is long and easy to get wrong, and speed hardly matters there. So it is not
written: the same gradient is spelled as a plain *formula* of basic minidl operations, and `differentiate` lets
autograd differentiate that.

The trick that makes it work at any order: the gradient of a formula is again a formula. `FormulaGrad` is an ordinary
Op whose inputs are everything that its result depends on; its forward differentiates the formula on fresh leaves, and
its backward hands "differentiate that formula" to the next `FormulaGrad` as a formula.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from minidl.autograd import grad
from minidl.backends import backend_of
from minidl.modes import enable_grad
from minidl.op import Op
from minidl.tensor import Tensor

__all__ = ["Formula", "differentiate"]

Formula: TypeAlias = "Callable[..., Sequence[Tensor]]"
"""Takes Tensors (or None where an input is absent), returns Tensors; written in recorded operations."""


class FormulaGrad(Op):
    """The gradients of ``Σₖ Σ vₖ · formula(u)ₖ`` in chosen inputs u; its own inputs are all u, and then all v."""

    def __init__(self, formula: Formula, count: int, chosen: tuple[int, ...]) -> None:
        self.formula = formula
        self.count = count
        self.chosen = chosen

    def forward(self, *values: Any) -> Any:
        self.save(*values)
        leaves = [None if value is None else Tensor(value, requires_grad=True) for value in values]
        results = _gradient(self.formula, self.count, self.chosen, False, *leaves)
        return tuple([result.data for result in results])

    def backward(self, *grads: Any) -> Any:
        assert self.saved is not None
        gradient = functools.partial(_gradient, self.formula, self.count, self.chosen, True)
        return differentiate(gradient, self.saved, grads, self.needs)


def _gradient(formula: Formula, count: int, chosen: tuple[int, ...], create_graph: bool, *values: Any) -> list[Tensor]:
    """What `FormulaGrad` computes, on Tensors: zeros where the formula does not depend on an input."""
    with enable_grad():
        outputs = formula(*values[:count])
    live = [(y, v) for y, v in zip(outputs, values[count:], strict=True) if y.requires_grad]
    inputs = [values[i] for i in chosen]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if live:
        found = grad([y for y, _ in live], inputs, [v for _, v in live], create_graph=create_graph, allow_unused=True)
    return [
        Tensor.of(backend_of(u.data).xp.zeros_like(u.data)) if g is None else g
        for u, g in zip(inputs, found, strict=True)
    ]


def differentiate(
    formula: Formula, inputs: Sequence[Any], weights: Sequence[Any], needs: Sequence[bool]
) -> tuple[Any, ...]:
    r"""Return the gradients of a weighted sum of a formula's outputs, to be used inside a `backward`.

    .. math:: \partial_{u_i} \sum_k \langle v_k, \mathrm{formula}(u)_k \rangle

    Parameters
    ----------
    formula : callable
        Takes the inputs as Tensors and returns a sequence of Tensors, by recorded minidl operations alone.
    inputs : sequence of arrays, Tensors or None
        The point u. Arrays give arrays; with a Tensor that requires a gradient the result is recorded.
    weights : sequence of arrays or Tensors
        One v for each output, of its shape: the incoming gradients.
    needs : sequence of bool
        Which gradients are wanted; None stands in the result for the others.

    Examples
    --------
    >>> import numpy as np
    >>> differentiate(lambda x, y: [x * x * y], [np.array([3.0]), np.array([5.0])], [np.ones(1)], [True, False])
    (array([30.]), None)
    """
    chosen = tuple([i for i, wanted in enumerate(needs) if wanted])
    found: list[Any] = [None] * len(inputs)
    if chosen:
        results = FormulaGrad(formula, len(inputs), chosen)(*inputs, *weights)
        for i, result in zip(chosen, results, strict=True):
            found[i] = result
    return tuple(found)
