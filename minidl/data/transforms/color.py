"""Brightness, contrast and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.seeding import current_generator
from minidl.data.transforms.base import Transform, pixels_of, span, to_dtype
from minidl.errors import DTypeError, OptionError, ShapeError

__all__ = ["ColorJitter", "Grayscale"]

# How bright red, green and blue look to the eye (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Grayscale(Transform):
    """Colour to grey by how bright it looks: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Parameters
    ----------
    num_output_channels : 1 or 3
        3 repeats the grey channel.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise OptionError("Grayscale", expected="1 or 3 output channels", actual=repr(num_output_channels))
        self.num_output_channels = num_output_channels

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "Grayscale")
        if pixels.shape[2] not in (1, 3):
            raise ShapeError("Grayscale", expected="1 or 3 channels", actual=str(pixels.shape[2]))
        grey = to_dtype(_luma(pixels), pixels.dtype)
        if np.ndim(image) == 2 and self.num_output_channels == 3:
            raise ShapeError(
                "Grayscale",
                expected="a picture with a channel axis, to have 3 channels",
                actual=f"shape {np.shape(image)}",
                hint="image[:, :, None] adds the axis",
            )
        return restore(np.repeat(grey, self.num_output_channels, axis=2))


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue at random, in random order.

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float)
        Range of the factor; one number `s` stands for ``max(0, 1 - s) … 1 + s``.
    hue : float or (float, float)
        Range of the shift around the colour circle, at most 0.5; one number `h` stands for ``-h … h``.

    Notes
    -----
    With factor `f`: brightness is ``f * x``; contrast mixes with the mean grey, saturation with the picture in
    grey, as ``f * x + (1 - f) * grey``. Saturation and hue leave a picture of one channel as it is.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = span("ColorJitter", "hue", hue)
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise OptionError("ColorJitter", expected="a hue shift within -0.5...0.5", actual=repr(hue))

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "ColorJitter")
        if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
            raise DTypeError("ColorJitter", expected="uint8 or float pixels", actual=str(pixels.dtype))
        if pixels.shape[2] not in (1, 3):
            raise ShapeError("ColorJitter", expected="1 or 3 channels", actual=str(pixels.shape[2]))
        white = 255.0 if pixels.dtype == np.uint8 else 1.0
        changes = [
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
            (adjust_hue, self.hue),
        ]
        values = pixels.astype(np.result_type(pixels.dtype, np.float32)) / white
        generator = current_generator()
        for which in generator.permutation(len(changes)):
            adjust, limits = changes[which]
            values = np.clip(adjust(values, float(generator.uniform(*limits))), 0, 1)
        return restore(to_dtype(values * white, pixels.dtype))


def _factors(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    low, high = span("ColorJitter", name, value, around=1.0)
    low = max(low, 0.0) if isinstance(value, (int, float)) else low
    if low < 0:
        raise OptionError("ColorJitter", expected=f"{name} factors >= 0", actual=repr(value))
    return low, high


def _luma(pixels: np.ndarray) -> np.ndarray:
    """Brightness, shape (H, W, 1)."""
    return (pixels @ _LUMA)[:, :, None] if pixels.shape[2] == 3 else pixels


def adjust_brightness(values: np.ndarray, factor: float) -> np.ndarray:
    """Mix with black."""
    return values * factor


def adjust_contrast(values: np.ndarray, factor: float) -> np.ndarray:
    """Mix with the mean grey."""
    return values * factor + _luma(values).mean() * (1 - factor)


def adjust_saturation(values: np.ndarray, factor: float) -> np.ndarray:
    """Mix with the same picture in grey."""
    return values * factor + _luma(values) * (1 - factor) if values.shape[2] == 3 else values


def adjust_hue(values: np.ndarray, shift: float) -> np.ndarray:
    """Turn the colour circle by `shift` (1 is a full turn), keeping saturation and value of the HSV model."""
    if values.shape[2] != 3 or shift == 0:
        return values
    red, green, blue = np.moveaxis(values, -1, 0)
    value = values.max(axis=2)
    chroma = value - values.min(axis=2)
    safe = np.where(chroma > 0, chroma, 1)
    sector = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sector = (sector + 6 * shift) % 6
    # Each channel is a trapezium over the circle: full for two sixths, then falling, empty, rising.
    turned = [value - chroma * np.clip(np.abs((sector - peak + 3) % 6 - 3) - 1, 0, 1) for peak in (0, 2, 4)]
    return np.stack(turned, axis=2).astype(values.dtype, copy=False)
