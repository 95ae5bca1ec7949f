"""Resizing images: which input pixels an output pixel looks at, and with what weight.

A resize is linear and separable, so two small tables describe it: for each output row the input rows it
reads, and the same for columns. Reading through the tables is the forward pass, adding through them its
adjoint.
"""

from __future__ import annotations

from collections.abc import Iterator

from minidl.backends.reference.base import Array, Base, Pair

__all__ = ["Resize"]

Scale = tuple[float, float] | None


class Resize(Base):
    """Nearest-neighbour and bilinear interpolation, with their adjoints."""

    def upsample_nearest2d(self, x: Array, size: Pair, scale: Scale) -> Array:
        r"""Return the image resized to `size`, each output pixel a copy of one input pixel.

        .. math:: y_{n,c,p,q} = x_{n,\;c,\;\lfloor p r_h \rfloor,\;\lfloor q r_w \rfloor}, \qquad
                  r = 1 / \text{scale} \;\text{ or, without a scale, }\; \text{in} / \text{out}

        `x` is (N, C, H, W), the result (N, C, *size).
        """
        rows, columns = self._nearest_tables(x.shape[2:], size, scale)
        pixels = self.xp.take(self.xp.take(x, rows, axis=2), columns, axis=3)
        return self._dense(pixels.astype(self._dtype(x), copy=False))

    def upsample_nearest2d_grad(self, grad: Array, input_size: Pair, scale: Scale) -> Array:
        """Return the adjoint of `upsample_nearest2d`, (N, C, OH, OW) to (N, C, *input_size)."""
        rows, columns = self._nearest_tables(input_size, grad.shape[2:], scale)
        indices = rows[:, None] * input_size[1] + columns
        return self._scatter_add_planes(grad, indices, input_size)

    def upsample_bilinear2d(self, x: Array, size: Pair, align_corners: bool, scale: Scale) -> Array:
        r"""Return the image resized to `size`, each output pixel a weighted mean of the four around it.

        .. math:: y_{n,c,p,q} = \sum_{a,b \in \{0,1\}} \lambda^h_{p,a}\, \lambda^w_{q,b}\;
                  x_{n,\;c,\;\lfloor u_p \rfloor + a,\;\lfloor v_q \rfloor + b}, \qquad
                  \lambda_{p,1} = u_p - \lfloor u_p \rfloor,\; \lambda_{p,0} = 1 - \lambda_{p,1}

        The place :math:`u_p` in the input is :math:`p\,(\text{in}-1)/(\text{out}-1)` with `align_corners`
        (the centres of the corner pixels stay where they are), else :math:`\max(0, (p + \tfrac12)\,r -
        \tfrac12)` with r as in `upsample_nearest2d` (the outer edges stay). `x` is (N, C, H, W), the result
        (N, C, *size).
        """
        n, c, h, w = x.shape
        pixels = x.reshape(n, c, h * w)
        y = self.xp.zeros((n, c, *size), self._dtype(x))
        for indices, weights in self._corners((h, w), size, align_corners, scale):
            y += self.xp.take(pixels, indices, axis=2) * weights.astype(y.dtype)
        return y

    def upsample_bilinear2d_grad(self, grad: Array, input_size: Pair, align_corners: bool, scale: Scale) -> Array:
        """Return the adjoint of `upsample_bilinear2d`, (N, C, OH, OW) to (N, C, *input_size)."""
        x_grad = self.xp.zeros((*grad.shape[:2], *input_size), self._dtype(grad))
        for indices, weights in self._corners(input_size, grad.shape[2:], align_corners, scale):
            share = grad * weights.astype(x_grad.dtype)
            x_grad += self._scatter_add_planes(share, indices, input_size)
        return x_grad

    def _nearest_tables(self, input_size: Pair, size: Pair, scale: Scale) -> tuple[Array, Array]:
        """Return the input row of each output row, and the input column of each output column.

        In single precision whatever the dtype of the image: so does PyTorch, and the rounding decides which
        pixel is taken where p*r is all but an integer. As there, an axis that doubles takes every pixel twice,
        whatever the scale.
        """
        xp = self.xp
        tables = []
        for n, o, r in zip(input_size, size, _ratios(input_size, size, scale), strict=True):
            place = xp.floor(xp.arange(o, dtype=xp.float32) * xp.float32(0.5 if o == 2 * n else r))
            tables.append(xp.minimum(place.astype(xp.int64), n - 1))
        return tables[0], tables[1]

    def _corners(
        self, input_size: Pair, size: Pair, align_corners: bool, scale: Scale
    ) -> Iterator[tuple[Array, Array]]:
        """Yield, for each of the four neighbours, its flat index and its weight: two tables (OH, OW)."""
        xp = self.xp
        axes = []
        for n, o, r in zip(input_size, size, _ratios(input_size, size, scale), strict=True):
            if align_corners:
                place = xp.arange(o) * ((n - 1) / (o - 1) if o > 1 else 0.0)
            else:
                place = xp.maximum((xp.arange(o) + 0.5) * r - 0.5, 0.0)
            before = xp.minimum(xp.floor(place).astype(xp.int64), n - 1)
            after = xp.minimum(before + 1, n - 1)
            weight = xp.minimum(place - before, 1.0)
            axes.append(((before, 1.0 - weight), (after, weight)))
        for rows, row_weights in axes[0]:
            for columns, column_weights in axes[1]:
                yield rows[:, None] * input_size[1] + columns, row_weights[:, None] * column_weights


def _ratios(input_size: Pair, size: Pair, scale: Scale) -> list[float]:
    """Return how many input pixels one output pixel spans, along each axis.

    A given scale does not count along an axis that keeps its size, nor does it in PyTorch.
    """
    if scale is None:
        return [n / o if o else 1.0 for n, o in zip(input_size, size, strict=True)]
    return [1.0 if n == o else 1.0 / s for n, o, s in zip(input_size, size, scale, strict=True)]
