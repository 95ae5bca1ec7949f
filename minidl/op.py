"""Op: the base of every operation. It checks, computes, and records how to go back.

An operation is a class with two methods::

    class Square(Op):
        def forward(self, x):            # plain arrays in, plain array out
            self.save(x)
            return x * x

        def backward(self, grad):        # minidl operations on what it is given
            (x,) = self.saved
            return grad * 2 * x

    y = Square()(x)                      # one instance is one node of the graph

Called on plain arrays it only computes. With a Tensor among its inputs it returns a Tensor, and where a gradient is
wanted that Tensor points back to this node. `backward` is given arrays for an ordinary gradient, so it costs no
more than the arithmetic; under ``create_graph=True`` the very same code is given Tensors and is recorded itself:
that is how derivatives of any order come about.

The graph is made of Ops alone. A node knows for each input where its gradient belongs (`edges`: a leaf Tensor, or
the Op that made the input and the number of its output) and what `forward` saved. It never holds its own output, so
there are no reference cycles, and an intermediate result that no backward needs is freed with its Tensor.
"""

from __future__ import annotations

import copy
import math
import os
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minidl.errors import AnomalyError, GraphError, MinidlError, ShapeError
from minidl.tensor import Tensor, clock, grad_mode

__all__ = ["Edge", "Op"]

Edge: TypeAlias = "Tensor | tuple[Op, int] | None"
"""Where the gradient of an input belongs: a leaf, an output of another Op, or nowhere."""

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Op:
    """One operation in the graph; subclasses define `forward` and `backward`.

    Attributes
    ----------
    saved : tuple
        What `forward` gave to `save`: arrays, or Tensors when the gradient itself is being recorded.
    needs : tuple of bool
        During `backward`: for each input, whether its gradient is wanted. Others may be returned as None.
    """

    saved: Any = ()  # a tuple; None once a backward has freed it
    needs: tuple[bool, ...] = ()
    edges: Sequence[Edge] | None = None
    # True where the output may share memory with the first input (reshape, slices): they share a version, too.
    view = False

    _origins: Sequence[Any] = ()
    _hooks: dict[int, list[Callable[..., Any]]] | None = None
    _retained: dict[int, weakref.ref[Tensor]] | None = None
    line = ""

    @property
    def name(self) -> str:
        """Name of the operation, for messages and pictures."""
        return type(self).__name__

    # What an operation defines

    def forward(self, *inputs: Any) -> Any:
        """Compute the output array (or a tuple of them) from plain arrays."""
        raise NotImplementedError(f"{self.name} must define forward")

    def backward(self, *grads: Any) -> Any:
        """Gradients of the inputs (one, or a tuple with None where there is none), given those of the outputs."""
        raise NotImplementedError(f"{self.name} has no gradient: define backward")

    def save(self, *arrays: Any) -> None:
        """Keep inputs, outputs, or integer and boolean arrays for `backward`.

        A float array that is neither an input nor an output is refused: `backward` could not see how it depends on
        the inputs, and the second derivative would be wrong without a sign. Make it an output, or compute it again.
        """
        self.saved = arrays

    # Calling it

    def __call__(self, *inputs: Any) -> Any:
        """Compute; record the node if a gradient can flow to one of the inputs."""
        arrays = []
        traced = recording = loose = False
        for value in inputs:
            if isinstance(value, Tensor):
                traced = True
                recording = recording or value._requires_grad
                arrays.append(value.data)
            else:
                loose = loose or isinstance(value, np.ndarray)
                arrays.append(value)
        recording = recording and grad_mode.enabled
        if recording and (loose or self.edges is not None):
            self._prepare(inputs, arrays)
        try:
            outputs = self.forward(*arrays)
        except ValueError as error:
            if isinstance(error, MinidlError):
                raise
            raise self._explain(error, arrays) from error
        if isinstance(outputs, np.generic):  # what NumPy makes of 0-d results
            outputs = self._as_array(outputs)
        if not traced:
            return outputs
        if grad_mode.anomaly:
            self._check_finite(arrays, outputs)
        if type(outputs) is tuple:
            return self._finish_many(inputs, arrays, outputs, recording)
        if recording:
            return self._record(inputs, arrays, outputs)
        return self._view_of(inputs, arrays, Tensor.of(outputs)) if self.view else Tensor.of(outputs)

    def _as_array(self, scalar: np.generic) -> np.ndarray:
        array = np.asarray(scalar)
        if self.saved:
            self.saved = tuple([array if value is scalar else value for value in self.saved])
        return array

    def _explain(self, error: ValueError, arrays: list[Any]) -> ShapeError:
        """What NumPy says of shapes that do not fit, with the operation's name and all shapes."""
        shapes = ", ".join(str(np.shape(array)) for array in arrays if array is not None)
        return ShapeError(self.name, expected="inputs whose shapes fit together", actual=f"shapes {shapes} ({error})")

    def _prepare(self, inputs: tuple[Any, ...], arrays: list[Any]) -> None:
        if self.edges is not None:
            raise GraphError(
                self.name, expected="a new instance for each call", actual="an instance that is already in a graph",
                hint=f"one Op is one node: call {self.name}(...)(x) anew",
            )  # fmt: skip
        for i, value in enumerate(arrays):
            # An array that came without a Tensor gets an identity of its own: _origins_of relies on it.
            if value is inputs[i] and isinstance(value, np.ndarray):
                arrays[i] = value[...]

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], output: Any) -> Tensor:
        """Tie the node to its inputs, and a Tensor around its one output to the node."""
        for array in arrays:
            if array is output:
                output = output[...]
                break
        result = Tensor.of(output, self if output.dtype.kind == "f" else None)
        if self.view:
            self._view_of(inputs, arrays, result)
        self.shapes: tuple[Any, ...] = (output.shape,)
        self._tie(inputs, arrays, (result,))
        return result

    def _tie(self, inputs: tuple[Any, ...], arrays: list[Any], results: tuple[Tensor, ...]) -> None:
        """Note where gradients go, and whence each saved array came: an input, or (number, version) of an output."""
        self.seq = next(clock)
        # Plain loops: this runs for every operation, and a comprehension costs a call of its own.
        edges: list[Edge] = []
        for value in inputs:
            if isinstance(value, Tensor) and value._requires_grad:
                edges.append(value if value.op is None else (value.op, value.index))
            else:
                edges.append(None)
        self.edges = edges
        if self.saved:
            origins: list[Any] = []
            for saved in self.saved:
                for value, array in zip(inputs, arrays):  # noqa: B905 - of equal length, and strict is slow
                    if array is saved:
                        origins.append(value)
                        break
                else:
                    origins.append(self._origin_among(results, saved))
            self._origins = origins

    def _finish_many(
        self, inputs: tuple[Any, ...], arrays: list[Any], outputs: tuple[Any, ...], recording: bool
    ) -> tuple[Tensor, ...]:
        """The same for several outputs."""
        results = []
        for index, output in enumerate(outputs):
            output = self._as_array(output) if isinstance(output, np.generic) else output
            if any(array is output for array in arrays):
                output = output[...]
            op = self if recording and output.dtype.kind == "f" else None
            result = Tensor.of(output, op, index)
            results.append(self._view_of(inputs, arrays, result) if self.view else result)
        if recording:
            self.shapes = tuple([result.shape for result in results])
            self._templates = tuple([result.data.dtype for result in results])
            self._tie(inputs, arrays, tuple(results))
        return tuple(results)

    def _view_of(self, inputs: tuple[Any, ...], arrays: list[Any], result: Tensor) -> Tensor:
        """Let the result share the version of the first input, if it is a view of its memory."""
        # A view's base is the owner of the memory; a copy (what reshape makes of a transpose) has another one.
        base, source = result.data.base, arrays[0]
        if isinstance(inputs[0], Tensor) and base is not None and (base is source or base is source.base):
            result._version = inputs[0].shared_version()
        return result

    def _origin_among(self, results: tuple[Tensor, ...], saved: Any) -> tuple[int, list[int]] | None:
        for number, result in enumerate(results):
            if result.data is saved:
                # Not the Tensor itself: that would be a cycle.
                return number, result.shared_version()
        if hasattr(saved, "dtype") and saved.dtype.kind == "f":
            raise GraphError(
                f"{self.name}.save",
                expected="inputs or outputs of forward",
                actual=f"another float array of shape {saved.shape}",
                hint="what it owes to the inputs would be lost at second order: return it as an output, or compute "
                "it again in backward",
            )
        return None

    # Going back

    def restore(self, as_tensors: bool) -> Op:
        """This node ready for `backward`: its saved arrays checked, and tied into the graph if `as_tensors`.

        Raises
        ------
        GraphError
            If the saved arrays are gone (a second backward) or one was changed in place since.
        """
        if self.saved is None:
            raise GraphError(
                "backward",
                expected="a graph that has not been used up",
                actual=f"{self.name}, whose saved arrays an earlier backward freed",
                hint="compute the loss again, or call the earlier one with retain_graph=True",
            )
        for saved, origin in zip(self.saved, self._origins):  # noqa: B905 - no origins before recording
            if isinstance(origin, Tensor):
                version, same = origin._version, origin.data is saved
            elif type(origin) is tuple:
                version, same = origin[1], True
            else:
                continue
            if not same or (version is not None and version[0] > self.seq):
                self._refuse_change(saved, origin)
        if not as_tensors or not self._origins:
            return self
        twin = copy.copy(self)
        twin.saved = tuple([self._as_tensor(a, o) for a, o in zip(self.saved, self._origins, strict=True)])
        return twin

    def _refuse_change(self, saved: Any, origin: Any) -> None:
        what = "an input" if isinstance(origin, Tensor) else f"output {origin[0]}"
        raise GraphError(
            "backward",
            expected=f"the arrays as {self.name} saved them",
            actual=f"{what} of {self.name}, of shape {saved.shape}, was changed in place since",
            hint="change it after backward, or change a copy",
        )

    def _as_tensor(self, saved: Any, origin: Any) -> Any:
        if not hasattr(saved, "dtype") or saved.dtype.kind != "f":
            return saved  # integers and masks are locally constant
        if isinstance(origin, Tensor):
            return origin
        return Tensor.of(saved, self, *origin) if type(origin) is tuple else saved

    def free(self) -> None:
        """Let go of the saved arrays; a node that saved some cannot go back again."""
        if self.saved:
            self.saved = None
            self._origins = ()

    def retain(self, tensor: Tensor) -> None:
        """Leave the gradient of this output in ``tensor.grad``, too."""
        if self._retained is None:
            self._retained = {}
        self._retained[tensor.index] = weakref.ref(tensor)

    def hooks_of(self, index: int) -> list[Callable[..., Any]]:
        """The list of hooks on the gradient of output `index`."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, [])

    # Anomalies

    def _check_finite(self, arrays: list[Any], outputs: Any) -> None:
        self.line = _user_line()
        outputs = outputs if type(outputs) is tuple else (outputs,)
        if all_finite(outputs) or not all_finite(arrays):
            return
        raise AnomalyError(
            self.name,
            expected="a finite result from finite inputs",
            actual=f"{describe_nonfinite(outputs)} in the forward pass",
            hint=f"computed at {self.line}",
        )

    def __repr__(self) -> str:
        return f"<{self.name}>"


def all_finite(values: Any) -> bool:
    """Whether no float among arrays and scalars is NaN or infinite."""
    for value in values:
        if isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif hasattr(value, "dtype") and value.dtype.kind == "f" and not bool(abs(value).max(initial=0) < math.inf):
            return False
    return True


def describe_nonfinite(values: Any) -> str:
    """How many elements are NaN or infinite, in words."""
    nan = sum(int((v != v).sum()) for v in values if hasattr(v, "dtype") and v.dtype.kind == "f")
    infinite = sum(int((abs(v) == math.inf).sum()) for v in values if hasattr(v, "dtype") and v.dtype.kind == "f")
    return f"{nan} NaN and {infinite} infinite element(s)"


def _user_line() -> str:
    """The innermost source line outside this package."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_PACKAGE):
            return f'{frame.filename}:{frame.lineno}: "{frame.line}"'
    return "an unknown line"
