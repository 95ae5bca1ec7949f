"""Doors to the kernels of the embedding."""

from __future__ import annotations

from minidl._kernels import kernels
from minidl.backends.reference.base import Array
from minidl.backends.reference.index import Index

__all__ = ["IndexMixin"]


class IndexMixin(Index):
    """embedding and its adjoint: rows are copied whole, and added in a fixed order."""

    def embedding(self, weight: Array, indices: Array) -> Array:
        if not kernels.arrays.alike(weight):
            return super().embedding(weight, indices)
        return kernels.index.embedding(weight, indices)

    def embedding_grad(self, grad: Array, indices: Array, num_embeddings: int) -> Array:
        if not kernels.arrays.alike(grad):
            return super().embedding_grad(grad, indices, num_embeddings)
        return kernels.index.embedding_grad(grad, indices, num_embeddings)
