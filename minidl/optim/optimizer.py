"""Optimizer: parameters in groups, the state that belongs to each, and a step over all of them.

The arithmetic of a step stands in the backends (``backends/reference/update.py``, and the same in compiled code): a
subclass here collects the arrays of a group into lists and makes one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minidl.backends import backend_of, host_array, to_device
from minidl.errors import DataError, MinidlError, OptionError, ShapeError
from minidl.modes import enable_grad
from minidl.tensor import Tensor, clock

__all__ = ["Optimizer", "ParamGroup", "ParamState"]

ParamGroup = dict[str, Any]
"""Hyper-parameters by name, and the Tensors they hold for under ``"params"``."""

ParamState = dict[str, Any]
"""What an optimizer remembers of one parameter: arrays of its shape, and numbers."""


class Optimizer:
    """Base of the optimizers: groups, state, saving and loading.

    A subclass defines `check_options`, which refuses bad hyper-parameters, and `update`, which takes the step of a
    group.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Each dict is a group: Tensors under ``"params"``, the hyper-parameters that differ from the defaults, and a
        ``"name"`` if you like.
    defaults : dict
        Hyper-parameters of groups that do not set their own.

    Attributes
    ----------
    param_groups : list of dict
        May be changed between steps: ``optimizer.param_groups[0]["lr"] = 0.01``.
    state : dict
        For each Tensor that has taken a step, what is remembered of it.

    Raises
    ------
    OptionError
        If there is no parameter, one is given twice, one is no leaf Tensor, or a hyper-parameter is out of range.
    """

    # Entries without which the saved state of a parameter is of no use.
    required_state: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, ParamState] = {}
        self.param_groups: list[ParamGroup] = []
        if isinstance(params, (Tensor, Mapping)):
            raise OptionError(
                self._name, expected="an iterable of parameters or of groups", actual=f"a {type(params).__name__}",
                hint="put it in a list, or give model.parameters()",
            )  # fmt: skip
        entries = list(params)
        if not entries:
            raise OptionError(
                self._name, expected="at least one parameter", actual="an empty iterable",
                hint="model.parameters() is a generator: it can be used once; or the model has nothing to learn",
            )  # fmt: skip
        groups = entries if isinstance(entries[0], Mapping) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    # What an optimizer defines

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise OptionError if a hyper-parameter is out of range."""
        raise NotImplementedError(f"{self._name} must define check_options")

    def update(self, group: ParamGroup, params: list[Tensor]) -> None:
        """Take a step for these parameters of a group, all of which have gradients."""
        raise NotImplementedError(f"{self._name} must define update")

    # Groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own, for example a layer that is unfrozen later.

        Raises
        ------
        OptionError
            As for the constructor; an unknown hyper-parameter is refused, too. Nothing has been changed then.

        Examples
        --------
        >>> from minidl import nn, optim
        >>> body, head = nn.Linear(4, 4), nn.Linear(4, 2)
        >>> optimizer = optim.SGD(body.parameters(), lr=0.01)
        >>> optimizer.add_param_group({"params": head.parameters(), "lr": 0.1})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.01, 0.1]
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise OptionError(self._name, expected='a group with the key "params"', actual=repr(param_group))
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        known = {id(tensor) for group in self.param_groups for tensor in group["params"]}
        for position, tensor in enumerate(params):
            self._check_parameter(position, tensor, known)
            known.add(id(tensor))
        if not params:
            raise OptionError(self._name, expected="at least one parameter in each group", actual="an empty group")
        unknown = set(param_group) - set(self.defaults) - {"params", "name"}
        if unknown:
            raise OptionError(self._name, expected=f"the options {', '.join(self.defaults)}",
                              actual=", ".join(sorted(map(str, unknown))))  # fmt: skip
        group = {**self.defaults, **param_group, "params": params}
        self.check_options(group)
        self.param_groups.append(group)

    def _check_parameter(self, position: int, tensor: Any, known: set[int]) -> None:
        problem = hint = ""
        if not isinstance(tensor, Tensor):
            problem, hint = f"a {type(tensor).__name__}", "give model.parameters()"
        elif not tensor.is_leaf:
            problem, hint = f"the result of {tensor.op.name}", "only leaf Tensors can be changed: detach() it first"
        elif tensor.dtype.kind != "f":
            problem = f"a Tensor of {tensor.dtype}"
        elif id(tensor) in known:
            problem, hint = "a parameter that is there already", "each parameter belongs to one group, once"
        if problem:
            raise OptionError(self._name, expected="different leaf Tensors of floats",
                              actual=f"{problem} (parameter {position} of the group)", hint=hint)  # fmt: skip

    # Steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter, or fill them with zeros."""
        for group in self.param_groups:
            for tensor in group["params"]:
                if set_to_none or tensor.grad is None:
                    tensor.grad = None
                else:
                    tensor.grad = Tensor(tensor.grad.data * 0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called first.

        Returns
        -------
        Tensor or None
            What the closure returned.

        Raises
        ------
        ShapeError
            If a gradient that was set by hand has another shape than its parameter. Nothing has been changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with_gradients = [
            [tensor for tensor in group["params"] if tensor.grad is not None] for group in self.param_groups
        ]
        for params in with_gradients:
            for tensor in params:
                if tensor.grad.data.shape != tensor.data.shape:
                    raise ShapeError(f"{self._name}.step", expected=f"a gradient of shape {tensor.shape}",
                                     actual=f"shape {tensor.grad.shape}")  # fmt: skip
        for group, params in zip(self.param_groups, with_gradients, strict=True):
            if params:
                self.update(group, params)
                now = next(clock)
                for tensor in params:
                    tensor.shared_version()[0] = now
        return loss

    # For subclasses

    @staticmethod
    def gradients(params: list[Tensor]) -> list[Any]:
        """Arrays of the gradients."""
        return [tensor.grad.data for tensor in params if tensor.grad is not None]

    def column(self, params: list[Tensor], name: str) -> list[Any]:
        """One entry of the state, for each of the parameters."""
        return [self.state[tensor][name] for tensor in params]

    def advance(self, params: list[Tensor], names: tuple[str, ...], start: float = 0.0) -> None:
        """Count a step for each parameter; where its state lacks one of these arrays, begin it with `start`."""
        for tensor in params:
            state = self.state.get(tensor)
            if state is None:
                state = self.state[tensor] = {"step": 0}
            state["step"] += 1
            for name in names:
                if name not in state:
                    state[name] = backend_of(tensor.data).empty(tensor.shape, tensor.dtype)
                    state[name].fill(start)

    def by_step(self, params: list[Tensor]) -> dict[int, list[Tensor]]:
        """Parameters by their number of steps, which differs where one had no gradient for a while."""
        sorted_params: dict[int, list[Tensor]] = {}
        for tensor in params:
            sorted_params.setdefault(self.state[tensor]["step"], []).append(tensor)
        return sorted_params

    # State

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training needs, as plain arrays, numbers and strings.

        Returns
        -------
        dict
            ``"state"``: for the number of each parameter, its state; ``"param_groups"``: the hyper-parameters, with
            the numbers of the parameters under ``"params"``. The structure is PyTorch's. Arrays share memory.
        """
        numbers = self._numbers()
        return {
            "state": {numbers[id(tensor)]: dict(state) for tensor, state in self.state.items()},
            "param_groups": [
                {**group, "params": [numbers[id(tensor)] for tensor in group["params"]]} for group in self.param_groups
            ],
        }

    def _numbers(self) -> dict[int, int]:
        params = [tensor for group in self.param_groups for tensor in group["params"]]
        return {id(tensor): number for number, tensor in enumerate(params)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of another optimizer of the same kind (PyTorch's, too) with the same parameters.

        Raises
        ------
        DataError
            If groups, parameters or shapes differ: every mismatch in one message. Nothing has been changed then.
        OptionError
            If a hyper-parameter in it is out of range.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise DataError(f"{self._name}.load_state_dict", expected='a mapping with "state" and "param_groups"',
                            actual=type(state_dict).__name__)  # fmt: skip
        try:
            state, groups = self._read(state_dict)
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, MinidlError):
                raise
            raise DataError(f"{self._name}.load_state_dict", expected="what state_dict() gives",
                            actual=f"something else ({error})", hint="nothing was changed") from error  # fmt: skip
        self.param_groups[:] = groups
        self.state = state

    def _read(self, state_dict: Mapping[str, Any]) -> tuple[dict[Tensor, ParamState], list[ParamGroup]]:
        """The state and the groups that a state_dict means for the parameters here."""
        saved_groups = list(state_dict["param_groups"])
        problems = self._compare_groups(saved_groups)
        owners: dict[int, Tensor] = {}
        if not problems:
            for group, saved in zip(self.param_groups, saved_groups, strict=True):
                owners.update(zip(map(int, saved["params"]), group["params"], strict=True))
        state: dict[Tensor, ParamState] = {}
        for key, saved in state_dict["state"].items():
            if int(key) in owners:
                state[owners[int(key)]] = self._take(int(key), owners[int(key)], saved, problems)
            elif owners:
                problems.append(f"state of parameter {key}, which belongs to no group")
        if problems:
            raise DataError(
                f"{self._name}.load_state_dict", expected="the state of an optimizer of the same parameters",
                actual=f"{len(problems)} mismatch(es)\n  " + "\n  ".join(problems), hint="nothing was changed",
            )  # fmt: skip
        groups = [
            {**{name: _plain(value) for name, value in saved.items()}, "params": group["params"]}
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
        ]
        for group in groups:
            self.check_options(group)
        return state, groups

    def _compare_groups(self, saved_groups: list[Any]) -> list[str]:
        if len(saved_groups) != len(self.param_groups):
            return [f"{len(self.param_groups)} group(s) here, {len(saved_groups)} there"]
        problems = []
        for i, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            if len(group["params"]) != len(saved.get("params", ())):
                count = len(saved.get("params", ()))
                problems.append(f"group {i}: {len(group['params'])} parameter(s) here, {count} there")
            problems += [f"group {i}: no {name}" for name in self.defaults if name not in saved]
        return problems

    def _take(self, key: int, tensor: Tensor, saved: Mapping[str, Any], problems: list[str]) -> ParamState:
        """A copy of a parameter's state that fits it: arrays of its shape and type, and plain numbers."""
        state: ParamState = {}
        for name, value in saved.items():
            if name == "step":
                state[name] = int(value)
            elif value is None:
                continue
            else:
                array = value.data if isinstance(value, Tensor) else host_array(value)
                if array.shape != tensor.shape:
                    problems.append(f"{name} of parameter {key}: {tensor.shape} here, {array.shape} there")
                array = to_device(array, tensor.device)
                state[name] = backend_of(array).xp.array(array, dtype=tensor.dtype, order="C")
        problems += [f"no {name} of parameter {key}" for name in self.required_state if name not in state]
        return state

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"  group {i}: {len(group['params'])} parameters")
            lines += [f"    {name}: {value}" for name, value in group.items() if name != "params"]
        return f"{self._name}(\n" + "\n".join(lines) + "\n)"


def _plain(value: Any) -> Any:
    """A hyper-parameter as plain Python: pairs come back from JSON as lists."""
    return tuple(value) if isinstance(value, list) else value
