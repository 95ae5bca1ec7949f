"""Rotating, moving, scaling and shearing: affine maps of the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.seeding import current_generator
from minidl.data.transforms.base import Transform, colour, pixels_of, span
from minidl.data.transforms.sampling import check_interpolation, warp
from minidl.errors import OptionError

__all__ = ["RandomAffine", "RandomRotation", "affine_matrix"]


def affine_matrix(
    centre: tuple[float, float],
    angle: float,
    translate: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    shear: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    r"""The map of points (x, y, 1), as a matrix of shape (3, 3).

    .. math:: T \, C \, R(\mathrm{angle}) \, S_y \, S_x \, \mathrm{scale} \, C^{-1}

    `C` moves the origin to the centre; angles are in degrees. Since y points down in a picture, a positive
    angle turns clockwise. Same map as ``torchvision.transforms.functional.affine``.
    """
    turn, shear_x, shear_y = (math.radians(value) for value in (angle, *shear))
    to_centre = np.array([[1, 0, centre[0]], [0, 1, centre[1]], [0, 0, 1]])
    move = np.array([[1, 0, translate[0]], [0, 1, translate[1]], [0, 0, 1]])
    rotate = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    slant_y = np.array([[1, 0, 0], [-math.tan(shear_y), 1, 0], [0, 0, 1]])
    slant_x = np.array([[1, -math.tan(shear_x), 0], [0, 1, 0], [0, 0, 1]])
    grow = np.diag([scale, scale, 1.0])
    return move @ to_centre @ rotate @ slant_y @ slant_x @ grow @ np.linalg.inv(to_centre)


class RandomRotation(Transform):
    """Turn by a random angle; a positive one turns counter-clockwise.

    Parameters
    ----------
    degrees : float or (float, float)
        Range of the angle; one number `d` stands for ``-d … d``.
    interpolation : "nearest" or "bilinear"
        How pixels are read between pixels.
    expand : bool
        Enlarge the picture so that all of it stays visible (about the middle, whatever `center`).
    center : (float, float), optional
        Point (x, y) that stays in place; default the middle.
    fill : float or sequence of float
        Colour of the corners that become free.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        expand: bool = False,
        center: tuple[float, float] | None = None,
        fill: float | Sequence[float] = 0,
    ) -> None:
        self.degrees = span("RandomRotation", "degrees", degrees)
        self.interpolation = check_interpolation("RandomRotation", interpolation)
        self.expand, self.center, self.fill = expand, center, fill

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomRotation")
        angle = float(current_generator().uniform(*self.degrees))
        height, width = pixels.shape[:2]
        centre = (width / 2, height / 2) if self.center is None or self.expand else self.center
        forward = affine_matrix(centre, -angle)
        size = (height, width)
        if self.expand:
            corners = forward @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
            size = _bounding_size(corners)
            forward[:2, 2] += (size[1] - width) / 2, (size[0] - height) / 2
        fill = colour("RandomRotation", self.fill, pixels)
        return restore(warp(pixels, _inverse(forward), size, self.interpolation, fill))


class RandomAffine(Transform):
    """Turn, move, scale and shear at random about the middle.

    Parameters
    ----------
    degrees : float or (float, float)
        Range of the angle, clockwise; one number `d` stands for ``-d … d``.
    translate : (float, float), optional
        Largest move to each side, as a share of width and height.
    scale : (float, float), optional
        Range of the factor.
    shear : float or sequence of 2 or 4 floats, optional
        Range in degrees along x (one number `s`: ``-s … s``), then along y.
    interpolation : "nearest" or "bilinear"
        How pixels are read between pixels.
    fill : float or sequence of float
        Colour of what becomes free.
    center : (float, float), optional
        Point (x, y) that turning, scaling and shearing leave in place; default the middle.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
        center: tuple[float, float] | None = None,
    ) -> None:
        self.degrees = span("RandomAffine", "degrees", degrees)
        self.translate = (0.0, 0.0) if translate is None else (float(translate[0]), float(translate[1]))
        if not all(0 <= share <= 1 for share in self.translate):
            raise OptionError("RandomAffine", expected="translate shares within 0...1", actual=repr(translate))
        self.scale = (1.0, 1.0) if scale is None else span("RandomAffine", "scale", scale)
        if not self.scale[0] > 0:
            raise OptionError("RandomAffine", expected="a scale (low, high) with 0 < low", actual=repr(scale))
        self.shear = _shear_ranges(shear)
        self.interpolation = check_interpolation("RandomAffine", interpolation)
        self.fill, self.center = fill, center

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "RandomAffine")
        height, width = pixels.shape[:2]
        generator = current_generator()
        angle = float(generator.uniform(*self.degrees))
        reach_x, reach_y = self.translate[0] * width, self.translate[1] * height
        # Whole pixels, as in torchvision: a move alone does not blur.
        move = (round(generator.uniform(-reach_x, reach_x)), round(generator.uniform(-reach_y, reach_y)))
        scale = float(generator.uniform(*self.scale))
        shear = (float(generator.uniform(*self.shear[0])), float(generator.uniform(*self.shear[1])))
        centre = (width / 2, height / 2) if self.center is None else self.center
        forward = affine_matrix(centre, angle, move, scale, shear)
        fill = colour("RandomAffine", self.fill, pixels)
        return restore(warp(pixels, _inverse(forward), (height, width), self.interpolation, fill))


def _bounding_size(corners: np.ndarray) -> tuple[int, int]:
    """Height and width of the pixels that the corners span; exact when a quarter turn spans whole pixels."""
    low, high = corners[:2].min(axis=1).round(9), corners[:2].max(axis=1).round(9)
    extent = high - low
    width, height = np.where(extent == np.rint(extent), extent, np.ceil(high) - np.floor(low))
    return int(height), int(width)


def _inverse(forward: np.ndarray) -> np.ndarray:
    # Rounded, or a quarter turn would put pixel centres just beside themselves.
    return np.linalg.inv(forward)[:2].round(12)


def _shear_ranges(shear: float | Sequence[float] | None) -> tuple[tuple[float, float], tuple[float, float]]:
    if shear is None:
        return (0.0, 0.0), (0.0, 0.0)
    if isinstance(shear, (int, float)):
        return span("RandomAffine", "shear", shear), (0.0, 0.0)
    numbers = [float(number) for number in shear]
    if len(numbers) not in (2, 4):
        raise OptionError("RandomAffine", expected="a shear of 1, 2 or 4 numbers", actual=repr(shear))
    along_y = numbers[2:] or [0.0, 0.0]
    return span("RandomAffine", "shear", numbers[:2]), span("RandomAffine", "shear", along_y)
