"""Modules made of modules: one after the other, as a list, by name."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex, overload

from minidl.errors import OptionError
from minidl.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Series(Module):
    """Children in an order, named by their position: what `Sequential` and `ModuleList` share."""

    def _names(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, Module)]

    def _layers(self) -> list[Module]:
        return [value for value in vars(self).values() if isinstance(value, Module)]

    def _replace(self, layers: list[Module]) -> None:
        """Take these layers instead, numbered anew."""
        for layer in layers:
            self._check_layer(layer)
        for name in self._names():
            delattr(self, name)
        for position, layer in enumerate(layers):
            setattr(self, str(position), layer)

    def _check_layer(self, layer: Any) -> None:
        if not isinstance(layer, Module):
            hint = "Linear(...), not Linear" if isinstance(layer, type) else "functions go into a Module's forward"
            raise OptionError(type(self).__name__, expected="modules", actual=repr(layer), hint=hint)

    def _position(self, index: SupportsIndex) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{type(self).__name__}: index {position} is out of range for {len(self)} layers")
        return position % len(self)

    def __len__(self) -> int:
        return len(self._layers())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers())

    def __setitem__(self, index: SupportsIndex, layer: Module) -> None:
        self._check_layer(layer)
        setattr(self, self._names()[self._position(index)], layer)

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        layers = self._layers()
        del layers[index if isinstance(index, slice) else self._position(index)]
        self._replace(layers)

    def append(self, layer: Module) -> Any:
        """Add a layer at the end and return the container itself."""
        self._check_layer(layer)
        name = str(len(self))
        self._check_name(name)
        setattr(self, name, layer)
        return self

    def extend(self, layers: Iterable[Module]) -> Any:
        """Add layers at the end and return the container itself."""
        for layer in list(layers):
            self.append(layer)
        return self

    def insert(self, index: int, layer: Module) -> Any:
        """Add a layer before position `index`; the layers are numbered anew."""
        layers = self._layers()
        layers.insert(index, layer)
        self._replace(layers)
        return self


class Sequential(_Series):
    """Layers applied one after the other: ``y = fₙ(… f₂(f₁(x)))``.

    Parameters
    ----------
    *layers : Module, or one mapping of names to modules
        Without names they are called ``"0"``, ``"1"``, …

    Raises
    ------
    OptionError
        If one of them is no module, or a name is not free.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> net(minidl.ones(5, 4)).shape
    (5, 2)
    >>> net[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
    )
    >>> nn.Sequential({"hidden": nn.Linear(4, 3), "output": nn.Linear(3, 2)}).output
    Linear(in_features=3, out_features=2, bias=True)
    """

    def __init__(self, *layers: Any) -> None:
        named = len(layers) == 1 and isinstance(layers[0], Mapping)
        pairs = layers[0].items() if named else ((str(i), layer) for i, layer in enumerate(layers))
        for name, layer in pairs:
            self._check_layer(layer)
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        for layer in self._layers():
            x = layer(x)
        return x

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return Sequential({name: getattr(self, name) for name in self._names()[index]})
        return self._layers()[self._position(index)]


class ModuleList(_Series):
    """A list whose modules are found by `parameters`, `to` and `state_dict`, unlike those of a plain list.

    Parameters
    ----------
    modules : iterable of Module, optional

    Raises
    ------
    OptionError
        If one of them is no module.

    Examples
    --------
    >>> from minidl import nn
    >>> blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> len(blocks), len(list(blocks.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._replace(list(modules))

    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(self._layers()[index])
        return self._layers()[self._position(index)]


class ModuleDict(Module):
    """A dictionary whose modules are found by `parameters`, `to` and `state_dict`.

    Parameters
    ----------
    modules : mapping of str to Module, optional

    Raises
    ------
    OptionError
        If a value is no module, or a key has a dot or is the name of an attribute.

    Examples
    --------
    >>> from minidl import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["parity"]
    Linear(in_features=8, out_features=2, bias=True)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def _children(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def __getitem__(self, key: str) -> Any:
        return self._children()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise OptionError("ModuleDict", expected="a Module", actual=f"{key!r}: {type(module).__name__}")
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._children())

    def __iter__(self) -> Iterator[str]:
        return iter(self._children())

    def __contains__(self, key: object) -> bool:
        return key in self._children()

    def keys(self) -> Iterable[str]:
        """Names, in the order in which they were added."""
        return self._children().keys()

    def values(self) -> Iterable[Module]:
        """Modules, in the order in which they were added."""
        return self._children().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Names and modules, in the order in which they were added."""
        return self._children().items()

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        module = self._children()[key]
        delattr(self, key)
        return module

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add the modules of a mapping, replacing those of equal names."""
        for key, module in modules.items():
            self[key] = module
