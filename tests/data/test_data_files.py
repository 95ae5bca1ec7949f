"""Reading files that may be damaged, may lie, or may be bombs: IDX, MNIST, Fashion-MNIST, CIFAR."""

import gzip
import hashlib
import io
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from small_files import (
    CODES,
    IMAGES,
    LABELS,
    TRAIN_10,
    idx_bytes,
    small,
    small_cifar,
    write_cifar,
    write_mnist,
)

from minidl.data import CIFAR10, CIFAR100, MNIST, FashionMNIST, read_idx
from minidl.data.files import read_exactly
from minidl.errors import DataError

# IDX


@given(
    st.sampled_from(list(CODES)).flatmap(
        lambda code: st_np.arrays(np.dtype(code), st_np.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    ),
    st.booleans(),
)
def test_read_idx_gives_back_what_was_written(tmp_path_factory, array, packed):
    path = tmp_path_factory.getbasetemp() / "any.idx"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if packed else content)
    result = read_idx(path)
    assert result.dtype == array.dtype and result.dtype.isnative
    np.testing.assert_array_equal(result, array)
    assert result.flags.writeable


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "nothing at its beginning"),
        (b"\0\0\x08", "00 00 08 at its beginning"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\0\0\x07" + GOOD[3:], "00 00 07 03"),
        (b"\0\0\x08\0", "00 00 08 00"),
        (GOOD[:9], "end of the file"),
        (GOOD[:-1], "24 bytes of data; got only 23"),
        (GOOD + b"x", "24 bytes of data; got more"),
        (GOOD[:4] + struct.pack(">III", 2, 3, 5) + GOOD[16:], "30 bytes of data; got only 24"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "announces"),
        (b"\0\0\x08\x09" + struct.pack(">9I", *[1] * 9) + b"x", "at most 8 dimensions"),
        (gzip.compress(GOOD)[:-9], "damaged"),
        (gzip.compress(GOOD)[:12], "damaged"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "damaged"),
        (gzip.compress(GOOD)[:10] + b"\xff" * 20, "damaged"),
        (gzip.compress(GOOD) + b"rubbish", "damaged"),
    ],
)
def test_bad_idx_files(tmp_path, content, told):
    path = tmp_path / "bad.idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_give_an_array_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.idx"
    for start in (b"", b"\0\0\x08", b"\x1f\x8b\x08"):
        path.write_bytes(start + content)
        try:
            assert isinstance(read_idx(path), np.ndarray)
        except DataError:
            pass


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    bomb = gzip.compress(idx_bytes(np.zeros((2, 2), np.uint8)) + bytes(100_000_000), 1)
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb)
    big = tmp_path / "big.gz"
    big.write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 100_000_000) + bytes(100_000_000), 1))
    tracemalloc.start()
    with pytest.raises(DataError, match="got more"):
        read_idx(path)
    with pytest.raises(DataError, match="larger max_bytes"):
        read_idx(big, max_bytes=10_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_missing_file_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


# MNIST with files of six pictures


@pytest.mark.parametrize("place", ["", "mnist", "MNIST", "MNIST/raw", "raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found(tmp_path, place, packed, monkeypatch):
    write_mnist(tmp_path / place, packed, dot=place == "raw")
    digits = small(MNIST)(tmp_path)
    np.testing.assert_array_equal(digits.data, IMAGES)
    assert digits.targets.dtype == np.int64 and digits.targets.tolist() == LABELS.tolist()
    picture, label = digits[2]
    assert picture.dtype == np.uint8 and picture.shape == (28, 28) and type(label) is int and label == 4
    assert repr(digits) == "MNIST(6 pictures of 28 x 28, 10 classes)"
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert len(small(MNIST)()) == 6


def test_mnist_transforms_and_batches(tmp_path):
    write_mnist(tmp_path)
    digits = small(MNIST)(tmp_path, transform=lambda x: x.astype(np.float32), target_transform=lambda y: -y)
    assert digits[0][0].dtype == np.float32 and digits[0][1] == -3
    for options in ({}, {"transform": lambda x: x + 1}, {"target_transform": lambda y: -y}):
        digits = small(MNIST)(tmp_path, **options)
        pictures, labels = digits.get_batch([1, 5])
        np.testing.assert_array_equal(pictures, np.stack([digits[1][0], digits[5][0]]))
        assert labels.tolist() == [digits[1][1], digits[5][1]] and labels.dtype == np.int64


def test_missing_files_are_told_with_every_place(tmp_path, monkeypatch):
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        MNIST(tmp_path)
    message = str(caught.value)
    for place in ("", "mnist", "MNIST/raw", "raw"):
        assert str(tmp_path / place) in message
    assert "MNIST (without train-labels-idx1-ubyte.gz)" in message
    for word in ("MINIDL_DATA", "root=", "download=True"):
        assert word in message
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=str(tmp_path / "cache" / "minidl")):
        MNIST()


def test_mnist_checksum_comes_before_parsing(tmp_path):
    images = IMAGES.copy()
    images[3, 14, 14] ^= 1
    write_mnist(tmp_path, images=images)
    with pytest.raises(DataError, match=r"SHA-256 .*read_idx"):
        small(MNIST)(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\xff" * len(idx_bytes(IMAGES))))
    with pytest.raises(DataError, match="SHA-256"):
        small(MNIST)(tmp_path)


@pytest.mark.parametrize("amount", [-1, 1, 100_000_000])
def test_mnist_of_a_wrong_size(tmp_path, amount):
    write_mnist(tmp_path)
    content = idx_bytes(IMAGES)
    content = content[:amount] if amount < 0 else content + bytes(amount)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    with pytest.raises(DataError, match=f"{len(idx_bytes(IMAGES))} bytes"):
        small(MNIST)(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_fashion_mnist_is_checked_by_structure(tmp_path):
    write_mnist(tmp_path / "FashionMNIST" / "raw")
    clothes = small(FashionMNIST, checksums=False)(tmp_path)
    assert clothes.classes[9] == "Ankle boot" and len(clothes) == 6
    write_mnist(tmp_path / "FashionMNIST" / "raw", labels=LABELS + 1)
    with pytest.raises(DataError, match="labels from 0 to 9; got labels from 2 to 10"):
        small(FashionMNIST, checksums=False)(tmp_path)
    write_mnist(tmp_path / "FashionMNIST" / "raw", images=IMAGES.reshape(6, 14, 56))
    with pytest.raises(DataError, match=r"shape \(6, 28, 28\); got uint8 \(6, 14, 56\)"):
        small(FashionMNIST, checksums=False)(tmp_path)


def test_fashion_mnist_refuses_the_digits(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setattr(MNIST, "_files", small(MNIST)._files)
    with pytest.raises(DataError, match="handwritten digits of MNIST"):
        small(FashionMNIST, checksums=False)(tmp_path)


# CIFAR with files of three pictures


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin", "cifar10"])
def test_cifar10(tmp_path, place, packed):
    pictures = write_cifar(tmp_path / place, TRAIN_10, [[0], [9], [5]], packed)
    dataset = small_cifar(CIFAR10)(tmp_path)
    np.testing.assert_array_equal(dataset.data, pictures)
    assert dataset.data.flags.c_contiguous and dataset.targets.tolist() == [0, 9, 5] * 5
    assert dataset.classes[9] == "truck" and not dataset.verified
    assert "not the official files" in repr(dataset)


def test_cifar100(tmp_path):
    pictures = write_cifar(tmp_path / "cifar-100-binary", ["test.bin"], [[19, 99], [0, 1], [7, 0]])
    dataset = small_cifar(CIFAR100)(tmp_path, train=False)
    np.testing.assert_array_equal(dataset.data, pictures)
    assert dataset.targets.tolist() == [99, 1, 0] and dataset.coarse_targets.tolist() == [19, 0, 7]
    assert (
        len(dataset.classes) == 100 and len(set(dataset.classes)) == 100 and dataset.classes == sorted(dataset.classes)
    )
    assert len(dataset.coarse_classes) == 20
    for labels, told in ([[20, 3], "groups from 0 to 19"], [[1, 100], "labels from 0 to 99"]):
        write_cifar(tmp_path / "cifar-100-binary", ["test.bin"], [labels] * 3)
        with pytest.raises(DataError, match=told):
            small_cifar(CIFAR100)(tmp_path, train=False)


def test_bad_cifar_files(tmp_path):
    write_cifar(tmp_path, ["test_batch.bin"], [[1], [2], [10]])
    with pytest.raises(DataError, match="labels from 0 to 9"):
        small_cifar(CIFAR10)(tmp_path, train=False)
    write_cifar(tmp_path, ["test_batch.bin"], [[1], [2]])
    with pytest.raises(DataError, match="9219 bytes of data; got only 6146"):
        small_cifar(CIFAR10)(tmp_path, train=False)
    write_cifar(tmp_path, ["test_batch.bin"], [[1]] * 4)
    with pytest.raises(DataError, match="got more"):
        small_cifar(CIFAR10)(tmp_path, train=False)
    with pytest.raises(DataError, match=r"data_batch_1\.bin, data_batch_2\.bin.*download=True"):
        CIFAR10(tmp_path)


def test_official_files_are_known_as_such(tmp_path):
    write_cifar(tmp_path, ["test_batch.bin"], [[1]] * 3)
    digest = hashlib.sha256((tmp_path / "test_batch.bin").read_bytes()).hexdigest()
    known = type("CIFAR10", (small_cifar(CIFAR10),), {"_files": {False: {"test_batch.bin": digest}}})
    assert known(tmp_path, train=False).verified


def test_payload_is_never_larger_than_its_limit():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(DataError, match="got more"):
        read_exactly(endless, 3_000_000, "endless")
    assert endless.given == 3_000_001


# The real thing


needs_data = pytest.mark.skipif(
    not os.environ.get("MINIDL_DATA"), reason="MINIDL_DATA is not set: no real MNIST to read"
)


@needs_data
@pytest.mark.parametrize(("train", "count", "first"), [(True, 60000, [5, 0, 4, 1, 9]), (False, 10000, [7, 2, 1, 0, 4])])
def test_real_mnist(train, count, first):
    digits = MNIST(train=train)
    assert digits.data.shape == (count, 28, 28) and digits.data.dtype == np.uint8
    assert digits.targets[:5].tolist() == first
    with pytest.raises(DataError, match="fashion"):
        FashionMNIST(digits.root / "mnist", train=train)
