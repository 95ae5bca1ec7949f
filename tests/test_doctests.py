"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import minidl


def modules() -> list[str]:
    names = [m.name for m in pkgutil.walk_packages(minidl.__path__, "minidl.")]
    return ["minidl", *(n for n in names if "._kernels." not in n and not n.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_doctests(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    minidl.manual_seed(0)
    module = importlib.import_module(name)
    with np.printoptions(legacy=False):
        result = doctest.testmod(
            module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
    assert result.failed == 0


def test_the_suite_finds_examples():
    finder = doctest.DocTestFinder()
    tests = [t for name in modules() for t in finder.find(importlib.import_module(name))]
    assert sum(len(t.examples) for t in tests) > 200
