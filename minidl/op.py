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
from numpy import ndarray

from minidl.backends import device_of
from minidl.errors import AnomalyError, DeviceError, DTypeError, GraphError, MinidlError, OutOfMemoryError, ShapeError
from minidl.modes import mode
from minidl.tensor import Tensor, clock

__all__ = ["Edge", "Op"]

Edge: TypeAlias = "Tensor | tuple[Op, int, tuple[int, ...]] | None"
"""Where the gradient of an input belongs: a leaf, an output of another Op (its number and shape), or nowhere."""


class _Output(tuple[int, list[int]]):
    """Where a saved array came from if it is an output: (number, version). The Tensor itself would be a cycle."""

    __slots__ = ()


_new = object.__new__
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Op:
    """One operation in the graph; subclasses define `forward` and `backward`.

    Attributes
    ----------
    saved : tuple
        What `forward` gave to `save`: arrays, or Tensors when the gradient itself is being recorded.
    needs : tuple of bool
        During `backward`: for each input, whether its gradient is wanted. Others may be returned as None.
    edges : sequence
        Where the gradient of each input belongs; None until the Op is recorded.
    """

    saved: Any = ()  # a tuple; None once a backward has freed it
    needs: tuple[bool, ...] = ()
    edges: Sequence[Edge] | None = None

    # Shape and type of each output; empty where there is only one, whose gradient is there whenever backward runs.
    _outputs: Sequence[tuple[tuple[int, ...], np.dtype]] = ()
    _origins: Sequence[Any] = ()
    _hooks: dict[int, list[Callable[..., Any]]] | None = None
    _retained: dict[int, weakref.ref[Tensor]] | None = None
    line = ""
    special = False  # several outputs, hooks or a retained gradient: what backward has to look after

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
        if self.edges is not None:
            self._refuse_reuse()
        # In line, with few calls and no comprehensions: this runs for every operation, and costs more than adding a few
        # numbers does.
        arrays: Any = inputs
        edges: list[Edge] | None = None  # stays None where all inputs are plain arrays: nothing to record
        for value in inputs:
            if type(value) is not ndarray and isinstance(value, Tensor):  # isinstance says no slowly
                arrays, edges = [], []
                break
        if edges is not None:
            recording = loose = False
            for value in inputs:
                if isinstance(value, Tensor):
                    arrays.append(value.data)
                    if value._requires_grad:
                        recording = True
                        edges.append(value.edge or value)
                        continue
                else:
                    arrays.append(value)
                    loose = loose or isinstance(value, ndarray)
                edges.append(None)
            now = mode.get()
            recording = recording and now.recording
            if loose and recording:
                self._give_identities(inputs, arrays)
        count = len(inputs)
        try:
            if count == 2:  # spelled out: a call with a star takes 0.1 us more
                outputs = self.forward(arrays[0], arrays[1])
            elif count == 1:
                outputs = self.forward(arrays[0])
            else:
                outputs = self.forward(*arrays)
        except (ValueError, TypeError, MemoryError) as error:
            self._explain(error, arrays)
            raise
        if type(outputs) is not ndarray:
            for output in outputs if type(outputs) is tuple else (outputs,):
                if type(output) is not ndarray:
                    outputs = self._arrays_of(outputs)
                    break
        if edges is None:
            return outputs
        if now.anomaly:
            self._check_finite(arrays, outputs)
        if type(outputs) is tuple:
            result = self._wrap_all(inputs, arrays, outputs, recording)
        else:
            for array in arrays:
                if array is outputs:
                    outputs = outputs[...]
                    break
            result = _new(Tensor)
            result.data = outputs
            result.grad = result._version = result._hooks = None
            if recording and outputs.dtype.kind == "f":
                result.edge = self, 0, outputs.shape
                result._requires_grad = True
            else:
                result.edge = None
                result._requires_grad = False
            if outputs.base is not None:
                self._share_version(inputs, arrays, result)
        if recording:
            self.edges = edges
            if count == 2:
                self.needs = edges[0] is not None, edges[1] is not None
            elif count == 1:
                self.needs = (True,)
            elif count == 3:
                self.needs = edges[0] is not None, edges[1] is not None, edges[2] is not None
            else:
                self.needs = tuple([edge is not None for edge in edges])
            self.seq = next(clock)
            saved = self.saved
            if saved:
                kept = len(saved)
                if saved[0] is arrays[0] and (kept == 1 or (kept == 2 <= count and saved[1] is arrays[1])):
                    self._origins = inputs if kept == count else inputs[:kept]  # by far the most frequent
                elif kept == 1 and saved[0] is outputs:
                    self._origins = (_Output((0, result.shared_version())),)
                else:
                    self._origins = self._origins_of(inputs, arrays, result)
        return result

    def _refuse_reuse(self) -> None:
        raise GraphError(
            self.name,
            expected="a new instance for each call",
            actual="an instance that is already in a graph",
            hint=f"one Op is one node: call {self.name}(...)(x) anew",
        )

    @staticmethod
    def _give_identities(inputs: tuple[Any, ...], arrays: list[Any]) -> None:
        """An array that came without a Tensor becomes an object of its own: _origins_of relies on it."""
        for i, value in enumerate(arrays):
            if value is inputs[i] and isinstance(value, np.ndarray):
                arrays[i] = value[...]

    def _explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """Raise again what NumPy says of arrays that do not fit, with the operation's name, all shapes or devices."""
        if isinstance(error, DeviceError):
            return
        devices = {device_of(array) for array in arrays if hasattr(array, "shape")}
        if len(devices) > 1:
            raise DeviceError(self.name, expected="inputs on one device", actual=" and ".join(sorted(devices)),
                              hint='send the others there, too: x.to("cuda"), or x.cpu()') from error  # fmt: skip
        if isinstance(error, MinidlError):
            return
        if isinstance(error, MemoryError):
            raise OutOfMemoryError(
                self.name,
                expected="memory for the result",
                actual=str(error) or "none left",
                hint="a smaller batch, no_grad() where no gradient is needed, or empty_cache() after deleting what is "
                "not used",
            ) from error
        if isinstance(error, ValueError):
            shapes = ", ".join(str(np.shape(array)) for array in arrays if array is not None)
            raise ShapeError(
                self.name, expected="inputs whose shapes fit together", actual=f"shapes {shapes} ({error})"
            ) from error

    def _arrays_of(self, outputs: Any) -> Any:
        """The outputs, with 0-d arrays in place of the scalars that NumPy makes of them."""
        if isinstance(outputs, np.generic):
            array = np.asarray(outputs)
            for value in self.saved:
                if value is outputs:
                    self.saved = tuple([array if value is outputs else value for value in self.saved])
                    break
            return array
        if type(outputs) is tuple:
            return tuple([self._arrays_of(output) for output in outputs])
        if isinstance(outputs, Tensor) or not hasattr(outputs, "dtype"):
            raise DTypeError(
                f"{self.name}.forward", expected="an array or a tuple of arrays", actual=f"a {type(outputs).__name__}",
                hint="forward is given plain arrays, not Tensors, and computes with NumPy",
            )  # fmt: skip
        return outputs

    def _wrap_all(self, inputs: tuple[Any, ...], arrays: list[Any], outputs: tuple[Any, ...], recording: bool) -> Any:
        self.special = True
        self._outputs = tuple([(output.shape, output.dtype) for output in outputs])
        return tuple([self._wrap(inputs, arrays, output, recording, i) for i, output in enumerate(outputs)])

    def _wrap(self, inputs: tuple[Any, ...], arrays: list[Any], output: Any, recording: bool, number: int) -> Tensor:
        """A Tensor around an output, pointing to this node if a gradient can flow back from it."""
        for array in arrays:
            if array is output:
                output = output[...]
                break
        result = Tensor.of(output, (self, number, output.shape) if recording and output.dtype.kind == "f" else None)
        if output.base is not None:
            self._share_version(inputs, arrays, result)
        return result

    def _share_version(self, inputs: tuple[Any, ...], arrays: list[Any], result: Tensor) -> None:
        """A view (reshape, a slice) is changed when what it looks at is: one version for both."""
        base = result.data.base
        for value, array in zip(inputs, arrays):  # noqa: B905 - of equal length, and strict is slow
            # A view's base is the owner of the memory; a copy (what reshape makes of a transpose) has another one.
            if isinstance(value, Tensor) and (base is array or base is array.base):
                result._version = value.shared_version()
                return

    def _origins_of(self, inputs: tuple[Any, ...], arrays: list[Any], result: Any) -> Sequence[Any]:
        """Where each saved array came from: what was given for an input, an `_Output`, or None."""
        origins: list[Any] = []
        for saved in self.saved:
            origin: Any = None
            for number, tensor in enumerate(result if type(result) is tuple else (result,)):
                if tensor.data is saved:
                    origin = _Output((number, tensor.shared_version()))
            for value, array in zip(inputs, arrays):  # noqa: B905 - of equal length, and strict is slow
                if array is saved:
                    origin = value
            if origin is None and getattr(saved, "dtype", None) is not None and saved.dtype.kind == "f":
                self._refuse_to_save(saved)
            origins.append(origin)
        return origins

    def _refuse_to_save(self, saved: Any) -> None:
        raise GraphError(
            f"{self.name}.save",
            expected="inputs or outputs of forward",
            actual=f"another float array of shape {saved.shape}",
            hint="what it owes to the inputs would be lost at second order: return it as an output, or compute "
            "it again in backward",
        )

    # Going back

    def restore(self, as_tensors: bool, needs: tuple[bool, ...] | None = None) -> Op:
        """This node ready for `backward`: its saved arrays checked, and tied into the graph if `as_tensors`.

        Other `needs` than those of all inputs with an edge make a copy: several threads may go back through one node.

        Raises
        ------
        GraphError
            If the saved arrays are gone (a second backward) or one was changed in place since.
        """
        arrays = self.saved
        if arrays is None:
            raise GraphError(
                "backward",
                expected="a graph that has not been used up",
                actual=f"{self.name}, whose saved arrays an earlier backward freed",
                hint="compute the loss again, or call the earlier one with retain_graph=True",
            )
        for saved, origin in zip(arrays, self._origins):  # noqa: B905 - no origins before recording
            if isinstance(origin, Tensor):
                version = origin._version
                if origin.data is not saved:
                    self._refuse_change(saved, origin)
            elif type(origin) is _Output:
                version = origin[1]
            else:
                continue
            if version is not None and version[0] > self.seq:
                self._refuse_change(saved, origin)
        tied = as_tensors and self._origins
        if not tied and (needs is None or needs == self.needs):
            return self
        twin = copy.copy(self)
        twin.needs = self.needs if needs is None else needs
        if tied:
            twin.saved = tuple([self._as_tensor(a, o) for a, o in zip(arrays, self._origins, strict=True)])
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
        if type(origin) is _Output:
            return Tensor.of(saved, (self, origin[0], saved.shape), origin[1])
        return saved

    def retain(self, tensor: Tensor, number: int) -> None:
        """Leave the gradient of output `number` in ``tensor.grad``, too."""
        self.special = True
        if self._retained is None:
            self._retained = {}
        self._retained[number] = weakref.ref(tensor)

    def hooks_of(self, index: int) -> list[Callable[..., Any]]:
        """The list of hooks on the gradient of output `index`."""
        self.special = True
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
        elif hasattr(value, "dtype") and value.dtype.kind == "f" and not bool((abs(value) < math.inf).all()):
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
