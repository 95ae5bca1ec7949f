"""Build of the compiled kernels: every `minidl/_kernels/*.pyx`, once for each instruction set.

What the project is stands in pyproject.toml; here is only what needs a compiler::

    python setup.py build_ext --inplace        # for development; builds again only what changed

A compiled module lands in `minidl/_kernels/<variant>/`; `minidl/_kernels/__init__.py` picks a variant at import.
Without a working C compiler the package is built without kernels, and the NumPy reference serves instead.

Environment: ``MINIDL_ISA=v3`` builds that variant alone (a list is split at commas), ``MINIDL_OPENMP=off`` leaves
OpenMP out, ``MINIDL_KERNELS=off|require`` skips the kernels or makes a missing compiler an error.
``MINIDL_BOUNDSCHECK=1`` has Cython check every index (for tests, see .ci/sanitize).
``CC`` and ``CFLAGS`` work as everywhere (``CFLAGS="-O1 -fsanitize=address,undefined"``).
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError as BuildError

KERNELS = Path("minidl/_kernels")
COPIES = Path("build/kernels")  # the sources as seen by one variant: build/kernels/minidl/_kernels/<variant>/
ONCE = {"cpu"}  # modules that are built once, for any processor

# Neither -march=native (crashes elsewhere) nor -ffast-math (changes the whole process). The -fno-... here change no
# result: the first two let GCC vectorise sqrt and selections; the third keeps the short copies of the micro-kernel
# from becoming calls of memcpy, which is slow, and which GCC 12 gets wrong (it drops sums that are copied so). Without
# the last, Clang leaves the loops of the micro-kernel rolled and its sums in memory: 4 in place of 120 GFLOP/s.
# Options that a compiler does not know are left out.
GNU_FLAGS = [
    ["-O3"],
    ["-g0"],  # debug information is four fifths of a module's size
    ["-fno-math-errno"],
    ["-fno-trapping-math"],
    ["-fno-tree-loop-distribute-patterns"],
    ["-mllvm", "-unroll-threshold=20000"],
]
GNU_VARIANTS = {
    "baseline": [],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
MSVC_FLAGS = [["/O2"]]
MSVC_VARIANTS = {"baseline": [], "v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]}
OPENMP = [
    (["-fopenmp", "-DMINIDL_WRAPS_GOMP"], ["-fopenmp", "-Wl,--wrap=GOMP_parallel"]),  # GCC: see threads.pxd
    (["-fopenmp"], ["-fopenmp"]),
    (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's clang with Homebrew's libomp
    (["/openmp"], []),
]

PLAIN_C = """
#include <Python.h>
#include <numpy/arrayobject.h>
int main(void) { return 0; }
"""
OPENMP_C = """
#include <omp.h>
#ifdef MINIDL_WRAPS_GOMP
void __real_GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);
void __wrap_GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags) {
    __real_GOMP_parallel(body, data, threads, flags);
}
#endif
int main(void) {
    int i, threads = omp_get_max_threads();
    #pragma omp parallel for
    for (i = 0; i < 4; i++) {}
    return threads < 1;
}
"""


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Toolchain:
    """What the compiler at hand can do, found out by trying: plain C, OpenMP, instruction sets."""

    def __init__(self):
        from distutils.ccompiler import new_compiler
        from distutils.sysconfig import customize_compiler, get_python_inc

        import numpy

        self.includes = [numpy.get_include()]
        self.compiler = new_compiler()
        customize_compiler(self.compiler)
        if hasattr(self.compiler, "initialize"):  # MSVC looks its programs up here
            self.compiler.initialize()
        self.python_includes = [get_python_inc(), get_python_inc(plat_specific=True), *self.includes]
        msvc = self.compiler.compiler_type == "msvc"
        variants = MSVC_VARIANTS if msvc else GNU_VARIANTS
        if platform.machine().lower() not in ("x86_64", "amd64") or sys.maxsize < 2**32:
            variants = {"baseline": []}
        self.flags = []
        self.compile(PLAIN_C, [])  # raises where there is no compiler
        for option in MSVC_FLAGS if msvc else GNU_FLAGS:
            if "-fsanitize" in os.environ.get("CFLAGS", "") and option in (["-O3"], ["-g0"]):
                continue  # a build for checks, not for speed: -O3 would take minutes, and reports want line numbers
            if self.accepts(PLAIN_C, option):
                self.flags += option
        wanted = [name for name in os.environ.get("MINIDL_ISA", "").split(",") if name] or list(variants)
        self.variants = {name: variants[name] for name in wanted if self.accepts(PLAIN_C, variants[name])}
        self.openmp = ([], [])
        if os.environ.get("MINIDL_OPENMP") != "off":
            self.openmp = next((pair for pair in OPENMP if self.accepts(OPENMP_C, *pair)), self.openmp)

    def compile(self, source, flags, link_flags=None):
        """Compile a C program (and link it where link flags are given); raise if that does not work."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe.c"
            path.write_text(source)
            objects = self.compiler.compile(
                [str(path)], output_dir=folder, include_dirs=self.python_includes, extra_postargs=flags
            )
            if link_flags is not None:
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=link_flags)

    def accepts(self, source, flags, link_flags=None):
        saved = os.dup(2)
        with open(os.devnull, "w") as quiet:  # a refusal is an answer here, not an error to show
            os.dup2(quiet.fileno(), 2)
            try:
                self.compile(source, [*self.flags, *flags], link_flags)
            except Exception:
                return False
            finally:
                os.dup2(saved, 2)
                os.close(saved)
        return True

    def extension(self, name, variant, flags):
        compile_openmp, link_openmp = self.openmp
        module = f"minidl._kernels.{variant}.{name}" if variant else f"minidl._kernels.{name}"
        return Extension(
            module,
            [f"{KERNELS}/{name}.pyx"],
            include_dirs=self.includes,
            define_macros=[(name, "NPY_2_0_API_VERSION") for name in ("NPY_NO_DEPRECATED_API", "NPY_TARGET_VERSION")],
            extra_compile_args=[*self.flags, *compile_openmp, *flags],
            extra_link_args=link_openmp,
        )

    def extensions(self):
        names = sorted(path.stem for path in KERNELS.glob("*.pyx"))
        once = [self.extension(name, "", []) for name in names if name in ONCE]
        return once + [
            self.extension(name, variant, flags)
            for variant, flags in self.variants.items()
            for name in names
            if name not in ONCE
        ]


def kernel_extensions():
    """The extension modules to build, or none (said aloud) without a working compiler."""
    choice = os.environ.get("MINIDL_KERNELS", "")
    if choice == "off":
        return []
    try:
        return Toolchain().extensions()
    except Exception as error:
        if choice == "require":
            raise
        print(
            f"minidl: no working C compiler with Python and NumPy headers ({type(error).__name__}: {error}).\n"
            "minidl: building without compiled kernels; the NumPy reference will serve, more slowly.",
            file=sys.stderr,
        )
        return []


def copy_if_changed(source, target):
    """Copy, but keep the old time stamp of an equal file, so that nothing is built again for it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.write_bytes(source.read_bytes())


class BuildKernels(build_ext):
    """Copy the sources once for each variant (so that `from .gemm cimport` stays inside it), then translate."""

    def finalize_options(self):
        if self.distribution.ext_modules:
            self.distribution.ext_modules = self.translate(self.distribution.ext_modules)
        super().finalize_options()
        self.parallel = self.parallel or cores()

    def copy_extensions_to_source(self):
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).parent.mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()

    def translate(self, extensions):
        from Cython.Build import cythonize

        headers = list(KERNELS.glob("*.pxd"))
        checked = os.environ.get("MINIDL_BOUNDSCHECK") == "1"
        for extension in extensions:
            folder = COPIES.joinpath(*extension.name.split(".")[:-1])
            source = Path(extension.sources[0])
            if source.suffix != ".pyx":
                continue  # already translated: this command object was made twice
            for path in [source, *headers]:
                copy_if_changed(path, folder / path.name)
            copy_if_changed(Path(os.devnull), folder / "__init__.pxd")
            extension.sources = [str(folder / source.name)]
        for package in (COPIES / "minidl", COPIES / "minidl/_kernels"):
            copy_if_changed(Path(os.devnull), package / "__init__.pxd")
        return cythonize(
            extensions,
            nthreads=cores(),
            include_path=[str(COPIES)],
            quiet=True,
            compiler_directives={
                "language_level": 3,
                "boundscheck": checked,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": checked,
            },
        )


if __name__ == "__main__":
    try:
        setup(ext_modules=kernel_extensions(), cmdclass={"build_ext": BuildKernels})
    except BuildError as error:
        raise SystemExit(f"minidl: the build failed: {error}") from error
