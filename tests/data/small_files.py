"""Small MNIST and CIFAR files, written from the descriptions of their formats, and data sets that expect them."""

import gzip
import hashlib
import struct

import numpy as np

from minidl.data.mnist import _File

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """An IDX file, written from its description (yann.lecun.com/exdb/mnist)."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8)


def small(dataset, checksums=True):
    """The data set class for files of six pictures: same code, other table of files."""
    files = []
    for name, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        digest = hashlib.sha256(idx_bytes(array)).hexdigest() if checksums else None
        files.append(_File(name, array.shape, sha256=digest))
    return type(dataset.__name__, (dataset,), {"_files": {True: tuple(files), False: tuple(files)}})


def write_mnist(folder, packed=True, images=IMAGES, labels=LABELS, dot=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        content = idx_bytes(array)
        name = name.replace("-idx", ".idx") if dot else name
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


def small_cifar(dataset):
    return type(dataset.__name__, (dataset,), {"_records": {True: 3, False: 3}})


def write_cifar(folder, names, label_rows, packed=False):
    """Records from the description: label bytes, then the red, the green, the blue plane, row by row."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    pictures = []
    for name in names:
        content = b""
        for labels in label_rows:
            picture = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            pictures.append(picture)
            content += bytes(labels) + b"".join(picture[:, :, channel].tobytes() for channel in range(3))
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return np.stack(pictures)


TRAIN_10 = [f"data_batch_{number}.bin" for number in range(1, 6)]
