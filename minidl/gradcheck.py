"""Proof by finite differences: the gradient check, and the registry of cases that the certificate runs.

The check is one recursion. For a function f with outputs y, draw random weights w and compare

    analytic:  grad(y, x, w)                          (backward, what is to be proven)
    numeric:   (Σ w·f(x + h e) - Σ w·f(x - h e)) / 2h   (nothing but evaluations of f)

for each element e of each input. The gradient is itself a function of (x, w), so order 2 is the same check of that
function, and so on to any order. The numeric side runs `backward` on plain arrays and the analytic side at the next
order runs it on Tensors, so the two ways of running a backward are held against each other, too.

Every operation stands in its file together with its `cases`: how to draw inputs, and an oracle that computes the same
value by other means. `minidl.certificate` makes the whole test matrix out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from minidl.autograd import grad
from minidl.backends import host_array
from minidl.errors import DTypeError, GradcheckError, OptionError
from minidl.modes import enable_grad
from minidl.tensor import Tensor

__all__ = [
    "Call",
    "Case",
    "Comparison",
    "Constant",
    "call",
    "cases",
    "compare_gradients",
    "gradcheck",
    "registry",
]

Function: TypeAlias = Callable[..., Any]


# --- the check -------------------------------------------------------------------------------------------------------


@dataclass
class Comparison:
    """Analytic against numeric gradient of one input at one order."""

    order: int
    input: int
    analytic: np.ndarray
    numeric: np.ndarray
    errors: np.ndarray = field(repr=False)
    kink: bool = False

    @property
    def worst(self) -> tuple[int, ...]:
        """Index of the worst element."""
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(self.errors)), self.errors.shape))

    @property
    def error(self) -> float:
        """Largest relative error."""
        return float(self.errors.max(initial=0.0))

    def describe(self) -> str:
        """The finding in words."""
        i = self.worst
        text = (
            f"order {self.order}, input {self.input}, index {i}: analytic {self.analytic[i]:.9g}, "
            f"numeric {self.numeric[i]:.9g}, relative error {self.errors[i]:.2g}"
        )
        return text + (" (the function has a kink near this point: draw another)" if self.kink else "")


def compare_gradients(
    function: Function, inputs: Sequence[np.ndarray], order: int, eps: float, rng: np.random.Generator
) -> list[Comparison]:
    """Compare analytic and numeric gradients of `function` at every order up to `order`.

    Parameters
    ----------
    function : callable
        Takes Tensors, returns a Tensor or a sequence of Tensors.
    inputs : sequence of float64 arrays
    order : int
        Highest order of derivative.
    eps : float
        Step of the central difference, relative to max(1, \\|x\\|).
    """
    return _compare(lambda tensors, record: _outputs(function(*tensors)), list(inputs), order, 1, eps, rng)


def _compare(
    function: Callable[[list[Tensor], bool], list[Tensor]],
    inputs: list[np.ndarray],
    orders_left: int,
    order: int,
    eps: float,
    rng: np.random.Generator,
) -> list[Comparison]:
    leaves = [Tensor(x.copy(), requires_grad=True) for x in inputs]
    with enable_grad():
        outputs = function(leaves, True)
    weights = [np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape), y.dtype) for y in outputs]
    found = _gradients(outputs, leaves, [Tensor(w) for w in weights], create_graph=False)

    def value(arrays: list[np.ndarray]) -> float:
        with enable_grad():
            results = function([Tensor(x, requires_grad=True) for x in arrays], False)
        return float(sum((w * y.data).sum() for w, y in zip(weights, results, strict=True)))

    comparisons = []
    for i, analytic in enumerate(found):
        numeric, bend = _differences(value, inputs, i, eps)
        scale = np.abs(analytic) + np.abs(numeric) + 1e-2 * np.abs(numeric).max(initial=0.0) + 1e-8
        comparison = Comparison(order, i, analytic, numeric, np.abs(analytic - numeric) / scale)
        if numeric.size:
            # A kink is a slope that differs on the two sides; for a smooth function they agree to about eps.
            comparison.kink = bool(bend[comparison.worst] > 1e-3 * scale[comparison.worst])
        comparisons.append(comparison)

    if orders_left > 1:
        count = len(inputs)

        def gradient(tensors: list[Tensor], record: bool) -> list[Tensor]:
            results = function(tensors[:count], True)
            found = _gradients(results, tensors[:count], tensors[count:], create_graph=record)
            return [g if isinstance(g, Tensor) else Tensor(g) for g in found]

        comparisons += _compare(gradient, [*inputs, *weights], orders_left - 1, order + 1, eps, rng)
    return comparisons


def _gradients(outputs: list[Tensor], inputs: list[Tensor], weights: list[Tensor], create_graph: bool) -> list[Any]:
    """Gradients with zeros where there is no dependence: arrays, or Tensors under `create_graph`."""
    live = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if live:
        found = grad([y for y, _ in live], inputs, [w for _, w in live], create_graph=create_graph, allow_unused=True)
    values = [Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for x, g in zip(inputs, found, strict=True)]
    return values if create_graph else [g.data for g in values]


def _differences(
    value: Callable[[list[np.ndarray]], float], inputs: list[np.ndarray], which: int, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Central differences with respect to one input, and how much the slopes on the two sides disagree."""
    numeric = np.zeros(inputs[which].shape)
    bend = np.zeros(inputs[which].shape)
    middle = value(inputs)
    for index in np.ndindex(*inputs[which].shape):
        x = inputs[which][index]
        step = eps * max(1.0, abs(float(x)))
        sides = []
        for sign in (1.0, -1.0):
            moved = [array.copy() if i == which else array for i, array in enumerate(inputs)]
            moved[which][index] = x + sign * step
            sides.append(value(moved))
        numeric[index] = (sides[0] - sides[1]) / (2 * step)
        bend[index] = abs(sides[0] - 2 * middle + sides[1]) / step
    return numeric, bend


def _outputs(result: Any) -> list[Tensor]:
    """The floating-point Tensors among what a function returned."""
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    return [y for y in results if isinstance(y, Tensor) and y.dtype.kind == "f"]


def gradcheck(
    function: Function,
    inputs: Tensor | np.ndarray | Sequence[Any],
    order: int = 1,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Check the gradient of a function against central differences.

    Parameters
    ----------
    function : callable
        Takes the inputs as Tensors; returns a Tensor or several. It must be deterministic.
    inputs : Tensor, array or sequence of them
        Floating-point inputs must be float64 and are all checked; others are passed on as they are.
    order : int
        Check derivatives up to this order.
    eps : float
        Step of the differences, relative to max(1, |x|).
    rtol : float
        Largest relative error, ``|a - n| / (|a| + |n| + max|n|/100)``, that passes.
    raise_exception : bool
        Raise on failure (default) or return False.
    seed : int
        Of the random weights of the outputs.

    Raises
    ------
    GradcheckError
        Names the input, the worst index, both values, the error, and whether the point looks like a kink.
    DTypeError
        If there is no float64 input, or one of lower precision.

    Examples
    --------
    >>> import minidl
    >>> gradcheck(lambda x, w: minidl.tanh(x @ w), [minidl.randn(2, 3, dtype="float64"),
    ...                                             minidl.randn(3, 2, dtype="float64")], order=2)
    True
    """
    if order < 1:
        raise OptionError("gradcheck", expected="order >= 1", actual=str(order))
    values: list[Any] = [inputs] if isinstance(inputs, (Tensor, np.ndarray)) else list(inputs)
    device = next((value.device for value in values if isinstance(value, Tensor)), "cpu")
    # Differences are taken in main memory; each point is sent to where the function computes.
    values = [host_array(value.data) if isinstance(value, Tensor) else value for value in values]
    places = [i for i, v in enumerate(values) if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    for i in places:
        if values[i].dtype != np.float64:
            raise DTypeError("gradcheck", expected="float64 inputs", actual=f"input {i} of {values[i].dtype}",
                             hint="differences of float32 are noise: x.astype(minidl.float64)")  # fmt: skip
    if not places:
        raise DTypeError("gradcheck", expected="at least one float64 array", actual=f"{len(values)} other inputs")

    def of_floats(*tensors: Tensor) -> Any:
        arguments = list(values)
        for place, tensor in zip(places, tensors, strict=True):
            arguments[place] = tensor
        if device == "cpu":
            return function(*arguments)
        arguments = [Tensor(value) if isinstance(value, np.ndarray) else value for value in arguments]
        sent = [value.to(device) if isinstance(value, Tensor) else value for value in arguments]
        return [output.cpu() for output in _outputs(function(*sent))]

    arrays = [values[i] for i in places]
    if not _outputs(of_floats(*[Tensor(array) for array in arrays])):
        raise DTypeError("gradcheck", expected="a function that returns Tensors of floats", actual="no such output",
                         hint="compute with minidl operations, not on .data or .numpy()")  # fmt: skip
    found = compare_gradients(of_floats, arrays, order, eps, np.random.default_rng(seed))
    wrong = [comparison for comparison in found if not comparison.error <= rtol]  # a NaN is wrong, too
    if not wrong:
        return True
    if not raise_exception:
        return False
    worst = max(wrong, key=lambda comparison: comparison.error)
    worst.input = places[worst.input] if worst.input < len(places) else worst.input
    raise GradcheckError(
        "gradcheck",
        expected=f"relative errors up to {rtol:g}",
        actual=worst.describe(),
        hint="the backward of one of the operations is wrong" if not worst.kink else "draw inputs away from the kink",
    )


# --- the registry ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """The arguments of one call: float arrays among them are differentiated, also inside a list."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def call(*args: Any, **kwargs: Any) -> Call:
    """Write down the arguments of a call, for a case's sampler."""
    return Call(args, kwargs)


@dataclass(frozen=True)
class Constant:
    """A float array that is an argument but not differentiated (running statistics, class weights)."""

    array: np.ndarray


@dataclass(frozen=True)
class Case:
    """One way to call one operation: drawn inputs, an independent oracle, and the order to prove.

    Attributes
    ----------
    function : callable
        The public operation.
    label : str
        What is special about this case.
    sample : callable
        Takes a `numpy.random.Generator`, returns a `Call` with float64 arrays.
    oracle : callable
        Plain NumPy (or loops) on the same arguments; never the code under test.
    order : int
        Highest order of derivative to prove; 0 for operations without a gradient.
    elementwise : bool
        Shapes are free: the runner adds 0-d, zero-size and broadcast inputs by itself.
    """

    function: Function
    label: str
    sample: Callable[[np.random.Generator], Call]
    oracle: Function
    order: int = 2
    elementwise: bool = False

    @property
    def name(self) -> str:
        """Name of the operation."""
        return self.function.__name__


registry: list[Case] = []
"""Every case of every operation, in the order of their files."""


def cases(
    function: Function,
    oracle: Function,
    samples: Mapping[str, Callable[[np.random.Generator], Call]],
    order: int = 2,
    elementwise: bool = False,
) -> None:
    """Register the gradient-check cases of an operation: ``{label: sampler}``.

    A case whose true gradient is zero proves nothing and is refused by the runner; `order` is 0 only for operations
    that have no gradient at all, or that of a flat function: zeros.
    """
    registry.extend(Case(function, label, sample, oracle, order, elementwise) for label, sample in samples.items())
