"""The compiled backend: the reference with its hot methods replaced by Cython kernels, family by family.

Each method here is a *door*: float32 and float64 arrays go to the kernel, anything else to the reference (`super()`).
The kernels take any strides, byte order and alignment, and check shapes and indices before they run.
"""

from __future__ import annotations

from minidl.backends.compiled.activation import ActivationMixin
from minidl.backends.compiled.conv import ConvMixin
from minidl.backends.compiled.index import IndexMixin
from minidl.backends.compiled.norm import NormMixin
from minidl.backends.compiled.pool import PoolMixin
from minidl.backends.compiled.products import ProductsMixin
from minidl.backends.compiled.random import RandomMixin
from minidl.backends.compiled.reduce import ReduceMixin
from minidl.backends.compiled.resize import ResizeMixin
from minidl.backends.compiled.softmax import SoftmaxMixin
from minidl.backends.compiled.update import UpdateMixin
from minidl.backends.reference import ReferenceBackend

__all__ = ["CompiledBackend"]


class CompiledBackend(
    ProductsMixin,
    ConvMixin,
    PoolMixin,
    ResizeMixin,
    NormMixin,
    ActivationMixin,
    SoftmaxMixin,
    RandomMixin,
    ReduceMixin,
    IndexMixin,
    UpdateMixin,
    ReferenceBackend,
):
    """Kernels compiled from `minidl/_kernels/*.pyx`, on several threads."""

    name = "compiled"
