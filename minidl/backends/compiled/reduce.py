"""Door to the kernel of the sums."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.reduce import Reduce

__all__ = ["ReduceMixin"]


class ReduceMixin(Reduce):
    """Sums whose kept axes are neighbours in one threaded pass; others as in the reference."""

    def sum(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        kept = [i for i in range(x.ndim) if i not in axes]
        first = kept[0] if kept else 0
        last = kept[-1] + 1 if kept else 0
        # A strided array would have to be copied first: NumPy takes it as it is.
        if last - first != len(kept) or not axes or not x.flags.c_contiguous:
            return super().sum(x, axes, keepdims)
        y = kernels.reduction.sum_around(x, first, last)
        if y is None:
            return super().sum(x, axes, keepdims)
        return y.reshape([1 if i in axes else size for i, size in enumerate(x.shape)]) if keepdims else y
