"""What the data sets of small pictures share: one array of all pictures, one of all labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.data.collate import stack_items
from minidl.data.dataset import Dataset
from minidl.errors import DataError

__all__ = ["ImageArrays"]


class ImageArrays(Dataset):
    """Pictures and labels that are in memory.

    ``dataset[i]`` is ``(picture, label)``: the picture as a uint8 array, or what `transform` makes of it, and
    the label as an int, or what `target_transform` makes of it. For a quick start take the whole arrays:

    Attributes
    ----------
    data : ndarray
        uint8, shape (N, H, W) or (N, H, W, C).
    targets : ndarray
        int64, shape (N,).
    classes : list of str
        The name of each label.

    Examples
    --------
    >>> from minidl.data import Digits, TensorDataset
    >>> digits = Digits(train=True)
    >>> inputs = digits.data[:, None].astype(np.float32) / 255
    >>> dataset = TensorDataset(inputs, digits.targets)
    """

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray,
        classes: Sequence[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        name = type(self).__name__
        if len(data) != len(targets):
            raise DataError(name, expected="one label for each picture", actual=f"{len(data)} and {len(targets)}")
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < len(classes):
            raise DataError(
                name,
                expected=f"labels from 0 to {len(classes) - 1}",
                actual=f"labels from {targets.min()} to {targets.max()}",
                hint="the file is damaged, or belongs to another data set",
            )
        self.data = data
        self.targets = targets.astype(np.int64)
        self.classes = list(classes)
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture, target = self.data[index], int(self.targets[index])
        return (
            picture if self.transform is None else self.transform(picture),
            target if self.target_transform is None else self.target_transform(target),
        )

    def get_batch(self, indices: Sequence[int]) -> Any:
        if type(self).__getitem__ is not ImageArrays.__getitem__ or self.target_transform is not None:
            return super().get_batch(indices)
        rows = np.asarray(indices, dtype=np.intp)
        if self.transform is None:
            return self.data[rows], self.targets[rows]
        return stack_items([self.transform(self.data[row]) for row in rows]), self.targets[rows]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.data.shape[1:]))
        return f"{type(self).__name__}({len(self)} pictures of {shape}, {len(self.classes)} classes)"
