"""Output sizes against a count of windows, and the errors that explain a bad option."""

from __future__ import annotations

import itertools

import pytest

from minidl.backends.geometry import (
    adaptive_windows,
    conv_output_size,
    conv_transpose_output_size,
    pair,
    pool_output_size,
)
from minidl.errors import OptionError, ShapeError

ONE, NONE = (1, 1), (0, 0)


def count_windows(size, kernel, stride, padding, dilation):
    """Count the starts of windows that lie inside the padded axis."""
    extent = dilation * (kernel - 1) + 1
    return sum(1 for start in range(0, size + 2 * padding, stride) if start + extent <= size + 2 * padding)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_conv_output_size_counts_windows(size):
    for kernel, stride, padding, dilation in itertools.product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        windows = count_windows(size, kernel, stride, padding, dilation)
        arguments = ((size, 9), (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
        if windows:
            assert conv_output_size("conv2d", *arguments) == (windows, 9)
        else:
            with pytest.raises(ShapeError, match=r"^conv2d: .*kernel"):
                conv_output_size("conv2d", *arguments)


def test_conv_transpose_output_size_is_undone_by_conv_output_size():
    for size, kernel, stride, padding, dilation in itertools.product((1, 3, 4), (1, 3), (1, 2, 3), (0, 1), (1, 2)):
        for output_padding in range(stride):
            options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
            if (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding < 1:
                with pytest.raises(ShapeError, match=r"^conv_transpose2d: "):
                    conv_transpose_output_size(
                        "conv_transpose2d", (size, size), *options, (output_padding,) * 2, (dilation,) * 2
                    )
                continue
            output = conv_transpose_output_size(
                "conv_transpose2d", (size, size), *options, (output_padding,) * 2, (dilation,) * 2
            )
            assert conv_output_size("conv2d", output, *options, (dilation,) * 2) == (size, size)


def test_pool_ceil_mode_drops_a_window_that_starts_in_the_right_padding():
    # Starts (without the padding) at -1, 1, 3: the input ends at 3, and what starts there sees padding only.
    assert pool_output_size("max_pool2d", (3, 3), (2, 2), (2, 2), ONE, ONE, True) == (2, 2)
    assert pool_output_size("max_pool2d", (4, 4), (2, 2), (2, 2), ONE, ONE, True) == (3, 3)
    assert pool_output_size("max_pool2d", (2, 2), (3, 3), (2, 2), NONE, ONE, True) == (1, 1)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("output", range(1, 12))
def test_adaptive_windows_cover_the_axis_in_order(size, output):
    windows = adaptive_windows(size, output)
    assert len(windows) == output
    assert windows[0][0] == 0 and windows[-1][1] == size
    assert all(0 <= start < end <= size for start, end in windows)
    assert all(after[0] <= before[1] for before, after in itertools.pairwise(windows))
    if size % output == 0:
        assert {end - start for start, end in windows} == {size // output}


def test_pair():
    numpy = pytest.importorskip("numpy")
    assert pair(3, "conv2d stride") == (3, 3)
    assert pair([1, 2], "conv2d stride") == (1, 2)
    assert pair((numpy.int64(1), numpy.int32(2)), "conv2d stride") == (1, 2)
    assert all(type(entry) is int for entry in pair(numpy.int64(4), "conv2d stride"))


@pytest.mark.parametrize("value", [1.5, "2", None, (1, 2, 3), (1,), (1.0, 2.0), True, (1, False), {1, 2}])
def test_pair_refuses(value):
    with pytest.raises(OptionError, match=r"^conv2d stride: expected an integer or a pair of integers"):
        pair(value, "conv2d stride")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": (0, 1)}, r"stride of at least 1; got stride=\(0, 1\)"),
        ({"kernel": (1, 0)}, r"kernel_size of at least 1"),
        ({"kernel": (-3, 3)}, r"kernel_size of at least 1"),
        ({"padding": (-1, 0)}, r"padding of at least 0"),
        ({"dilation": (1, 0)}, r"dilation of at least 1"),
    ],
)
@pytest.mark.parametrize("rule", [conv_output_size, pool_output_size, conv_transpose_output_size])
def test_options_out_of_range(rule, change, message):
    options = {"kernel": (2, 2), "stride": (1, 1), "padding": NONE, "dilation": ONE} | change
    if rule is pool_output_size:
        options["ceil_mode"] = False
    if rule is conv_transpose_output_size:
        options["output_padding"] = NONE
    with pytest.raises(OptionError, match=f"^layer: expected a {message}"):
        rule("layer", (4, 4), **options)


def test_kernel_larger_than_the_padded_input_names_all_sizes():
    with pytest.raises(ShapeError) as caught:
        conv_output_size("conv2d", (4, 3), (3, 3), ONE, NONE, (2, 2))
    assert "input 4x3 (padded 4x3) and kernel 3x3, dilation=(2, 2)" in str(caught.value)
    with pytest.raises(ShapeError, match="kernel 3x3"):
        pool_output_size("max_pool2d", (2, 2), (3, 3), (1, 1), NONE, ONE, False)
    with pytest.raises(ShapeError):
        pool_output_size("max_pool2d", (0, 2), (1, 1), (1, 1), NONE, ONE, False)


def test_pool_padding_of_more_than_half_the_window():
    assert pool_output_size("avg_pool2d", (4, 4), (2, 2), (2, 2), ONE, ONE, False) == (3, 3)
    with pytest.raises(OptionError, match="at most half the window"):
        pool_output_size("avg_pool2d", (4, 4), (3, 3), (2, 2), (2, 2), ONE, False)
    # A dilated window counts with the pixels that it skips.
    assert pool_output_size("max_pool2d", (5, 5), (2, 2), ONE, (2, 2), (3, 3), False) == (6, 6)


def test_pool_dilated_window_that_jumps_over_the_input():
    # Taps at -1 and 2 of an input with the pixels 0 and 1.
    with pytest.raises(ShapeError, match="in the padding only"):
        pool_output_size("max_pool2d", (2, 2), (2, 2), ONE, ONE, (3, 3), False)


def test_output_padding_is_smaller_than_the_stride():
    with pytest.raises(OptionError, match="output_padding"):
        conv_transpose_output_size("conv_transpose2d", (4, 4), (3, 3), (2, 2), NONE, (2, 0), ONE)
    with pytest.raises(OptionError, match="output_padding"):
        conv_transpose_output_size("conv_transpose2d", (4, 4), (3, 3), (2, 2), NONE, (0, -1), ONE)
