"""Convolutions as two-dimensional products, a chunk of images at a time."""

from __future__ import annotations

from collections.abc import Iterator

from minidl.backends.cuda import cudnn
from minidl.backends.cuda.launch import fits, launch
from minidl.backends.geometry import conv_output_size
from minidl.backends.reference.base import Array, Pair
from minidl.backends.reference.conv import Conv

__all__ = ["ConvMixin"]

_WORKSPACE = 1 << 28  # bytes of columns at a time; more images at once fill the chip no better


class ConvMixin(Conv):
    """im2col and col2im are kernels, the products CuPy's: only its two-dimensional one takes a transpose as it is."""

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
        if not fits(x, weight, bias) or x.size == 0 or weight.size == 0:
            return super().conv2d(x, weight, bias, stride, padding, dilation, groups)
        x, weight = self._dense(x), self._dense(weight)
        bias = None if bias is None else self._dense(bias)
        n, o, kernel_size = len(x), len(weight), weight.shape[2:]
        oh, ow = conv_output_size("conv2d", x.shape[2:], kernel_size, stride, padding, dilation)
        if cudnn.takes(groups, x, weight):
            y = cudnn.convolve("forward", x, weight, (n, o, oh, ow), stride, padding, dilation)
            return y if bias is None else y + bias.reshape(o, 1, 1)
        y = self.xp.empty((n, o, oh, ow), x.dtype)
        rows, outputs = weight[0].size, o // groups
        if kernel_size == (1, 1) and stride == (1, 1) and padding == (0, 0) and groups == 1:
            y = self.xp.matmul(weight.reshape(o, rows), x.reshape(n, rows, oh * ow)).reshape(y.shape)
            return y if bias is None else y + bias.reshape(o, 1, 1)
        for images in self._chunks(n, rows * oh * ow * x.itemsize):
            for g in range(groups):
                columns = self._chunk(x[images], kernel_size, (oh, ow), stride, padding, dilation, groups, g)
                product = self.xp.matmul(weight[g * outputs : (g + 1) * outputs].reshape(outputs, rows), columns)
                part = y[images]
                launch("conv", "bring_home", x.dtype, product.size, product, bias, part, product.size,
                       len(part), outputs,
                       oh * ow, o, g * outputs, bias is not None)  # fmt: skip
        return y

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
        if not fits(grad, weight) or grad.size == 0 or weight.size == 0:
            return super().conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, groups)
        weight = self._dense(weight)
        n, o, oh, ow = grad.shape
        if cudnn.takes(groups, grad, weight):
            shape = (n, weight.shape[1], *input_size)
            return cudnn.convolve("input", self._dense(grad), weight, shape, stride, padding, dilation)
        channels, outputs, rows = weight.shape[1], o // groups, weight[0].size
        x_grad = self.xp.empty((n, channels * groups, *input_size), grad.dtype)
        for images in self._chunks(n, rows * oh * ow * grad.itemsize):
            part, pixels = x_grad[images], self._pixels(grad[images], groups)
            for g in range(groups):
                columns = self.xp.matmul(weight[g * outputs : (g + 1) * outputs].reshape(outputs, rows).T, pixels[g])
                count = len(part) * channels * input_size[0] * input_size[1]
                launch("conv", "col2im", grad.dtype, count, self._dense(columns), part, count, len(part), channels,
                       channels * groups, g * channels, *input_size, *weight.shape[2:], oh, ow, *stride, *padding,
                       *dilation)  # fmt: skip
        return x_grad

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
        if not fits(grad, x) or grad.size == 0 or x.size == 0:
            return super().conv2d_weight_grad(grad, x, kernel_size, stride, padding, dilation, groups)
        x = self._dense(x)
        n, o, oh, ow = grad.shape
        if cudnn.takes(groups, grad, x):
            shape = (o, x.shape[1], *kernel_size)
            return cudnn.convolve("weight", x, self._dense(grad), shape, stride, padding, dilation)
        outputs, rows = o // groups, x.shape[1] // groups * kernel_size[0] * kernel_size[1]
        total = self.xp.zeros((groups, outputs, rows), grad.dtype)
        for images in self._chunks(n, rows * oh * ow * grad.itemsize):
            pixels = self._pixels(grad[images], groups)
            for g in range(groups):
                columns = self._chunk(x[images], kernel_size, (oh, ow), stride, padding, dilation, groups, g)
                total[g] += self.xp.matmul(pixels[g], columns.T)
        return total.reshape(o, x.shape[1] // groups, *kernel_size)

    def _chunks(self, images: int, bytes_each: int) -> Iterator[slice]:
        """Slices of the batch whose columns fit the workspace, at least one image each."""
        step = max(1, _WORKSPACE // max(bytes_each, 1))
        return (slice(first, min(first + step, images)) for first in range(0, images, step))

    def _chunk(
        self,
        x: Array,
        kernel_size: Pair,
        output_size: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        group: int,
    ) -> Array:
        """The columns of one group of some images, (C/groups*KH*KW, N*OH*OW)."""
        n, all_channels, h, w = x.shape
        channels, pixels = all_channels // groups, output_size[0] * output_size[1]
        columns = self.xp.empty((channels * kernel_size[0] * kernel_size[1], n * pixels), x.dtype)
        launch("conv", "im2col", x.dtype, columns.size, x, columns, columns.size, n, all_channels,
               group * channels, h, w,
               *kernel_size, *output_size, *stride, *padding, *dilation)  # fmt: skip
        return columns
