"""The tree that a module and its submodules form: what is a part of it, under which name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from minidl.errors import OptionError
from minidl.nn.options import flag
from minidl.nn.parameter import Parameter
from minidl.tensor import Tensor

__all__ = ["Tree"]


class Tree:
    """Parameters, buffers and submodules as plain attributes, and the walks over them."""

    # Replaced, never changed, so that the class may hold the empty one: a subclass need not call super().__init__().
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name: whether it is part of the state_dict

    def __setattr__(self, name: str, value: Any) -> None:
        current = self.__dict__.get(name)
        if isinstance(current, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise OptionError(
                f"{type(self).__name__}.{name}",
                expected="a Parameter (or None)",
                actual=f"a {type(value).__name__}: the parameter would be lost",
                hint=f"nn.Parameter(value), or keep it and write its values: {name}.data[...] = value",
            )
        if name in self._buffers and not (value is None or isinstance(value, Tensor)):
            raise OptionError(
                f"{type(self).__name__}.{name}",
                expected="a Tensor (or None), since it is a buffer",
                actual=f"a {type(value).__name__}",
                hint="minidl.tensor(value)",
            )
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add state that is no parameter, such as a running mean: it moves with `to` and is saved if `persistent`.

        Raises
        ------
        OptionError
            If the name is taken or the value is no Tensor.
        """
        self._check_name(name)
        self._buffers = {**self._buffers, name: flag("register_buffer", "persistent", persistent)}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter under a name; the same as setting the attribute."""
        self._check_name(name)
        if not (parameter is None or isinstance(parameter, Parameter)):
            raise OptionError("register_parameter", expected="a Parameter or None", actual=type(parameter).__name__)
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule under a name; the same as setting the attribute."""
        self._check_name(name)
        if not (module is None or isinstance(module, Tree)):
            raise OptionError("add_module", expected="a Module or None", actual=type(module).__name__)
        setattr(self, name, module)

    def _check_name(self, name: str) -> None:
        free = isinstance(name, str) and name != "" and "." not in name
        if not free or (hasattr(self, name) and name not in vars(self)):
            raise OptionError(
                type(self).__name__,
                expected="a name without dots that is not an attribute already",
                actual=repr(name),
            )

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Names and modules of the direct submodules, each module once."""
        seen = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Tree) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Any]:
        """Direct submodules."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """Paths and modules of the whole tree, this one first with the path `prefix`.

        A module that stands in two places comes once, or twice with ``remove_duplicate=False``.

        Examples
        --------
        >>> from minidl import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.ReLU()))
        >>> [path for path, module in net.named_modules()]
        ['', '0', '1', '1.0']
        """
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, path: str, seen: set[int] | None) -> Iterator[tuple[str, Any]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield path, self
        for name, value in list(vars(self).items()):
            if isinstance(value, Tree):
                yield from value._walk(f"{path}.{name}" if path else name, seen)

    def modules(self) -> Iterator[Any]:
        """Every module of the tree, this one first, each once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, path: str) -> Any:
        """The module at a path such as ``"features.0"``; the empty path is the module itself.

        Raises
        ------
        OptionError
            If there is none.
        """
        found = dict(self.named_modules(remove_duplicate=False)).get(path)
        if found is None:
            raise OptionError("get_submodule", expected=f"the path of a module in {type(self).__name__}",
                              actual=repr(path), hint="named_modules() lists them")  # fmt: skip
        return found

    def _own_parameters(self) -> dict[str, Parameter]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def _own_buffers(self) -> dict[str, Tensor]:
        found = {name: self.__dict__.get(name) for name in self._buffers}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def _named(self, own: Callable[[Tree], dict[str, Any]], prefix: str, recurse: bool, once: bool) -> Iterator[Any]:
        modules = self.named_modules(prefix, once) if recurse else iter([(prefix, self)])
        seen: set[int] = set()
        for path, module in modules:
            for name, tensor in own(module).items():
                if once and id(tensor) in seen:
                    continue
                seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Paths and parameters of the whole tree; one that is shared by two layers comes once.

        Examples
        --------
        >>> from minidl import nn
        >>> [(path, p.shape) for path, p in nn.Sequential(nn.Linear(3, 2)).named_parameters()]
        [('0.weight', (2, 3)), ('0.bias', (2,))]
        """
        return self._named(Tree._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter of the tree, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Paths and buffers of the whole tree."""
        return self._named(Tree._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer of the tree, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))
