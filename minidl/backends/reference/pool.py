"""Pooling: the largest or the mean pixel of every window."""

from __future__ import annotations

from typing import Any

from minidl.backends.geometry import adaptive_windows, pool_output_size
from minidl.backends.reference.base import Array, Base, Pair

__all__ = ["Pool"]

Sizes = tuple[int, ...]


class Pool(Base):
    """Max, average and adaptive pooling, with their adjoints."""

    def max_pool2d(
        self, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
    ) -> tuple[Array, Array]:
        r"""Return the maximum of every window, and where it stands.

        .. math:: y_{n,c,p,q} = \max_{i,j}\; x_{n,\;c,\;p s_h - p_h + i d_h,\;q s_w - p_w + j d_w}

        over the pixels inside the image. `x` is (N, C, H, W); both results are (N, C, OH, OW), the second
        is the flat index h*W + w, int32 (int64 for images of 2^31 pixels or more). Among equals
        the first wins; NaN beats every number, and the last NaN is the one found.
        """
        xp = self.xp
        n, c, h, w = x.shape
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel_size, stride, padding, dilation
        oh, ow = pool_output_size("max_pool2d", (h, w), kernel_size, stride, padding, dilation, ceil_mode)
        below = max(0, (oh - 1) * sh + (kh - 1) * dh + 1 - ph - h)
        right = max(0, (ow - 1) * sw + (kw - 1) * dw + 1 - pw - w)
        padded = xp.pad(x, ((0, 0), (0, 0), (ph, below), (pw, right)), constant_values=-xp.inf)

        values = xp.full((n, c, oh, ow), -xp.inf, self._dtype(x))
        indices = xp.full((n, c, oh, ow), -1, self._index_type(x))
        for i in range(kh):
            rows = xp.arange(oh)[:, None] * sh - ph + i * dh
            for j in range(kw):
                columns = xp.arange(ow) * sw - pw + j * dw
                inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
                pixels = padded[:, :, i * dh :, j * dw :][:, :, ::sh, ::sw][:, :, :oh, :ow]
                # The first pixel of a window is taken whatever it is: a window of -inf has a maximum, too.
                better = inside & ((pixels > values) | xp.isnan(pixels) | (indices < 0))
                values = xp.where(better, pixels, values)
                indices = xp.where(better, (rows * w + columns).astype(indices.dtype), indices)
        return self._dense(values), self._dense(indices)

    def max_pool2d_grad(self, grad: Array, indices: Array, input_size: Pair) -> Array:
        r"""Return the adjoint of `max_pool2d_take`: each gradient goes to the pixel that was the maximum.

        .. math:: dx_{n,c,k} = \sum_{p,q:\; \text{indices}_{n,c,p,q} = k} g_{n,c,p,q}

        `grad` and `indices` are (N, C, OH, OW); the result is (N, C, H, W) with (H, W) = `input_size`.
        """
        return self._scatter_add_planes(grad, indices, input_size)

    def max_pool2d_take(self, x: Array, indices: Array) -> Array:
        """Return the pixels at `indices`, the adjoint of `max_pool2d_grad`.

        `x` is (N, C, H, W), `indices` (N, C, OH, OW) flat in H*W; the result has the shape of `indices`.
        """
        n, c, oh, ow = indices.shape
        pixels = x.reshape(n, c, x.shape[2] * x.shape[3])
        values = self.xp.take_along_axis(pixels, indices.reshape(n, c, oh * ow), axis=2)
        return self._dense(values.astype(self._dtype(x), copy=False)).reshape(n, c, oh, ow)

    def avg_pool2d(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Array:
        r"""Return the mean of every window.

        .. math:: y_{n,c,p,q} = \frac{1}{m_{p,q}} \sum_{i,j} \bar x_{n,\;c,\;p s_h + i,\;q s_w + j}

        with x̄ the zero-padded input, (N, C, H, W) to (N, C, OH, OW). The divisor m counts the pixels of
        the window: with `count_include_pad` those inside the padded image (what hangs over it in ceil mode
        is not counted), without it only those inside the image.
        """
        xp = self.xp
        n, c, h, w = x.shape
        ph, pw = padding
        size = pool_output_size("avg_pool2d", (h, w), kernel_size, stride, padding, (1, 1), ceil_mode)
        padded_h, padded_w = self._covered(size, kernel_size, stride, padding, (h, w))
        padded = xp.zeros((n, c, padded_h, padded_w), self._dtype(x))
        padded[:, :, ph : ph + h, pw : pw + w] = x
        y = xp.zeros((n, c, *size), self._dtype(x))
        for rows, columns in self._shifts(size, kernel_size, stride):
            y += padded[:, :, rows, columns]
        y /= self._divisor(size, (h, w), kernel_size, stride, padding, count_include_pad).astype(y.dtype)
        return y

    def avg_pool2d_grad(
        self,
        grad: Array,
        input_size: Pair,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Array:
        """Return the adjoint of `avg_pool2d`: every pixel of a window gets the same share of its gradient.

        `grad` is (N, C, OH, OW); the result is (N, C, H, W) with (H, W) = `input_size`.
        """
        n, c = grad.shape[:2]
        (h, w), (ph, pw) = input_size, padding
        size = pool_output_size("avg_pool2d", input_size, kernel_size, stride, padding, (1, 1), ceil_mode)
        divisor = self._divisor(size, input_size, kernel_size, stride, padding, count_include_pad)
        share = grad / divisor.astype(self._dtype(grad))
        padded_h, padded_w = self._covered(size, kernel_size, stride, padding, input_size)
        padded = self.xp.zeros((n, c, padded_h, padded_w), self._dtype(grad))
        for rows, columns in self._shifts(size, kernel_size, stride):
            padded[:, :, rows, columns] += share
        return self._dense(padded[:, :, ph : ph + h, pw : pw + w])

    def adaptive_avg_pool2d(self, x: Array, output_size: Pair) -> Array:
        """Return the means over a grid of windows that covers the image: (N, C, H, W) to (N, C, OH, OW).

        `geometry.adaptive_windows` tells where the windows lie. The mean is taken over the rows of each
        window, then over its columns.
        """
        n, c, h, w = x.shape
        oh, ow = output_size
        strips = self.xp.empty((n, c, oh, w), self._dtype(x))
        for i, (top, bottom) in enumerate(adaptive_windows(h, oh)):
            strips[:, :, i] = x[:, :, top:bottom].mean(axis=2)
        y = self.xp.empty((n, c, oh, ow), strips.dtype)
        for j, (left, right) in enumerate(adaptive_windows(w, ow)):
            y[:, :, :, j] = strips[:, :, :, left:right].mean(axis=3)
        return y

    def adaptive_avg_pool2d_grad(self, grad: Array, input_size: Pair) -> Array:
        """Return the adjoint of `adaptive_avg_pool2d`, (N, C, OH, OW) to (N, C, *input_size)."""
        n, c, oh, ow = grad.shape
        h, w = input_size
        strips = self.xp.zeros((n, c, oh, w), self._dtype(grad))
        for j, (left, right) in enumerate(adaptive_windows(w, ow)):
            strips[:, :, :, left:right] += grad[:, :, :, j, None] / (right - left)
        x_grad = self.xp.zeros((n, c, h, w), strips.dtype)
        for i, (top, bottom) in enumerate(adaptive_windows(h, oh)):
            x_grad[:, :, top:bottom] += strips[:, :, i, None] / (bottom - top)
        return x_grad

    def adaptive_max_pool2d(self, x: Array, output_size: Pair) -> tuple[Array, Array]:
        """Return the maxima over a grid of windows that covers the image, and where they stand.

        (N, C, H, W) to two arrays (N, C, OH, OW), the second of flat indices as in `max_pool2d`, whose
        rules for ties and NaN hold here. `max_pool2d_grad` is the gradient.
        """
        n, c, h, w = x.shape
        oh, ow = output_size
        indices = self.xp.empty((n, c, oh, ow), self._index_type(x))
        for i, (top, bottom) in enumerate(adaptive_windows(h, oh)):
            for j, (left, right) in enumerate(adaptive_windows(w, ow)):
                window = x[:, :, top:bottom, left:right].reshape(n, c, (bottom - top) * (right - left))
                place = self._argmax(window)
                indices[:, :, i, j] = (top + place // (right - left)) * w + left + place % (right - left)
        return self.max_pool2d_take(x, indices), indices

    def _index_type(self, x: Array) -> Any:
        """Integers that count the pixels of an image: short ones, for they are kept until the gradient."""
        return self.xp.int32 if x.shape[-2] * x.shape[-1] < 2**31 else self.xp.int64

    def _argmax(self, window: Array) -> Array:
        """Return the place of the first maximum along the last axis, or of the last NaN if there is one."""
        isnan = self.xp.isnan(window)
        last_nan = window.shape[-1] - 1 - isnan[..., ::-1].argmax(axis=-1)
        return self.xp.where(isnan.any(axis=-1), last_nan, window.argmax(axis=-1))

    def _covered(self, size: Sizes, kernel_size: Pair, stride: Pair, padding: Pair, input_size: Pair) -> list[int]:
        """Return the size of the padded image, grown where a window of ceil mode hangs over it."""
        return [
            max(n + 2 * p, (windows - 1) * s + k)
            for windows, k, s, p, n in zip(size, kernel_size, stride, padding, input_size, strict=True)
        ]

    def _shifts(self, size: Sizes, kernel_size: Pair, stride: Pair) -> list[tuple[slice, slice]]:
        """Return, for each pixel of the window, the rows and columns of the padded image that it meets."""
        (oh, ow), (kh, kw), (sh, sw) = size, kernel_size, stride
        return [
            (slice(i, i + (oh - 1) * sh + 1, sh), slice(j, j + (ow - 1) * sw + 1, sw))
            for i in range(kh)
            for j in range(kw)
        ]

    def _divisor(
        self, size: Sizes, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, include_pad: bool
    ) -> Array:
        """Return how many pixels each window of an average counts, (OH, OW)."""
        xp = self.xp
        counts = []
        for windows, n, k, s, p in zip(size, input_size, kernel_size, stride, padding, strict=True):
            first, last = (-p, n + p) if include_pad else (0, n)
            start = xp.arange(windows) * s - p
            counts.append(xp.minimum(start + k, last) - xp.maximum(start, first))
        return counts[0][:, None] * counts[1]
