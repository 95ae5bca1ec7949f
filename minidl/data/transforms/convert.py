"""From pictures to Tensors, and the numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.transforms.base import Transform, pixels_of
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.tensor import Tensor

__all__ = ["Normalize", "ToTensor"]


class ToTensor(Transform):
    """A picture (H, W) or (H, W, C) as a Tensor (C, H, W).

    uint8 becomes float32 divided by 255, so that values lie in 0…1. Other types are kept as they are.

    Examples
    --------
    >>> import numpy as np
    >>> x = ToTensor()(np.full((2, 4, 3), 255, np.uint8))
    >>> x.shape, float(x.data.max()), x.dtype
    ((3, 2, 4), 1.0, dtype('float32'))
    """

    def __call__(self, image: Any) -> Tensor:
        if isinstance(image, Tensor):
            raise DTypeError(
                "ToTensor",
                expected="an array or a PIL image",
                actual="a Tensor already",
                hint="use ToTensor() once",
            )
        pixels, _ = pixels_of(image, "ToTensor")
        planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        return Tensor(np.divide(planes, 255, dtype=np.float32) if planes.dtype == np.uint8 else planes)


class Normalize(Transform):
    r"""Subtract a mean and divide by a standard deviation, channel by channel.

    .. math:: y_c = (x_c - \mathrm{mean}_c) / \mathrm{std}_c

    Parameters
    ----------
    mean, std : float or sequence of float
        One number for each channel, or one for all.

    Raises
    ------
    OptionError
        A standard deviation is not positive.
    DTypeError
        The picture holds integers.
    ShapeError
        The picture has another number of channels.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float32))
        self.std = np.atleast_1d(np.asarray(std, dtype=np.float32))
        if not (self.std > 0).all():
            raise OptionError("Normalize", expected="standard deviations > 0", actual=repr(std))

    def __call__(self, image: Any) -> Any:
        pixels, restore = pixels_of(image, "Normalize")
        if pixels.dtype.kind != "f":
            raise DTypeError(
                "Normalize",
                expected="a float picture",
                actual=str(pixels.dtype),
                hint="put ToTensor() before it",
            )
        channels = pixels.shape[2]
        if {len(self.mean), len(self.std)} - {1, channels}:
            raise ShapeError(
                "Normalize",
                expected=f"mean and std of 1 or {channels} numbers for {channels} channels",
                actual=f"{len(self.mean)} and {len(self.std)}",
            )
        return restore(((pixels - self.mean) / self.std).astype(pixels.dtype, copy=False))
