"""The build and the choice at import: variants, switches, threads, fork. Each in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import _kernels
from minidl.errors import OptionError

ROOT = Path(__file__).parents[2]
VARIANTS = [name for name in ("baseline", "v3", "v4") if list((ROOT / "minidl/_kernels" / name).glob("gemm.*"))]
needs_kernels = pytest.mark.skipif(_kernels.kernels is None, reason=f"no compiled kernels: {_kernels.reason}")

SMOKE = """
import numpy as np
from minidl import _kernels
from minidl._kernels import kernels
rng = np.random.default_rng(0)
a, b = rng.standard_normal((40, 300)), rng.standard_normal((300, 70))
assert np.allclose(kernels.gemm.matmul(a, b), np.einsum("ij,jk->ik", a, b))
x, w = rng.standard_normal((2, 3, 9, 9)), rng.standard_normal((4, 3, 3, 3))
windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
y = kernels.conv.conv2d(x, w, None, (1, 1), (0, 0), (1, 1), 1)
assert np.allclose(y, np.einsum("nchwij,ocij->nohw", windows, w))
print(_kernels.isa)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {k: v for k, v in os.environ.items() if k not in ("MINIDL_ISA", "MINIDL_KERNELS")}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@needs_kernels
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_computes(variant):
    from minidl._kernels import cpu

    if variant not in cpu.variants():
        pytest.skip(f"this processor does not run {variant}")
    result = run(SMOKE, MINIDL_ISA=variant)
    assert result.stdout.strip() == variant, result.stderr


@needs_kernels
def test_the_fastest_variant_is_the_default():
    from minidl._kernels import cpu

    built = [name for name in cpu.variants() if name in VARIANTS]
    assert run(SMOKE).stdout.strip() == built[0]


def test_kernels_can_be_switched_off():
    code = "from minidl import _kernels; print(_kernels.kernels, _kernels.isa, _kernels.get_num_threads())"
    result = run(code, MINIDL_KERNELS="off")
    assert result.stdout.split() == ["None", "none", "1"], result.stderr


@pytest.mark.parametrize("switch", [{"MINIDL_ISA": "v9"}, {"MINIDL_KERNELS": "maybe"}])
@needs_kernels
def test_an_unknown_switch_is_an_error(switch):
    result = run("import minidl._kernels", **switch)
    assert result.returncode != 0
    assert "OptionError" in result.stderr


def test_the_number_of_threads_is_checked():
    with pytest.raises(OptionError):
        _kernels.set_num_threads(0)


@needs_kernels
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes_alone_and_does_not_hang():
    code = """
import os, warnings
import numpy as np
from minidl._kernels import get_num_threads, kernels, set_num_threads
warnings.simplefilter("ignore")
set_num_threads(4)
a = np.ones((500, 500))
expected = kernels.gemm.matmul(a, a)
child = os.fork()
if child == 0:
    same = np.array_equal(kernels.gemm.matmul(a, a), expected)
    os._exit(0 if same and get_num_threads() == 1 else 1)
print(os.waitpid(child, 0)[1], get_num_threads())
"""
    result = run(code)
    assert result.stdout.split() == ["0", str(4 if _kernels.openmp else 1)], result.stderr


def test_cores_follow_the_affinity():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this system")
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from minidl import _kernels
print(_kernels.available_cores(), _kernels.get_num_threads())
"""
    assert run(code).stdout.split() == ["1", "1"]


def test_a_quota_of_the_container_limits_the_cores(monkeypatch):
    def read(path):
        return {"/sys/fs/cgroup/cpu.max": "150000 100000\n"}[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    assert _kernels.available_cores() == 1


def test_a_missing_compiler_leaves_an_install_without_kernels(tmp_path):
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={tmp_path}", f"--build-temp={tmp_path}"],
        env=os.environ | {"CC": "/nonexistent/compiler", "MINIDL_KERNELS": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "no working C compiler" in result.stderr
    assert not list(tmp_path.rglob("*.so"))


def test_a_required_compiler_that_is_missing_is_an_error(tmp_path):
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={tmp_path}", f"--build-temp={tmp_path}"],
        env=os.environ | {"CC": "/nonexistent/compiler", "MINIDL_KERNELS": "require"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode != 0
