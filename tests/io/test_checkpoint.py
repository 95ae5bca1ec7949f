"""save and load: what comes back, what is refused, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl
from minidl.errors import DataError, DTypeError
from minidl.io import atomic, write_atomically


def roundtrip(state, tmp_path: Path):
    path = tmp_path / "state.safetensors"
    minidl.save(state, path)
    return minidl.load(path)


def test_nested_states_come_back(tmp_path):
    state = {
        "model": {"w": minidl.ones(2, 3), "b": minidl.tensor([1, 2])},
        "optimizer": {"state": {0: {"step": 3, "m": np.arange(4.0)}}, "groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]},
        "a/b": minidl.zeros(1),
        "a": {"b": minidl.ones(1)},
        "none": None,
        "flag": True,
        "name": "näme",
        "big": 2**200,
        "inf": float("inf"),
        "tenth": 0.1,
        "scalar": np.float64(0.1),
        "empty": {},
    }
    back = roundtrip(state, tmp_path)
    assert list(back) == list(state)
    assert back["model"]["w"].tolist() == [[1, 1, 1]] * 2 and isinstance(back["model"]["b"], minidl.Tensor)
    assert isinstance(back["optimizer"]["state"][0]["m"], np.ndarray)
    assert back["optimizer"]["groups"] == [{"lr": 0.1, "betas": (0.9, 0.999)}]
    assert (back["a/b"].item(), back["a"]["b"].item()) == (0, 1)
    assert (back["none"], back["flag"], back["name"], back["big"]) == (None, True, "näme", 2**200)
    assert back["inf"] == float("inf") and back["tenth"] == 0.1 and back["scalar"] == 0.1 and back["empty"] == {}


@settings(max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.int8, np.uint8, np.bool_, np.dtype(">f4")]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    turned=st.booleans(),
)
def test_any_array_comes_back_bit_for_bit(tmp_path_factory, array, turned):
    array = array.T if turned else array
    back = roundtrip({"x": minidl.Tensor(array), "n": 1}, tmp_path_factory.mktemp("io"))["x"]
    assert back.shape == array.shape and back.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(back.numpy(), array, equal_nan=array.dtype.kind == "f")


def test_a_flat_dict_of_tensors_is_an_ordinary_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    minidl.save({"w": minidl.ones(2)}, tmp_path / "ours.safetensors")
    assert load_file(tmp_path / "ours.safetensors")["w"].tolist() == [1, 1]
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "theirs.safetensors")
    assert minidl.load(tmp_path / "theirs.safetensors")["w"].tolist() == [1, 1, 1]


def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "state.safetensors"
    for state, word in [
        ({"a": [object()]}, "a/0"),
        ({"f": print}, "f"),
        ({1.5: 1}, "1.5"),
        ({"c": np.ones(1, complex)}, "complex"),
    ]:
        with pytest.raises(DTypeError, match=word):
            minidl.save(state, path)
    assert not path.exists()


def test_a_state_that_contains_itself_is_refused(tmp_path):
    state: dict = {}
    state["again"] = state
    with pytest.raises(DTypeError, match="contains itself"):
        minidl.save(state, tmp_path / "state.safetensors")


def test_the_format_s_own_name_can_be_a_key(tmp_path):
    back = roundtrip({"__metadata__": minidl.ones(2), "w": minidl.zeros(1)}, tmp_path)
    assert back["__metadata__"].tolist() == [1, 1] and back["w"].tolist() == [0]


def good_bytes(tmp_path) -> bytes:
    path = tmp_path / "good.safetensors"
    minidl.save({"w": minidl.ones(100), "epoch": 1}, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-10],
        lambda b: b[:20],
        lambda b: b[:4],
        lambda b: b"",
        lambda b: b + b"tail",
        lambda b: struct.pack("<Q", 2**62) + b[8:],
        lambda b: b[:8] + b"}" + b[9:],
        lambda b: b.replace(b"[100]", b"[900]"),
        lambda b: b"PK\x03\x04" + b[4:],
        lambda b: b.replace(b'\\"epoch\\"', b'\\"epoc\\", '),
        lambda b: os.urandom(1000),
    ],
    ids=[
        "cut",
        "cut header",
        "cut size",
        "empty",
        "tail",
        "lying size",
        "bad JSON",
        "lying shape",
        "zip",
        "bad structure",
        "noise",
    ],
)
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(damage(good_bytes(tmp_path)))
    with pytest.raises(DataError, match=r"safetensors|structure"):
        minidl.load(path)


def test_a_pickle_is_never_opened(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError):
        minidl.load(path)
    assert not (tmp_path / "exploded").exists()


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="nothing there"):
        minidl.load(tmp_path / "none")
    with pytest.raises(DataError, match="folder"):
        minidl.load(tmp_path)
    minidl.save({"w": minidl.ones(1)}, tmp_path / "new" / "folder" / "w.safetensors")
    assert (tmp_path / "new/folder/w.safetensors").exists()


def test_an_unwritable_place_is_an_error_and_leaves_no_litter(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(DataError, match="permissions"):
        minidl.save({"w": minidl.ones(1)}, blocker / "below" / "w.safetensors")
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError):
        write_atomically(tmp_path / "taken", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


def test_the_old_file_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    minidl.save({"n": 1}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(DataError, match="No space"):
        minidl.save({"n": 2}, path)
    assert minidl.load(path) == {"n": 1} and len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_writer_leaves_no_litter(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        minidl.save({"n": 1}, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_killed_writer_never_leaves_half_a_file(tmp_path):
    """A process that saves without pause is killed; whatever is at the path is whole."""
    path = tmp_path / "w.safetensors"
    code = (
        "import minidl, sys, itertools\n"
        "for n in itertools.count(1):\n"
        "    minidl.save({'n': n, 'w': minidl.full((200_000,), float(n))}, sys.argv[1])\n"
    )
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        try:
            while not path.exists():
                assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        state = minidl.load(path)
        assert (state["w"].numpy() == state["n"]).all()
        path.unlink()


def test_permissions_are_those_of_any_new_file(tmp_path):
    minidl.save({"n": 1}, tmp_path / "a.safetensors")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_the_structure_is_readable_json(tmp_path):
    minidl.save({"w": minidl.ones(1), "epoch": 3}, tmp_path / "s.safetensors")
    data = (tmp_path / "s.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert json.loads(header["__metadata__"]["minidl.structure"]) == {"dict": [["w", {"tensor": "w"}], ["epoch", 3]]}
