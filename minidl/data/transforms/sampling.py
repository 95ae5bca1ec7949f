"""Pictures read at other places than their pixels: resizing, and any affine map."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minidl.data.transforms.base import to_dtype
from minidl.errors import OptionError

__all__ = ["check_interpolation", "resize", "warp"]


def check_interpolation(where: str, interpolation: str) -> str:
    """`interpolation` if it is known."""
    if interpolation not in ("nearest", "bilinear"):
        raise OptionError(where, expected='interpolation "nearest" or "bilinear"', actual=repr(interpolation))
    return interpolation


@lru_cache(maxsize=64)
def _resize_matrix(n_in: int, n_out: int) -> np.ndarray:
    """The (n_out, n_in) weights of bilinear resizing along one axis.

    Output pixel `i` has its centre at ``(i + 1/2) * n_in / n_out``. Each input pixel counts by a triangle
    around that centre: one pixel wide to both sides when enlarging, and as wide as an output pixel when
    shrinking, so that no input pixel is skipped (the antialiasing of PIL and of torchvision).
    """
    scale = n_in / n_out
    centre = (np.arange(n_out) + 0.5) * scale
    distance = np.abs(centre[:, None] - (np.arange(n_in) + 0.5))
    weights = np.maximum(1 - distance / max(scale, 1.0), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = weights.astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def resize(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize (H, W, C) to `size`. Bilinear resizing is a matrix product along each of the two axes."""
    height, width = pixels.shape[:2]
    if interpolation == "nearest":
        rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(np.intp)
        columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(np.intp)
        return pixels[rows[:, None], columns]
    planes = np.moveaxis(pixels, -1, 0).astype(np.result_type(pixels.dtype, np.float32), copy=False)
    planes = _resize_matrix(height, size[0]) @ planes @ _resize_matrix(width, size[1]).T
    return to_dtype(np.moveaxis(planes, 0, -1), pixels.dtype)


def warp(
    pixels: np.ndarray,
    inverse: np.ndarray,
    size: tuple[int, int],
    interpolation: str,
    fill: np.ndarray,
) -> np.ndarray:
    """Move the pixels of (H, W, C) by an affine map.

    Parameters
    ----------
    pixels : ndarray
        Shape (H, W, C).
    inverse : ndarray
        Shape (2, 3): where in the input the point (x, y, 1) of the output comes from; pixel `i` reaches from
        `i` to `i + 1`.
    size : tuple of int
        Height and width of the output.
    interpolation : str
        "nearest" or "bilinear".
    fill : ndarray
        Colour of what lies outside of the input.
    """
    height, width = pixels.shape[:2]
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    source_x = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    source_y = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return pixels[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]

    if interpolation == "nearest":
        moved = at(np.floor(source_y).astype(np.intp), np.floor(source_x).astype(np.intp))
    else:
        left, top = np.floor(source_x - 0.5).astype(np.intp), np.floor(source_y - 0.5).astype(np.intp)
        right_share = (source_x - 0.5 - left)[:, :, None]
        lower_share = (source_y - 0.5 - top)[:, :, None]
        upper = at(top, left) * (1 - right_share) + at(top, left + 1) * right_share
        lower = at(top + 1, left) * (1 - right_share) + at(top + 1, left + 1) * right_share
        moved = to_dtype(upper * (1 - lower_share) + lower * lower_share, pixels.dtype)
    return np.where(inside[:, :, None], moved, fill)
