"""Compile the CUDA kernels' own source with g++ against `emulation.h`, and launch them on NumPy arrays."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backends.cuda.source import parameters

HEADER = Path(__file__).with_name("emulation.h")
BUILT = Path(tempfile.gettempdir()) / f"minidl-emulation-{os.getuid()}"
compiler = os.environ.get("CXX") or shutil.which("g++") or ""

_C_TYPES = {"long long": ctypes.c_longlong, "unsigned long long": ctypes.c_ulonglong, "int": ctypes.c_int,
            "double": ctypes.c_double}  # fmt: skip


def launchers(source: str) -> str:
    """C functions that unpack their arguments and run a kernel over a grid."""
    text = []
    for name, declared in parameters(source).items():
        unpacked = ", ".join(f"*({kind}*)a[{i}]" for i, (kind, _) in enumerate(declared))
        body = source[source.index(f"void {name}(") :].split("\n}\n")[0]
        text.append(
            f"static void body_of_{name}(void** a) {{ {name}({unpacked}); }}\n"
            f'extern "C" int launch_{name}(void** a, unsigned int blocks, unsigned int threads)\n'
            f"{{ return emulation::launch(body_of_{name}, a, {int('__shared__' in body)}, blocks, threads); }}"
        )
    return "\n".join(text)


class Emulated:
    """One source file for one element type, compiled; `launch` runs one of its kernels."""

    def __init__(self, source: str, defines: dict[str, str]) -> None:
        self.defines = defines
        self.parameters = parameters(source)
        program = f'#include "{HEADER}"\n{source}\n{launchers(source)}'
        options = ["-std=c++14", "-O1", "-shared", "-fPIC", "-Wno-attributes"]
        options += os.environ.get("MINIDL_EMULATION_FLAGS", "").split()
        options += [f"-D{name}={value}" for name, value in defines.items()]
        key = hashlib.sha256("\0".join([program, HEADER.read_text(), *options]).encode()).hexdigest()[:20]
        library = BUILT / f"{key}.so"
        if not library.exists():
            BUILT.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=BUILT) as folder:
                path = Path(folder) / "kernels.cpp"
                path.write_text(program)
                built = Path(folder) / "kernels.so"
                done = subprocess.run([compiler, *options, str(path), "-o", str(built)], capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                os.replace(built, library)
        self.library = ctypes.CDLL(str(library))

    def launch(self, name: str, blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
        """Run a kernel; arrays must have the type that its declaration says."""
        declared = self.parameters[name]
        assert len(arguments) == len(declared), f"{name} takes {len(declared)} arguments, got {len(arguments)}"
        boxes = [self._box(*each) for each in zip(declared, arguments, strict=True)]
        pointers = (ctypes.c_void_p * len(boxes))(*[ctypes.addressof(box) for box in boxes])
        failed = self.library[f"launch_{name}"](pointers, ctypes.c_uint(blocks), ctypes.c_uint(threads))
        assert not failed, f"{name}: some threads of a block wait at a barrier, others have ended"

    def _box(self, declared: tuple[str, str], value: Any) -> Any:
        kind, name = declared
        kind = re.sub(r"\b(REAL|INDEX)\b", lambda m: self.defines[m[0]], kind.removeprefix("const "))
        if not kind.endswith("*"):
            assert isinstance(value, np.generic), f"{name}: a NumPy scalar of a fixed width, not {type(value)}"
            assert ctypes.sizeof(_C_TYPES[kind]) == value.dtype.itemsize, f"{name}: {kind}, got {value.dtype}"
            return _C_TYPES[kind](value.item())
        if isinstance(value, np.uint64) and value == 0:
            return ctypes.c_void_p(0)
        wanted = {"float*": np.float32, "double*": np.float64, "long long*": np.int64}[kind]
        assert value.dtype == wanted, f"{name}: {kind}, got an array of {value.dtype}"
        assert value.flags.c_contiguous, f"{name}: not contiguous"
        return ctypes.c_void_p(value.ctypes.data)
