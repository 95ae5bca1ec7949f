"""What needs NVIDIA's and CuPy's packages, but no GPU: kernels for every chip, and the stand-in's table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nvrtc
import pytest

from minidl.backends.cuda.source import ARCHITECTURES, INDEX_TYPES, REAL_TYPES, families, parameters, source

FOLDER = Path(__file__).parent
needs_nvrtc = pytest.mark.skipif(nvrtc.find() is None, reason="the package nvidia-cuda-nvrtc-cu12 is not installed")


def options(architecture, real, index):
    return [f"--gpu-architecture={architecture}", "--std=c++14", f"-DREAL={real}", f"-DINDEX={index}"]


@needs_nvrtc
@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_without_a_word(family, architecture):
    for real, index in zip(REAL_TYPES.values(), INDEX_TYPES.values(), strict=True):
        assert nvrtc.compile_source(source(family), options(architecture, real, index)) == ""


@needs_nvrtc
def test_a_fault_does_not_compile():
    with pytest.raises(RuntimeError, match="undefined"):
        nvrtc.compile_source(source("conv").replace("% ow", "% ouch", 1), options("sm_90", "float", "int"))


def test_every_kernel_is_declared_so_that_arguments_can_be_checked():
    for family in families():
        text = source(family)
        assert len(parameters(text)) == text.count("__global__")
        for declared in parameters(text).values():
            for kind, _ in declared:
                assert kind.removeprefix("const ") in {
                    "REAL*",
                    "long long*",
                    "INDEX",
                    "double",
                    "long long",
                    "unsigned long long",
                }


# In a process of its own: in this one, another module may have the name.
WRITE = "import json, make_signatures; print(json.dumps(make_signatures.collect()))"


def test_the_stand_in_knows_what_cupy_takes():
    found = subprocess.run([sys.executable, "-c", WRITE], cwd=FOLDER, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("CuPy is not installed")
    installed, table = json.loads(found.stdout), json.loads((FOLDER / "cupy_signatures.json").read_text())
    if installed["version"].split(".")[0] != table["version"].split(".")[0]:
        pytest.skip(f"CuPy {installed['version']} is installed, the table is of {table['version']}")
    assert installed["functions"] == table["functions"]
    assert installed["methods"] == table["methods"]


def test_the_source_is_clean_under_the_sanitizers(tmp_path):
    """The agreement suite once more, the emulated kernels under AddressSanitizer and UndefinedBehaviorSanitizer."""
    if shutil.which("g++") is None or os.environ.get("MINIDL_SANITIZERS") != "1":
        pytest.skip("takes half a minute: MINIDL_SANITIZERS=1 asks for it, and g++ is needed")
    libraries = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--capture=sys", "-m", "not gpu",
               str(FOLDER / "test_cuda_agreement.py"), "-k", "same_numbers"]  # fmt: skip
    environment = {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "MINIDL_EMULATION_FLAGS": "-g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined",
        "MINIDL_KERNELS": "off",
        "PYTHONMALLOC": "malloc",
    }
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
