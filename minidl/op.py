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
import itertools
import math
import os
import traceback
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minidl.errors import AnomalyError, GraphError, MinidlError, ShapeError
from minidl.tensor import Tensor, grad_mode

__all__ = ["Edge", "Op"]

Edge: TypeAlias = "Tensor | tuple[Op, int] | None"
"""Where the gradient of an input belongs: a leaf, an output of another Op, or nowhere."""

_sequence = itertools.count()
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

    saved: tuple[Any, ...] | None = ()
    needs: tuple[bool, ...] = ()
    edges: tuple[Edge, ...] | None = None
    # True where the output may share memory with the first input (reshape, slices): they share a version, too.
    view = False

    _origins: tuple[Any, ...] = ()
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
        traced = wanted = False
        arrays = []
        for value in inputs:
            if isinstance(value, Tensor):
                traced = True
                wanted = wanted or value._requires_grad
                value = value.data
            arrays.append(value)
        recording = wanted and grad_mode.enabled
        if recording:
            self._begin(inputs, arrays)
        try:
            outputs = self.forward(*arrays)
        except ValueError as error:
            if isinstance(error, MinidlError):
                raise
            raise self._explain(error, arrays) from error
        if isinstance(outputs, np.generic):
            outputs = np.asarray(outputs)
        if not traced:
            return outputs
        if grad_mode.anomaly:
            self._check_finite(arrays, outputs)
        if not recording:
            if type(outputs) is tuple:
                return tuple([Tensor.of(np.asarray(a) if isinstance(a, np.generic) else a) for a in outputs])
            return Tensor.of(outputs)
        if type(outputs) is tuple:
            return self._record_many(inputs, arrays, outputs)
        return self._record(inputs, arrays, outputs)

    def _explain(self, error: ValueError, arrays: list[Any]) -> ShapeError:
        """What NumPy says of shapes that do not fit, with the operation's name and all shapes."""
        shapes = ", ".join(str(np.shape(array)) for array in arrays if array is not None)
        return ShapeError(self.name, expected="inputs whose shapes fit together", actual=f"shapes {shapes} ({error})")

    def _begin(self, inputs: tuple[Any, ...], arrays: list[Any]) -> None:
        if self.edges is not None:
            raise GraphError(
                self.name, expected="a new instance for each call", actual="an instance that is already in a graph",
                hint=f"one Op is one node: call {self.name}(...)(x) anew",
            )  # fmt: skip
        for i, value in enumerate(arrays):
            # An array that came without a Tensor gets an identity of its own: _find_origin relies on it.
            if value is inputs[i] and isinstance(value, np.ndarray):
                arrays[i] = value[...]

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], output: Any) -> Tensor:
        self.seq = next(_sequence)
        self.edges = tuple([_edge(value) for value in inputs])
        for array in arrays:
            if array is output:
                output = output[...]
                break
        self.shapes: tuple[Any, ...] = (output.shape,)
        if output.dtype.kind != "f":
            return Tensor.of(output)
        version = inputs[0]._version if self.view and output.base is not None else [0]
        result = Tensor.of(output, self, 0, version)
        if self.saved:
            self._origins = tuple([self._find_origin(a, inputs, arrays, (result,)) for a in self.saved])
        return result

    def _record_many(self, inputs: tuple[Any, ...], arrays: list[Any], outputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        self.seq = next(_sequence)
        self.edges = tuple([_edge(value) for value in inputs])
        results = []
        for index, output in enumerate(outputs):
            output = np.asarray(output) if isinstance(output, np.generic) else output
            if any(array is output for array in arrays):
                output = output[...]
            op = self if output.dtype.kind == "f" else None
            version = inputs[0]._version if self.view and output.base is not None else [0]
            results.append(Tensor.of(output, op, index, version))
        self.shapes = tuple([result.shape for result in results])
        self._templates = tuple([result.data.dtype for result in results])
        if self.saved:
            self._origins = tuple([self._find_origin(a, inputs, arrays, tuple(results)) for a in self.saved])
        return tuple(results)

    def _find_origin(self, array: Any, inputs: tuple[Any, ...], arrays: list[Any], results: tuple[Tensor, ...]) -> Any:
        """Where a saved array came from: (number, version list, version); outputs count from -1 downwards."""
        for i, candidate in enumerate(arrays):
            if candidate is array:
                source = inputs[i]
                return (i, source._version, source._version[0]) if isinstance(source, Tensor) else None
        for i, result in enumerate(results):
            if result.data is array:
                return (-1 - i, result._version, result._version[0])
        if hasattr(array, "dtype") and array.dtype.kind == "f":
            raise GraphError(
                f"{self.name}.save",
                expected="inputs or outputs of forward",
                actual=f"another float array of shape {array.shape}",
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
        for origin in self._origins:
            if origin is not None and origin[1][0] != origin[2]:
                what = f"input {origin[0]}" if origin[0] >= 0 else f"output {-1 - origin[0]}"
                raise GraphError(
                    "backward",
                    expected=f"the arrays as {self.name} saved them",
                    actual=f"{what} of {self.name} was changed in place {origin[1][0] - origin[2]} time(s) since",
                    hint="change it after backward, or change a copy",
                )
        if not as_tensors or not self._origins:
            return self
        twin = copy.copy(self)
        twin.saved = tuple([self._as_tensor(a, o) for a, o in zip(self.saved, self._origins, strict=True)])
        return twin

    def _as_tensor(self, array: Any, origin: Any) -> Any:
        if origin is None:
            return array
        number, version, _ = origin
        if number < 0:
            return Tensor.of(array, self, -1 - number, version)
        edge = self.edges[number]  # type: ignore[index]  # a recorded node has edges
        if isinstance(edge, tuple):
            return Tensor.of(array, edge[0], edge[1], version)
        return Tensor.of(array, version=version) if edge is None else edge

    def free(self) -> None:
        """Let go of the saved arrays; a node that saved some cannot go back again."""
        if self.saved:
            self.saved = None

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


def _edge(value: Any) -> Edge:
    if isinstance(value, Tensor) and value._requires_grad:
        return value if value.op is None else (value.op, value.index)
    return None


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
