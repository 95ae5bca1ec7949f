"""Without CuPy, with a broken one, and with one that finds no driver: asking says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import minidl
print(minidl.cuda.is_available(), "|", minidl.cuda.why_not())
try:
    minidl.zeros(2).to("cuda")
except minidl.errors.DeviceError as error:
    print(error)
"""

CUPIES = {
    "a broken installation": ("raise ImportError('libnvrtc.so.12: cannot open shared object file')", "libnvrtc.so.12"),
    "no driver": (
        "class runtime:\n    @staticmethod\n    def getDeviceCount(): "
        "raise RuntimeError('cudaErrorInsufficientDriver: CUDA driver version is insufficient')\n"
        "class cuda: runtime = runtime\n__version__ = '14.0'",
        "driver",
    ),
    "a missing library": (
        "class runtime:\n    @staticmethod\n    def getDeviceCount(): return 1\n"
        "class cuda: runtime = runtime\n__version__ = '14.0'\nfloat32 = None\n"
        "def ones(*arguments): raise RuntimeError('libnvrtc.so.12 was not found')",
        "libnvrtc.so.12",
    ),
    "no device": (
        "class runtime:\n    @staticmethod\n    def getDeviceCount(): return 0\n"
        "class cuda: runtime = runtime\n__version__ = '14.0'",
        "no NVIDIA GPU",
    ),
}


def ask(path=None):
    before = "" if path is None else f"import sys; sys.path.insert(0, {str(path)!r})\n"
    done = subprocess.run([sys.executable, "-W", "error", "-c", before + ASK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    available, _, reason = done.stdout.partition("|")
    assert available.strip() == "False"
    return reason


def test_without_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ModuleNotFoundError(\"No module named 'cupy'\", name='cupy')")
    reason = ask(tmp_path)
    assert "CuPy is not installed" in reason and "pip install" in reason


@pytest.mark.parametrize("name", CUPIES)
def test_with_a_cupy_that_cannot_compute(name, tmp_path):
    code, expected = CUPIES[name]
    (tmp_path / "cupy.py").write_text(code)
    assert expected in ask(tmp_path)


def test_with_the_installed_cupy_and_no_gpu():
    if subprocess.run([sys.executable, "-c", "import cupy; cupy.zeros(1)"], capture_output=True).returncode == 0:
        pytest.skip("there is a GPU")
    assert len(ask()) > 20
