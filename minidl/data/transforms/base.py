"""What all transforms share: composing, and seeing every kind of picture as pixels.

A picture is one of three things, and a transform returns the kind that it was given:

- a NumPy array of shape (H, W) or (H, W, C), uint8 in 0…255 or float in 0…1;
- a PIL image;
- a Tensor of shape (C, H, W) or (H, W), which is what `ToTensor` makes of the other two.

The type tells the layout, as in torchvision; nothing is guessed from sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.data.seeding import current_generator
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.tensor import Tensor

__all__ = [
    "Compose",
    "Lambda",
    "Transform",
    "check_probability",
    "colour",
    "happens",
    "pair",
    "pixels_of",
    "span",
    "to_dtype",
]

Restore = Callable[[np.ndarray], Any]


class Transform:
    """A function of one picture whose options show in its repr. Random ones draw from `current_generator`."""

    def __call__(self, image: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, image)")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


class Compose(Transform):
    """One transform after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data.transforms import CenterCrop, ToTensor
    >>> Compose([CenterCrop(4), ToTensor()])(np.zeros((6, 8, 3), np.uint8)).shape
    (3, 4, 4)
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class Lambda(Transform):
    """Any function as a transform. (For loaders with workers it must be a named function of a module.)"""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise OptionError("Lambda", expected="a function", actual=repr(function))
        self.function = function

    def __call__(self, image: Any) -> Any:
        return self.function(image)


def pixels_of(image: Any, where: str) -> tuple[np.ndarray, Restore]:
    """A picture as an array (H, W, C), and the function that turns such an array back into its kind.

    Raises
    ------
    DTypeError
        It is no picture.
    ShapeError
        It has the wrong number of dimensions.
    """
    if isinstance(image, Tensor):
        _check_dimensions(image, where, "(C, H, W) or (H, W) for a Tensor")
        if image.ndim == 2:
            return image.data[:, :, None], lambda pixels: Tensor(np.ascontiguousarray(pixels[:, :, 0]))
        return np.moveaxis(image.data, 0, -1), lambda pixels: Tensor(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    if isinstance(image, np.ndarray):
        _check_dimensions(image, where, "(H, W) or (H, W, C) for an array")
        if image.ndim == 2:
            return image[:, :, None], lambda pixels: np.ascontiguousarray(pixels[:, :, 0])
        return image, np.ascontiguousarray
    if hasattr(image, "convert") and hasattr(image, "getbands"):
        return _pixels_of_pil(image)
    raise DTypeError(
        where,
        expected="a NumPy array (H, W) or (H, W, C), a PIL image, or a Tensor (C, H, W)",
        actual=f"a {type(image).__name__}",
    )


def _check_dimensions(image: Any, where: str, expected: str) -> None:
    if image.ndim not in (2, 3):
        raise ShapeError(
            where,
            expected=f"one picture, {expected}",
            actual=f"shape {image.shape}",
            hint="apply it picture by picture",
        )


def _pixels_of_pil(image: Any) -> tuple[np.ndarray, Restore]:
    from PIL import Image

    # The numbers of other modes (a palette's, a bitmap's, print colours) are no brightness to compute with.
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I", "I;16", "F"):
        image = image.convert({"1": "L", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}.get(image.mode, "RGB"))
    pixels = np.asarray(image)

    def restore(changed: np.ndarray) -> Any:
        changed = np.ascontiguousarray(changed)
        return Image.fromarray(changed[:, :, 0] if changed.shape[2] == 1 else changed)

    return pixels if pixels.ndim == 3 else pixels[:, :, None], restore


def to_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Computed float values as pixels of `dtype`: integers are rounded and clipped to their range."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.clip(np.rint(values), info.min, info.max).astype(dtype)
    return values.astype(dtype, copy=False)


def colour(where: str, value: float | Sequence[float], pixels: np.ndarray) -> np.ndarray:
    """A fill colour in the type of `pixels` (H, W, C): one number, or one for each channel.

    Raises
    ------
    ShapeError
        It has another number of channels.
    """
    numbers = np.asarray(value, dtype=np.float64)
    if numbers.ndim > 1 or numbers.size not in (1, pixels.shape[2]):
        raise ShapeError(where, expected=f"a colour of 1 or {pixels.shape[2]} numbers", actual=repr(value))
    return to_dtype(numbers, pixels.dtype)


def happens(probability: float) -> bool:
    """Toss a coin."""
    return bool(current_generator().random() < probability)


def check_probability(where: str, p: float) -> float:
    """`p` if it lies in 0…1."""
    if not 0 <= p <= 1:
        raise OptionError(where, expected="a probability p from 0 to 1", actual=repr(p))
    return p


def pair(where: str, size: int | Sequence[int]) -> tuple[int, int]:
    """A size as (height, width); one number stands for both."""
    height, width = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if height < 1 or width < 1:
        raise OptionError(where, expected="a size of at least 1 pixel", actual=repr(size))
    return int(height), int(width)


def span(where: str, name: str, value: float | Sequence[float], around: float = 0.0) -> tuple[float, float]:
    """A range (low, high); one number stands for ``around - value … around + value``."""
    if isinstance(value, (int, float)):
        if not value >= 0:
            raise OptionError(where, expected=f"{name} >= 0, or a range (low, high)", actual=repr(value))
        return around - value, around + value
    low, high = value
    if not low <= high:
        raise OptionError(where, expected=f"{name} as a range (low, high)", actual=repr(value))
    return float(low), float(high)
