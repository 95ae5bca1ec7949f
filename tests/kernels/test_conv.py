"""The convolution kernels against einsum over windows written out, and against PyTorch, in every layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_layouts import arrays, assert_sums_close, dtypes

from minidl._kernels import kernels, set_num_threads
from minidl.backends.reference import ReferenceBackend
from minidl.errors import DTypeError, MinidlError


def windows(x, kernel_size, out, stride, padding, dilation):
    """The definition: (N, C, H, W) -> (N, C, KH, KW, OH, OW), one pixel at a time and zeros outside the image."""
    n, c, h, w = x.shape
    result = np.zeros((n, c, *kernel_size, *out))
    for i, j, p, q in np.ndindex(*kernel_size, *out):
        y = p * stride[0] + i * dilation[0] - padding[0]
        z = q * stride[1] + j * dilation[1] - padding[1]
        if 0 <= y < h and 0 <= z < w:
            result[:, :, i, j, p, q] = x[:, :, y, z]
    return result


def oracle(x, weight, grad, stride, padding, dilation, groups):
    """conv2d, its input gradient and its weight gradient, in float64, all from the windows."""
    x, weight, grad = (a.astype(np.float64) for a in (x, weight, grad))
    n, c, h, w = x.shape
    o, _, *kernel_size = weight.shape
    out = grad.shape[2:]
    seen = windows(x, kernel_size, out, stride, padding, dilation).reshape(n, groups, c // groups, *kernel_size, *out)
    w__gocij = weight.reshape(groups, o // groups, *weight.shape[1:])
    g__ngopq = grad.reshape(n, groups, o // groups, *out)
    y = np.einsum("ngcijpq,gocij->ngopq", seen, w__gocij).reshape(grad.shape)
    dw = np.einsum("ngcijpq,ngopq->gocij", seen, g__ngopq).reshape(weight.shape)
    # The input gradient by its meaning: how much each pixel, set to 1, would add to sum(y * grad).
    places = np.arange(1, h * w + 1).reshape(1, 1, h, w)
    place__ijpq = windows(places, kernel_size, out, stride, padding, dilation)[0, 0].astype(int)
    d__ngcijpq = np.einsum("gocij,ngopq->ngcijpq", w__gocij, g__ngopq).reshape(n, c, *kernel_size, *out)
    dx = np.zeros((n, c, h * w + 1))
    np.add.at(dx, (slice(None), slice(None), place__ijpq), d__ngcijpq)
    return y, dx[:, :, 1:].reshape(x.shape), dw


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    c, o = draw(st.sampled_from((1, 2, 3, 5, 17))), draw(st.sampled_from((1, 2, 4, 5, 13, 15, 29)))
    n, h, w = draw(st.integers(0, 4)), draw(st.integers(1, 13)), draw(st.sampled_from((1, 2, 5, 8, 12, 31, 34, 40)))
    kernel_size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = draw(st.one_of(st.just((1, 1)), pairs)), draw(st.one_of(st.just((1, 1)), pairs))
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    out = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip((h, w), kernel_size, stride, padding, dilation, strict=True)
    ]
    assume(min(out) >= 1)
    dtype = draw(dtypes)
    x = draw(arrays((n, c * groups, h, w), dtype))
    weight = draw(arrays((o * groups, c, *kernel_size), dtype))
    bias = draw(st.one_of(st.none(), arrays((o * groups,), dtype)))
    grad = draw(arrays((n, o * groups, *out), dtype))
    return x, weight, bias, grad, (stride, padding, dilation, groups)


@settings(deadline=None, max_examples=200)
@given(convolutions())
def test_the_three_agree_with_their_definition(case):
    x, weight, bias, grad, options = case
    y, dx, dw = oracle(x, weight, grad, *options)
    if bias is not None:
        y = y + bias[:, None, None]
    before = [a.tobytes() for a in (x, weight, grad)]
    kernel_terms = weight[0].size
    assert_sums_close(kernels.conv.conv2d(x, weight, bias, *options), y, kernel_terms, x.dtype.type)
    actual = kernels.conv.conv2d_input_grad(grad, weight, x.shape[2:], *options)
    assert_sums_close(actual, dx, weight[:, 0].size, x.dtype.type)
    actual = kernels.conv.conv2d_weight_grad(grad, x, weight.shape[2:], *options)
    assert_sums_close(actual, dw, grad[:, 0].size, x.dtype.type)
    assert [a.tobytes() for a in (x, weight, grad)] == before


# Large enough for several items of work, several blocks of terms, packed tiles, and more than one thread.
LARGE = [
    ((8, 64, 14, 14), (64, 64, 3, 3), 1, 1, 1, 1),
    ((3, 130, 9, 9), (150, 130, 3, 3), 1, 1, 1, 1),
    ((2, 32, 56, 56), (48, 32, 3, 3), 2, 1, 1, 1),
    ((64, 1, 28, 28), (6, 1, 5, 5), 1, 0, 1, 1),
    ((64, 6, 12, 12), (16, 6, 5, 5), 1, 0, 1, 1),
    ((64, 1, 28, 28), (32, 1, 3, 3), 1, 1, 1, 1),
    ((16, 3, 32, 32), (24, 3, 7, 7), 2, 3, 1, 1),
    ((9, 4, 19, 24), (14, 2, 3, 3), 1, 2, 2, 2),
    ((4, 96, 20, 20), (96, 1, 3, 3), 1, 1, 1, 96),
    ((4, 60, 20, 20), (40, 30, 3, 3), 1, 2, 2, 2),
    ((2, 256, 28, 28), (64, 256, 1, 1), 1, 0, 1, 1),
    ((2, 64, 28, 28), (128, 64, 1, 1), 2, 0, 1, 1),
    ((1, 3, 90, 90), (64, 3, 7, 7), 2, 3, 1, 1),
    ((64, 3, 30, 30), (32, 3, 3, 3), 1, 0, 1, 1),
    ((64, 3, 32, 32), (32, 3, 3, 3), 1, 0, 1, 1),
    ((1, 3, 200, 34), (32, 3, 3, 3), 1, 0, 1, 1),
    ((30, 8, 9, 11), (20, 4, 4, 5), 1, 1, 1, 2),
    ((2, 2, 1, 3000), (4, 2, 1, 200), 1, 0, 1, 1),
    ((3, 256, 14, 14), (200, 256, 3, 3), 1, 1, 1, 1),
    ((31, 20, 7, 9), (14, 10, 3, 4), 1, 0, 2, 2),
    ((64, 120, 1, 1), (84, 120, 1, 1), 1, 0, 1, 1),
    ((9, 37, 7, 7), (50, 37, 1, 1), 1, 0, 1, 1),
    ((2, 600, 19, 30), (31, 600, 1, 1), 1, 0, 1, 1),
    ((3, 70, 33, 40), (31, 70, 1, 1), 1, 0, 1, 1),
]


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_ones_agree_with_pytorch_and_keep_their_bits(case, dtype, restore_threads):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    x_shape, weight_shape, stride, padding, dilation, groups = case
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(weight_shape).astype(dtype)
    bias = 10 * rng.standard_normal(weight_shape[0]).astype(dtype)
    x_t, weight_t, bias_t = (torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, weight, bias))
    y_t = torch.nn.functional.conv2d(x_t, weight_t, bias_t, stride, padding, dilation, groups)
    grad = rng.standard_normal(tuple(y_t.shape)).astype(dtype)
    y_t.backward(torch.from_numpy(grad.astype(np.float64)))
    options = (stride, stride), (padding, padding), (dilation, dilation), groups
    seen = set()
    for threads in (1, 2, 3):
        set_num_threads(threads)
        y = kernels.conv.conv2d(x, weight, bias, *options)
        dx = kernels.conv.conv2d_input_grad(grad, weight, x_shape[2:], *options)
        dw = kernels.conv.conv2d_weight_grad(grad, x, weight_shape[2:], *options)
        seen.add(y.tobytes() + dx.tobytes() + dw.tobytes())
    assert len(seen) == 1
    assert_sums_close(y, y_t.detach().numpy(), weight[0].size, dtype)
    assert_sums_close(dx, x_t.grad.numpy(), weight[:, 0].size, dtype)
    assert_sums_close(dw, weight_t.grad.numpy(), grad[:, 0].size, dtype)


def test_rows_of_one_pixel_that_are_two_apart():
    """The staged rows are as wide as the step between the rows of the result, but not as the rows."""
    rng = np.random.default_rng(0)
    x, weight, grad = (rng.standard_normal(shape) for shape in ((4, 8, 13, 1), (16, 4, 5, 2), (4, 16, 7, 4)))
    options = (2, 1), (2, 2), (1, 1), 2
    _, dx, _ = oracle(x, weight, grad, *options)
    assert_sums_close(kernels.conv.conv2d_input_grad(grad, weight, (13, 1), *options), dx, 40, np.float64)


ONES = np.ones((2, 4, 5, 5))
KERNEL = np.ones((6, 4, 3, 3))
PLAIN = ((1, 1), (0, 0), (1, 1), 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda conv: conv.conv2d(ONES, np.ones((6, 3, 3, 3)), None, *PLAIN),
        lambda conv: conv.conv2d(ONES, KERNEL, np.ones(5), *PLAIN),
        lambda conv: conv.conv2d(ONES[0], KERNEL, None, *PLAIN),
        lambda conv: conv.conv2d(ONES, np.ones((6, 4, 6, 3)), None, *PLAIN),
        lambda conv: conv.conv2d(ONES, KERNEL, None, (0, 1), (0, 0), (1, 1), 1),
        lambda conv: conv.conv2d(ONES, KERNEL, None, (1, 1), (-1, 0), (1, 1), 1),
        lambda conv: conv.conv2d(ONES, KERNEL, None, (1, 1), (0, 0), (1, 2**40), 1),
        lambda conv: conv.conv2d(ONES, KERNEL, None, (1, 1), (0, 0), (1, 1), 0),
        lambda conv: conv.conv2d(ONES, np.ones((6, 2, 3, 3)), None, (1, 1), (0, 0), (1, 1), 4),
        lambda conv: conv.conv2d(ONES, KERNEL.astype(np.float32), None, *PLAIN),
        lambda conv: conv.conv2d_input_grad(np.ones((2, 6, 3, 3)), KERNEL, (6, 5), *PLAIN),
        lambda conv: conv.conv2d_input_grad(np.ones((2, 5, 3, 3)), KERNEL, (5, 5), *PLAIN),
        lambda conv: conv.conv2d_weight_grad(np.ones((2, 6, 3, 3)), ONES, (2, 3), *PLAIN),
        lambda conv: conv.conv2d_weight_grad(np.ones((3, 6, 3, 3)), ONES, (3, 3), *PLAIN),
        lambda conv: conv.conv2d_weight_grad(np.ones((2, 6, 3, 3), np.float32), ONES, (3, 3), *PLAIN),
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(MinidlError):
        call(kernels.conv)


def test_integers_are_refused():
    with pytest.raises(DTypeError):
        kernels.conv.conv2d(ONES.astype(int), KERNEL.astype(int), None, *PLAIN)


@pytest.mark.parametrize("kernel_size", list(itertools.product((1, 2, 3), repeat=2)))
def test_every_small_image(kernel_size):
    """Strides that lead out of the image, kernels that just fit: all of them, on one image of each size up to 4x4."""
    rng = np.random.default_rng(6)
    one_to_three = list(itertools.product((1, 2, 3), repeat=2))
    for size, stride, padding in itertools.product(
        itertools.product((1, 2, 3, 4), repeat=2), one_to_three, itertools.product((0, 1), repeat=2)
    ):
        out = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, padding, kernel_size, stride, strict=True)]
        if min(out) < 1:
            continue
        x, weight = rng.standard_normal((2, 2, *size)), rng.standard_normal((3, 2, *kernel_size))
        grad, options = rng.standard_normal((2, 3, *out)), (stride, padding, (1, 1), 1)
        y, dx, dw = oracle(x, weight, grad, *options)
        for wanted, result in (
            (y, kernels.conv.conv2d(x, weight, None, *options)),
            (dx, kernels.conv.conv2d_input_grad(grad, weight, size, *options)),
            (dw, kernels.conv.conv2d_weight_grad(grad, x, kernel_size, *options)),
        ):
            np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-12, err_msg=f"{size}, {options}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel_size, grad_size, dilation, groups", [
    ((5, 5), (8, 8), (1, 1), 1), ((2, 3), (1, 1), (1, 1), 2), ((3, 2), (2, 5), (3, 2), 1), ((4, 4), (9, 17), (1, 3), 1),
    ((1, 2), (4, 33), (1, 1), 3),
])  # fmt: skip
def test_the_input_gradient_of_any_number_of_small_images(kernel_size, grad_size, dilation, groups, dtype):
    """They are worked on side by side, as many as fill a tile."""
    size = [g + d * (k - 1) for g, d, k in zip(grad_size, dilation, kernel_size, strict=True)]
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5 * groups, 3, *kernel_size)).astype(dtype)
    grads = rng.normal(size=(70, 5 * groups, *grad_size)).astype(dtype)
    options = (1, 1), (0, 0), dilation, groups
    _, dx, _ = oracle(np.zeros((70, 3 * groups, *size)), weight, grads, *options)
    for images in (*range(1, 14), 31, 32, 33, 70):
        actual = kernels.conv.conv2d_input_grad(grads[:images], weight, size, *options)
        assert_sums_close(actual, dx[:images], weight[:, 0].size, dtype)


def test_a_huge_stride_costs_nothing():
    y = kernels.conv.conv2d(ONES, KERNEL, None, (2**29, 2**29), (0, 0), (1, 1), 1)
    np.testing.assert_array_equal(y, np.full((2, 6, 1, 1), 36.0))
    dx = kernels.conv.conv2d_input_grad(y, KERNEL, (5, 5), (2**29, 2**29), (0, 0), (1, 1), 1)
    assert dx[0, 0, 0, 0] == 6 * 36 and dx[0, 0, 3, 3] == 0


def test_no_channels_make_sums_of_nothing():
    y = kernels.conv.conv2d(np.ones((2, 0, 5, 5)), np.ones((3, 0, 3, 3)), None, *PLAIN)
    np.testing.assert_array_equal(y, np.zeros((2, 3, 3, 3)))
    y = kernels.conv.conv2d(np.ones((2, 0, 5, 5)), np.ones((3, 0, 3, 3)), np.arange(3.0), *PLAIN)
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(3.0)[:, None, None], (2, 3, 3, 3)))
    dx = kernels.conv.conv2d_input_grad(np.ones((2, 0, 3, 3)), np.ones((0, 4, 3, 3)), (5, 5), *PLAIN)
    np.testing.assert_array_equal(dx, np.zeros((2, 4, 5, 5)))
    dw = kernels.conv.conv2d_weight_grad(np.ones((2, 3, 3, 3)), np.ones((2, 0, 5, 5)), (3, 3), *PLAIN)
    assert dw.shape == (3, 0, 3, 3)


# One shape for each road through the kernels: (N, C, H, W), (O, C/groups, KH, KW), stride, padding, dilation, groups.
ROADS = [
    ((2, 1, 9, 40), (3, 1, 3, 3), 1, 1, 1, 1),  # few outputs, pixels left over
    ((2, 1, 28, 28), (6, 1, 5, 5), 1, 0, 1, 1),
    ((2, 1, 12, 16), (8, 1, 3, 3), 1, 1, 1, 1),  # rows spread out, with padding
    ((2, 2, 20, 21), (24, 2, 7, 7), 2, 3, 1, 1),  # and a stride
    ((2, 4, 21, 21), (8, 4, 3, 3), 2, 1, 1, 1),
    ((1, 8, 9, 9), (8, 1, 3, 3), 1, 1, 1, 8),  # one output
    ((2, 6, 12, 12), (16, 6, 5, 5), 1, 0, 1, 1),  # a narrow tile
    ((2, 3, 10, 10), (32, 3, 3, 3), 1, 0, 1, 1),
    ((2, 3, 6, 34), (13, 3, 3, 3), 1, 0, 1, 1),  # rows of whole tiles
    ((2, 3, 6, 26), (12, 3, 3, 3), 1, 0, 1, 1),
    ((2, 32, 15, 15), (64, 32, 3, 3), 1, 0, 1, 1),
    ((1, 4, 13, 13), (40, 2, 3, 3), 1, 2, 2, 2),
    ((1, 40, 5, 5), (9, 40, 1, 1), 1, 0, 1, 1),
    ((1, 300, 8, 8), (20, 300, 3, 3), 1, 1, 1, 1),  # long sums
]


@pytest.mark.parametrize("case", ROADS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_what_depends_on_them_and_nothing_else(case, dtype, value):
    x_shape, weight_shape, stride, padding, dilation, groups = case
    options = (stride, stride), (padding, padding), (dilation, dilation), groups
    rng = np.random.default_rng(0)
    reference = ReferenceBackend()
    x, weight = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(weight_shape).astype(dtype)
    grad = rng.standard_normal(reference.conv2d(x, weight, None, *options).shape).astype(dtype)
    kinds = lambda a: np.where(np.isnan(a), 2, np.where(np.isinf(a), np.sign(a), 0))  # noqa: E731
    for place in (0.0, 0.3, 0.5, 1.0):  # first and last element, and between

        def spoiled(a, place=place):
            a = a.copy()
            a.flat[round(place * (a.size - 1))] = value
            return a

        calls = {
            "conv2d": [(spoiled(x), weight, None), (x, spoiled(weight), None)],
            "conv2d_input_grad": [(spoiled(grad), weight, x_shape[2:])],
            "conv2d_weight_grad": [(spoiled(grad), x, weight_shape[2:]), (grad, spoiled(x), weight_shape[2:])],
        }
        with np.errstate(invalid="ignore"):
            for name, drawn in calls.items():
                for call in drawn:
                    expected = kinds(getattr(reference, name)(*call, *options))
                    np.testing.assert_array_equal(kinds(getattr(kernels.conv, name)(*call, *options)), expected)
            # The input gradient multiplies the zeros around dy by the kernel, too: here a pixel may see more.
            ours = kinds(kernels.conv.conv2d_input_grad(grad, spoiled(weight), x_shape[2:], *options)) != 0
            theirs = kinds(reference.conv2d_input_grad(grad, spoiled(weight), x_shape[2:], *options)) != 0
            assert (ours | ~theirs).all()
            assert (ours.any(axis=(2, 3)) == theirs.any(axis=(2, 3))).all()
