"""The DataLoader with worker processes: same batches, one thread each, errors told, nobody left behind."""

import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from loader_helpers import (
    Dies,
    Fails,
    Probe,
    Sleeps,
    TwoArgumentsError,
    Unsendable,
    announce,
    keep,
    refuse,
    worker_number,
)

from minidl.data import DataLoader, TensorDataset, WorkerError
from minidl.errors import OptionError, ShapeError


@pytest.fixture(autouse=True)
def no_process_left_behind():
    yield
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


def test_workers_give_the_batches_of_one_process():
    here = DataLoader(Probe(), batch_size=2, shuffle=True, seed=3)
    there = DataLoader(Probe(), batch_size=2, shuffle=True, seed=3, num_workers=2, persistent_workers=True)
    before = dict(os.environ)
    epochs = [list(there), list(there)]
    assert dict(os.environ) == before
    for batches in epochs:
        for ours, theirs in zip(here, batches, strict=True):
            assert ours["index"].tolist() == theirs["index"].tolist()
            assert ours["noise"].tolist() == theirs["noise"].tolist()
            np.testing.assert_array_equal(ours["image"].data, theirs["image"].data)
            assert theirs["nothing"].shape == (2, 0, 2)
            theirs["image"].data[...] = 0  # writable, as from this process
            assert set(theirs["threads"].tolist()) == {1} and set(theirs["environment"]) == {"1"}
    pids = [{pid for batch in batches for pid in batch["pid"].tolist()} for batches in epochs]
    assert len(pids[0]) == 2 and os.getpid() not in pids[0]
    assert pids[0] == pids[1]  # the workers were kept
    drawn = [number for batches in epochs for batch in batches for number in batch["global"][0].tolist()]
    assert len(set(drawn)) == len(drawn)  # no two workers, and no two epochs, repeat each other's numbers

    resumed = DataLoader(Probe(), batch_size=2, shuffle=True, seed=3, num_workers=1)
    resumed.load_state_dict({"seed": 3, "epoch": 1, "position": 4})
    for ours, theirs in zip(epochs[1][4:], resumed, strict=True):
        for key in ("index", "noise"):
            assert ours[key].tolist() == theirs[key].tolist()
        for one, other in zip(ours["global"], theirs["global"], strict=True):
            assert one.tolist() == other.tolist()


def test_messages_larger_than_a_pipe_do_not_block():
    x = np.arange(400_000, dtype=np.int32)
    loader = DataLoader(TensorDataset(x), 100_000, num_workers=1, prefetch_factor=3, shuffle=True, seed=0)
    assert sorted(np.concatenate([batch[0].data for batch in loader])) == x.tolist()


def test_whole_arrays_and_worker_init_fn():
    x = np.arange(40.0).reshape(20, 2)
    with_workers = DataLoader(TensorDataset(x), 4, num_workers=2)
    assert [batch[0].tolist() for batch in with_workers] == [x[i : i + 4].tolist() for i in range(0, 20, 4)]
    loader = DataLoader(range(4), 1, num_workers=2, worker_init_fn=announce, collate_fn=worker_number)
    assert list(loader) == [["0"], ["1"], ["0"], ["1"]]


def test_an_error_in_a_worker_keeps_its_type_and_traceback():
    loader = DataLoader(Fails(ShapeError("crop", "32 pixels", "28")), 2, num_workers=2)
    with pytest.raises(ShapeError, match="crop: expected 32 pixels; got 28") as caught:
        list(loader)
    assert "loader_helpers.py" in str(caught.value.__cause__)
    assert "worker 0" in str(caught.value.__cause__)


def test_errors_that_cannot_travel():
    with pytest.raises(WorkerError, match=r"(?s)loader_helpers\.py.*one and two"):
        list(DataLoader(Fails(TwoArgumentsErrorHolder()), 3, num_workers=1))
    with pytest.raises(OptionError, match="a batch that can be sent"):
        list(DataLoader(Unsendable(), 2, num_workers=1, collate_fn=keep))
    with pytest.raises(ValueError, match="worker 0 refuses"):
        list(DataLoader(range(4), num_workers=1, worker_init_fn=refuse))


def test_what_cannot_be_sent_is_refused_before_a_process_starts():
    loader = DataLoader(range(4), num_workers=2, collate_fn=lambda items: items)
    with pytest.raises(OptionError, match="num_workers=0"):
        next(iter(loader))


@pytest.mark.parametrize(("how", "told"), [("SIGKILL", "SIGKILL.*memory"), ("exit", "exit code 3")])
def test_a_dead_worker_is_reported(how, told):
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=told):
        list(DataLoader(Dies(how), 2, num_workers=2))
    assert time.monotonic() - begin < 10


def test_timeout_and_end_by_force():
    batches = iter(DataLoader(Sleeps(), 1, num_workers=2, timeout=4))
    pids = [int(next(batches)[1].data[0]) for _ in range(4)]
    with pytest.raises(WorkerError, match="timeout=4"):
        next(batches)
    assert all(gone(pid) for pid in pids)


def test_leaving_the_loop_ends_the_workers():
    for batch in DataLoader(Probe(), 2, num_workers=2):
        pids = batch["pid"].tolist()
        break
    del batch
    assert all(gone(pid) for pid in pids)


SCRIPT = """
import sys
import numpy as np
from minidl.data import DataLoader, TensorDataset

def main():
    loader = DataLoader(TensorDataset(np.arange(8)), 2, num_workers=1, persistent_workers=True)
    batches = iter(loader)
    print(next(batches)[0].tolist(), flush=True)
    {ending}

{guard}main()
"""


@pytest.mark.parametrize(
    ("guard", "ending", "code", "told"),
    [
        ('if __name__ == "__main__": ', "sys.exit(0)", 0, ""),
        ('if __name__ == "__main__": ', "list(loader); sys.exit(0)", 0, ""),
        ('if __name__ == "__main__": ', "raise SystemError('on purpose')", 1, "on purpose"),
        ("", "pass", 1, "__main__"),
    ],
    ids=["exit in the loop", "exit with idle workers", "error in the loop", "script without guard"],
)
def test_scripts_end(tmp_path, guard, ending, code, told):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard, ending=ending))
    result = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == code, result.stderr
    assert told in result.stderr
    if code == 0:
        assert result.stdout == "[0, 1]\n" and result.stderr == ""


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class TwoArgumentsErrorHolder(TwoArgumentsError):
    """An instance that can be made in one process and sent, so that it can be raised in another."""

    def __init__(self):
        super().__init__("one", "two")

    def __reduce__(self):
        return (TwoArgumentsErrorHolder, ()) if not self.__traceback__ else (TwoArgumentsError, ("one",))
