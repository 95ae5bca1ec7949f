"""Cutting, flipping and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.seeding import current_generator
from minidl.data.transforms.base import Transform, check_probability, colour, happens, pair, pixels_of
from minidl.data.transforms.sampling import check_interpolation, resize
from minidl.errors import OptionError, ShapeError

__all__ = [
    "CenterCrop",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Resize",
]

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class Resize(Transform):
    """Resize to a given height and width.

    Parameters
    ----------
    size : int or (int, int)
        (height, width); one number is the length of the shorter side, and the other side keeps the
        proportion.
    interpolation : "bilinear" or "nearest"
        Bilinear resizing averages when it shrinks (antialiasing), as PIL and torchvision do.

    Examples
    --------
    >>> import numpy as np
    >>> Resize(4)(np.zeros((8, 16, 3), np.uint8)).shape
    (4, 8, 3)
    """

    def __init__(self, size: int | Sequence[int], interpolation: str = "bilinear") -> None:
        self.size = size if isinstance(size, (int, np.integer)) else tuple(size)
        pair("Resize", size)
        self.interpolation = check_interpolation("Resize", interpolation)

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "Resize")
        height, width = pixels.shape[:2]
        if min(height, width) == 0:
            raise ShapeError("Resize", expected="a picture of at least one pixel", actual=f"{height} x {width}")
        if isinstance(self.size, tuple):
            size = pair("Resize", self.size)
        elif height <= width:
            size = int(self.size), int(self.size * width / height)
        else:
            size = int(self.size * height / width), int(self.size)
        return image if size == (height, width) else restore(resize(pixels, size, self.interpolation))


class CenterCrop(Transform):
    """Cut the middle out; a picture that is too small gets a black border first.

    Parameters
    ----------
    size : int or (int, int)
        (height, width) of the result.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair("CenterCrop", size)

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "CenterCrop")
        height, width = self.size
        missing_rows, missing_columns = max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)
        if missing_rows or missing_columns:
            border = [
                missing_columns // 2,
                missing_rows // 2,
                -(-missing_columns // 2),
                -(-missing_rows // 2),
            ]
            pixels = _pad(pixels, border, "constant", np.zeros(1))
        top = round((pixels.shape[0] - height) / 2)
        left = round((pixels.shape[1] - width) / 2)
        return restore(pixels[top : top + height, left : left + width])


class RandomCrop(Transform):
    """Cut a piece out at a random place.

    Parameters
    ----------
    size : int or (int, int)
        (height, width) of the piece.
    padding : int or sequence, optional
        Border added before: one number for all sides, two for (left and right, top and bottom), or four for
        (left, top, right, bottom).
    pad_if_needed : bool
        Widen a picture that is smaller than the piece.
    fill : float or sequence of float
        Colour of the border, one number or one for each channel.
    padding_mode : "constant", "edge", "reflect" or "symmetric"
        What the border is filled with.

    Raises
    ------
    ShapeError
        The piece is larger than the picture with its border.

    Examples
    --------
    >>> import numpy as np
    >>> RandomCrop(32, padding=4)(np.zeros((32, 32, 3), np.uint8)).shape
    (32, 32, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = pair("RandomCrop", size)
        self.padding = _border("RandomCrop", padding)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        if padding_mode not in _PADDING_MODES:
            raise OptionError(
                "RandomCrop",
                expected=f"a padding_mode among {', '.join(_PADDING_MODES)}",
                actual=repr(padding_mode),
            )
        self.padding_mode = padding_mode

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomCrop")
        fill = colour("RandomCrop", self.fill, pixels)
        pixels = _pad(pixels, self.padding, self.padding_mode, fill)
        height, width = self.size
        if self.pad_if_needed:
            rows, columns = max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0)
            pixels = _pad(pixels, [columns, rows, columns, rows], self.padding_mode, fill)
        if height > pixels.shape[0] or width > pixels.shape[1]:
            raise ShapeError(
                "RandomCrop",
                expected=f"a picture of at least {height} x {width} pixels",
                actual=f"{pixels.shape[0]} x {pixels.shape[1]} with padding {self.padding}",
                hint="use pad_if_needed=True, more padding, or Resize first",
            )
        generator = current_generator()
        top = int(generator.integers(pixels.shape[0] - height + 1))
        left = int(generator.integers(pixels.shape[1] - width + 1))
        return restore(pixels[top : top + height, left : left + width])


class RandomHorizontalFlip(Transform):
    """Swap left and right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_probability("RandomHorizontalFlip", p)

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomHorizontalFlip")
        return restore(pixels[:, ::-1]) if happens(self.p) else image


class RandomVerticalFlip(Transform):
    """Swap top and bottom with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_probability("RandomVerticalFlip", p)

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomVerticalFlip")
        return restore(pixels[::-1]) if happens(self.p) else image


class RandomErasing(Transform):
    """Overwrite a random rectangle with probability `p` (Zhong et al., 2017, arXiv:1708.04896).

    Parameters
    ----------
    p : float
        Probability.
    scale : (float, float)
        Range of the rectangle's share of the area.
    ratio : (float, float)
        Range of its height / width, drawn on a logarithmic scale.
    value : float, sequence of float or "random"
        What is written: one number, one for each channel, or noise (normal for float pixels, any value for
        integers).

    Notes
    -----
    A picture in which ten attempts find no fitting rectangle stays as it is.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
    ) -> None:
        self.p = check_probability("RandomErasing", p)
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise OptionError("RandomErasing", expected="a scale (low, high) within 0...1", actual=repr(scale))
        if not 0 < ratio[0] <= ratio[1]:
            raise OptionError("RandomErasing", expected="a ratio (low, high) with 0 < low", actual=repr(ratio))
        if isinstance(value, str) and value != "random":
            raise OptionError("RandomErasing", expected='a number, a colour or "random"', actual=repr(value))
        self.scale, self.ratio, self.value = scale, ratio, value

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomErasing")
        if not happens(self.p):
            return image
        generator = current_generator()
        height, width, channels = pixels.shape
        for _ in range(10):
            area = height * width * generator.uniform(*self.scale)
            ratio = math.exp(generator.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if rows < height and columns < width:
                break
        else:
            return image
        top = int(generator.integers(height - rows + 1))
        left = int(generator.integers(width - columns + 1))
        erased = pixels.copy()
        erased[top : top + rows, left : left + columns] = self._content(erased, (rows, columns, channels))
        return restore(erased)

    def _content(self, pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        if not isinstance(self.value, str):
            return colour("RandomErasing", self.value, pixels)
        if pixels.dtype.kind == "f":
            return current_generator().normal(size=shape)
        limits = np.iinfo(pixels.dtype)
        return current_generator().integers(limits.min, limits.max, size=shape, endpoint=True, dtype=pixels.dtype)


def _border(where: str, padding: int | Sequence[int] | None) -> list[int]:
    """Padding as [left, top, right, bottom]."""
    numbers = [0] if padding is None else [padding] if isinstance(padding, (int, np.integer)) else list(padding)
    if len(numbers) not in (1, 2, 4) or min(numbers) < 0:
        raise OptionError(where, expected="a padding of 1, 2 or 4 numbers >= 0", actual=repr(padding))
    return [int(number) for number in numbers * (4 // len(numbers))]


def _pad(pixels: np.ndarray, border: list[int], mode: str, fill: np.ndarray) -> np.ndarray:
    left, top, right, bottom = border
    if not any(border):
        return pixels
    widths = ((top, bottom), (left, right), (0, 0))
    if mode != "constant":
        return np.pad(pixels, widths, mode=mode)  # type: ignore[call-overload]
    height, width, channels = pixels.shape
    padded = np.empty((height + top + bottom, width + left + right, channels), pixels.dtype)
    padded[...] = fill
    padded[top : top + height, left : left + width] = pixels
    return padded
