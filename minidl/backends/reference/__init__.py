"""The reference backend: every hot primitive in plain array code, one file a family.

This is the specification that the compiled and the CUDA kernels are proven equal to, the textbook to read
first, and what computes where no compiler was found. Arrays come in and arrays go out: inputs of any real
float dtype and any memory layout, never changed; results fresh, C-contiguous, of the dtype of the input.
"""

from __future__ import annotations

from minidl.backends.reference.activation import Activation
from minidl.backends.reference.conv import Conv
from minidl.backends.reference.index import Index
from minidl.backends.reference.norm import Norm
from minidl.backends.reference.pool import Pool
from minidl.backends.reference.products import Products
from minidl.backends.reference.random import Random
from minidl.backends.reference.reduce import Reduce
from minidl.backends.reference.resize import Resize
from minidl.backends.reference.softmax import Softmax
from minidl.backends.reference.update import Update

__all__ = ["ReferenceBackend"]


class ReferenceBackend(Products, Conv, Pool, Resize, Norm, Activation, Softmax, Random, Index, Reduce, Update):
    """Every primitive in plain array code; other backends derive from it and override what they do faster."""
