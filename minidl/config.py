"""What is in use here: kernels, instruction set, threads, versions."""

from __future__ import annotations

import platform
import sys

import numpy as np

from minidl import _kernels
from minidl.backends import available_backends
from minidl.backends.cuda.device import why_not

__all__ = ["config", "show_config", "version"]

_OPTIONAL = ("safetensors", "tqdm", "matplotlib", "scikit-learn", "pillow")


def version(package: str = "minidl") -> str:
    """Version of an installed package, "not installed" where there is none."""
    from importlib import metadata  # takes a third as long to load as NumPy, and a program rarely asks

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cupy() -> str:
    """CuPy's version; its packages are named by the version of CUDA."""
    found = [version(name) for name in ("cupy", "cupy-cuda12x", "cupy-cuda13x")]
    return next((text for text in found if text != "not installed"), "not installed")


def config() -> dict[str, str]:
    """What computes and which versions, as text by topic.

    Examples
    --------
    >>> "instruction set" in config()
    True
    """
    compiled = _kernels.kernels is not None
    return {
        "minidl": version(),
        "kernels": "compiled" if compiled else f"plain NumPy reference ({_kernels.reason})",
        "instruction set": _kernels.isa if compiled else "-",
        "OpenMP": "yes" if _kernels.openmp else "no",
        "threads": f"{_kernels.get_num_threads()} of {_kernels.available_cores()} usable cores",
        "backends": ", ".join(available_backends()),
        "CuPy": _cupy(),
        "GPU": why_not() or "usable",
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "machine": f"{sys.platform}, {platform.machine()}",
        "numpy": np.__version__,
        **{name: version(name) for name in _OPTIONAL},
    }


def show_config() -> None:
    """Print what is in use: compiled or not, instruction set, OpenMP, threads, CuPy, versions."""
    facts = config()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
