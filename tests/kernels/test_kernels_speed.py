"""The micro-kernel is fast on every variant, or the compiler has stopped vectorising it.

A wrong result is seen by other tests; a loop that the compiler no longer turns into vector instructions computes the
right numbers, twenty-five times too slowly (measured: 4 in place of 109 GFLOP/s). So its speed is compared with that
of NumPy's BLAS on one thread, in turn and in one process, best of several tries. A ratio of bests needs no quiet
machine, and the limits leave room.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import _kernels

PACKAGE = Path(_kernels.__file__).parents[1]

# Of NumPy's speed. The plain variant has SSE's four floats a vector where NumPy may use sixteen.
LEAST = {"v4": 0.25, "v3": 0.25, "baseline": 0.1}

# Of that. (Winograd's way counts the multiplications that it saves: 2.4, 2.0 and 0.8 of NumPy's speed were measured.)
CASES = {
    "product": 1,
    "product in float64": 1,
    "convolution": 1,
    "winograd": 3,
    "input gradient": 1,
    "weight gradient": 1,
}

# .ci/sanitize builds for checking memory, not for speed.
UNOPTIMISED = any(flag in os.environ.get("CFLAGS", "") for flag in ("-O0", "-O1", "-fsanitize"))

# Runs alternately until the limit is reached (after five tries at least) or the time is up, and prints the ratio.
RACE = """
import sys, time
import numpy as np
from minidl import _kernels
from minidl._kernels import kernels

case, least = sys.argv[1], float(sys.argv[2])
_kernels.set_num_threads(1)
dtype = np.float64 if case == "product in float64" else np.float32
a, b = np.ones((384, 384), dtype), np.ones((384, 384), dtype)
side = 3 if case == "winograd" else 5
x, w = np.ones((2, 64, 28, 28), dtype), np.ones((64, 64, side, side), dtype)
pixels = np.ones((2, 64, 29 - side, 29 - side), dtype)
one, none = (1, 1), (0, 0)
flops = 2 * 384**3 if "product" in case else 2 * pixels.size * w[0].size
work = {
    "product": lambda: kernels.gemm.matmul(a, b),
    "product in float64": lambda: kernels.gemm.matmul(a, b),
    "convolution": lambda: kernels.conv.conv2d(x, w, None, one, none, one, 1),
    "winograd": lambda: kernels.conv.conv2d(x, w, None, one, none, one, 1),
    "input gradient": lambda: kernels.conv.conv2d_input_grad(pixels, w, (28, 28), one, none, one, 1),
    "weight gradient": lambda: kernels.conv.conv2d_weight_grad(pixels, x, (side, side), one, none, one, 1),
}[case]

def rate(run, flops):
    before = time.perf_counter()
    run()
    return flops / (time.perf_counter() - before)

ours = peak = tries = 0
until = time.perf_counter() + 20
while tries < 5 or (ours < least * peak and time.perf_counter() < until):
    peak = max(peak, rate(lambda: np.matmul(a, b), 2 * 384**3))
    ours = max(ours, rate(work, flops))
    tries += 1
print(ours / peak)
"""


def variants() -> list[str]:
    """Those that are built and that this processor runs."""
    if _kernels.kernels is None:
        return []
    from minidl._kernels import cpu

    folder = Path(_kernels.__file__).parent
    return [name for name in cpu.variants() if list((folder / name).glob("gemm.*"))]


@pytest.mark.skipif(UNOPTIMISED, reason="CFLAGS ask for a build that is slow on purpose")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("variant", variants())
def test_the_micro_kernel_is_vectorised(variant, case, tmp_path):
    least = LEAST[variant] * CASES[case]
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    environment = {**dict.fromkeys(threads, "1"), "MINIDL_ISA": variant, "MINIDL_KERNELS": "require"}
    result = subprocess.run(
        [sys.executable, "-c", RACE, case, str(least)],
        env={**os.environ, **environment, "PYTHONPATH": str(PACKAGE.parent)},
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    ratio = float(result.stdout)
    assert ratio >= least, f"{case} on {variant}: {ratio:.2f} of NumPy's speed; is the loop still vectorised?"
