"""Every test here runs on a stand-in for CuPy, and with ``pytest -m gpu`` on the real one and its GPU."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import pytest
import standin

from minidl import backends
from minidl.backends.cuda import device, launch, transfer

CACHES = (device._cupy, launch._module, launch._kernel, transfer._sender)


def forget() -> None:
    """Look CuPy up anew."""
    for cache in CACHES:
        cache.cache_clear()
    backends._CUDA.__dict__.pop("xp", None)


@pytest.fixture(scope="package", autouse=True, params=["stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def cupy(request):
    """The module that the engine imports as ``cupy``."""
    before = {name: sys.modules.pop(name, None) for name in ("cupy", "cupy.cuda")}
    forget()
    try:
        if request.param == "gpu":
            reason = "CuPy is not installed" if importlib.util.find_spec("cupy") is None else device.why_not()
            if reason:
                pytest.skip(reason)
            yield device.check_device()
        else:
            if shutil.which("g++") is None:
                pytest.skip("no g++ to compile the kernels for the CPU")
            yield standin.install()
    finally:
        forget()
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


@pytest.fixture
def emulated(cupy):
    """For tests that look into the stand-in."""
    if cupy.__dict__.get("ndarray") is not standin.ndarray:
        pytest.skip("looks into the stand-in")
    return standin
