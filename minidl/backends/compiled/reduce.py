"""Door to the kernel of the sums."""

from __future__ import annotations

import functools

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.reduce import Reduce

__all__ = ["ReduceMixin"]


class ReduceMixin(Reduce):
    """Sums whose kept axes are neighbours in one threaded pass; others as in the reference."""

    def sum(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        kept = _kept(x.ndim, axes)
        y = None if kept is None else kernels.reduction.sum_around(x, *kept)
        if y is None:
            return super().sum(x, axes, keepdims)
        return y.reshape([1 if i in axes else size for i, size in enumerate(x.shape)]) if keepdims else y


@functools.lru_cache(maxsize=256)
def _kept(ndim: int, axes: tuple[int, ...]) -> tuple[int, int] | None:
    """First and last axis (exclusive) that a sum keeps; None if they are not neighbours, or nothing is summed."""
    kept = [i for i in range(ndim) if i not in axes]
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    return (first, last) if axes and last - first == len(kept) else None
