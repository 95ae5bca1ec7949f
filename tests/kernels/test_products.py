"""The matrix products of the compiled core against float64 einsum, in every layout."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_layouts import arrays, assert_sums_close, dtypes

from minidl._kernels import kernels, set_num_threads
from minidl.errors import DTypeError, ShapeError

# Around the sizes of tiles and panels, around a block of 256 terms, and 0.
sizes = st.sampled_from((0, 1, 2, 3, 4, 5, 8, 13, 14, 15, 23, 24, 25, 31, 32, 33, 65, 100))
depths = st.sampled_from((0, 1, 2, 7, 31, 255, 256, 257, 520))


@settings(deadline=None, max_examples=150)
@given(st.data(), sizes, depths, sizes, dtypes)
def test_matmul_of_any_layout(data, m, k, n, dtype):
    a, b = data.draw(arrays((m, k), dtype)), data.draw(arrays((k, n), dtype))
    expected = np.einsum("mk,kn->mn", a.astype(np.float64), b.astype(np.float64))
    before = a.tobytes(), b.tobytes()
    assert_sums_close(kernels.gemm.matmul(a, b), expected, k, dtype)
    assert (a.tobytes(), b.tobytes()) == before


stacks = st.sampled_from(
    [
        ((3,), (3,)),
        ((), (4,)),
        ((4,), ()),
        ((2, 1), (3,)),
        ((1,), (5,)),
        ((2, 3), (1, 3)),
        ((0,), (1,)),
        ((2, 1, 3), (4, 1)),
    ]
)


@settings(deadline=None, max_examples=80)
@given(st.data(), stacks, st.sampled_from((1, 3, 17, 40)), st.sampled_from((0, 1, 9, 300)), sizes, dtypes)
def test_matmul_broadcasts_stacks(data, stack, m, k, n, dtype):
    a, b = data.draw(arrays((*stack[0], m, k), dtype)), data.draw(arrays((*stack[1], k, n), dtype))
    expected = np.einsum("...mk,...kn->...mn", a.astype(np.float64), b.astype(np.float64))
    assert_sums_close(kernels.gemm.matmul(a, b), expected, k, dtype)


@settings(deadline=None, max_examples=100)
@given(st.data(), sizes, depths, sizes, st.booleans(), dtypes)
def test_linear(data, m, k, o, with_bias, dtype):
    x, weight = data.draw(arrays((m, k), dtype)), data.draw(arrays((o, k), dtype))
    bias = data.draw(arrays((o,), dtype)) if with_bias else None
    expected = np.einsum("mk,ok->mo", x.astype(np.float64), weight.astype(np.float64))
    if bias is not None:
        expected += bias
    assert_sums_close(kernels.gemm.linear(x, weight, bias), expected, k, dtype)


@pytest.mark.parametrize("shape", [(300, 700, 500), (1, 2000, 900), (2000, 300, 3), (64, 256, 120)])
def test_same_bits_for_any_number_of_threads(shape, restore_threads):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    results = []
    for threads in (1, 2, 3, 5):
        set_num_threads(threads)
        results.append(kernels.gemm.matmul(a, b).tobytes() + kernels.gemm.linear(b.T, a, None).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [32, 40, 401, 2003])
def test_few_rows_on_any_number_of_threads(rows, depth, restore_threads):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x, weight = rng.standard_normal((rows, depth)).astype(dtype), rng.standard_normal((901, depth)).astype(dtype)
        bias = rng.standard_normal(901).astype(dtype)
        results = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            results.append(kernels.gemm.linear(x, weight, bias))
        expected = np.einsum("mk,ok->mo", x.astype(np.float64), weight.astype(np.float64)) + bias
        assert_sums_close(results[0], expected, depth, dtype)
        assert all(np.array_equal(results[0], other) for other in results)


def test_python_threads_may_multiply_at_the_same_time():
    rng = np.random.default_rng(0)
    pairs = [(rng.standard_normal((90, 310)), rng.standard_normal((310, 70))) for _ in range(6)]
    expected = [kernels.gemm.matmul(a, b) for a, b in pairs]
    failures = []

    def work(index):
        for _ in range(30):
            if not np.array_equal(kernels.gemm.matmul(*pairs[index]), expected[index]):
                failures.append(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(pairs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_nan_and_infinity_spread_as_they_should():
    a = np.zeros((3, 5), np.float32)
    b = np.ones((5, 40), np.float32)
    b[2, 7], b[1, 39] = np.nan, np.inf
    y = kernels.gemm.matmul(a, b)
    assert np.isnan(y[:, 7]).all() and np.isnan(y[:, 39]).all()
    assert np.isfinite(np.delete(y, [7, 39], axis=1)).all()


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        (np.ones((2, 3)), np.ones((4, 5)), ShapeError),
        (np.ones(3), np.ones((3, 5)), ShapeError),
        (np.ones((2, 4, 3)), np.ones((3, 3, 5)), ShapeError),
        (np.ones((2, 3)), np.ones((3, 5), np.float32), DTypeError),
        (np.ones((2, 3), int), np.ones((3, 5), int), DTypeError),
        ([[1.0]], np.ones((1, 1)), DTypeError),
    ],
)
def test_what_does_not_fit_is_refused(a, b, error):
    with pytest.raises(error):
        kernels.gemm.matmul(a, b)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [((2, 3), (5, 4), None), ((2, 3), (5, 3), (3,)), ((3,), (5, 3), None), ((2, 3), (5, 3), (5, 1))],
)
def test_linear_refuses_what_does_not_fit(x, weight, bias):
    with pytest.raises(ShapeError):
        kernels.gemm.linear(np.ones(x), np.ones(weight), None if bias is None else np.ones(bias))
