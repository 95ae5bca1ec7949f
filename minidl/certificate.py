"""The gradient certificate: every case of every operation, through the whole test matrix, on every backend.

An operation registers cases (see `minidl.gradcheck`); from each this file derives

- the value against the independent oracle, and against the same call on plain arrays;
- finite differences in float64 up to the order asked for, drawn again where a point sits at a kink;
- that the true gradient is not zero: such a case would prove nothing, and is refused;
- float32: the type of the results, and agreement with float64;
- transposed, reversed and read-only inputs; inputs that are left unchanged; gradients that share no memory;
- for elementwise operations also 0-d, zero-size and broadcast inputs.

`certify` does it for the whole registry and adds the operations that have no case at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minidl import cuda, ops
from minidl.autograd import grad
from minidl.backends import available_backends, host_array, to_device, use_backend
from minidl.backends.cuda.device import check_device
from minidl.gradcheck import Call, Case, Comparison, Constant, compare_gradients, registry
from minidl.random import get_rng_state, manual_seed, set_rng_state
from minidl.tensor import Tensor

__all__ = ["Report", "certify", "check_case", "format_table", "missing_operations"]

TOLERANCE = 1e-5
"""Largest relative error of a gradient that passes; differences in float64 are good to about 1e-8."""

_EPS = 1e-5
_DRAWS = 20


@dataclass
class Report:
    """What was found for one operation."""

    name: str
    cases: int = 0
    order: int = 0
    error: float = 0.0
    backends: tuple[str, ...] = ()
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


# --- calling a case --------------------------------------------------------------------------------------------------


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _map(value: Any, function: Callable[[np.ndarray], Any]) -> Any:
    """Apply a function to each float array of a call's arguments, also inside lists; unwrap constants."""
    if isinstance(value, Constant):
        return value.array
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_map(item, function) for item in value)
    return function(value) if _is_float(value) else value


def _constants(value: Any, function: Callable[[np.ndarray], Any]) -> Any:
    """The same for the constants, which stay wrapped."""
    if isinstance(value, Constant):
        return Constant(function(value.array)) if _is_float(value.array) else value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_constants(item, function) for item in value)
    return value


def floats_of(call: Call) -> list[np.ndarray]:
    """The differentiated arrays of a call, in order."""
    found: list[np.ndarray] = []
    _map([*call.args, *call.kwargs.values()], found.append)
    return found


def invoke(case: Case, call: Call, values: Sequence[Any]) -> list[Any]:
    """Call the operation with its differentiated arrays replaced by `values`; always the same random numbers."""
    supply = iter(values)
    state = get_rng_state()
    manual_seed(0)
    try:
        result = case.function(
            *[_map(a, lambda _: next(supply)) for a in call.args],
            **{key: _map(a, lambda _: next(supply)) for key, a in call.kwargs.items()},
        )
    finally:
        set_rng_state(state)
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _oracle(case: Case, call: Call) -> list[np.ndarray]:
    values = [_map(a, np.copy) for a in call.args]
    result = case.oracle(*values, **{key: _map(a, np.copy) for key, a in call.kwargs.items()})
    return [np.asarray(a) for a in (result if isinstance(result, (tuple, list)) else [result])]


def _cast(call: Call, dtype: Any) -> Call:
    def convert(array: np.ndarray) -> np.ndarray:
        return array.astype(dtype)

    def given(value: Any) -> Any:
        if isinstance(value, np.dtype) and value.kind == "f":  # an option that names a type
            return np.dtype(dtype).newbyteorder(value.byteorder)
        return _constants(value, convert)

    return Call(tuple(given(a) for a in call.args), {k: given(a) for k, a in call.kwargs.items()})


def _on_cuda(case: Case) -> Case:
    """The case with its operation on the GPU: what goes in is sent there, what comes out is fetched, both recorded."""

    def send(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(*map(send, value)) if hasattr(value, "_fields") else type(value)(map(send, value))
        if isinstance(value, Tensor):
            return value.to("cuda")
        return to_device(value, "cuda") if isinstance(value, np.ndarray) else value

    def fetch(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [fetch(each) for each in value]
        if isinstance(value, Tensor):
            return value.cpu()
        return host_array(value) if hasattr(value, "dtype") else value

    def function(*args: Any, **kwargs: Any) -> Any:
        return fetch(case.function(*send(args), **{name: send(value) for name, value in kwargs.items()}))

    function.__name__ = case.name
    return replace(case, function=function)


# --- one case --------------------------------------------------------------------------------------------------------


def _array(value: Any) -> np.ndarray:
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def _close(found: Any, wanted: Any, rtol: float) -> bool:
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if found.shape != wanted.shape:
        return False
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = finite.max(initial=0.0) + 1e-30
    return bool(np.allclose(found, wanted, rtol=rtol, atol=rtol * scale, equal_nan=True))


def _gradients(case: Case, call: Call, leaves: list[Tensor]) -> tuple[list[Tensor], list[Any]]:
    outputs = invoke(case, call, leaves)
    live = [y for y in outputs if isinstance(y, Tensor) and y.requires_grad]
    weights = [np.linspace(0.5, 1.5, max(y.size, 1))[: y.size].reshape(y.shape).astype(y.dtype) for y in live]
    found = grad(live, leaves, weights, allow_unused=True) if live else tuple(None for _ in leaves)
    return outputs, [None if g is None else g.data for g in found]


def check_case(case: Case, order: int, seed: int = 0) -> tuple[list[Comparison], list[str]]:
    """Run one case through the matrix on the current backend.

    Returns
    -------
    comparisons : list of Comparison
        Of every order that was proven.
    failures : list of str
        What went wrong, in words; empty when the case passes.
    """
    rng = np.random.default_rng(seed)
    call = case.sample(rng)
    failures = list(_check_values(case, call))
    if case.order == 0:
        # None, or that of a flat function (floor): zeros.
        _, found = _gradients(case, call, [Tensor(x, requires_grad=True) for x in floats_of(call)])
        if any(g is not None and g.any() for g in found):
            failures.append("has a gradient, but its case claims order 0")
        return [], failures
    comparisons, trouble = _differentiate(case, min(order, case.order), rng, call)
    failures += trouble
    failures += _check_memory(case, call)
    failures += _check_layouts(case, call)
    failures += _check_single(case, call)
    if case.elementwise:
        for variant, label in _free_shapes(case, call):
            drawn = variant.sample(rng)
            failures += [f"{label}: {text}" for text in _check_values(variant, drawn)]
            failures += [f"{label}: {text}" for text in _differentiate(variant, 1, rng, drawn, True)[1]]
    return comparisons, failures


def _check_values(case: Case, call: Call) -> Iterator[str]:
    arrays = floats_of(call)
    wanted = _oracle(case, call)
    recorded = [_array(y) for y in invoke(case, call, [Tensor(x, requires_grad=True) for x in arrays])]
    plain = [_array(y) for y in invoke(case, call, [Tensor(x) for x in arrays])]
    if len(wanted) != len(recorded):
        yield f"gives {len(recorded)} results, the oracle {len(wanted)}"
        return
    for found, expected, unrecorded in zip(recorded, wanted, plain, strict=True):
        if found.shape != expected.shape:
            yield f"has shape {found.shape}, the oracle {expected.shape}"
        elif not _close(found, expected, 1e-9):
            yield f"differs from the oracle by {np.abs(found - expected).max():.2g}"
        if not np.array_equal(found, unrecorded, equal_nan=found.dtype.kind == "f"):
            yield "computes something else when it is not recorded"


def _differentiate(
    case: Case, order: int, rng: np.random.Generator, call: Call, may_vanish: bool = False
) -> tuple[list[Comparison], list[str]]:
    """Finite differences; a point that looks like a kink is drawn again."""
    for _ in range(_DRAWS):
        arrays = floats_of(call)
        found = compare_gradients(lambda *tensors, c=call: invoke(case, c, tensors), arrays, order, _EPS, rng)
        wrong = [c for c in found if not c.error <= TOLERANCE]
        if any(c.kink for c in wrong):
            call = case.sample(rng)
            continue
        failures = [c.describe() for c in wrong]
        if not may_vanish:
            first = [c for c in found if c.order == 1]
            failures += [
                f"proves nothing: the true gradient of input {c.input} is zero"
                for c in first
                if c.numeric.size == 0 or np.abs(c.numeric).max() < 1e-6
            ]
        return found, failures
    return [], [f"every one of {_DRAWS} draws sits at a kink"]


def _check_memory(case: Case, call: Call) -> Iterator[str]:
    """Inputs are left alone, and no gradient shares memory with anything else."""
    arrays = [x.copy() for x in floats_of(call)]
    before = [x.copy() for x in arrays]
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    outputs = invoke(case, call, leaves)
    live = [y for y in outputs if isinstance(y, Tensor) and y.requires_grad]
    weights = [np.ones(y.shape, y.dtype) for y in live]
    total: Any = sum((ops.sum_to(y * w, ()) for y, w in zip(live, weights, strict=True)), Tensor(0.0, "float64"))
    total.backward()
    if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, before, strict=True)):
        yield "changes its input"
    grads = [leaf.grad.data for leaf in leaves if leaf.grad is not None]
    others = [*arrays, *weights, *[y.data for y in live]]
    for i, g in enumerate(grads):
        if any(np.may_share_memory(g, other) for other in [*grads[:i], *others]):
            yield f"gradient {i} shares memory with something else"
        if not g.flags.writeable:
            yield f"gradient {i} is read-only"


def _layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers in other memory."""
    spaced = np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
    reversed_ = np.ascontiguousarray(x[..., ::-1])[..., ::-1] if x.ndim else x
    frozen = x.copy()
    frozen.flags.writeable = False
    return {"transposed": np.asarray(x, order="F"), "spaced": spaced, "reversed": reversed_, "read-only": frozen}


def _check_layouts(case: Case, call: Call) -> Iterator[str]:
    arrays = floats_of(call)
    wanted_outputs, wanted = _gradients(case, call, [Tensor(x, requires_grad=True) for x in arrays])
    for layout in ("transposed", "spaced", "reversed", "read-only"):
        leaves = [Tensor(_layouts(x)[layout], requires_grad=True) for x in arrays]
        outputs, found = _gradients(case, call, leaves)
        same = all(_close(_array(a), _array(b), 1e-12) for a, b in zip(outputs, wanted_outputs, strict=True))
        same_grads = all((a is None and b is None) or _close(a, b, 1e-12) for a, b in zip(found, wanted, strict=True))
        if not (same and same_grads):
            yield f"gives another {'gradient' if same else 'value'} for {layout} inputs"


def _check_single(case: Case, call: Call) -> Iterator[str]:
    """float32 in, float32 out, close to what float64 gives."""
    arrays = floats_of(call)
    exact, exact_grads = _gradients(case, call, [Tensor(x, requires_grad=True) for x in arrays])
    single = _cast(call, np.float32)
    leaves = [Tensor(x.astype(np.float32), requires_grad=True) for x in arrays]
    outputs, found = _gradients(case, single, leaves)
    for y, wanted in zip(outputs, exact, strict=True):
        if _array(wanted).dtype == np.float64 and _array(y).dtype != np.float32:
            yield f"float32 becomes {_array(y).dtype}"
        elif not _close(_array(y), _array(wanted), 1e-4):
            yield "is inaccurate in float32"
    for g, wanted in zip(found, exact_grads, strict=True):
        if g is None:
            continue
        if g.dtype != np.float32:
            yield f"the gradient of float32 is {g.dtype}"
        elif not _close(g, wanted, 1e-3):
            yield "has an inaccurate gradient in float32"


def _free_shapes(case: Case, call: Call) -> Iterator[tuple[Case, str]]:
    """The case with its first float argument, or all, of other shapes."""

    def reshaped(shape_of: Callable[[int, np.ndarray], np.ndarray]) -> Callable[[np.random.Generator], Call]:
        def sample(rng: np.random.Generator) -> Call:
            drawn = case.sample(rng)
            count = iter(range(len(drawn.args)))
            return Call(tuple(_map(a, lambda x: shape_of(next(count), x)) for a in drawn.args), drawn.kwargs)

        return sample

    yield replace(case, sample=reshaped(lambda i, x: x.reshape(-1)[:1].reshape(()))), "0-d"
    yield replace(case, sample=reshaped(lambda i, x: x[:0])), "zero-size"
    if len(floats_of(call)) > 1:
        yield replace(case, sample=reshaped(lambda i, x: x[:1] if i == 0 else x)), "first broadcast"
        yield replace(case, sample=reshaped(lambda i, x: x if i == 0 else x[0])), "others broadcast"


# --- the whole registry ----------------------------------------------------------------------------------------------


def missing_operations() -> list[str]:
    """Exported operations without a single case."""
    covered = {id(case.function) for case in registry}
    return [name for name in ops.__all__ if id(getattr(ops, name)) not in covered]


def certify(
    names: Iterable[str] = (),
    order: int = 2,
    backends: Sequence[str] | None = None,
    progress: Callable[[list[Case]], Iterable[Case]] = lambda cases: cases,
) -> list[Report]:
    """Prove every operation of the registry.

    Parameters
    ----------
    names : iterable of str
        Only these operations; all when empty.
    order : int
        Highest order of derivative.
    backends : sequence of str, optional
        Default: all that are there, "cuda" among them where there is a GPU.
    progress : callable
        Wraps the list of cases, e.g. ``tqdm.tqdm``.

    Returns
    -------
    list of Report
        In the order of the registry; operations without a case at the end, as failures.
    """
    chosen = set(names)
    if backends is None:
        backends = [*available_backends(), *(["cuda"] if cuda.is_available() else [])]
    elif "cuda" in backends:
        check_device()
    kinds = tuple(backends)
    reports: dict[str, Report] = {}
    for case in progress([case for case in registry if not chosen or case.name in chosen]):
        report = reports.setdefault(case.name, Report(case.name, backends=kinds))
        report.cases += 1
        report.order = max(report.order, min(order, case.order))
        for kind in kinds:
            with contextlib.nullcontext() if kind == "cuda" else use_backend(kind):
                try:
                    comparisons, failures = check_case(_on_cuda(case) if kind == "cuda" else case, order)
                except Exception as error:  # a case that crashes is a finding, not the end of the run
                    comparisons, failures = [], [f"{type(error).__name__}: {error}"]
            report.error = max([report.error, *[c.error for c in comparisons]])
            report.failures += [f"{case.label} ({kind}): {text}" for text in failures]
    for name in missing_operations():
        if not chosen or name in chosen:
            reports[name] = Report(name, failures=["no gradient-check case"])
    return list(reports.values())


def format_table(reports: Sequence[Report]) -> str:
    """The certificate as text."""
    width = max([len(report.name) for report in reports] + [9])
    lines = [f"{'operation':<{width}}  cases  orders  worst error  backends", "-" * (width + 44)]
    for report in reports:
        orders = f"1-{report.order}" if report.order > 1 else ("1" if report.order else "value")
        error = f"{report.error:.1e}" if report.order else "-"
        mark = ", ".join(report.backends) if report.passed else "FAILED"
        lines.append(f"{report.name:<{width}}  {report.cases:>5}  {orders:>6}  {error:>11}  {mark}")
    failed = [report for report in reports if not report.passed]
    for report in failed:
        lines.append("")
        lines += [f"{report.name}: {failure}" for failure in report.failures]
    lines.append("")
    total = sum(report.cases for report in reports)
    verdict = f"{_counted(len(failed), 'operation')} FAILED" if failed else "every gradient proven"
    lines.append(f"{_counted(len(reports), 'operation')}, {_counted(total, 'case')}: {verdict}")
    return "\n".join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
