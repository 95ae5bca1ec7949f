"""Random calls of every backend method, for the suites that run over all of them.

`calls(method)` is a hypothesis strategy of argument lists: float64 or integer arrays, C-contiguous, and options.
`lay_out` gives an array another dtype or memory layout without changing what it means.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.backends.geometry import conv_output_size, pool_output_size
from minidl.backends.reference import ReferenceBackend
from minidl.errors import ShapeError

LAYOUTS = ("plain", "transposed", "sliced", "negative strides", "unaligned", "big-endian", "read-only")
WRITABLE_LAYOUTS = LAYOUTS[:-1]


def methods_of(backend: type) -> list[str]:
    """Return the names of the public methods of a backend class."""
    return [name for name, _ in inspect.getmembers(backend, inspect.isfunction) if not name.startswith("_")]


def lay_out(array: np.ndarray, layout: str, dtype: Any = None) -> np.ndarray:
    """Return an array of equal values with another memory layout and, for floats, another dtype."""
    if dtype is not None and array.dtype.kind == "f":
        array = array.astype(dtype)
    if layout == "transposed":
        return np.array(array, order="F")
    if layout == "sliced":
        buffer = np.full([2 * n + 1 for n in array.shape], 7, array.dtype)
        view = buffer[(..., *[slice(1, None, 2)] * array.ndim)]
        view[...] = array
        return view
    if layout == "negative strides":
        backwards = (..., *[slice(None, None, -1)] * array.ndim)
        return np.array(array[backwards], order="C")[backwards]
    if layout == "unaligned":
        view = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    if layout == "big-endian":
        return array.astype(array.dtype.newbyteorder(">"))
    array = array.copy()
    array.flags.writeable = layout != "read-only"
    return array


def arrays_in(values: Any) -> list[np.ndarray]:
    """List the arrays in a nest of tuples and lists, in order."""
    if isinstance(values, np.ndarray):
        return [values]
    if isinstance(values, (tuple, list)):
        return [array for value in values for array in arrays_in(value)]
    return []


def map_arrays(function: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Return a nest of tuples and lists with `function` applied to its arrays."""
    if isinstance(values, np.ndarray):
        return function(values)
    if isinstance(values, (tuple, list)):
        return type(values)(map_arrays(function, value) for value in values)
    return values


def changes_in_place(method: str) -> bool:
    """Tell whether a method changes its arguments: the optimizer steps and `scale_`."""
    return method.endswith(("_update", "_"))


class Calls:
    """One method of the name of each backend method: it draws the arguments of a call.

    With `large`, the leading axes grow until the work is worth several threads.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], large: bool) -> None:
        self.draw = draw
        self.large = large
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def size(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def rows(self) -> int:
        """Draw the size of a leading axis: nothing, one, a few, or many."""
        return 1009 if self.large else self.draw(st.sampled_from([0, 1, 2, 3, 7, 33]))

    def batch(self) -> int:
        return 37 if self.large else self.size(0, 4)

    def channels(self, most: int) -> int:
        return self.size(1, most) + 24 * self.large

    def image_size(self, most: int) -> tuple[int, int]:
        return self.size(1, most) + 20 * self.large, self.size(1, most) + 20 * self.large

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def pair(self, least: int, most: int) -> tuple[int, int]:
        return self.size(least, most), self.size(least, most)

    def normal(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.standard_normal(shape))

    def optional(self, *shape: int) -> np.ndarray | None:
        return self.normal(*shape) if self.flag() else None

    def special(self, *shape: int) -> np.ndarray:
        """Return numbers with ties among them and, one time out of four, NaN and infinities."""
        x = np.asarray(self.rng.integers(-3, 4, shape).astype(float))
        if self.size(0, 3) == 0:
            x[self.rng.random(shape) < 0.15] = self.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        return x

    def shape(self) -> tuple[int, ...]:
        """Draw the shape of an array of any number of axes."""
        if self.large:
            return 37, 65, 129
        return tuple(self.draw(st.lists(st.integers(0, 9), max_size=4)))

    # products

    def matmul(self) -> list[Any]:
        some = st.integers(0, 40) | st.sampled_from([64, 97, 300])
        m, k, n = (self.draw(some) + 100 * self.large for _ in range(3))
        leading = self.draw(
            st.sampled_from([((), ()), ((3,), ()), ((), (2,)), ((2, 1), (3,)), ((2,), (2,)), ((0,), ())])
        )
        return [self.normal(*leading[0], m, k), self.normal(*leading[1], k, n)]

    def linear(self) -> list[Any]:
        m, k, o = self.rows(), self.size(0, 70) + 100 * self.large, self.size(0, 40)
        return [self.normal(m, k), self.normal(o, k), self.optional(o)]

    def linear_parameter_grads(self) -> list[Any]:
        m, k, o = self.rows(), self.size(0, 70) + 100 * self.large, self.size(0, 40)
        return [self.normal(m, o), self.normal(m, k)]

    # conv

    def window(self) -> tuple[Any, ...]:
        """Draw (size, kernel, stride, padding, dilation) that fit together."""
        kernel, stride = self.pair(1, 5), self.pair(1, 3)
        dilation = (1, 1) if self.flag() else self.pair(1, 3)
        padding = self.pair(0, 3)
        size = tuple(
            max(1, d * (k - 1) + 1 - 2 * p) + self.size(0, 12) + 12 * self.large
            for k, p, d in zip(kernel, padding, dilation, strict=True)
        )
        return size, kernel, stride, padding, dilation

    def convolution(self) -> tuple[Any, ...]:
        """Draw (shape of x, shape of weight, shape of y, options) of a convolution."""
        size, kernel, stride, padding, dilation = self.window()
        groups = self.draw(st.sampled_from([1, 1, 1, 2, 3]))
        # Now and then more channels than one block of a kernel holds.
        many = st.integers(1, 9) | st.integers(1, 9) | st.sampled_from([16, 33, 70])
        n, c, o = self.batch(), groups * self.draw(many), groups * self.draw(many)
        output = conv_output_size("conv2d", size, kernel, stride, padding, dilation)
        shapes = (n, c, *size), (o, c // groups, *kernel), (n, o, *output)
        return (*shapes, (stride, padding, dilation, groups))

    def conv2d(self) -> list[Any]:
        x, weight, _, options = self.convolution()
        return [self.normal(*x), self.normal(*weight), self.optional(weight[0]), *options]

    def conv2d_input_grad(self) -> list[Any]:
        x, weight, y, options = self.convolution()
        return [self.normal(*y), self.normal(*weight), x[2:], *options]

    def conv2d_weight_grad(self) -> list[Any]:
        x, weight, y, options = self.convolution()
        return [self.normal(*y), self.normal(*x), weight[2:], *options]

    conv2d_parameter_grads = conv2d_weight_grad

    def unfold(self) -> list[Any]:
        size, *options = self.window()
        return [self.normal(self.batch(), self.size(1, 5), *size), *options]

    def fold(self) -> list[Any]:
        size, kernel, stride, padding, dilation = self.window()
        oh, ow = conv_output_size("fold", size, kernel, stride, padding, dilation)
        columns = self.normal(self.batch(), self.size(1, 5) * kernel[0] * kernel[1], oh * ow)
        return [columns, size, kernel, stride, padding, dilation]

    # pool and resize

    def pooling(self, dilated: bool) -> tuple[Any, ...]:
        """Draw (size, kernel, stride, padding, dilation, ceil_mode, output size) that fit together."""
        kernel, stride, size, ceil_mode = self.pair(1, 4), self.pair(1, 4), self.image_size(15), self.flag()
        dilation = self.pair(1, 3) if dilated and self.flag() else (1, 1)
        padding = (self.size(0, kernel[0] // 2), self.size(0, kernel[1] // 2))
        try:
            output = pool_output_size("pool", size, kernel, stride, padding, dilation, ceil_mode)
        except ShapeError:
            size, padding, output = (12, 13), (0, 0), None
            output = pool_output_size("pool", size, kernel, stride, padding, dilation, ceil_mode)
        return size, kernel, stride, padding, dilation, ceil_mode, output

    def max_pool2d(self) -> list[Any]:
        size, *options, _ = self.pooling(True)
        return [self.special(self.batch(), self.channels(20), *size), *options]

    def picked(self) -> tuple[np.ndarray, tuple[int, int]]:
        n, c, size, output = self.batch(), self.channels(20), self.image_size(9), self.pair(1, 9)
        dtype = self.draw(st.sampled_from([np.int32, np.int64]))
        return self.rng.integers(0, size[0] * size[1], (n, c, *output), dtype), size

    def max_pool2d_grad(self) -> list[Any]:
        indices, size = self.picked()
        return [self.normal(*indices.shape), indices, size]

    def max_pool2d_take(self) -> list[Any]:
        indices, size = self.picked()
        return [self.normal(*indices.shape[:2], *size), indices]

    def avg_pool2d(self) -> list[Any]:
        size, kernel, stride, padding, _, ceil_mode, _ = self.pooling(False)
        x = self.normal(self.batch(), self.channels(20), *size)
        return [x, kernel, stride, padding, ceil_mode, self.flag()]

    def avg_pool2d_grad(self) -> list[Any]:
        size, kernel, stride, padding, _, ceil_mode, output = self.pooling(False)
        grad = self.normal(self.batch(), self.channels(20), *output)
        return [grad, size, kernel, stride, padding, ceil_mode, self.flag()]

    def adaptive_avg_pool2d(self) -> list[Any]:
        return [self.normal(self.batch(), self.channels(20), *self.image_size(12)), self.pair(1, 9)]

    adaptive_avg_pool2d_grad = adaptive_avg_pool2d

    def adaptive_max_pool2d(self) -> list[Any]:
        return [self.special(self.batch(), self.channels(20), *self.image_size(12)), self.pair(1, 9)]

    def scale(self) -> tuple[float, float] | None:
        factors = st.floats(0.3, 3.5)
        return (self.draw(factors), self.draw(factors)) if self.flag() else None

    def upsample_nearest2d(self) -> list[Any]:
        return [self.normal(self.batch(), self.channels(9), *self.image_size(12)), self.pair(1, 20), self.scale()]

    upsample_nearest2d_grad = upsample_nearest2d

    def upsample_bilinear2d(self) -> list[Any]:
        x = self.normal(self.batch(), self.channels(9), *self.image_size(12))
        return [x, self.pair(1, 20), self.flag(), self.scale()]

    upsample_bilinear2d_grad = upsample_bilinear2d

    # norm

    def image(self) -> np.ndarray:
        spatial = self.draw(st.lists(st.integers(1, 9), min_size=self.large, max_size=3 - self.large))
        return 2 * self.normal(self.batch() + 1, self.channels(20), *[n + 8 * self.large for n in spatial]) + 1

    def eps(self) -> float:
        return self.draw(st.sampled_from([1e-5, 1e-2]))

    def batch_norm(self) -> list[Any]:
        x = self.image()
        return [x, self.optional(x.shape[1]), self.optional(x.shape[1]), self.eps()]

    def batch_norm_grad(self) -> list[Any]:
        x = self.image()
        mean, var = self.normal(x.shape[1]), self.normal(x.shape[1]) ** 2 + 0.5
        return [self.normal(*x.shape), x, self.optional(x.shape[1]), mean, var, self.eps()]

    def batch_norm_eval(self) -> list[Any]:
        x = self.image()
        c = x.shape[1]
        return [x, self.normal(c), self.normal(c) ** 2 + 0.5, self.optional(c), self.optional(c), self.eps()]

    def layer_norm(self) -> list[Any]:
        m, d = self.rows(), self.size(1, 70) + 100 * self.large
        return [2 * self.normal(m, d) + 1, self.optional(d), self.optional(d), self.eps()]

    def layer_norm_grad(self) -> list[Any]:
        m, d = self.rows(), self.size(1, 70) + 100 * self.large
        return [
            self.normal(m, d),
            self.normal(m, d),
            self.optional(d),
            self.normal(m),
            self.normal(m) ** 2 + 0.5,
        ]

    # activations and softmax

    def elementwise(self) -> list[Any]:
        shape = self.shape()
        x = np.asarray(3 * self.normal(*shape))
        x[self.rng.random(shape) < 0.1] = 0
        x[self.rng.random(shape) < 0.05] *= 100
        return [x]

    relu = sigmoid = tanh = silu = erf = elementwise

    def elementwise_grad(self) -> list[Any]:
        (x,) = self.elementwise()
        return [self.normal(*x.shape), x]

    relu_grad = silu_grad = elementwise_grad

    def saturating_grad(self) -> list[Any]:
        grad, x = self.elementwise_grad()
        return [grad, np.asarray(np.tanh(x))]

    sigmoid_grad = tanh_grad = saturating_grad

    def gelu(self) -> list[Any]:
        return [*self.elementwise(), self.draw(st.sampled_from(["none", "tanh"]))]

    def gelu_grad(self) -> list[Any]:
        return [*self.elementwise_grad(), self.draw(st.sampled_from(["none", "tanh"]))]

    def softmax(self) -> list[Any]:
        shape = [*self.shape()[self.large :], self.size(0, 40) + self.large][-4:]
        x = 10 ** self.size(0, 2) * self.normal(*shape)
        x[self.rng.random(shape) < 0.1] = -np.inf
        if self.flag() and shape[0]:
            x[0] = -np.inf
        return [x, self.size(-len(shape), len(shape) - 1)]

    log_softmax = softmax

    def softmax_grad(self) -> list[Any]:
        shape = [*self.shape()[self.large :], self.size(0, 40) + self.large][-4:]
        return [self.normal(*shape), -abs(self.normal(*shape)), self.size(-len(shape), len(shape) - 1)]

    log_softmax_grad = softmax_grad

    def count_labels(self) -> list[Any]:
        classes, shape = self.size(1, 40), self.shape()
        labels = self.rng.integers(-1 if self.flag() else 0, classes + self.flag(), shape)
        return [labels, classes, self.draw(st.sampled_from([-100, -1, 0]))]

    def cross_entropy(self) -> list[Any]:
        n, c = self.rows(), self.size(1, 40) + 60 * self.large
        labels = self.rng.integers(0, c, n)
        ignore_index = self.draw(st.sampled_from([-100, 0]))
        labels[self.rng.random(n) < 0.2] = ignore_index
        share = self.draw(st.sampled_from([None, 1.0, 0.3]))
        return [10 ** self.size(0, 3) * self.normal(n, c), labels, ignore_index, share]

    def cross_entropy_grad(self) -> list[Any]:
        logits, labels, ignore_index, share = self.cross_entropy()
        grad = self.normal(len(labels)) if share is None else self.normal(1).reshape(())
        return [grad, logits, labels, ignore_index, share]

    def sum(self) -> list[Any]:
        shape = self.shape()
        axes = tuple(i for i in range(len(shape)) if self.flag())
        return [self.normal(*shape), axes, self.flag()]

    # random and index

    def dropout(self) -> list[Any]:
        p = self.draw(st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)))
        word = st.one_of(st.sampled_from([0, 2**32 - 1, 2**63 + 1, 2**64 - 1]), st.integers(0, 2**64 - 1))
        return [self.normal(*self.shape()), p, self.draw(word), self.draw(word)]

    def embedding(self) -> list[Any]:
        v, d = self.size(1, 30), self.size(0, 20) + self.large
        return [self.normal(v, d), self.rng.integers(0, v, (*self.shape()[:2],))]

    def scatter_add(self) -> list[Any]:
        size, shape = self.size(1, 9), self.shape()
        return [self.normal(*shape), self.rng.integers(0, size, shape), size]

    def embedding_grad(self) -> list[Any]:
        weight, indices = self.embedding()
        return [self.normal(*indices.shape, weight.shape[1]), indices, len(weight)]

    # updates

    def state(self) -> tuple[Callable[[], list[np.ndarray]], Callable[[], list[np.ndarray]]]:
        """Return makers of lists of arrays, with any sign and positive, one for each of a few parameters."""
        shapes = [self.shape() for _ in range(self.size(1, 3))]
        return (
            lambda: [self.normal(*shape) for shape in shapes],
            lambda: [np.asarray(self.normal(*shape) ** 2 + 1) for shape in shapes],
        )

    def weight_decay(self) -> float:
        return self.draw(st.sampled_from([0.0, 0.1]))

    def sgd_update(self) -> list[Any]:
        arrays, _ = self.state()
        params, grads, momentum = arrays(), arrays(), self.draw(st.sampled_from([0.0, 0.9]))
        momenta = self.draw(st.sampled_from([arrays(), [None] * len(params)])) if momentum else None
        nesterov = bool(momentum) and self.flag()
        dampening = 0.0 if nesterov else self.draw(st.sampled_from([0.0, 0.3]))
        return [params, grads, momenta, 0.1, momentum, dampening, self.weight_decay(), nesterov, self.flag()]

    def adam_update(self) -> list[Any]:
        arrays, positive = self.state()
        largest = positive() if self.flag() else None
        step = self.size(1, 100)
        options = [step, 0.1, 0.9, 0.99, 1e-8, self.weight_decay(), self.flag(), self.flag()]
        return [arrays(), arrays(), arrays(), positive(), largest, *options]

    def rmsprop_update(self) -> list[Any]:
        arrays, positive = self.state()
        means = [0.1 * a / (1 + abs(a)) for a in arrays()] if self.flag() else None
        momentum = self.draw(st.sampled_from([0.0, 0.9]))
        momenta = arrays() if momentum else None
        options = [0.1, 0.9, 1e-8, self.weight_decay(), momentum, self.flag()]
        return [arrays(), arrays(), positive(), means and list(map(np.asarray, means)), momenta, *options]

    def adagrad_update(self) -> list[Any]:
        arrays, positive = self.state()
        options = [self.size(1, 100), 0.1, 0.01, self.weight_decay(), 1e-10, self.flag()]
        return [arrays(), arrays(), positive(), *options]

    def grad_norm(self) -> list[Any]:
        arrays, _ = self.state()
        return [arrays(), self.draw(st.sampled_from([1.0, 2.0, 3.0, np.inf]))]

    def scale_(self) -> list[Any]:
        arrays, _ = self.state()
        return [arrays(), 0.3]


@st.composite
def calls(draw: Callable[[st.SearchStrategy[Any]], Any], method: str, large: bool = False) -> list[Any]:
    """Draw the arguments of a call of `method`."""
    return getattr(Calls(draw, large), method)()


@st.composite
def laid_out_calls(draw: Callable[[st.SearchStrategy[Any]], Any], method: str, dtype: Any) -> tuple[Any, Any]:
    """Draw a call as (plain arguments, the same with every array in a memory layout of its own)."""
    plain = map_arrays(lambda array: lay_out(array, "plain", dtype), draw(calls(method)))
    layouts = WRITABLE_LAYOUTS if changes_in_place(method) else LAYOUTS
    choice = st.sampled_from(layouts)
    return plain, map_arrays(lambda array: lay_out(array, draw(choice)), plain)


METHODS = methods_of(ReferenceBackend)


def assert_plain_and_fresh(result: Any, call: Any, dtype: Any) -> None:
    """Check what every method promises of its arrays: native dtype, C order, memory of their own."""
    for array in arrays_in(result):
        assert array.dtype in (dtype, np.int32, np.int64) and array.dtype.isnative
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
        assert not any(np.may_share_memory(array, other) for other in arrays_in(call))
