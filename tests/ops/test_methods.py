"""The table of methods, the signatures for type checkers, and the functions say the same."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import minidl
from minidl.ops import methods


def stub() -> dict[str, list[str]]:
    tree = ast.parse(Path(methods.__file__).with_name("signatures.pyi").read_text())
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    found = {}
    for node in body:
        arguments = node.args
        names = [a.arg for a in [*arguments.posonlyargs, *arguments.args][1:]]
        names += [arguments.vararg.arg] if arguments.vararg else []
        found[node.name] = names + [a.arg for a in arguments.kwonlyargs]
    return found


def test_the_signatures_are_those_of_the_table():
    declared = stub()
    assert declared.keys() == methods.METHODS.keys()
    for name, function in methods.METHODS.items():
        if name in ("__eq__", "__ne__") or isinstance(function, property):
            continue
        parameters = list(inspect.signature(function).parameters.values())
        if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        assert declared[name] == [p.name for p in parameters], name


def test_a_method_is_its_function():
    x = minidl.tensor([[1.0, -2.0], [3.0, 4.0]])
    assert x.sum(0).tolist() == minidl.sum(x, 0).tolist() == [4, 2]
    assert x.T.tolist() == [[1, 3], [-2, 4]]
    assert (2 - x).tolist() == [[1, 4], [-1, -2]] and (x @ x).tolist() == minidl.matmul(x, x).tolist()
