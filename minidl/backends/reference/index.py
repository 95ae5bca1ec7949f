"""Looking up rows of a table."""

from __future__ import annotations

from minidl.backends.reference.base import Array, Base

__all__ = ["Index"]


class Index(Base):
    """embedding and its adjoint."""

    def embedding(self, weight: Array, indices: Array) -> Array:
        """Return the rows of `weight` (V, D) that `indices` name, (*indices.shape, D).

        Raises
        ------
        IndexError
            If an index lies outside 0 ... V-1.
        """
        rows = self.xp.take(weight, indices, axis=0)
        return self._dense(rows.astype(self._dtype(weight), copy=False))

    def embedding_grad(self, grad: Array, indices: Array, num_embeddings: int) -> Array:
        """Return the adjoint of `embedding`: the rows of `grad` added up by index.

        (*indices.shape, D) to (V, D); V is `num_embeddings`. Rows are added in the order in which they come.
        """
        d = grad.shape[-1]
        places = indices.astype(self.xp.int64)[..., None] * d + self.xp.arange(d)
        return self.scatter_add(grad, places, num_embeddings * d).reshape(num_embeddings, d)
