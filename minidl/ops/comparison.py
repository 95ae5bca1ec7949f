"""Comparisons and logic: results are boolean (or whole numbers) and have no gradient.

One class serves them all, for they have nothing to go back with: it names the array function that does the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import promote
from minidl.tensor import Tensor

__all__ = [
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
]


class Predicate(Op):
    """An array function of NumPy's whose result is boolean or integer."""

    def __init__(self, function: str) -> None:
        self.function = function

    @property
    def name(self) -> str:
        """The function, for messages."""
        return self.function

    def forward(self, *inputs: Any) -> Any:
        array = next(value for value in inputs if hasattr(value, "dtype"))
        return getattr(backend_of(array).xp, self.function)(*inputs)


def eq(a: Any, b: Any) -> Any:
    """Whether ``a = b``, element by element; NaN equals nothing. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> eq(minidl.tensor([1.0, 2.0]), 2)
    tensor([False,  True])
    """
    return Predicate("equal")(*promote(a, b))


def ne(a: Any, b: Any) -> Any:
    """Whether ``a ≠ b``, element by element. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> ne(minidl.tensor([1.0, 2.0]), 2)
    tensor([ True, False])
    """
    return Predicate("not_equal")(*promote(a, b))


def lt(a: Any, b: Any) -> Any:
    """Whether ``a < b``, element by element. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> lt(minidl.tensor([1.0, 2.0]), 2)
    tensor([ True, False])
    """
    return Predicate("less")(*promote(a, b))


def le(a: Any, b: Any) -> Any:
    """Whether ``a ≤ b``, element by element. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> le(minidl.tensor([1.0, 2.0]), 2)
    tensor([ True,  True])
    """
    return Predicate("less_equal")(*promote(a, b))


def gt(a: Any, b: Any) -> Any:
    """Whether ``a > b``, element by element. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> gt(minidl.tensor([1.0, 2.0]), 1)
    tensor([False,  True])
    """
    return Predicate("greater")(*promote(a, b))


def ge(a: Any, b: Any) -> Any:
    """Whether ``a ≥ b``, element by element. Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> ge(minidl.tensor([1.0, 2.0]), 2)
    tensor([False,  True])
    """
    return Predicate("greater_equal")(*promote(a, b))


def isnan(x: Any) -> Any:
    """Whether each element is NaN.

    Examples
    --------
    >>> import minidl
    >>> isnan(minidl.tensor([1.0, float("nan"), float("inf")]))
    tensor([False,  True, False])
    """
    return Predicate("isnan")(x)


def isinf(x: Any) -> Any:
    """Whether each element is infinite, of either sign.

    Examples
    --------
    >>> import minidl
    >>> isinf(minidl.tensor([1.0, float("nan"), float("-inf")]))
    tensor([False, False,  True])
    """
    return Predicate("isinf")(x)


def isfinite(x: Any) -> Any:
    """Whether each element is neither NaN nor infinite.

    Examples
    --------
    >>> import minidl
    >>> isfinite(minidl.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    return Predicate("isfinite")(x)


def logical_and(a: Any, b: Any) -> Any:
    """Whether both elements are true (not zero). Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> logical_and(minidl.tensor([0.0, 1.0]), minidl.tensor([True, True]))
    tensor([False,  True])
    """
    return Predicate("logical_and")(*promote(a, b))


def logical_or(a: Any, b: Any) -> Any:
    """Whether at least one of the elements is true (not zero). Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> logical_or(minidl.tensor([0, 1]), minidl.tensor([0, 0]))
    tensor([False,  True])
    """
    return Predicate("logical_or")(*promote(a, b))


def logical_xor(a: Any, b: Any) -> Any:
    """Whether exactly one of the elements is true (not zero). Shapes and errors as in `add`.

    Examples
    --------
    >>> import minidl
    >>> logical_xor(minidl.tensor([0, 1]), minidl.tensor([1, 1]))
    tensor([ True, False])
    """
    return Predicate("logical_xor")(*promote(a, b))


def logical_not(x: Any) -> Any:
    """Whether each element is false (zero).

    Examples
    --------
    >>> import minidl
    >>> logical_not(minidl.tensor([0.0, 1.0]))
    tensor([ True, False])
    """
    return Predicate("logical_not")(x)


def bitwise_and(a: Any, b: Any) -> Any:
    """``a & b``: "and" of booleans, or of the bits of integers.

    Raises
    ------
    DTypeError
        If an operand holds floats.
    ShapeError
        If the shapes do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> bitwise_and(minidl.tensor([True, False]), minidl.tensor([True, True]))
    tensor([ True, False])
    """
    return Predicate("bitwise_and")(*_whole("bitwise_and", *promote(a, b)))


def bitwise_or(a: Any, b: Any) -> Any:
    """``a | b``: "or" of booleans, or of the bits of integers. Errors as in `bitwise_and`.

    Examples
    --------
    >>> import minidl
    >>> bitwise_or(minidl.tensor([1, 2]), 4)
    tensor([5, 6])
    """
    return Predicate("bitwise_or")(*_whole("bitwise_or", *promote(a, b)))


def bitwise_xor(a: Any, b: Any) -> Any:
    """``a ^ b``: "exclusive or" of booleans, or of the bits of integers. Errors as in `bitwise_and`.

    Examples
    --------
    >>> import minidl
    >>> bitwise_xor(minidl.tensor([True, False]), True)
    tensor([False,  True])
    """
    return Predicate("bitwise_xor")(*_whole("bitwise_xor", *promote(a, b)))


def bitwise_not(x: Any) -> Any:
    """``~x``: "not" of booleans, or of the bits of integers. Errors as in `bitwise_and`.

    Examples
    --------
    >>> import minidl
    >>> bitwise_not(minidl.tensor([True, False]))
    tensor([False,  True])
    """
    return Predicate("bitwise_not")(*_whole("bitwise_not", x))


def _whole(name: str, *values: Any) -> tuple[Any, ...]:
    """The operands themselves, if none of them holds floats."""
    for value in values:
        kind = value.dtype if hasattr(value, "dtype") else type(value)
        if isinstance(value, float) or (hasattr(value, "dtype") and value.dtype.kind == "f"):
            raise DTypeError(name, expected="booleans or integers", actual=str(kind),
                             hint="compare first: (x > 0) & (x < 1) needs its parentheses")  # fmt: skip
    return values


def equals(a: Any, b: Any) -> Any:
    """The operator ``==``: `eq`, but what holds no numbers (None, a string) is left to Python, and is unequal."""
    return eq(a, b) if _numeric(b) else NotImplemented


def differs(a: Any, b: Any) -> Any:
    """The operator ``!=``, the opposite of `equals`."""
    return ne(a, b) if _numeric(b) else NotImplemented


def _numeric(value: Any) -> bool:
    return isinstance(value, (Tensor, int, float, list, tuple)) or hasattr(value, "dtype")


def _loop(test: Any) -> Any:
    """An oracle that asks Python about each pair of elements."""

    def oracle(*arrays: np.ndarray) -> np.ndarray:
        spread = np.broadcast_arrays(*arrays)
        answers = [test(*[v.item() for v in values]) for values in zip(*[a.ravel() for a in spread], strict=True)]
        return np.array(answers, dtype=None if answers else bool).reshape(spread[0].shape)

    return oracle


def _small(r: np.random.Generator, low: int = -2, high: int = 3) -> Any:
    return call(r.integers(low, high, (3, 4)).astype(float), r.integers(low, high, (3, 4)).astype(float))


def _special(r: np.random.Generator) -> Any:
    return call(r.choice([0.0, -1.5, np.nan, np.inf, -np.inf], (3, 4)))


def _booleans(r: np.random.Generator) -> Any:
    return call(r.random((3, 4)) < 0.5, r.random((3, 4)) < 0.5)


def _integers(r: np.random.Generator) -> Any:
    return call(r.integers(0, 64, (3, 4)), r.integers(0, 64, (3, 4)))


cases(eq, _loop(lambda a, b: a == b), {"with ties": _small}, order=0, elementwise=True)
cases(ne, _loop(lambda a, b: a != b), {"with ties": _small}, order=0, elementwise=True)
cases(lt, _loop(lambda a, b: a < b), {"with ties": _small}, order=0, elementwise=True)
cases(le, _loop(lambda a, b: a <= b), {"with ties": _small}, order=0, elementwise=True)
cases(gt, _loop(lambda a, b: a > b), {"with ties": _small}, order=0, elementwise=True)
cases(ge, _loop(lambda a, b: a >= b), {"with ties": _small}, order=0, elementwise=True)
cases(isnan, _loop(lambda x: x != x), {"special values": _special}, order=0, elementwise=True)
cases(isinf, _loop(lambda x: abs(x) == float("inf")), {"special values": _special}, order=0, elementwise=True)
cases(isfinite, _loop(lambda x: x - x == 0), {"special values": _special}, order=0, elementwise=True)
cases(logical_and, _loop(lambda a, b: bool(a and b)), {"with zeros": _small}, order=0, elementwise=True)
cases(logical_or, _loop(lambda a, b: bool(a or b)), {"with zeros": _small}, order=0, elementwise=True)
cases(logical_xor, _loop(lambda a, b: (a == 0) != (b == 0)), {"with zeros": _small}, order=0, elementwise=True)
cases(logical_not, _loop(lambda x: not x), {"with zeros": lambda r: call(_small(r).args[0])}, order=0, elementwise=True)
cases(bitwise_and, _loop(lambda a, b: a & b), {"booleans": _booleans, "integers": _integers}, order=0)
cases(bitwise_or, _loop(lambda a, b: a | b), {"booleans": _booleans, "integers": _integers}, order=0)
cases(bitwise_xor, _loop(lambda a, b: a ^ b), {"booleans": _booleans, "integers": _integers}, order=0)
cases(
    bitwise_not,
    lambda x: x == False if x.dtype == bool else -1 - x,  # noqa: E712  # the oracle's own way to say "not"
    {"booleans": lambda r: call(_booleans(r).args[0]), "integers": lambda r: call(_integers(r).args[0])},
    order=0,
)
