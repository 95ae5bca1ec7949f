"""Convolution as one matrix product: gather the pixels of every window, then multiply.

A kernel tap (i, j) meets, over all windows, a shifted and strided copy of the padded image. So KH*KW slices
(`_taps`) are all there is: copy them side by side and a convolution is a matrix product (`im2col`); add
them back where they came from and that is the adjoint (`col2im`). The three operations of the family are
then

    conv2d              y    = W @ columns(x)
    conv2d_input_grad   dx   = columns^T(W^T @ dy)
    conv2d_weight_grad  dW   = dy @ columns(x)^T

and each is the derivative of the others, because the map (x, W) -> y is bilinear.
"""

from __future__ import annotations

from collections.abc import Iterator

from minidl.backends.geometry import conv_output_size
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.reduce import Reduce

__all__ = ["Conv"]


class Conv(Reduce):
    """conv2d and its gradients, unfold and fold."""

    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        r"""Return the 2-d convolution (cross-correlation, as in all deep-learning libraries).

        .. math:: y_{n,o,p,q} = b_o + \sum_{c,i,j} w_{o,c,i,j}\;
                  \bar x_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w}

        with x̄ the zero-padded input. `x` is (N, C, H, W), `weight` (O, C/groups, KH, KW), `bias` (O,) or
        None; the result is (N, O, OH, OW). With groups, the first O/groups outputs see the first C/groups
        channels, and so on.
        """
        n, o = len(x), len(weight)
        kernel_size = weight.shape[2:]
        oh, ow = conv_output_size("conv2d", x.shape[2:], kernel_size, stride, padding, dilation)
        columns = self._columns(x, kernel_size, stride, padding, dilation, groups)
        y = self.xp.matmul(_by_group(weight, groups), columns).reshape(o, n, oh, ow)
        if bias is not None:
            y += bias.reshape(o, 1, 1, 1)
        return self._dense(y.transpose(1, 0, 2, 3))

    def conv2d_input_grad(
        self,
        grad: Array,
        weight: Array,
        input_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        r"""Return the adjoint of `conv2d` in its input: the gradient dx, and the transposed convolution.

        .. math:: \bar x_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w} \mathrel{+}= \sum_o w_{o,c,i,j}\; g_{n,o,p,q}

        for all n, c, i, j, p, q; the padding is then cut off. `grad` is (N, O, OH, OW), `weight` (O,
        C/groups, KH, KW); the result is (N, C, H, W) with (H, W) = `input_size`.
        """
        n, _, oh, ow = grad.shape
        _, channels, kh, kw = weight.shape
        c = channels * groups
        columns = self.xp.matmul(_by_group(weight, groups).transpose(0, 2, 1), self._pixels(grad, groups))
        columns = columns.reshape(c, kh, kw, n, oh, ow).transpose(3, 0, 1, 2, 4, 5)
        return self._col2im(columns, input_size, stride, padding, dilation)

    def conv2d_weight_grad(
        self,
        grad: Array,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        r"""Return the adjoint of `conv2d` in its weight.

        .. math:: dw_{o,c,i,j} = \sum_{n,p,q} g_{n,o,p,q}\; \bar x_{n,\;c,\;p s_h + i d_h,\;q s_w + j d_w}

        `grad` is (N, O, OH, OW), `x` (N, C, H, W); the result is (O, C/groups, KH, KW).
        """
        columns = self._columns(x, kernel_size, stride, padding, dilation, groups)
        weight_grad = self.xp.matmul(self._pixels(grad, groups), columns.transpose(0, 2, 1))
        return self._dense(weight_grad.reshape(grad.shape[1], x.shape[1] // groups, *kernel_size))

    def conv2d_parameter_grads(
        self,
        grad: Array,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> tuple[Array, Array]:
        r"""Return the adjoint of `conv2d` in its weight and bias: `conv2d_weight_grad`, and

        .. math:: db_o = \sum_{n,p,q} g_{n,o,p,q}

        `grad` is (N, O, OH, OW), `x` (N, C, H, W); the results are (O, C/groups, KH, KW) and (O,).
        """
        weight_grad = self.conv2d_weight_grad(grad, x, kernel_size, stride, padding, dilation, groups)
        return weight_grad, self.sum(grad, (0, 2, 3), False)

    def unfold(self, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
        """Return the windows of an image as columns: (N, C, H, W) to (N, C*KH*KW, OH*OW), known as im2col.

        Row (c*KH + i)*KW + j of an image holds what the tap (i, j) meets in channel c, window by window.
        """
        n, c = x.shape[:2]
        kh, kw = kernel_size
        oh, ow = conv_output_size("unfold", x.shape[2:], kernel_size, stride, padding, dilation)
        columns = self.xp.empty((n, c, kh, kw, oh, ow), self._dtype(x))
        self._im2col(x, columns, stride, padding, dilation)
        return columns.reshape(n, c * kh * kw, oh * ow)

    def fold(
        self,
        columns: Array,
        output_size: Pair,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> Array:
        """Return the sum of overlapping windows, the adjoint of `unfold`, known as col2im.

        (N, C*KH*KW, OH*OW) to (N, C, H, W) with (H, W) = `output_size`.
        """
        kh, kw = kernel_size
        oh, ow = conv_output_size("fold", output_size, kernel_size, stride, padding, dilation)
        n, c = columns.shape[0], columns.shape[1] // (kh * kw)
        return self._col2im(columns.reshape(n, c, kh, kw, oh, ow), output_size, stride, padding, dilation)

    def _columns(self, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
        """Return im2col of all images side by side, (groups, C/groups*KH*KW, N*OH*OW): one matrix a group."""
        n, c = x.shape[:2]
        kh, kw = kernel_size
        oh, ow = conv_output_size("conv2d", x.shape[2:], kernel_size, stride, padding, dilation)
        columns = self.xp.empty((c, kh, kw, n, oh, ow), self._dtype(x))
        self._im2col(x, columns.transpose(3, 0, 1, 2, 4, 5), stride, padding, dilation)
        return columns.reshape(groups, c // groups * kh * kw, n * oh * ow)

    def _pixels(self, y: Array, groups: int) -> Array:
        """Return output pixels (N, O, OH, OW) in the order of `_columns`: (groups, O/groups, N*OH*OW)."""
        n, o, oh, ow = y.shape
        return y.transpose(1, 0, 2, 3).reshape(groups, o // groups, n * oh * ow)

    def _im2col(self, x: Array, columns: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
        """Copy what each tap meets into `columns` (N, C, KH, KW, OH, OW)."""
        padded = self._pad(x, padding)
        for i, j, pixels in _taps(padded, columns.shape[2:], stride, dilation):
            columns[:, :, i, j] = pixels

    def _col2im(self, columns: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
        """Add `columns` (N, C, KH, KW, OH, OW) back to where `_im2col` took them from."""
        n, c = columns.shape[:2]
        (h, w), (ph, pw) = size, padding
        padded = self.xp.zeros((n, c, h + 2 * ph, w + 2 * pw), self._dtype(columns))
        for i, j, pixels in _taps(padded, columns.shape[2:], stride, dilation):
            pixels += columns[:, :, i, j]
        return self._dense(padded[:, :, ph : ph + h, pw : pw + w])

    def _pad(self, x: Array, padding: Pair) -> Array:
        """Return `x` (N, C, H, W) with a border of zeros."""
        (n, c, h, w), (ph, pw) = x.shape, padding
        if ph == pw == 0:
            return x
        padded = self.xp.zeros((n, c, h + 2 * ph, w + 2 * pw), self._dtype(x))
        padded[:, :, ph : ph + h, pw : pw + w] = x
        return padded


def _taps(padded: Array, windows: tuple[int, ...], stride: Pair, dilation: Pair) -> Iterator[tuple[int, int, Array]]:
    """Yield for each kernel tap (i, j) the view (N, C, OH, OW) of the padded image that it meets."""
    (kh, kw, oh, ow), (sh, sw), (dh, dw) = windows, stride, dilation
    for i in range(kh):
        rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
        for j in range(kw):
            yield i, j, padded[:, :, rows, j * dw : j * dw + (ow - 1) * sw + 1 : sw]


def _by_group(weight: Array, groups: int) -> Array:
    """Return the kernels as rows, group by group: (groups, O/groups, C/groups*KH*KW)."""
    o, c, kh, kw = weight.shape
    return weight.reshape(groups, o // groups, c * kh * kw)
