"""Pictures in folders, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.dataset import Dataset
from minidl.errors import DataError

__all__ = ["ImageFolder", "load_image"]

_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")


def load_image(path: str | os.PathLike[str]) -> Any:
    """Read a picture file as a PIL image of three colours (needs Pillow).

    Raises
    ------
    DataError
        Pillow is missing, or the file is no whole picture, or an absurdly large one.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            "load_image",
            expected="Pillow, to read picture files",
            actual="no Pillow",
            hint="pip install pillow",
        ) from error
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DataError(str(path), expected="a whole picture file", actual=str(error)) from error


class ImageFolder(Dataset):
    """Pictures in folders: ``root/dog/a.png``, ``root/dog/b.png``, ``root/cat/1.jpg``, …

    The classes are the names of the folders directly below `root`, in alphabetical order; pictures may lie
    deeper. ``dataset[i]`` is ``(picture, label)``.

    Parameters
    ----------
    root : path
        The folder of the class folders.
    transform, target_transform : callable, optional
        Applied to each picture and each label.
    loader : callable
        Reads a file; default `load_image`, which gives PIL images.
    extensions : sequence of str
        Which files are pictures.

    Attributes
    ----------
    classes : list of str
        Names of the classes.
    class_to_idx : dict
        The label of each class.
    samples : list of (str, int)
        Path and label of each picture.
    targets : ndarray
        int64, (N,).

    Raises
    ------
    DataError
        There is no such folder, no class in it, or a class without a picture.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = load_image,
        extensions: Sequence[str] = _EXTENSIONS,
    ) -> None:
        self.root = Path(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader
        if not self.root.is_dir():
            raise DataError("ImageFolder", expected="a folder", actual=f"{self.root}, which is none")
        folders = sorted(entry for entry in self.root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not folders:
            raise DataError(
                "ImageFolder", expected=f"one folder for each class in {self.root}", actual="no folder in it"
            )
        self.classes = [folder.name for folder in folders]
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        self.samples: list[tuple[str, int]] = []
        endings = tuple(extension.lower() for extension in extensions)
        for label, folder in enumerate(folders):
            pictures = sorted(
                path for path in folder.rglob("*") if path.name.lower().endswith(endings) and path.is_file()
            )
            if not pictures:
                raise DataError("ImageFolder", expected=f"pictures in {folder} ({', '.join(endings)})", actual="none")
            self.samples += [(str(path), label) for path in pictures]
        self.targets = np.array([label for _, label in self.samples], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        picture = self.loader(path)
        return (
            picture if self.transform is None else self.transform(picture),
            target if self.target_transform is None else self.target_transform(target),
        )
