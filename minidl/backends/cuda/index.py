"""Looking up rows, and sums by place, the adjoint: sorted first, so that no two threads add to the same number."""

from __future__ import annotations

from minidl.backends.cuda.launch import fits, launch
from minidl.backends.reference.base import Array
from minidl.backends.reference.index import Index

__all__ = ["IndexMixin"]


class IndexMixin(Index):
    """Embedding with its gradient, and `scatter_add` for all who add by index. The host does not look at indices."""

    def embedding(self, weight: Array, indices: Array) -> Array:
        if not fits(weight):
            return super().embedding(weight, indices)
        rows = self.xp.empty((*indices.shape, weight.shape[1]), weight.dtype)
        launch("index", "look_up", weight.dtype, rows.size, self._dense(weight),
               self._dense(indices.astype(self.xp.int64, copy=False)), rows, rows.size, *weight.shape)  # fmt: skip
        return rows

    def embedding_grad(self, grad: Array, indices: Array, num_embeddings: int) -> Array:
        if not fits(grad):
            return super().embedding_grad(grad, indices, num_embeddings)
        return self._sums(grad.reshape(indices.size, grad.shape[-1]), indices.reshape(-1), num_embeddings)

    def scatter_add(self, values: Array, places: Array, size: int) -> Array:
        if not fits(values):  # integers below 2^53 are exact in double precision, half precision gains from single
            wide = "float64" if values.dtype.kind in "iub" else "float32"
            return self.scatter_add(values.astype(wide), places, size).astype(values.dtype)
        return self._sums(values.reshape(values.size, 1), places.reshape(-1), size).reshape(size)

    def _sums(self, values: Array, places: Array, size: int) -> Array:
        """Sums (size, D) of the rows of `values` (N, D) that share a place, in the order in which they come."""
        sums = self.xp.empty((size, values.shape[1]), values.dtype)
        places = places.astype(self.xp.int64, copy=False)
        order = self.xp.argsort(places, kind="stable")
        launch("index", "sum_by_place", values.dtype, sums.size, self._dense(values), self._dense(places[order]),
               self._dense(order.astype(self.xp.int64, copy=False)), sums, sums.size, len(places),
               values.shape[1])  # fmt: skip
        return sums
