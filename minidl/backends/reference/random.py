"""Dropout on a counter-based random generator: the mask follows from seed and position, on every device."""

from __future__ import annotations

import math

from minidl.backends.reference.base import Array, Base

__all__ = ["Random"]

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


class Random(Base):
    """dropout."""

    def dropout(self, x: Array, p: float, seed: int, offset: int) -> Array:
        r"""Return `x` with each element set to zero with probability p, and the others scaled up.

        .. math:: y_i = \begin{cases} x_i / (1 - p) & \text{if } r_i \ge p\,2^{32} \\
                  0 & \text{otherwise} \end{cases}

        The element i in C order is decided by the word :math:`r_i`, number i mod 4 of the block `offset` +
        i div 4 of the generator Philox4x32-10 with the key `seed`. The map is linear in x, and the same
        call is its adjoint.
        """
        xp = self.xp
        if p >= 1:
            return xp.zeros(x.shape, self._dtype(x))
        blocks = -(-x.size // 4)
        bits = self._philox(seed, offset, blocks).reshape(4 * blocks)[: x.size].reshape(x.shape)
        return self._dense(xp.where(bits >= math.ceil(p * 2**32), x * (1 / (1 - p)), 0))

    def _philox(self, seed: int, offset: int, blocks: int) -> Array:
        """Return blocks of four random 32-bit words, (blocks, 4) in uint64, from Philox4x32-10.

        A counter of four words, here (low, high, 0, 0) of the 64-bit number offset + block, is mixed in ten
        rounds with a key of two words, (low, high) of the seed. Source: J. Salmon, M. Moraes, R. Dror, D.
        Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
        """
        xp = self.xp
        counter = xp.arange(blocks, dtype=xp.uint64) + xp.uint64(offset % 2**64)
        a, b = counter & _WORD, counter >> 32
        c, d = xp.zeros_like(counter), xp.zeros_like(counter)
        key = [seed & _WORD, seed >> 32 & _WORD]
        for _ in range(_ROUNDS):
            left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
            a, b, c, d = (right >> 32) ^ b ^ key[0], right & _WORD, (left >> 32) ^ d ^ key[1], left & _WORD
            key = [(word + step) & _WORD for word, step in zip(key, _KEY_STEPS, strict=True)]
        return xp.stack((a, b, c, d), axis=1)
