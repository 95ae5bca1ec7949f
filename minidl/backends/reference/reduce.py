"""Sums over axes."""

from __future__ import annotations

from minidl.backends.reference.base import Array, Base

__all__ = ["Reduce"]


class Reduce(Base):
    """Reductions."""

    def sum(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        """Return the sum over some axes.

        .. math:: y_j = \\sum_{i \\in \\mathrm{axes}} x_{ij}

        Parameters
        ----------
        x : array
        axes : tuple of int
            Not negative, each once; none leaves the array as it is.
        keepdims : bool
            Whether the summed axes stay, of size one.

        Sums of float16, which soon overflows, are taken in float32.
        """
        if x.dtype == self.xp.float16:
            return self._dense(x.sum(axis=axes, keepdims=keepdims, dtype=self.xp.float32).astype(self.xp.float16))
        return self._dense(x.sum(axis=axes, keepdims=keepdims))
