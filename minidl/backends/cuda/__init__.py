"""The CUDA backend: the reference on CuPy's arrays, with kernels for what would take many launches.

A method that is not overridden here runs the reference's plain array code on the GPU. The kernels stand in
``_kernels/cuda/*.cu``; they gather, so the same call gives the same bits. CuPy is imported when the first
Tensor is sent to "cuda".
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minidl.backends.cuda.conv import ConvMixin
from minidl.backends.cuda.index import IndexMixin
from minidl.backends.cuda.norm import NormMixin
from minidl.backends.cuda.pool import PoolMixin
from minidl.backends.cuda.random import RandomMixin
from minidl.backends.cuda.softmax import SoftmaxMixin
from minidl.backends.cuda.update import UpdateMixin
from minidl.backends.reference import ReferenceBackend
from minidl.backends.reference.base import Array

__all__ = ["CudaBackend"]


class CudaBackend(
    ConvMixin, PoolMixin, NormMixin, SoftmaxMixin, RandomMixin, IndexMixin, UpdateMixin, ReferenceBackend
):
    """Every primitive on arrays of CuPy."""

    looks = False

    @functools.cached_property
    def xp(self) -> Any:  # looked up when the first array asks for it
        import cupy

        return cupy

    def _dense(self, values: Array) -> Array:
        if isinstance(values, np.ndarray):  # CuPy would send it up without a word
            raise TypeError("an array in main memory among arrays on the GPU")
        return super()._dense(values)
