"""Door to the kernel of dropout."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.random import Random

__all__ = ["RandomMixin"]

_WORDS = 2**64 - 1


class RandomMixin(Random):
    """dropout: random words, mask and product in one pass."""

    def dropout(self, x: Array, p: float, seed: int, offset: int) -> Array:
        if not kernels.arrays.alike(x):
            return super().dropout(x, p, seed, offset)
        return kernels.philox.dropout(x, p, seed & _WORDS, offset & _WORDS)
