"""Which operations of a graph belong together: those that ran inside one module, or else neighbours in time.

A graph does not know of modules. But a module's call is a stretch of time, and its parameters give it away: an
operation that takes ``block.0.weight`` ran inside ``block.0``, and one between two operations of ``block`` ran inside
``block``. (What a module computes after its last parameter counts to the module around it.) So groups are stretches of
the order in which the operations ran, and as such never form a cycle.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Group", "group_operations"]

_ROOM = 60  # more pieces than these on one level are gathered once more
_PART = 12


@dataclass
class Group:
    """A stretch of operations with a name; `parent` is the index of the group around it, or -1."""

    label: str
    parent: int
    operations: list[int]


def group_operations(parameters: Sequence[str], kinds: dict[str, str]) -> list[Group]:
    """Group operations by the modules whose parameters they take.

    Parameters
    ----------
    parameters : sequence of str
        For each operation, in the order in which they ran, the name of a parameter that it takes, or "".
    kinds : dict
        Class names of the modules by path; empty without a model.

    Returns
    -------
    list of Group
        Outer groups before inner ones. One operation alone is no group.
    """
    groups: list[Group] = []
    paths = _paths(parameters, kinds)
    _split(list(range(len(paths))), paths, 0, -1, kinds, groups)
    return _gather(len(paths), groups)


def _paths(parameters: Sequence[str], kinds: dict[str, str]) -> list[tuple[str, ...]]:
    """The module of each operation; between two modules, what their paths have in common."""
    own: list[Any] = [tuple(name.split(".")[:-1]) if kinds and name else None for name in parameters]
    before = list(itertools.accumulate(own, _or_last))
    after = list(itertools.accumulate(reversed(own), _or_last))
    paths = []
    for path, left, right in zip(own, before, reversed(after), strict=True):
        if path is None:
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left or (), right or (), strict=False))
            path = tuple(a for a, _ in same)
        paths.append(path)
    return paths


def _or_last(last: Any, path: Any) -> Any:
    return last if path is None else path


def _split(
    operations: list[int], paths: list[tuple[str, ...]], depth: int, parent: int, kinds: dict[str, str],
    groups: list[Group],
) -> None:  # fmt: skip
    """Make a group of each run of at least two operations in one module, and then of the modules inside it."""
    for path, run in itertools.groupby(operations, key=lambda i: paths[i][: depth + 1]):
        members = list(run)
        if len(path) <= depth:  # in no module on this level
            continue
        around = parent
        if len(members) > 1:
            name = ".".join(path)
            around = len(groups)
            groups.append(Group(f"{name}: {kinds.get(name, 'Module')}", parent, members))
        _split(members, paths, depth + 1, around, kinds, groups)


def _gather(count: int, groups: list[Group]) -> list[Group]:
    """Where more than 60 pieces stand on the top level, put each dozen of neighbours into a part."""
    member = {i: number for number, group in enumerate(groups) if group.parent == -1 for i in group.operations}
    pieces = [list(run) for _, run in itertools.groupby(range(count), key=lambda i: member.get(i, -1 - i))]
    while len(pieces) > _ROOM:
        parts = [list(itertools.chain(*pieces[i : i + _PART])) for i in range(0, len(pieces), _PART)]
        shift = len(parts)
        outer = [Group(f"operations {part[0] + 1} to {part[-1] + 1}", -1, part) for part in parts]
        holder = {i: number for number, part in enumerate(parts) for i in part}
        for group in groups:
            group.parent = holder[group.operations[0]] if group.parent == -1 else group.parent + shift
        groups = outer + groups
        pieces = parts
    return groups
