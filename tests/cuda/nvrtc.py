"""Compile CUDA source with NVRTC, which needs no device: a few lines of ctypes around the library of the wheel."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def find() -> Path | None:
    """The library of the package nvidia-cuda-nvrtc, None where it is not installed."""
    for package in ("nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc"):
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith("libnvrtc.so"):
                return Path(str(file.locate()))
    return None


def compile_source(source: str, options: Sequence[str]) -> str:
    """What the compiler has to say, empty if it is content.

    Raises
    ------
    RuntimeError
        If the source does not compile; the message is the compiler's log.
    """
    library = ctypes.CDLL(str(find()))
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    texts = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    failed = library.nvrtcCompileProgram(program, len(options), texts)
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise RuntimeError(log.value.decode() or f"NVRTC refuses the options {options}")
    return log.value.decode().strip("\n\0")
