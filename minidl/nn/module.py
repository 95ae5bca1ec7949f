"""Module: the base of every layer and network.

A module is an ordinary Python object. Its parameters, buffers and submodules are ordinary attributes, found by
looking through ``vars(self)``: whatever is a `Parameter` is learned, whatever is a `Module` is a child, and the names
given to `register_buffer` are state that is kept but not learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from minidl.dtypes import DTypeLike, as_dtype
from minidl.errors import DTypeError, MinidlError
from minidl.nn.options import flag
from minidl.nn.state import check_state
from minidl.nn.summary import Summary, summarize
from minidl.nn.tree import Tree
from minidl.tensor import RemovableHandle, Tensor

__all__ = ["LoadedKeys", "Module"]

_M = TypeVar("_M", bound="Module")
_Hook = Callable[..., Any]


class LoadedKeys(NamedTuple):
    """What `Module.load_state_dict` found: keys that were missing, and keys that nothing asked for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Tree):
    """A layer or a network: parameters, and a `forward` that uses them.

    Define the parts in ``__init__`` and the computation in `forward`; call the module, not `forward`, so that hooks
    run and an error names the layer it happened in.

    Attributes
    ----------
    training : bool
        Whether layers such as `Dropout` and `BatchNorm2d` behave as in training; set by `train` and `eval`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.output = nn.Linear(8, 2)
    ...
    ...     def forward(self, x):
    ...         return self.output(minidl.relu(self.hidden(x)))
    >>> net = Net()
    >>> net(minidl.ones(3, 4)).shape
    (3, 2)
    >>> net
    Net(
      (hidden): Linear(in_features=4, out_features=8, bias=True)
      (output): Linear(in_features=8, out_features=2, bias=True)
    )
    """

    training: bool = True
    _hooks: list[tuple[str, _Hook]] | None = None  # each with "before" or "after"

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward` and the hooks; an error on its way out learns in which layer it happened."""
        try:
            if self._hooks:
                return self._call_with_hooks(inputs, options, self._hooks)
            if options:
                return self.forward(*inputs, **options)
            if len(inputs) == 1:  # spelled out: a call with a star takes 0.1 us more
                return self.forward(inputs[0])
            return self.forward(*inputs)
        except MinidlError as error:
            self._add_path(error)
            raise

    def _call_with_hooks(self, inputs: tuple[Any, ...], options: dict[str, Any], hooks: list[tuple[str, _Hook]]) -> Any:
        for hook in [hook for when, hook in hooks if when == "before"]:
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*inputs, **options)
        for hook in [hook for when, hook in hooks if when == "after"]:
            changed = hook(self, inputs, output)
            if changed is not None:
                output = changed
        return output

    def _add_path(self, error: MinidlError) -> None:
        """Put the path from this module to the innermost one into the error, or this module's name behind it."""
        for path, module in self.named_modules() if error.module is not None else ():
            if module is error.module:
                error.layers[:] = [f"{path} ({module._head()})", type(self).__name__]
                return
        error.add_layer(self._head() if error.module is None else type(self).__name__, self)

    # Modes

    def train(self: _M, mode: bool = True) -> _M:
        """Put the whole tree into training mode (or out of it) and return the module itself."""
        mode = flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _M) -> _M:
        """Put the whole tree into evaluation mode: no dropout, running statistics in batch norms."""
        return self.train(False)

    def requires_grad_(self: _M, requires_grad: bool = True) -> _M:
        """Let every parameter require a gradient, or freeze them all."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = Tensor(parameter.grad.data * 0)

    def apply(self: _M, function: Callable[[Module], Any]) -> _M:
        """Call ``function(module)`` on every module, children before their parents; for initialising weights.

        Examples
        --------
        >>> from minidl import nn
        >>> def start_at_zero(module):
        ...     if isinstance(module, nn.Linear):
        ...         nn.init.zeros_(module.weight)
        >>> net = nn.Sequential(nn.Linear(1, 2)).apply(start_at_zero)
        >>> net[0].weight.tolist()
        [[0.0], [0.0]]
        """
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def to(self: _M, target: DTypeLike) -> _M:
        """Convert every parameter and buffer, in place, to an element type or a device.

        Parameters
        ----------
        target : dtype or str
            A floating-point type (integer buffers keep theirs), or a device: ``"cpu"``, ``"cuda"``, ``"cuda:0"``.

        Examples
        --------
        >>> from minidl import nn
        >>> nn.Linear(2, 2).to("float64").weight.dtype
        dtype('float64')
        """
        if isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda"):
            return self._convert(lambda tensor: tensor.detach().to(target).data)
        dtype = as_dtype(target)
        if dtype.kind != "f":
            raise DTypeError("Module.to", expected="a floating-point dtype or a device", actual=str(dtype))
        return self._convert(lambda tensor: tensor.data.astype(dtype) if tensor.dtype.kind == "f" else tensor.data)

    def _convert(self: _M, conversion: Callable[[Tensor], Any]) -> _M:
        # Everything is converted before anything changes, so that a failure leaves the module as it was.
        tensors = [tensor for pair in (self.parameters(), self.buffers()) for tensor in pair]
        tensors += [tensor.grad for tensor in tensors if tensor.grad is not None]
        for tensor, array in zip(tensors, [conversion(tensor) for tensor in tensors], strict=True):
            tensor.data = array
        return self

    def cpu(self: _M) -> _M:
        """Move to main memory."""
        return self.to("cpu")

    def cuda(self: _M) -> _M:
        """Move to the GPU."""
        return self.to("cuda")

    def float(self: _M) -> _M:
        """Convert to float32."""
        return self.to("float32")

    def double(self: _M) -> _M:
        """Convert to float64, as finite differences need it."""
        return self.to("float64")

    # State

    def _live_state(self, prefix: str = "") -> dict[str, Tensor]:
        """The Tensors themselves by path, in PyTorch's order: parameters and buffers of each module, then children."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            saved = {name: buffer for name, buffer in module._own_buffers().items() if module._buffers[name]}
            for name, tensor in {**module._own_parameters(), **saved}.items():
                state[prefix + (f"{path}.{name}" if path else name)] = tensor
        return state

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Every parameter and persistent buffer by path, sharing memory with the module.

        Keys, shapes and order are PyTorch's. A shared parameter stands under each of its paths.

        Examples
        --------
        >>> from minidl import nn
        >>> list(nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1, affine=False)).state_dict())
        ['0.weight', '0.bias', '1.running_mean', '1.running_var', '1.num_batches_tracked']
        """
        return {name: tensor.detach() for name, tensor in self._live_state(prefix).items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Overwrite parameters and buffers with those of a `state_dict`.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
            Floats of another width are converted; the kind (float, integer, bool) must agree.
        strict : bool
            Whether missing and unexpected keys are errors. Wrong shapes and kinds always are.

        Returns
        -------
        LoadedKeys
            ``missing_keys`` and ``unexpected_keys``, both empty if `strict`.

        Raises
        ------
        DataError
            With every mismatch in one message. Nothing has been changed then.
        """
        target = self._live_state()
        arrays, missing, unexpected = check_state(type(self).__name__, target, state_dict, strict)
        for name, array in arrays.items():
            target[name].data[...] = array
            target[name].mark_changed()
        return LoadedKeys(missing, unexpected)

    # Hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call ``hook(module, inputs)`` before `forward`; what it returns, if not None, replaces the inputs."""
        return self._register_hook("before", hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> RemovableHandle:
        """Call ``hook(module, inputs, output)`` after `forward`; what it returns, if not None, replaces the output.

        Examples
        --------
        >>> import minidl
        >>> from minidl import nn
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> handle = net[0].register_forward_hook(lambda module, inputs, output: print(inputs[0].shape, output.shape))
        >>> _ = net(minidl.ones(5, 3))
        (5, 3) (5, 2)
        >>> handle.remove()
        """
        return self._register_hook("after", hook)

    def _register_hook(self, when: str, hook: _Hook) -> RemovableHandle:
        if self._hooks is None:
            self._hooks = []
        return RemovableHandle(self._hooks, (when, hook))

    # Words and numbers

    def extra_repr(self) -> str:
        """The options to show in the `repr`, as they would be written in a call."""
        return ""

    def _head(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self) -> str:
        lines = [f"({name}): {module!r}" for name, module in vars(self).items() if isinstance(module, Module)]
        if not lines:
            return self._head()
        extra = self.extra_repr()
        body = "\n".join([extra, *lines] if extra else lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Number of multiply-adds of this module's own `forward`, without its children; for `summary`."""
        return 0

    def summary(self, input_shape: Any, dtype: DTypeLike = "float32") -> Summary:
        """A table of the layers with output shapes, parameters and multiply-adds.

        One forward pass over zeros is run, in evaluation mode and without recording; mode and state stay as they are.

        Parameters
        ----------
        input_shape : tuple of int, or list of such tuples
            Shape of the input, with the batch dimension; a list where `forward` takes several.
        dtype : dtype
            Type of the input: ``"int64"`` for a network that begins with an `Embedding`.

        Returns
        -------
        Summary
            Print it, or read its `rows` and totals.

        Examples
        --------
        >>> from minidl import nn
        >>> print(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).summary((1, 1, 28, 28)))
        Layer          Output shape   Parameters   Multiply-adds
        --------------------------------------------------------
        Sequential     (1, 10)                 0               0
          0: Flatten   (1, 784)                0               0
          1: Linear    (1, 10)             7,850           7,840
        --------------------------------------------------------
        Total                              7,850           7,840
        7,850 parameters to learn, 0 frozen; 0.03 MB with buffers
        """
        return summarize(self, input_shape, dtype)
