"""The rules of the house: imports point one way, `import minidl` is light, every operation is whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minidl
from minidl import certificate, ops
from minidl.gradcheck import registry
from minidl.op import Op
from minidl.ops.devices import ToDevice

PACKAGE = Path(minidl.__file__).parent

# A module may import from its own layer and from those before it.
LAYERS = [
    {"errors"},
    {"_kernels"},
    {"backends"},
    {"cuda", "dtypes", "modes", "memory"},
    {"random", "tensor", "config"},
    {"op", "creation"},
    {"autograd"},
    {"gradcheck"},
    {"ops"},
    {"certificate"},
    {"nn"},
    {"optim", "data", "io"},
    {"train"},
    {"models", "viz"},
    {"teach"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def module_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def runtime_imports(node: ast.AST) -> list[tuple[str, int, bool]]:
    """(module, line, at the top) of each import of minidl, leaving out those for type checkers alone."""
    found = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                continue
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "minidl":
                names = [f"{child.module}.{alias.name}" for alias in child.names]
                found.extend((name, child.lineno, top) for name in names)
            elif isinstance(child, ast.Import):
                found.extend((a.name, child.lineno, top) for a in child.names if a.name.split(".")[0] == "minidl")
            visit(child, top and not inside)

    visit(node, True)
    return found


@pytest.mark.parametrize("path", module_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = LEVEL[part_of(path)]
    for module, line, _ in runtime_imports(ast.parse(path.read_text())):
        parts = module.split(".")
        target = parts[1] if len(parts) > 1 else "__init__"
        if target not in LEVEL:  # a name of minidl/__init__.py
            target = "__init__"
        assert LEVEL[target] <= own, f"{path.name}:{line} imports {module}, which stands above it"


@pytest.mark.parametrize("path", module_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_own_imports_stand_at_the_top(path):
    if path.name == "__init__.py" and path.parent.name == "_kernels":
        pytest.skip("chooses among the compiled variants at import")
    late = [
        f"{path.name}:{line} {module}" for module, line, top in runtime_imports(ast.parse(path.read_text())) if not top
    ]
    assert not late


def import_graph() -> dict[str, set[str]]:
    names = {}
    for path in module_files():
        dotted = ".".join(["minidl", *path.relative_to(PACKAGE).with_suffix("").parts])
        names[dotted.removesuffix(".__init__")] = path
    graph = {}
    for name, path in names.items():
        targets = set()
        for module, _, top in runtime_imports(ast.parse(path.read_text())):
            while module not in names:
                module = module.rpartition(".")[0]
            if top and module != name:
                targets.add(module)
        graph[name] = targets
    return graph


def test_there_are_no_import_cycles():
    graph = import_graph()
    state: dict[str, int] = {}

    def visit(name: str, trail: list[str]) -> None:
        assert state.get(name) != 1, " -> ".join([*trail[trail.index(name) :], name])
        if name in state:
            return
        state[name] = 1
        for target in sorted(graph[name]):
            # A package's __init__ that gathers its modules is no cycle: they import each other directly.
            if not name.startswith(target + "."):
                visit(target, [*trail, name])
        state[name] = 2

    for name in sorted(graph):
        visit(name, [])


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_numpy_and_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import numpy; numpys = set(sys.modules); import minidl;"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - numpys} - set(sys.stdlib_module_names)))"
    )
    loaded = {name for name in run_python(code).split() if not name.startswith(("_", "cython"))}
    assert loaded <= {"minidl", "numpy"}


def test_import_does_not_draw_on_the_users_random_state():
    code = (
        "import numpy as np; np.random.seed(0); a = np.random.get_state()[2];"
        "import minidl; print(a == np.random.get_state()[2])"
    )
    assert run_python(code).strip() == "True"


def test_every_exported_operation_has_a_case():
    assert certificate.missing_operations() == []


def test_a_missing_case_is_noticed(monkeypatch):
    monkeypatch.setattr(certificate, "registry", [case for case in registry if case.name != "add"])
    assert certificate.missing_operations() == ["add"]


def all_ops(base: type[Op]) -> set[type[Op]]:
    return {base, *(sub for child in base.__subclasses__() for sub in all_ops(child))}


def test_every_op_class_is_exercised_by_a_case(monkeypatch):
    """Each class with a forward of its own runs in some case, forward or backward."""
    seen: set[type] = set()
    original = Op.__call__

    def spy(self, *inputs):
        seen.add(type(self))
        return original(self, *inputs)

    monkeypatch.setattr(Op, "__call__", spy)
    for case in registry:
        certificate.check_case(case, 2)
    wanted = {op for op in all_ops(Op) if op.__module__.startswith("minidl.ops") and "forward" in vars(op)}
    wanted.discard(ToDevice)  # needs a second device: tests/cuda goes through it with every case
    assert not {op.__name__ for op in wanted - seen}


def test_exports_exist_and_are_sorted():
    for module in (minidl, ops):
        assert sorted(set(module.__all__)) == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


def test_public_operations_have_a_docstring_with_an_example():
    without = [n for n in ops.__all__ if ">>>" not in (getattr(ops, n).__doc__ or "")]
    assert not without
