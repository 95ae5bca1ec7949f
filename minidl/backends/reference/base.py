"""What the families of the reference backend share: the array module, and the shape of a result."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy

__all__ = ["Array", "Base", "Pair"]

Array: TypeAlias = Any
"""An array of the backend's module: `numpy.ndarray`, or `cupy.ndarray` in a subclass."""

Pair: TypeAlias = tuple[int, int]


class Base:
    """Base of the families. All array code goes through the array module `xp` and never names NumPy."""

    xp: Any = numpy
    looks: bool = True
    """Whether values can be looked at without waiting; where not, indices and labels are not checked beforehand."""

    @property
    def empty(self) -> Any:
        """`xp.empty`, or what makes an array that is better placed in memory: for parameters and optimizer states."""
        return self.xp.empty

    def _dense(self, values: Array) -> Array:
        """Return `values` as a C-contiguous array (NumPy makes scalars of 0-d results)."""
        return self.xp.asarray(values, order="C")

    def _dtype(self, *arrays: Array) -> Any:
        """Return the dtype of a result, in native byte order whatever the inputs have."""
        return self.xp.result_type(*[array.dtype for array in arrays])

    def scatter_add(self, values: Array, places: Array, size: int) -> Array:
        """Return the sums (size,) of the `values` that share a place; `places` has their shape."""
        sums = self.xp.zeros(size, self._dtype(values))
        self.xp.add.at(sums, places.reshape(-1), values.reshape(-1))
        return sums

    def _scatter_add_planes(self, values: Array, indices: Array, size: Pair) -> Array:
        """Return images (N, C, *size) of the sums of the `values` (N, C, OH, OW) that share a flat index H*W.

        `indices` has the shape of `values`, or is one table (OH, OW) for all images.
        """
        n, c = values.shape[:2]
        h, w = size
        first_pixels = self.xp.arange(n * c).reshape(n, c, 1, 1) * (h * w)
        return self.scatter_add(values, indices + first_pixels, n * c * h * w).reshape(n, c, h, w)
