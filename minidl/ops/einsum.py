"""Sums of products in index notation, ``einsum("bik,bkj->bij", a, b)``.

An equation with any number of operands comes down to steps that are known already: a repeated index is a diagonal, an
index that nobody else needs is a sum, and what remains is contracted two operands at a time. Such a contraction is a
matrix product once the indices are grouped, and its gradients are contractions of the same kind:

    ∂L/∂a = einsum(y, b -> a) of ∂L/∂y and b,    ∂L/∂b = einsum(a, y -> b) of a and ∂L/∂y.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError, ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import promote
from minidl.ops.matrix import diagonal
from minidl.ops.permutation import Permute
from minidl.ops.shape import Reshape

__all__ = ["einsum"]

Label: TypeAlias = str | int
"""A letter of the equation; a negative number for a dimension under ``...``, counted from the right."""

Labels: TypeAlias = tuple[Label, ...]


class Contract(Op):
    """y[out] = Σ a[left] · b[right] over the labels that `out` lacks, which both operands have.

    Every label is in two of the three lists at least, and none twice in one: then the gradients are of this form, too.
    """

    def __init__(self, left: Labels, right: Labels, out: Labels) -> None:
        self.left, self.right, self.out = left, right, out

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        left, right, out = self.left, self.right, self.out
        batch = [label for label in left if label in right and label in out]
        summed = [label for label in left if label not in out]
        rows = [label for label in left if label not in right]
        columns = [label for label in right if label not in left]
        size = dict(zip((*left, *right), (*a.shape, *b.shape), strict=True))
        shape = [size[label] for label in (*batch, *rows, *columns)]
        a = _arrange(a, left, (*batch, *rows, *summed))
        b = _arrange(b, right, (*batch, *summed, *columns))
        if summed:
            m, k, n, count = (math.prod(size[label] for label in group) for group in (rows, summed, columns, batch))
            y = backend_of(a).matmul(a.reshape(count, m, k), b.reshape(count, k, n)).reshape(shape)
        else:
            y = a.reshape(*a.shape, *[1] * len(columns)) * b.reshape(
                *b.shape[: len(batch)], *[1] * len(rows), *b.shape[len(batch) :]
            )
        return _arrange(y, (*batch, *rows, *columns), out)

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        return (
            Contract(self.out, self.right, self.left)(grad, b) if self.needs[0] else None,
            Contract(self.left, self.out, self.right)(a, grad) if self.needs[1] else None,
        )


def _arrange(x: Any, labels: Sequence[Label], order: Sequence[Label]) -> Any:
    return x.transpose([labels.index(label) for label in order])


def einsum(equation: str, *operands: Any) -> Any:
    """Sum of products in Einstein's notation, as in ``einsum("ij,jk->ik", a, b)``.

    One letter names one index. The result has the indices after ``->``; all others are summed over. A letter that one
    operand has twice takes its diagonal; ``...`` stands for further dimensions, which broadcast. Without ``->`` the
    result has the letters that occur once, in alphabetical order, after those of ``...``.

    Parameters
    ----------
    equation : str
    *operands : Tensor or array
        Contracted from left to right: put first what makes small results.

    Raises
    ------
    OptionError
        If the equation cannot be read.
    ShapeError
        If an operand has not as many dimensions as letters, or one letter stands for different sizes.

    Examples
    --------
    >>> import minidl
    >>> a = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ij,jk->ik", a, a)
    tensor([[ 7., 10.],
            [15., 22.]])
    >>> einsum("ii", a)
    tensor(5.)
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    terms, out = _parse(equation, [x.ndim for x in operands])
    # Reads from the right, so that the pair that is contracted first stands at the end.
    stack = list(zip(*_align(equation, terms, _one_type(operands)), strict=True))[::-1]
    x, labels = stack.pop()
    while stack:
        y, others = stack.pop()
        later = {*out, *(label for _, term in stack for label in term)}
        x, labels = _sum_lone(x, labels, {*others, *later})
        y, others = _sum_lone(y, others, {*labels, *later})
        both = (*labels, *(label for label in others if label not in labels))
        kept = tuple([label for label in both if label in later])
        x, labels = Contract(labels, others, kept)(x, y), kept
    x, labels = _sum_lone(x, labels, set(out))
    return Permute(tuple([labels.index(label) for label in out]))(x) if labels != out or len(operands) == 1 else x


def _parse(equation: str, ndims: list[int]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ndims):
        raise OptionError("einsum", expected=f"{len(texts)} operand(s) for {equation!r}", actual=f"{len(ndims)}")
    terms = [_read(equation, text, ndim) for text, ndim in zip(texts, ndims, strict=True)]
    hidden = tuple(sorted({label for term in terms for label in term if isinstance(label, int)}))
    counts = Counter(label for term in terms for label in term if isinstance(label, str))
    if not arrow:
        return terms, (*hidden, *sorted(label for label, count in counts.items() if count == 1))
    out = _read(equation, right, len(right.replace("...", "")) + len(hidden) * ("..." in right))
    unknown = [label for label in out if isinstance(label, str) and label not in counts]
    if unknown or len(set(out)) != len(out):
        raise OptionError(
            "einsum",
            expected="each index of the result once, and in an operand",
            actual=f"{unknown[0]!r} in {equation!r}" if unknown else f"{right!r}",
        )
    return terms, out


def _read(equation: str, text: str, ndim: int) -> Labels:
    before, dots, after = text.partition("...")
    if any(letter not in string.ascii_letters for letter in before + after):
        raise OptionError("einsum", expected='letters, "...", "," and "->", like "ij,jk->ik"', actual=repr(equation))
    count = ndim - len(before) - len(after)
    if count < 0 or (count and not dots):
        raise ShapeError(
            "einsum",
            expected=f"{len(before) + len(after)} dimensions for {text!r}{' or more' if dots else ''}",
            actual=f"{ndim}",
        )
    return (*before, *range(-count, 0), *after)


def _one_type(operands: Sequence[Any]) -> list[Any]:
    common = operands[0]
    for operand in operands[1:]:
        common = promote(common, operand)[0]
    return [promote(operand, common)[0] for operand in operands]


def _align(equation: str, terms: list[Labels], operands: list[Any]) -> tuple[list[Any], list[Labels]]:
    """Diagonals of repeated labels; dimensions of size one dropped where others are larger, which is broadcasting."""
    aligned: list[Any] = []
    labels: list[Labels] = []
    sizes: dict[Label, int] = {}
    for x, term in zip(operands, terms, strict=True):
        for label in dict.fromkeys(term):
            while term.count(label) > 1:
                i = term.index(label)
                j = term.index(label, i + 1)
                if x.shape[i] != x.shape[j]:
                    raise _mismatch(equation, label, x.shape[i], x.shape[j])
                x = diagonal(x, 0, i, j)
                term = (*term[:i], *term[i + 1 : j], *term[j + 1 :], label)
        aligned.append(x)
        labels.append(term)
        for label, size in zip(term, x.shape, strict=True):
            known = sizes.setdefault(label, size)
            if size != known and size != 1 and known != 1:
                raise _mismatch(equation, label, known, size)
            if known == 1:
                sizes[label] = size
    for n, (x, term) in enumerate(zip(aligned, labels, strict=True)):
        kept = [i for i, label in enumerate(term) if x.shape[i] == sizes[label]]
        if len(kept) < len(term):
            aligned[n] = Reshape(tuple([x.shape[i] for i in kept]))(x)
            labels[n] = tuple([term[i] for i in kept])
    return aligned, labels


def _mismatch(equation: str, label: Label, first: int, second: int) -> ShapeError:
    what = f"index {label!r}" if isinstance(label, str) else "a dimension of ..."
    return ShapeError("einsum", expected=f"one size for {what} in {equation!r}", actual=f"{first} and {second}")


def _sum_lone(x: Any, labels: Labels, needed: set[Label]) -> tuple[Any, Labels]:
    """Sum over the labels that are not needed any more."""
    if needed.issuperset(labels):
        return x, labels
    kept = sum_to(x, tuple([size if label in needed else 1 for label, size in zip(labels, x.shape, strict=True)]))
    labels_left = tuple([label for label in labels if label in needed])
    return Reshape(tuple([n for label, n in zip(labels, x.shape, strict=True) if label in needed]))(kept), labels_left


def _loop_einsum(equation: str, *operands: np.ndarray) -> np.ndarray:
    """Every combination of all indices, one product after the other; no ellipsis, explicit result."""
    left, _, right = equation.partition("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for label, size in zip(term, x.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    out = np.zeros([sizes[label] for label in right])
    for index in np.ndindex(*sizes.values()):
        at = dict(zip(sizes, index, strict=True))
        product = 1.0
        for term, x in zip(terms, operands, strict=True):
            product *= x[tuple(at[label] if n > 1 else 0 for label, n in zip(term, x.shape, strict=True))]
        out[tuple(at[label] for label in right)] += product
    return out


def _equation(text: str, *shapes: tuple[int, ...]) -> Any:
    return lambda r: call(text, *[r.normal(size=shape) for shape in shapes])


cases(
    einsum,
    _loop_einsum,
    {
        "product": _equation("ij,jk->ik", (2, 3), (3, 4)),
        "batch": _equation("bik,bjk->jbi", (2, 2, 3), (2, 2, 3)),
        "elementwise": _equation("ij,ij->ji", (2, 3), (2, 3)),
        "outer": _equation("i,jk->kij", (2,), (3, 2)),
        "sum": _equation("ijk->k", (2, 3, 2)),
        "trace": _equation("ii->", (3, 3)),
        "diagonals": _equation("iji,kk->kj", (2, 3, 2), (2, 2)),
        "three": _equation("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
        "shared by three": _equation("ia,ja,ka->ijk", (2, 2), (2, 2), (2, 2)),
        "lone indices": _equation("ij,kl->i", (2, 3), (2, 2)),
        "to a number": _equation("ij,ij->", (2, 3), (2, 3)),
        "size one": _equation("ij,jk->ik", (2, 1), (3, 2)),
    },
)
cases(
    einsum,
    lambda equation, *operands: np.einsum(equation, *operands),
    {
        "ellipsis": _equation("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
        "ellipsis broadcasts": _equation("i...,...->...", (2, 3, 1), (2,)),
        "implicit": _equation("ba,bc", (2, 3), (2, 2)),
    },
)
