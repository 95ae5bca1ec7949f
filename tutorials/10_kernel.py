# %% [markdown]
# # 10. Write its Cython kernel
#
# Chapter 9 ended with an operation that is right. This chapter makes it fast: from plain Python loops to more than half of the most that the processor
# can do, several thousand times as fast, in one page of Cython. No assembler, no intrinsics: ordinary loops, in the shape that a
# compiler likes.
#
# **Afterwards** you can compile a kernel from Python, read typed views and `nogil` without fear, share out work to threads, say how near
# you are to the peak (and measure that peak), and hook a kernel into an operation so that it is *proven* and never *needed*.
#
# **Time**: smoke 2 s, default 10 s, full 17 s (and 6 s for the first compilation). **Data**: none.
#
# With Cython and a C compiler (gcc, clang); without them the chapter says so and goes on in NumPy.
#
# You need chapter 9; chapter 2 for the check at the end.

# %%
from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import teach
from minidl.backends import backend_of
from minidl.backends.compiled import CompiledBackend
from minidl.certificate import certify, format_table
from minidl.config import config
from minidl.gradcheck import call, cases
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("10_kernel", "Write its Cython kernel")
rng = np.random.default_rng(0)

# %% [markdown]
# ## Where we start
#
# $D_{ij} = \sum_k (x_{ik} - y_{jk})^2$: one subtraction, one multiplication, one addition for each $(i, j, k)$. So the work is
# $3·N·M·K$ floating-point operations, and dividing it by the time gives a speed that can be compared with anything: **GFLOP/s**,
# billions of operations a second. Three ways that need no compiler:


# %%
def by_loops(x, y):
    """Plain Python, on lists."""
    return [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in y] for p in x]


def by_broadcasting(x, y):
    """The line that everyone writes: makes an array (N, M, K)."""
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def by_coordinates(x, y):
    """Chapter 9: one coordinate at a time, never more than (N, M) numbers."""
    d = np.zeros((len(x), len(y)), x.dtype)
    for k in range(x.shape[1]):
        difference = x[:, k, None] - y[None, :, k]
        d += difference * difference
    return d


def median_time(run, repeats):
    """As in chapter 8: the first call warms up, then the median."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def gflops(run, n, m, k, repeats):
    return 3 * n * m * k / median_time(run, repeats) / 1e9


n = m = chapter.pick(smoke=256, default=1536, full=3072)
k = chapter.pick(smoke=16, default=64, full=64)
x, y = (rng.normal(size=(rows, k)).astype(np.float32) for rows in (n, m))
few = 24  # for the slow ones
ladder = {
    "Python loops": gflops(lambda: by_loops(x[:few].tolist(), y[:few].tolist()), few, few, k, 3),
    "NumPy, broadcasting": gflops(lambda: by_broadcasting(x[: n // 8], y), n // 8, m, k, 3),
    "NumPy, by coordinates": gflops(lambda: by_coordinates(x, y), n, m, k, 3),
}
for name, speed in ladder.items():
    print(f"{name:24}{speed:9.3f} GFLOP/s")

# %% [markdown]
# NumPy is nearly a hundred times as fast as the loops, since its own loops are compiled. **Guess** before you read on: what could the processor do
# at most?
#
# ## From a text to a function
#
# Cython is Python with C types: a compiler turns it into C, and a C compiler makes an extension module of that. You need not leave this script for
# it. The function below writes a `.pyx`, compiles it as minidl's `setup.py` does, and imports the result. Compiling takes seconds, so it keeps
# what it made in a cache, under a name that is computed from the text itself: an unchanged kernel is never compiled twice, and a changed one always is.


# %%
def build(source, flags, openmp=("-fopenmp",)):
    """Compile Cython source to a module; cached by content."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    key = hashlib.sha256("\n".join([source, *flags, *openmp, suffix]).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "minidl", "kernels")
    name, library = f"kernel_{key}", cache / f"kernel_{key}{suffix}"
    if not library.exists():
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        if os.name == "posix" and shutil.which(compiler) is None:
            raise FileNotFoundError(f"there is no C compiler {compiler}")
        from Cython.Build import cythonize
        from setuptools import Distribution, Extension

        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            path = Path(work, f"{name}.pyx")
            path.write_text(source)
            extension = Extension(name, [str(path)], extra_compile_args=[*flags, *openmp], extra_link_args=[*openmp])
            command = Distribution({"ext_modules": cythonize([extension], quiet=True)}).get_command_obj("build_ext")
            command.build_lib = command.build_temp = work
            command.ensure_finalized()
            command.run()
            os.replace(Path(work, library.name), library)  # in one step: another process sees all of it or nothing
    spec = importlib.util.spec_from_file_location(name, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# %% [markdown]
# The flags are those of `setup.py`. `-O3` makes the compiler write vector instructions; `-march` says which ones there are
# (minidl found out at import). **Not** among them: `-ffast-math`, which changes the arithmetic of the whole process.

# %%
instruction_set = config()["instruction set"]
flags = [chapter.pick(smoke="-O1", default="-O3", full="-O3"), "-g0", "-fno-math-errno", "-fno-trapping-math"]
flags += {
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}.get(instruction_set, [])
print(f"instruction set: {instruction_set}; flags: {' '.join(flags)}")

# %% [markdown]
# ## The first kernel: add types
#
# First, the very same loops, once as plain Python that is merely *compiled*, and once with types. **Guess** the factor between them.

# %%
FIRST = '''
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
from cython.parallel cimport prange

def untyped(x, y):
    """Compiled, but every number is still a Python object."""
    d = []
    for p in x:
        row = []
        for q in y:
            total = 0.0
            for k in range(len(p)):
                difference = p[k] - q[k]
                total = total + difference * difference
            row.append(total)
        d.append(row)
    return d


def typed(const float[:, ::1] x, const float[:, ::1] y, float[:, ::1] d, int threads):
    """The same with types: x[i, k] is an address and a load."""
    cdef Py_ssize_t i, j, k
    cdef float total, difference
    for i in prange(x.shape[0], nogil=True, num_threads=threads, schedule="static"):
        for j in range(y.shape[0]):
            total = 0
            for k in range(x.shape[1]):
                difference = x[i, k] - y[j, k]
                total = total + difference * difference
            d[i, j] = total
'''

# %% [markdown]
# Word by word:
#
# - `const float[:, ::1] x` is a **typed view**: two dimensions, the last one contiguous (`::1`). It takes any NumPy array of that type and layout,
#   without a copy, and *refuses* everything else, with an error that Python sees. `x[i, k]` is then two multiplications and a load.
# - `boundscheck=False` means: no test whether `i` lies inside. Fast, and dangerous: a wrong index reads other memory, or ends the
#   process. So everything is checked *before* the loops, at the door.
# - `nogil` lets go of Python's lock; inside, no Python object may be touched. Only then can threads run side by side.
# - `prange` shares out the rows: thread 0 takes the first part, and so on. Every `d[i, j]` is computed by one thread, in one order:
#   the result has the same bits whatever the number of threads.
#
# ## The second kernel: a tile that stays in registers
#
# What holds the first kernel back? Two things. The sum over $k$ is *one chain*: each addition waits for the one before, some four clock ticks.
# (And the compiler may not reorder it into eight chains: floating-point addition is not associative, and we did not allow it to
# cheat.) And every number is loaded for a single use: two loads for three operations.
#
# Both end when we compute a whole **tile** of $D$ at once, MR rows by NR columns:
#
#              y, row k of a packed tile   --->  b b b b ... b   NR numbers in a row
#                                              .-----------------
#              x[i, k], one of each row     a  |  c c c c ... c    c[i, j] += (a - b[j])²
#                                           a  |  c c c c ... c    MR x NR sums, in registers
#                                           a  |  c c c c ... c
#
# MR·NR independent chains; and MR + NR loads serve 3·MR·NR operations. The inner loop runs over neighbouring `j`, so the compiler turns it into vector
# instructions all by itself: it does not reorder a single sum.
#
# It is the micro-kernel of `minidl/_kernels/micro.pyx`, with `(a - b)²` in place of `a·b`. Two details come from there, too: `c` is a local array with
# a constant size (so that it can live in registers), and the size depends on the processor (16 or 32 registers, of 16, 32 or 64 bytes).

# %%
TILED = '''
cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { MR = 4, NR = 64, CHAINS = 192 };
    #elif defined(__AVX2__)
    enum { MR = 4, NR = 24, CHAINS = 96 };
    #else
    enum { MR = 2, NR = 12, CHAINS = 48 };
    #endif
    """
    enum:
        MR                           # rows of a tile
        NR                           # columns, for float; half as many double fit into a register
        CHAINS

rows_of_a_tile, columns_of_a_tile = MR, NR

ctypedef fused real:                 # what takes a `real` is compiled twice
    float
    double


cdef void tile(const real* x, Py_ssize_t depth, const real* y__kj, real* d, Py_ssize_t ld) noexcept nogil:
    """d[i, j] = sum over k of (x[i, k] - y[k, j])²: MR rows that lie `depth` apart, one packed tile of columns."""
    cdef real c[MR * NR]
    cdef real difference
    cdef Py_ssize_t k
    cdef int i, j, nr = NR if real is float else NR // 2     # a constant in each of the two versions
    for i in range(MR * nr):
        c[i] = 0
    for k in range(depth):
        for i in range(MR):
            for j in range(nr):
                difference = x[i * depth + k] - y__kj[k * nr + j]
                c[i * nr + j] += difference * difference
    for i in range(MR):
        for j in range(nr):
            d[i * ld + j] = c[i * nr + j]


def tiled(const real[:, ::1] x, const real[:, :, ::1] y__tkj, real[:, ::1] d, int threads):
    """All tiles. x has a multiple of MR rows, y is packed (tile, k, NR columns), d is as large as both together."""
    cdef Py_ssize_t i, t, nr = y__tkj.shape[2]
    for i in prange(x.shape[0] // MR, nogil=True, num_threads=threads, schedule="static"):
        for t in range(y__tkj.shape[0]):
            tile(&x[i * MR, 0], x.shape[1], &y__tkj[t, 0, 0], &d[i * MR, t * nr], d.shape[1])
'''

# %% [markdown]
# ## How fast could it be at all? Measure the peak
#
# A bar without a ceiling tells nothing. The ceiling: the same mix of operations, a subtraction and a multiply-add, on numbers that never leave their
# registers, in enough independent chains that nothing waits. Nothing that computes can be faster, whatever it does.

# %%
PEAK = '''
cdef float chains(long rounds, float shift) noexcept nogil:
    cdef float c[CHAINS]
    cdef float difference, total = 0
    cdef long r
    cdef int i
    for i in range(CHAINS):
        c[i] = i * <float>(1.0 / CHAINS)
    for r in range(rounds):
        for i in range(CHAINS):
            difference = c[i] - 1
            c[i] = difference * difference + shift       # stays between 0 and 1 for a small shift
    for i in range(CHAINS):
        total += c[i]
    return total


def peak(long rounds, float shift, int threads):
    """So many rounds on each thread; returns the number of operations."""
    cdef float results[256]
    cdef int t
    for t in prange(threads, nogil=True, num_threads=threads, schedule="static"):
        results[t] = chains(rounds, shift)
    return 3.0 * CHAINS * rounds * threads + 0 * results[0]
'''

# %% [markdown]
# And one function more, for the box "find the bug" below. It differs from `tiled` in a few characters. Do you see the danger?

# %%
TRUSTING = """

def trusting(const float[:, :] x, const float[:, :, ::1] y__tkj, float[:, ::1] d):
    cdef Py_ssize_t i, t, nr = y__tkj.shape[2]
    for i in range(x.shape[0] // MR):
        for t in range(y__tkj.shape[0]):
            tile(&x[i * MR, 0], x.shape[1], &y__tkj[t, 0, 0], &d[i * MR, t * nr], d.shape[1])
"""

# %% [markdown]
# Now compile. Should anything be missing (Cython, a compiler, OpenMP), say so and go on: *a kernel makes a program fast; it must never be what
# makes it work*. That is a rule of the house.

# %%
kernel = None
started = time.perf_counter()
for openmp in (("-fopenmp",), ()):  # some compilers have no OpenMP; prange then runs on one thread
    try:
        kernel = build(FIRST + TILED + PEAK + TRUSTING, flags, openmp)
        break
    except Exception as error:  # whatever goes wrong with a compiler: we can do without
        trouble = error
if kernel is None:
    print(f"no kernel could be compiled ({type(trouble).__name__}: {trouble}).")
    print(
        'This chapter goes on with NumPy. For the rest: pip install "cython>=3.1" setuptools, and a C compiler such as gcc.'
    )
else:
    print(f"compiled, or found in the cache, in {time.perf_counter() - started:.1f} s")

# %% [markdown]
# ## The door
#
# Between the user and the kernel stands a plain Python function. It makes the arrays what the kernel relies on: contiguous, of one type, padded
# to whole tiles, $y$ packed; and it cuts off what was padded. A few $N·K$ copies, against $N·M·K$ operations.
#
# **Exercise 10.1** Write the packing: from `y` (M, K) to tiles (T, K, nr), where `tiles[t, k, j]` is $y_{t·nr + j,\,k}$, and zeros beyond the
# last row; of the type of `y`. $T$ is just large enough.


# %%
def pack(y, nr):
    raise NotImplementedError("exercise 10.1: write me")


teach.check("10.1", pack)


# %%
def packed(y, nr):
    """Ours, in four lines of NumPy. (Yours would serve as well.)"""
    tiles = -(-len(y) // nr)  # rounded up
    padded = np.zeros((tiles * nr, y.shape[1]), y.dtype)
    padded[: len(y)] = y
    return np.ascontiguousarray(padded.reshape(tiles, nr, -1).transpose(0, 2, 1))


def by_kernel(x, y, threads=None):
    """Squared distances by the compiled tiles; float32 or float64, any layout."""
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y, x.dtype)
    mr = kernel.rows_of_a_tile
    nr = kernel.columns_of_a_tile // (1 if x.dtype == np.float32 else 2)
    rows = -(-len(x) // mr) * mr
    if rows > len(x):
        x, whole = np.zeros((rows, x.shape[1]), x.dtype), x
        x[: len(whole)] = whole
    else:
        whole = x
    tiles = packed(y, nr)
    d = np.empty((rows, len(tiles) * nr), x.dtype)
    worth_it = 1 + 3 * d.size * x.shape[1] // 1_000_000  # a thread that wakes up costs 10 µs: a million operations
    if d.size:
        kernel.tiled(x, tiles, d, threads or min(worth_it, minidl.get_num_threads()))
    return np.ascontiguousarray(d[: len(whole), : len(y)])


# %% [markdown]
# Agreement first, speed second. Sizes that fit no tile, both types, an input that is not contiguous, and an empty one:

# %%
agreement, compiled = 0.0, kernel is not None
if compiled:
    for dtype in (np.float32, np.float64):
        for shape in ((1, 1, 1), (5, 67, 3), (64, 128, 16), (7, 1, 9), (0, 3, 2), (9, 65, 0)):
            a, b = (
                rng.normal(size=(shape[0], 2 * shape[2])).astype(dtype)[:, ::2],
                rng.normal(size=shape[1:]).astype(dtype),
            )
            expected = by_broadcasting(a.astype(float), b.astype(float))
            error = abs(by_kernel(a, b) - expected).max(initial=0) / expected.max(initial=1)
            agreement = max(agreement, error / np.finfo(dtype).eps)
        one = by_kernel(a, b, threads=1)
        assert np.array_equal(one, by_kernel(a, b, threads=2)), "the bits must not depend on the threads"
    print(f"largest difference from NumPy: {agreement:.1f} times the precision of the type")
    try:
        kernel.typed(x.astype("float64"), y, np.empty((n, m), np.float32), 1)
    except ValueError as error:
        print(f"and a typed view refuses what it was not made for: ValueError: {error}")

# %% [markdown]
# ## The ladder
#
# **Predict** the order of the bars, and the factor of each step, before you look. (Famous trick: $|x|^2 + |y|^2 - 2x·y$ by NumPy's matrix product, from
# chapter 9. It does less work per pair, and loses digits.)

# %%
threads = minidl.get_num_threads()
repeats = chapter.pick(smoke=3, default=7, full=15)
ladder["NumPy, the trick by products"] = gflops(
    lambda: (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T, n, m, k, repeats
)
peaks = {}
if compiled:
    rounds = chapter.pick(smoke=100_000, default=1_000_000, full=3_000_000)
    for count in dict.fromkeys((1, threads)):
        operations = kernel.peak(rounds, 0.1, count)
        best = min(median_time(lambda: kernel.peak(rounds, 0.1, count), 1) for _ in range(repeats))  # noqa: B023
        peaks[count] = operations / best / 1e9  # a peak is a best, not a median
    d = np.empty((n, m), np.float32)
    lists = x[:few].tolist(), y[:few].tolist()
    ladder["compiled, but untyped"] = gflops(lambda: kernel.untyped(*lists), few, few, k, 3)
    ladder["typed views, one thread"] = gflops(lambda: kernel.typed(x, y, d, 1), n, m, k, 3)
    ladder["tile in registers, one thread"] = gflops(lambda: by_kernel(x, y, 1), n, m, k, repeats)
    if threads > 1:
        ladder[f"tile in registers, {threads} threads"] = gflops(lambda: by_kernel(x, y), n, m, k, repeats)
ladder = dict(sorted(ladder.items(), key=lambda rung: rung[1]))
slowest = min(ladder.values())
for name, speed in ladder.items():
    print(f"{name:32}{speed:9.3f} GFLOP/s {speed / slowest:9.0f} times the slowest")
for count, speed in peaks.items():
    print(f"measured peak on {count} thread(s): {speed:7.1f} GFLOP/s")

# %%
figure = chapter.figure(8, 4)
axis = figure.subplots()
colours = [ORANGE if "tile" in name or "typed" in name else GREEN if "NumPy" in name else BLUE for name in ladder]
bars = axis.barh(list(ladder), list(ladder.values()), color=colours)
axis.bar_label(
    bars, [f"{speed:.3g}" for speed in ladder.values()], fontsize=9, padding=3, bbox={"color": "white", "pad": 0.5}
)
for count, speed in peaks.items():
    axis.axvline(
        speed,
        color="black",
        linestyle=":" if count == 1 else "--",
        linewidth=1,
        label=f"measured peak, {count} thread(s)",
    )
if peaks:
    axis.legend(fontsize=8, loc="lower right")
axis.set(xscale="log", xlabel="GFLOP/s (logarithmic)")
axis.margins(x=0.12)
chapter.save(
    figure,
    "ladder",
    f"Squared distances of {n} to {m} points with {k} coordinates (float32), the fastest on top. Orange: Cython; green: NumPy; blue: plain Python. "
    "Lines: what the processor does at most with these instructions, in registers.",
)

# %% [markdown]
# Read it from the bottom to the top:
#
# - **Compiling alone** brings a factor of three or four. Every number is still a Python object with a type to look up and a count to keep.
# - **Types** bring another fifty: a number is a number. Now the chain of additions is the limit.
# - **The tile** brings another twenty: the same operations, in another order, with every load used many times.
# - **Threads** double it on two cores. *They come last*: two threads of the first kernel are only half as slow.
#   (Slower with two threads than with one? Then other programs use your cores: all wait for the share that comes last.)
#
# What is missing to the ceiling? The loads that feed the tile, the packing, and the result, which has to go to memory (chapter 11 measures what that costs).
#
# The tile's shape decides everything. On the machine where this was written (AVX2), a tile of 4 × 24 ran at 126 GFLOP/s and one of
# 4 × 16 at 8: at 16, GCC unrolls the loop before it thinks of vectors. Nothing in the source tells you that. *Measure.*
#
# **Exercise 10.2** Choose a tile by thought. The processor has `registers` vector registers of `width` numbers. A tile of `mr` rows and `n` vectors
# of columns needs mr·n registers for its sums, n for the loaded row of $y$, one for $x_{ik}$ and one for the difference. It makes
# mr·n multiply-adds from mr + n loads. Return the `(mr, columns)` that fits and has the best ratio mr·n / (mr + n), columns counted in numbers; of equals, the one with the
# fewest columns.


# %%
def best_tile(registers, width):
    raise NotImplementedError("exercise 10.2: write me")


teach.check("10.2", best_tile)

# %% [markdown]
# **Exercise 10.3** Share out `rows` rows to `threads` threads: a list of `(start, stop)`, in order, each row exactly once, no two shares different by more than one row, the longer
# ones first. (It is what `schedule="static"` does for you.)


# %%
def shares(rows, threads):
    raise NotImplementedError("exercise 10.3: write me")


teach.check("10.3", shares)

# %% [markdown]
# ## Into the operation
#
# The class of chapter 9, with one line more in `forward`. Which way it takes follows from the *backend*, so that
# `with minidl.use_backend("reference")` still gives the plain NumPy version: the specification, against which the kernel is held. `backward`
# does not change. It never knew how forward computes.


# %%
class SquaredDistances(minidl.Op):
    """D[i, j] = Σ_k (x[i, k] - y[j, k])²;  ∂L/∂x = 2 (rowsum(g) x - g y),  ∂L/∂y = 2 (colsum(g) y - gᵀ x)."""

    def forward(self, x, y):
        self.save(x, y)
        wanted = isinstance(backend_of(x), CompiledBackend) and x.dtype in (np.float32, np.float64)
        return by_kernel(x, y) if wanted and kernel is not None else by_coordinates(x, y)

    def backward(self, grad):
        x, y = self.saved
        rows = minidl.sum(grad, 1, keepdim=True)
        columns = minidl.unsqueeze(minidl.sum(grad, 0), 1)
        return (
            2 * (rows * x - minidl.matmul(grad, y)) if self.needs[0] else None,
            2 * (columns * y - minidl.matmul(minidl.swapaxes(grad, 0, 1), x)) if self.needs[1] else None,
        )


def squared_distances(x, y):
    return SquaredDistances()(x, y)


cases(
    squared_distances,
    lambda x, y: np.array([[sum((a - b) ** 2) for b in y] for a in x]),
    {
        "less than a tile": lambda rng: call(rng.normal(size=(3, 2)), rng.normal(size=(4, 2))),
        "tiles and a rest": lambda rng: call(rng.normal(size=(5, 2)), rng.normal(size=(35, 2))),
    },
)
reports = certify(["squared_distances"])
print(format_table(reports))

# %% [markdown]
# Proven on both backends to second order, in float64 (which is why the kernel is compiled for both types: finite differences in float32 are
# noise). One of the cases is larger than a tile, or the rest would never have been tested.
#
# ## Into a module of your own
#
# In a project you do not compile at run time. Two files: the kernel, `distances.pyx`, and the operation with its cases, `my_ops.py`, which takes the kernel if it is
# there. Then two commands:
#
#     CFLAGS="-O3 -march=x86-64-v3 -fopenmp" LDFLAGS=-fopenmp cythonize -i distances.pyx
#     python -m minidl gradcheck squared_distances --module my_ops
#
# (`x86-64-v3` is AVX2, which Intel's and AMD's processors have had for ten years; on others leave `-march` out. Without `-fopenmp` it compiles all
# the same, and `prange` runs on one thread.) We put the files together from the cells above and run the commands, with the flags that were printed
# above. Without the first one, everything still works: try it.
#
# That is why the certificate alone does not prove your *kernel*: the column "compiled" names the backend that was asked, and a `forward` that fell
# back to NumPy passes as well. Ask the module whether it has its kernel. And break the kernel once, a `+` for the `-` in `tile`, compile, and run the
# certificate: it must say FAILED, and name the backend, (compiled).


# %%
def source_of(part):
    """The text of a function; of a class, its methods (a notebook knows the sources of functions alone)."""
    if not isinstance(part, type):
        return inspect.getsource(part)
    methods = [inspect.getsource(value) for value in vars(part).values() if inspect.isfunction(value)]
    return f'class {part.__name__}(minidl.Op):\n    """{part.__doc__}"""\n\n' + "\n".join(methods)


module = [
    """import numpy as np

import minidl
from minidl.backends import backend_of
from minidl.backends.compiled import CompiledBackend
from minidl.gradcheck import call, cases

try:
    import distances as kernel
except ImportError:  # not compiled here: NumPy serves
    kernel = None
""",
    *[source_of(part) for part in (packed, by_kernel, by_coordinates, SquaredDistances, squared_distances)],
    """cases(
    squared_distances,
    lambda x, y: np.array([[sum((a - b) ** 2) for b in y] for a in x]),
    {"tiles and a rest": lambda rng: call(rng.normal(size=(5, 2)), rng.normal(size=(35, 2)))},
)
""",
]
chapter.folder.mkdir(parents=True, exist_ok=True)
(chapter.folder / "my_ops.py").write_text("\n\n".join(module))
(chapter.folder / "distances.pyx").write_text((FIRST + TILED).lstrip())


def run_command(*command, show=True):
    """Run a command in the chapter's folder and show what it prints, or only what went wrong."""
    print("$", " ".join(command))
    where = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "CFLAGS": " ".join([*flags, *openmp]),
        "LDFLAGS": " ".join(openmp),
    }
    result = subprocess.run(
        [sys.executable, *command[1:]], capture_output=True, text=True, cwd=chapter.folder, env=where
    )
    if result.returncode:
        print(result.stderr[-1000:])
    elif show:
        print(result.stdout)


if compiled and chapter.mode != "smoke":
    run_command(
        "python", "-m", "Cython.Build.Cythonize", "-i", "-q", "distances.pyx", show=False
    )  # the compiler is talkative
    run_command("python", "-c", "import my_ops; print(my_ops.kernel)")
    run_command("python", "-m", "minidl", "gradcheck", "squared_distances", "--module", "my_ops")

# %% [markdown]
# ## Find the bug
#
# `trusting` takes `x` as a view `[:, :]`, not `[:, ::1]`. It compiles, it passes the
# tests, it is as fast. A user transposes a matrix and passes it on. What happens? An error, a slow copy, or a crash?

# %%
wrong_by = 0.0
if compiled:
    points = rng.normal(size=(64, 16)).astype(np.float32)
    tiles = packed(points, kernel.columns_of_a_tile)
    expected = by_broadcasting(points, points)
    for name, layout in (("C order", points), ("Fortran order", np.asfortranarray(points))):
        d = np.empty((64, len(tiles) * tiles.shape[2]), np.float32)
        kernel.trusting(layout, tiles, d)
        wrong_by = abs(d[:, :64] - expected).max()
        print(f"trusting, {name:14} largest error {wrong_by:.1e}")
    try:
        kernel.tiled(np.asfortranarray(points), tiles, d, 1)
    except ValueError as error:
        print(f"tiled,    Fortran order  ValueError: {error}")

# %% [markdown]
# **The reveal.** None of the three: *wrong numbers, without a word*. The view knows the strides, but the kernel takes the address of the first number and
# assumes that the next row is `depth` further on. A well-known library shipped exactly this. `::1` makes the assumption a condition that is
# checked at the door; and the certificate passes every operation transposed, reversed and spaced inputs, because people do.
#
# ## What to remember
#
# - Count operations, measure the peak, and speak in GFLOP/s: then you know what is left to win.
# - Types first, then the order of the loops (many independent sums, every load used often), then threads.
# - Plain loops over a local array of constant size become registers and vectors. The shape decides; measure it.
# - Door in Python: check and prepare everything. Inside: no Python, no checks, no surprises.
# - The NumPy version stays: as fallback, as specification, as test.
#
# Now **chapters 9 and 10 together are a contribution**: the class and its cases go to `minidl/ops/`, the kernel to `minidl/_kernels/`, the
# reference and the door to `minidl/backends/`. CONTRIBUTING.md says the rest.
#
# **Read on.** `minidl/_kernels/micro.pyx`, whose first comment is the tile above. F. Van Zee, R. van de Geijn, *BLIS* (ACM TOMS 2015), for the theory of
# such tiles. K. Goto, R. van de Geijn, *Anatomy of high-performance matrix multiplication* (ACM TOMS 2008). Cython's manual on typed
# memoryviews and on parallelism.

# %%
chapter.report(
    compiled=compiled,
    agreement=agreement,
    certified=all(report.passed for report in reports),
    worst_error=max(report.error for report in reports),
    slowest=slowest,
    fastest=max(ladder.values()),
    times_the_slowest=max(ladder.values()) / slowest,
    share_of_peak=max((s for name, s in ladder.items() if "tile" in name), default=0.0)
    / max(peaks.values(), default=1.0),
    wrong_by=float(wrong_by),
)
