"""CIFAR-10 and CIFAR-100: 60,000 colour pictures of 32 x 32 pixels, in their binary version.

A record is one label byte (CIFAR-100: two, coarse and fine), then 3072 pixels: the red, green and blue
planes, row by row. (The "python version" of the archive is made of pickles, which minidl does not read.)
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minidl.data.download import download as fetch
from minidl.data.download import file_sha256
from minidl.data.files import find_folder, read_exactly, read_payload, search_roots, sha256
from minidl.data.images import ImageArrays
from minidl.errors import DataError

__all__ = ["CIFAR10", "CIFAR100"]

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE

_COARSE_100 = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things "
    "large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates "
    "people reptiles small_mammals trees vehicles_1 vehicles_2"
).split()

_FINE_100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup "
    "dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower "
    "leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid "
    "otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
    "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar "
    "sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
).split()


class _BinaryImages(ImageArrays):
    _folders: ClassVar[tuple[str, ...]]
    _archive: ClassVar[str]
    _archive_sha256: ClassVar[str]
    _archive_bytes: ClassVar[int]
    _archive_folder: ClassVar[str]
    _mirrors: ClassVar[tuple[str, ...]] = (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
    )
    # For the training and the test set: each file, and the SHA-256 of the official one.
    _files: ClassVar[dict[bool, dict[str, str]]]
    _records: ClassVar[dict[bool, int]]  # pictures in each file
    _label_bytes: ClassVar[int]
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
        self.verified = True
        parts = [self._read(path) for path in self._locate(download)]
        labels = np.concatenate([part[:, : self._label_bytes] for part in parts])
        planes = [part[:, self._label_bytes :].reshape(-1, 3, _SIDE, _SIDE) for part in parts]
        pictures = np.concatenate([np.moveaxis(part, 1, -1) for part in planes])
        super().__init__(np.ascontiguousarray(pictures), labels[:, -1], self._class_names, transform, target_transform)
        self._take_other_labels(labels[:, :-1])

    def _take_other_labels(self, labels: np.ndarray) -> None:
        """Keep the label bytes before the last one."""

    def _file_size(self, train: bool) -> int:
        return self._records[train] * (self._label_bytes + _PIXELS)

    def _locate(self, download: bool) -> list[Path]:
        name = type(self).__name__
        files = [[file, f"{file}.gz"] for file in self._files[self.train]]
        hint = (
            f"give root= or set MINIDL_DATA to the folder that holds the binary version, "
            f"or fetch it with {name}(root, download=True)"
        )
        try:
            return find_folder(name, self.root, self._folders, files, hint)
        except DataError:
            if not download:
                raise
        self._fetch()
        return find_folder(name, self.root, self._folders, files, hint)

    def _fetch(self) -> None:
        def check(path: Path) -> None:
            actual = file_sha256(path)
            if actual != self._archive_sha256:
                raise DataError(self._archive, expected=f"SHA-256 {self._archive_sha256}", actual=actual)

        urls = [mirror + self._archive for mirror in self._mirrors]
        archive = fetch(urls, self.root / self._archive, max_bytes=self._archive_bytes, check=check)
        self._extract(archive, self.root / self._archive_folder)
        archive.unlink()

    def _extract(self, archive: Path, folder: Path) -> None:
        """Take the known files, and nothing else, out of the archive; each is written aside and renamed."""
        import tarfile

        sizes = {file: self._file_size(train) for train, files in self._files.items() for file in files}
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    name = member.name.rpartition("/")[2]
                    source = tar.extractfile(member) if name in sizes and member.isfile() else None
                    if source is not None:
                        content = read_exactly(source, sizes.pop(name), f"{archive}: {name}")
                        part = folder / f"{name}.part"
                        part.write_bytes(content)
                        os.replace(part, folder / name)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(str(archive), expected="a whole tar.gz archive", actual=str(error)) from error
        if sizes:
            raise DataError(
                str(archive), expected=f"the files {', '.join(sizes)} in it", actual="an archive without them"
            )

    def _read(self, path: Path) -> np.ndarray:
        """The records of a file, shape (pictures, bytes in a record)."""
        content = read_payload(path, self._file_size(self.train))
        self.verified &= sha256(content) == self._files[self.train][path.name.removesuffix(".gz")]
        return np.frombuffer(content, np.uint8).reshape(self._records[self.train], -1)

    def __repr__(self) -> str:
        note = "" if self.verified else ", not the official files"
        return f"{super().__repr__()[:-1]}{note})"


class CIFAR10(_BinaryImages):
    """Ten kinds of animals and vehicles (Krizhevsky, 2009): 50,000 pictures to learn from, 10,000 to test on.

    Files of the right size whose labels are in range are read even if their content is not the official one,
    so that a version of one's own can be used; `verified` tells. A download must be the official archive.

    Parameters
    ----------
    root : path, optional
        The folder with ``data_batch_1.bin`` … and ``test_batch.bin`` (packed with gzip or not), or one with a
        folder ``cifar-10-batches-bin`` or ``cifar10`` that holds them. Default: the environment variable
        MINIDL_DATA, or else ``~/.cache/minidl``.
    train : bool
        The training or the test set.
    transform, target_transform : callable, optional
        Applied to each picture (uint8 array (32, 32, 3)) and each label (int).
    download : bool
        Fetch the binary version (170 MB) if the files are not there.

    Attributes
    ----------
    data : ndarray
        uint8, (N, 32, 32, 3).
    targets : ndarray
        int64, (N,).
    verified : bool
        Whether every file has the SHA-256 of the official one.

    Raises
    ------
    DataError
        The files are missing (the message lists every place), of a wrong size, or with labels out of range;
        or the archive cannot be fetched.
    """

    _folders = ("", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "CIFAR10")
    _archive = "cifar-10-binary.tar.gz"
    _archive_sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    _archive_bytes = 170_052_171
    _archive_folder = "cifar-10-batches-bin"
    # Checksums of the unpacked files: the data set class of torchvision for Ruby, which compares them too.
    _files: ClassVar = {
        True: {
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        },
        False: {"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
    }
    _records: ClassVar = {True: 10000, False: 10000}
    _label_bytes = 1
    _class_names = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())


class CIFAR100(_BinaryImages):
    """A hundred kinds of things in twenty groups: 50,000 pictures to learn from, 10,000 to test on.

    As `CIFAR10`, from ``train.bin`` and ``test.bin`` in the folder itself, ``cifar-100-binary`` or
    ``cifar100``.

    Parameters
    ----------
    root, train, transform, target_transform, download
        As for `CIFAR10`.

    Attributes
    ----------
    data : ndarray
        uint8, (N, 32, 32, 3).
    targets : ndarray
        The fine labels (0…99), int64, (N,).
    coarse_targets : ndarray
        The labels of the groups (0…19), int64, (N,).
    coarse_classes : list of str
        The names of the groups.
    verified : bool
        Whether every file has the SHA-256 of the official one.
    """

    _folders = ("", "cifar-100-binary", "cifar100/cifar-100-binary", "cifar100", "CIFAR100")
    _archive = "cifar-100-binary.tar.gz"
    _archive_sha256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
    _archive_bytes = 200_000_000  # a bound: the checksum decides
    _archive_folder = "cifar-100-binary"
    _files: ClassVar = {
        True: {"train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
        False: {"test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
    }
    _records: ClassVar = {True: 50000, False: 10000}
    _label_bytes = 2
    _class_names = tuple(_FINE_100)

    def _take_other_labels(self, labels: np.ndarray) -> None:
        self.coarse_targets = labels[:, 0].astype(np.int64)
        self.coarse_classes = list(_COARSE_100)
        if len(labels) and self.coarse_targets.max() >= len(_COARSE_100):
            raise DataError("CIFAR100", expected="groups from 0 to 19", actual=f"group {self.coarse_targets.max()}")
