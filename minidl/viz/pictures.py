"""Pictures of what a network learned: confusion matrix, filters, labelled images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.io.figure import diverging, new_figure, save_figure
from minidl.tensor import Tensor

__all__ = ["plot_confusion", "plot_filters", "plot_images"]


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def plot_confusion(
    matrix: Any, path: str | os.PathLike[str], classes: Sequence[str] | None = None, caption: str = ""
) -> None:
    """Draw a confusion matrix; the colour is the share of its row, the number the count.

    Parameters
    ----------
    matrix : array (classes, classes)
        ``matrix[label, predicted]``, as `ConfusionMatrix` counts it.
    path : path
    classes : sequence of str, optional
        Names of the classes; their numbers by default.
    caption : str

    Raises
    ------
    ShapeError
        If the matrix is not square.
    """
    counts = _array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError("plot_confusion", expected="a square matrix", actual=f"shape {counts.shape}")
    n = len(counts)
    names = [str(i) for i in range(n)] if classes is None else list(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(2.2 + 0.42 * n, 2.0 + 0.42 * n)
    axis = figure.subplots()
    # The square root lifts rare confusions out of the white.
    image = axis.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                axis.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8,
                          color="white" if shares[i, j] > 0.35 else "black")  # fmt: skip
    slanted = max(map(len, names)) > 4  # long names would run into each other
    axis.set_xticks(range(n), names, rotation=45 if slanted else 0, ha="right" if slanted else "center")
    axis.set_yticks(range(n), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    bar = figure.colorbar(image, ax=axis, shrink=0.8, ticks=np.sqrt([0, 0.01, 0.1, 0.5, 1]))
    bar.ax.set_yticklabels(["0", "1 %", "10 %", "50 %", "100 %"])
    bar.set_label("share of the true class")
    save_figure(figure, path, caption)


def plot_filters(weight: Any, path: str | os.PathLike[str], caption: str = "") -> None:
    """Draw the kernels of a convolution's first input channel, orange positive and blue negative.

    Parameters
    ----------
    weight : array or Tensor (O, C, KH, KW)
    path : path
    caption : str
    """
    kernels = _array(weight)
    if kernels.ndim != 4:
        raise ShapeError("plot_filters", expected="a weight (O, C, KH, KW)", actual=f"shape {kernels.shape}")
    largest = float(np.abs(kernels[:, 0]).max()) or 1.0
    axes, figure = _grid(len(kernels), columns=min(len(kernels), 8), size=1.2)
    image = None
    for number, axis in enumerate(axes):
        image = axis.imshow(kernels[number, 0], cmap=diverging(), vmin=-largest, vmax=largest)
        axis.set_title(str(number), fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.7, label="weight")
    save_figure(figure, path, caption)


def plot_images(
    images: Any, titles: Sequence[str], path: str | os.PathLike[str], caption: str = "", columns: int = 8
) -> None:
    """Draw images in a grid, each with a line of text above it.

    Parameters
    ----------
    images : array or Tensor (N, H, W), (N, 1, H, W) or (N, 3, H, W)
        Any range; each picture is shown between its own least and greatest value.
    titles : sequence of str
        One for each image.
    path : path
    caption : str
    columns : int
    """
    pictures = _array(images)
    if pictures.ndim == 4:
        pictures = pictures[:, 0] if pictures.shape[1] == 1 else np.moveaxis(pictures, 1, -1)
    if pictures.ndim not in (3, 4) or len(pictures) != len(titles) or not len(titles):
        raise ShapeError("plot_images", expected="images (N, H, W) or (N, C, H, W) and N titles",
                         actual=f"images {np.shape(images)} and {len(titles)} titles")  # fmt: skip
    axes, figure = _grid(len(pictures), min(columns, len(pictures)), size=1.25)
    for picture, title, axis in zip(pictures, titles, axes, strict=True):
        low, high = float(picture.min()), float(picture.max())
        axis.imshow((picture - low) / ((high - low) or 1.0), cmap="gray_r" if picture.ndim == 2 else None)
        axis.set_title(title, fontsize=8)
    save_figure(figure, path, caption)


def _grid(count: int, columns: int, size: float) -> tuple[list[Any], Any]:
    """`count` axes without ticks."""
    rows = math.ceil(count / columns)
    figure = new_figure(max(4.5, columns * size), rows * (size + 0.45) + 0.7)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in axes[count:]:
        axis.set_visible(False)
    return list(axes[:count]), figure
