"""Picture folders, and the digits that scikit-learn bundles."""

import importlib.util
import sys

import numpy as np
import pytest

from minidl.data import DataLoader, Digits, ImageFolder, load_image
from minidl.data.transforms import Compose, RandomCrop, Resize, ToTensor
from minidl.errors import DataError, OptionError


@pytest.fixture
def folder(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for place, value in {"dog/b.png": 10, "dog/a.PNG": 20, "cat/deep/er/1.bmp": 30, "cat/2.png": 40}.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), value).save(path)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_image_folder(folder):
    dataset = ImageFolder(folder)
    assert dataset.classes == ["cat", "dog"] and dataset.class_to_idx == {"cat": 0, "dog": 1}
    assert dataset.targets.tolist() == [0, 0, 1, 1]
    assert [np.asarray(picture)[0, 0].tolist() for picture, _ in dataset] == [
        [40] * 3,
        [30] * 3,
        [20] * 3,
        [10] * 3,
    ]
    loader = DataLoader(
        ImageFolder(folder, Compose([Resize(8), RandomCrop(5), ToTensor()]), lambda y: y + 5), batch_size=4
    )
    pictures, labels = next(iter(loader))
    assert pictures.shape == (4, 3, 5, 5) and labels.tolist() == [5, 5, 6, 6]
    assert ImageFolder(folder, loader=str.upper, extensions=["png"])[0][0].endswith("CAT/2.PNG")


def test_bad_folders(folder):
    with pytest.raises(DataError, match="which is none"):
        ImageFolder(folder / "nowhere")
    with pytest.raises(DataError, match="one folder for each class"):
        ImageFolder(folder / "dog")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"pictures in .*empty"):
        ImageFolder(folder)


def test_bad_pictures(folder, monkeypatch):
    path = folder / "dog" / "b.png"
    whole = path.read_bytes()
    for content in (b"", b"no picture", whole[:-30], whole[:40]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"b\.png: expected a whole picture file"):
            ImageFolder(folder)[3]
    path.write_bytes(whole)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)  # a picture of more than twice as many is a bomb
    with pytest.raises(DataError, match="decompression bomb"):
        load_image(path)
    with pytest.raises(FileNotFoundError):
        load_image(folder / "nothing.png")


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match="pip install pillow"):
        ImageFolder(folder)[0]


def test_digits():
    bundle = pytest.importorskip("sklearn.datasets").load_digits()
    train, test = Digits(train=True), Digits(train=False)
    assert (len(train), len(test)) == (1438, 359)
    assert train.data.dtype == np.uint8 and train.data.shape[1:] == (8, 8) and train.data.max() == 255
    both = np.concatenate([train.data, test.data]).reshape(1797, -1)
    rescaled = np.rint(bundle.data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, rescaled))  # every digit once, in one part or the other
    np.testing.assert_allclose(np.bincount(test.targets) / np.bincount(train.targets), 0.25, atol=0.01)
    row = np.flatnonzero((rescaled == test.data[7].ravel()).all(axis=1))
    assert test.targets[7] in bundle.target[row]
    np.testing.assert_array_equal(Digits(train=False).data, test.data)
    assert not np.array_equal(Digits(train=False, seed=1).data, test.data)
    assert abs(len(Digits(train=False, test_share=0.5)) - 1797 / 2) < 6
    assert Digits(transform=ToTensor())[0][0].shape == (1, 8, 8)
    with pytest.raises(OptionError, match="test_share"):
        Digits(test_share=1)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        Digits()
