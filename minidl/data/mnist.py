"""MNIST and Fashion-MNIST: 70,000 pictures of 28 x 28 grey pixels each, in IDX files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl.data.download import download as fetch
from minidl.data.download import file_sha256
from minidl.data.files import check_sha256, find_folder, read_payload, search_roots, sha256
from minidl.data.idx import parse_idx
from minidl.data.images import ImageArrays
from minidl.errors import DataError

__all__ = ["MNIST", "FashionMNIST"]

_IMAGES_HEADER, _LABELS_HEADER = 16, 8
_PACKING = 65536  # bytes by which gzip may enlarge what it cannot compress


class _File(NamedTuple):
    """One of the four files; `packed_sha256` is that of the gzip file, `sha256` that of the unpacked data."""

    name: str
    shape: tuple[int, ...]
    sha256: str | None = None
    packed_sha256: str | None = None

    @property
    def size(self) -> int:
        header = _IMAGES_HEADER if len(self.shape) == 3 else _LABELS_HEADER
        return header + int(np.prod(self.shape))

    @property
    def names(self) -> list[str]:
        """The names under which it is found in the wild."""
        dotted = self.name.replace("-idx", ".idx")
        return [f"{self.name}.gz", self.name, f"{dotted}.gz", dotted]


class _IdxImages(ImageArrays):
    _folders: ClassVar[tuple[str, ...]]
    _download_folder: ClassVar[str]
    _mirrors: ClassVar[tuple[str, ...]]
    _files: ClassVar[dict[bool, tuple[_File, _File]]]
    _class_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        self.root = search_roots(root)
        self.train = train
        images, labels = (self._read(file, path) for file, path in self._locate(download))
        super().__init__(images, labels, self._class_names, transform, target_transform)

    def _locate(self, download: bool) -> list[tuple[_File, Path]]:
        name = type(self).__name__
        files = self._files[self.train]
        hint = (
            f"give root= or set MINIDL_DATA to the folder that holds them, "
            f"or fetch them with {name}(root, download=True)"
        )
        try:
            paths = find_folder(name, self.root, self._folders, [file.names for file in files], hint)
        except DataError:
            if not download:
                raise
            paths = [self._fetch(file) for file in files]
        return list(zip(files, paths, strict=True))

    def _fetch(self, file: _File) -> Path:
        packed = f"{file.name}.gz"

        def check(path: Path) -> None:
            if file.packed_sha256 is not None and file_sha256(path) != file.packed_sha256:
                raise DataError(
                    packed,
                    expected=f"SHA-256 {file.packed_sha256} of the packed file",
                    actual=file_sha256(path),
                )
            self._read(file, path)

        path = self.root / self._download_folder / packed
        urls = [mirror + packed for mirror in self._mirrors]
        return fetch(urls, path, max_bytes=file.size + _PACKING, check=check)

    def _read(self, file: _File, path: Path) -> np.ndarray:
        content = read_payload(path, file.size)
        self._check_content(file, content, str(path))
        array = parse_idx(content, str(path))
        if array.shape != file.shape or array.dtype != np.uint8:
            raise DataError(str(path), expected=f"uint8 of shape {file.shape}", actual=f"{array.dtype} {array.shape}")
        return array

    def _check_content(self, file: _File, content: bytearray, where: str) -> None:
        if file.sha256 is not None:
            hint = "the file is damaged or another one: get it again, or read it with minidl.data.read_idx"
            check_sha256(content, file.sha256, where, hint)


class MNIST(_IdxImages):
    """Handwritten digits (LeCun, Cortes, Burges): 60,000 to learn from, 10,000 to test on.

    The SHA-256 of the unpacked data is compared before it is parsed. To read an IDX file of your own, use
    `minidl.data.read_idx`.

    Parameters
    ----------
    root : path, optional
        The folder with the four files, or one with a folder ``mnist``, ``MNIST`` or ``MNIST/raw`` that holds
        them. Default: the environment variable MINIDL_DATA, or else ``~/.cache/minidl``.
    train : bool
        The training or the test set.
    transform, target_transform : callable, optional
        Applied to each picture (uint8 array (28, 28)) and each label (int).
    download : bool
        Fetch the files (11 MB) if they are not there.

    Attributes
    ----------
    data : ndarray
        uint8, (60000, 28, 28) or (10000, 28, 28).
    targets : ndarray
        int64, (60000,) or (10000,).

    Raises
    ------
    DataError
        The files are missing (the message lists every place), damaged, or cannot be fetched.
    """

    _folders = ("", "mnist", "MNIST", "MNIST/raw", "raw")
    _download_folder = "mnist"
    _mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    # The packed files differ from mirror to mirror (gzip keeps a date); the data in them does not.
    _files: ClassVar = {
        True: (
            _File(
                "train-images-idx3-ubyte",
                (60000, 28, 28),
                sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            _File(
                "train-labels-idx1-ubyte",
                (60000,),
                sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        False: (
            _File(
                "t10k-images-idx3-ubyte",
                (10000, 28, 28),
                sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            _File(
                "t10k-labels-idx1-ubyte",
                (10000,),
                sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    }
    _class_names = tuple("0123456789")


class FashionMNIST(_IdxImages):
    """Pictures of clothes (Zalando Research, arXiv:1708.07747) in the form of MNIST.

    A download is compared with the published SHA-256 of the packed files. Files that are already there are
    checked by size, type and shape, and refused if they are MNIST's digits, which have the same names: no
    checksum of the unpacked data has been published.

    Parameters
    ----------
    root : path, optional
        The folder with the four files, or one with a folder ``fashion-mnist``, ``FashionMNIST`` or
        ``FashionMNIST/raw`` that holds them. Default: the environment variable MINIDL_DATA, or else
        ``~/.cache/minidl``.
    train : bool
        The training or the test set.
    transform, target_transform : callable, optional
        Applied to each picture (uint8 array (28, 28)) and each label (int).
    download : bool
        Fetch the files (30 MB) if they are not there.

    Raises
    ------
    DataError
        The files are missing (the message lists every place), damaged, or cannot be fetched.
    """

    _folders = ("fashion-mnist", "fashion_mnist", "fashion", "FashionMNIST", "FashionMNIST/raw", "", "raw")
    _download_folder = "fashion-mnist"
    _mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    # Checksums of the packed files: the download table of tensorflow/datasets.
    _files: ClassVar = {
        True: (
            _File(
                "train-images-idx3-ubyte",
                (60000, 28, 28),
                packed_sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            _File(
                "train-labels-idx1-ubyte",
                (60000,),
                packed_sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
        ),
        False: (
            _File(
                "t10k-images-idx3-ubyte",
                (10000, 28, 28),
                packed_sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            _File(
                "t10k-labels-idx1-ubyte",
                (10000,),
                packed_sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    }
    _class_names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip

    def _check_content(self, file: _File, content: bytearray, where: str) -> None:
        if sha256(content) in {digits.sha256 for files in MNIST._files.values() for digits in files}:
            raise DataError(
                where,
                expected="Fashion-MNIST",
                actual="the handwritten digits of MNIST, whose files have the same names",
                hint="keep the two in folders of their own, mnist and fashion-mnist",
            )
