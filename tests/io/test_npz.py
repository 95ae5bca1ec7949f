"""NumPy archives: good ones come back, every kind of bad one is refused."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

import minidl
from minidl.errors import DataError
from minidl.io import load_npz


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, write):
    arrays = {
        "w": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "n": np.array(3),
        "f": np.asfortranarray(np.eye(3)[:, :2]),
        "none": np.zeros((0, 2)),
        "big": np.arange(3, dtype=">i4"),
    }
    write(tmp_path / "a.npz", **arrays)
    back = minidl.load(tmp_path / "a.npz")
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[k].numpy(), v) and back[k].shape == v.shape for k, v in arrays.items())


def npy(header_shape: str, data: bytes, dtype: str = "<f8") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {header_shape}, }}"
    header += " " * (118 - len(header) - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def archive(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return path


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"w__npy": npy("(1000000000,)", bytes(8))}, "declares shape"),
        ({"w__npy": npy("(1,)", bytes(16))}, "declares shape"),
        ({"w__npy": npy("(-1,)", bytes(8))}, "npy"),
        ({"w__npy": b"not an array"}, "npy"),
        ({"w__npy": b""}, "npy"),
        ({"w__npy": npy("(1,)", bytes(8), "|O")}, "pickle"),
        ({"data__pkl": b"\x80\x04"}, "safetensors"),
        ({}, "empty archive"),
    ],
    ids=["huge shape", "small shape", "negative", "no magic", "nothing", "objects", "a torch file", "empty"],
)
def test_lies_are_refused(tmp_path, members, word):
    with pytest.raises(DataError, match=word):
        load_npz(archive(tmp_path / "bad.npz", **members))


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    path = archive(tmp_path / "bomb.npz", w__npy=npy("(1000000,)", bytes(8_000_000)))
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match="unpacked"):
        load_npz(path, max_bytes=1_000_000)


def test_cut_and_changed_files_are_refused(tmp_path):
    good = tmp_path / "good.npz"
    np.savez(good, w=np.arange(1000.0))
    content = good.read_bytes()
    middle = len(content) // 2
    for bad in (content[:-30], content[:middle], b"", content[:middle] + b"\xff" + content[middle + 1 :]):
        (tmp_path / "bad.npz").write_bytes(bad)
        with pytest.raises(DataError):
            load_npz(tmp_path / "bad.npz")
    with pytest.raises(DataError):
        load_npz(tmp_path / "missing.npz")


def test_objects_never_run(tmp_path):
    np.savez(tmp_path / "o.npz", o=np.array([print], dtype=object))
    with pytest.raises(DataError, match="pickle"):
        load_npz(tmp_path / "o.npz")
