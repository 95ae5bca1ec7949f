"""Exercises of chapter 8: convolution three ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]

# --- 08.1: output size ------------------------------------------------------------------------------------------------


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _count_places(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Try every place: the first tap on each pixel in turn, the last one still inside."""
    pixels = range(-padding, size + padding)
    return sum(
        1
        for first in pixels
        if (first + padding) % stride == 0 and all(first + dilation * tap in pixels for tap in range(kernel))
    )


def _sample_sizes(rng: np.random.Generator) -> tuple[int, ...]:
    kernel, stride, padding, dilation = (int(rng.integers(low, high)) for low, high in ((2, 6), (2, 5), (1, 4), (2, 4)))
    # The number of pixels that are left over (none, one, …) decides whether a wrong rounding shows.
    reach = dilation * (kernel - 1) + 1
    return int(rng.integers(reach, reach + 12)), kernel, stride, padding, dilation


def _padding_once(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def _no_plus_one(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride


def _dilated_too_far(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * kernel) // stride + 1


def _true_division(size: int, kernel: int, stride: int, padding: int, dilation: int) -> float:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1


# --- 08.2: im2col -----------------------------------------------------------------------------------------------------


def im2col(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    channels, height, width = x.shape
    oh, ow = height - kh + 1, width - kw + 1
    columns = np.zeros((channels, kh, kw, oh, ow))
    for i in range(kh):
        for j in range(kw):
            columns[:, i, j] = x[:, i : i + oh, j : j + ow]
    return columns.reshape(channels * kh * kw, oh * ow)


def _patch_by_patch(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    _, height, width = x.shape
    patches = [x[:, p : p + kh, q : q + kw].ravel() for p in range(height - kh + 1) for q in range(width - kw + 1)]
    return np.stack(patches, axis=1)


def _sample_image(rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    return rng.normal(size=(int(rng.integers(2, 4)), int(rng.integers(5, 8)), int(rng.integers(8, 10)))), 2, 3


def _transposed(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    return _patch_by_patch(x, kh, kw).T


def _channels_last(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    channels = len(x)
    return im2col(x, kh, kw).reshape(channels, kh * kw, -1).transpose(1, 0, 2).reshape(channels * kh * kw, -1)


def _reshaped_windows(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """The right windows, reshaped without moving the axes first: the right shape, the wrong order."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(1, 2))
    return windows.reshape(len(x) * kh * kw, -1)


# --- 08.3: the offset table -------------------------------------------------------------------------------------------


def dilated_offsets(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    return [(c * ph + i * dilation) * pw + j * dilation for c in range(channels) for i in range(kh) for j in range(kw)]


def _offsets_in_memory(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    """Number the elements of the planes, and read off which numbers the first window sees."""
    places = np.arange(channels * ph * pw).reshape(channels, ph, pw)
    return [int(place) for place in places[:, : kh * dilation : dilation, : kw * dilation : dilation].ravel()]


def _sample_planes(rng: np.random.Generator) -> tuple[int, ...]:
    return int(rng.integers(2, 4)), int(rng.integers(9, 12)), int(rng.integers(12, 15)), 3, 2, int(rng.integers(2, 4))


def _height_for_width(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    return [(c * pw + i * dilation) * ph + j * dilation for c in range(channels) for i in range(kh) for j in range(kw)]


def _whole_table_dilated(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    return [((c * ph + i) * pw + j) * dilation for c in range(channels) for i in range(kh) for j in range(kw)]


def _rows_only(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    return [(c * ph + i * dilation) * pw + j for c in range(channels) for i in range(kh) for j in range(kw)]


def _wrong_order(channels: int, ph: int, pw: int, kh: int, kw: int, dilation: int) -> list[int]:
    return [(c * ph + i * dilation) * pw + j * dilation for i in range(kh) for j in range(kw) for c in range(channels)]


# --- 08.4: backward of a one-dimensional convolution ------------------------------------------------------------------


def conv1d_backward(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for q in range(len(g)):
        window = slice(q * stride, q * stride + len(w))
        dx[window] += g[q] * w
        dw += g[q] * x[window]
    return dx, dw


def _conv1d(x: np.ndarray, w: np.ndarray, stride: int) -> np.ndarray:
    count = (len(x) - len(w)) // stride + 1
    return np.array([sum(w[j] * x[q * stride + j] for j in range(len(w))) for q in range(count)])


def _sample_signals(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    return rng.normal(size=int(rng.integers(9, 12))), rng.normal(size=int(rng.integers(3, 5))), 2


def _assigned(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for q in range(len(g)):
        window = slice(q * stride, q * stride + len(w))
        dx[window] = g[q] * w
        dw += g[q] * x[window]
    return dx, dw


def _flipped(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = conv1d_backward(g, x, w[::-1], stride)
    return dx, dw


def _stride_forgotten(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    return conv1d_backward(g, x, w, 1)


def _trimmed(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = conv1d_backward(g, x, w, stride)
    return dx[: (len(g) - 1) * stride + len(w)], dw


def _exchanged(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    dx, dw = conv1d_backward(g, x, w, stride)
    return dw, dx


exercises: list[Any] = [
    Exercise(
        "08.1",
        "The output size of a convolution",
        solution=output_size,
        reference=_count_places,
        samples=_sample_sizes,
        hints=(
            "How many pixels does the kernel cover from its first to its last? With dilation it is more than `kernel`.",
            "It covers dilation·(kernel - 1) + 1 of size + 2·padding pixels. How far can it move, in how many steps?",
            "It can move by size + 2·padding - dilation·(kernel - 1) - 1 pixels: divide by the stride (//), and count "
            "the first place, too.",
        ),
        wrong=(
            Wrong(_padding_once, "expected"),
            Wrong(_no_plus_one, "expected"),
            Wrong(_dilated_too_far, "expected"),
            Wrong(_true_division, "wrong type: expected an integer, got a float"),
        ),
    ),
    Exercise(
        "08.2",
        "The im2col matrix",
        solution=im2col,
        reference=_patch_by_patch,
        samples=_sample_image,
        hints=(
            "For a fixed kernel pixel (i, j), which part of the picture does it pass over while the window slides?",
            "It is a slice as large as the output: x[:, i : i + OH, j : j + OW]. Put the slices into one array.",
            "Make np.zeros((C, KH, KW, OH, OW)), fill [:, i, j] with the slice in two loops, and reshape to "
            "(C·KH·KW, OH·OW) at the end.",
        ),
        wrong=(
            Wrong(_transposed, "wrong shape"),
            Wrong(_channels_last, "largest difference"),
            Wrong(_reshaped_windows, "largest difference"),
        ),
    ),
    Exercise(
        "08.3",
        "The offset table of a dilated convolution",
        solution=dilated_offsets,
        reference=_offsets_in_memory,
        samples=_sample_planes,
        hints=(
            "Where does the kernel's pixel (i, j) lie in the plane when the window stands in the corner?",
            "In row i·dilation and column j·dilation of plane c. A row further is pw numbers further.",
            "(c·ph + i·dilation)·pw + j·dilation, with c in the outer loop, then i, then j.",
        ),
        wrong=(
            Wrong(_height_for_width, "result 3 of"),
            Wrong(_whole_table_dilated, "result 7 of"),
            Wrong(_rows_only, "result 2 of"),
            Wrong(_wrong_order, "result 2 of"),
        ),
    ),
    Exercise(
        "08.4",
        "The backward of a convolution with a stride",
        solution=conv1d_backward,
        gradient_of=_conv1d,
        samples=_sample_signals,
        hints=(
            "Forward, output q reads x[q·stride + j] with weight w[j]. Backward, g[q] goes to the same places.",
            "For each q: dx[q·stride + j] += g[q]·w[j] and dw[j] += g[q]·x[q·stride + j]. Why += and not =?",
            "Loop over q; window = slice(q·stride, q·stride + len(w)); dx[window] += g[q]·w; dw += g[q]·x[window].",
        ),
        wrong=(
            Wrong(_assigned, "result 1 of 2: largest difference"),
            Wrong(_flipped, "result 1 of 2: largest difference"),
            Wrong(_stride_forgotten, "result 1 of 2: largest difference"),
            Wrong(_trimmed, "result 1 of 2: wrong shape"),
            Wrong(_exchanged, "result 1 of 2: wrong shape"),
        ),
    ),
]
