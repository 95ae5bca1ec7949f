"""Dropout: random words, mask and product in one pass."""

from __future__ import annotations

import math

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.reference.base import Array
from minidl.backends.reference.random import Random

__all__ = ["RandomMixin"]

_WORDS = 2**64 - 1


class RandomMixin(Random):
    """The same counter-based generator as on the CPU: the same seed gives the same mask."""

    def dropout(self, x: Array, p: float, seed: int, offset: int) -> Array:
        if not fits(x) or p >= 1:
            return super().dropout(x, p, seed, offset)
        y = self.xp.empty(x.shape, x.dtype)
        launch("random", "dropout", x.dtype, -(-x.size // 4), self._dense(x), y, x.size, seed & _WORDS, offset & _WORDS,
               math.ceil(p * 2**32), 1 / (1 - p))  # fmt: skip
        return y
