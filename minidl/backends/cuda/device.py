"""Is there a GPU, and if not, what is missing? Its memory, and waiting for it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from minidl.errors import DeviceError

__all__ = [
    "allow_tf32",
    "check_device",
    "empty_cache",
    "is_available",
    "memory_stats",
    "synchronize",
    "tf32_allowed",
    "why_not",
]


@cache
def _cupy() -> Any:
    """CuPy, or a sentence that says why it is not there."""
    try:
        import cupy
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return "CuPy is not installed: pip install 'minidl[cuda12]' or, for CUDA 13, 'minidl[cuda13]'"
        return f"CuPy is installed but does not load: {str(error).strip().splitlines()[0]}"
    return cupy


@cache
def _trial(cupy: Any) -> str:
    """What breaks in a product and a sum, which need NVRTC with its headers and cuBLAS; empty if nothing does."""
    try:
        ones = cupy.ones((2, 2), cupy.float32)
        ones @ ones + ones
    except Exception as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""


def why_not() -> str:
    """Why no GPU can be used, in a sentence that says what to do; empty where one can.

    Examples
    --------
    >>> why_not() == "" or not is_available()
    True
    """
    cupy = _cupy()
    if isinstance(cupy, str):
        return cupy
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        reason = str(error).partition(":")[2].strip() or str(error)
        return f"CuPy {cupy.__version__} finds no usable GPU ({reason}): install or update NVIDIA's driver"
    if not count:
        return "there is no NVIDIA GPU in this machine, or CUDA_VISIBLE_DEVICES hides it"
    broken = _trial(cupy)
    return broken and (
        f"CuPy {cupy.__version__} cannot compute on the GPU ({broken}): pip install 'minidl[cuda12]' or, for "
        "CUDA 13, 'minidl[cuda13]' brings CUDA's libraries"
    )


def is_available() -> bool:
    """Whether Tensors can be sent to "cuda"."""
    return why_not() == ""


def check_device() -> Any:
    """CuPy, if there is a GPU that can be used.

    Raises
    ------
    DeviceError
        If not, with the reason.
    """
    reason = why_not()
    if reason:
        raise DeviceError("cuda", expected="a GPU that can be used", actual="none", hint=reason)
    return _cupy()


def synchronize() -> None:
    """Wait until the GPU has done all work it was given. A time measured without this is that of giving orders."""
    check_device().cuda.Device().synchronize()


def memory_stats() -> dict[str, int]:
    """Bytes of GPU memory: in use by arrays, and held by CuPy's pool (those among them).

    Examples
    --------
    >>> sorted(memory_stats()) if is_available() else ["bytes_held", "bytes_in_use"]
    ['bytes_held', 'bytes_in_use']
    """
    pool = check_device().get_default_memory_pool()
    return {"bytes_in_use": pool.used_bytes(), "bytes_held": pool.total_bytes()}


def empty_cache() -> None:
    """Give the memory that no array uses back to the system."""
    cupy = check_device()
    cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()


def allow_tf32(allowed: bool) -> None:
    """Let products of float32 run on the tensor cores with 10 bits of mantissa in place of 23. Off by default.

    PyTorch does this for convolutions unless told otherwise, not for products: compare like with like.
    """
    linalg = check_device()._core._routines_linalg
    kind = linalg.COMPUTE_TYPE_TF32 if allowed else linalg.COMPUTE_TYPE_FP32
    linalg.set_compute_type(np.dtype(np.float32), kind)


def tf32_allowed() -> bool:
    """Whether `allow_tf32` is on."""
    linalg = check_device()._core._routines_linalg
    return bool(linalg.get_compute_type(np.dtype(np.float32)) == linalg.COMPUTE_TYPE_TF32)
