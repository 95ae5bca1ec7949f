"""The Trainer: it learns, it stops, and a killed run goes on with the same bits."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import AnomalyError, DataError, OptionError
from minidl.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from minidl.train import (
    Accuracy,
    Callback,
    Checkpoint,
    ConfusionMatrix,
    CSVLog,
    Curves,
    EarlyStopping,
    History,
    JSONLinesLog,
    Schedule,
    Trainer,
)

RUN = Path(__file__).with_name("killed_run.py")


def quadrants(count: int = 64, seed: int = 0) -> TensorDataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2)).astype(np.float32)
    return TensorDataset(x, (x[:, 0] > 0).astype(np.int64))


def make(metrics=(), callbacks=(), lr=0.1, **options) -> Trainer:
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    return Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=lr), metrics, callbacks, **options)


def loader(**options) -> DataLoader:
    return DataLoader(quadrants(), batch_size=16, shuffle=True, **options)


def same(a, b) -> bool:
    """Bit-equal nested states."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, minidl.Tensor):
        return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return a == b or (a != a and b != b)


def test_it_learns_and_writes_its_history():
    trainer = make([Accuracy()])
    history = trainer.fit(loader(), DataLoader(quadrants(seed=1), batch_size=64), epochs=20)
    assert history["val_accuracy"][-1] > 0.9 and history["loss"][-1] < 0.5 * history["loss"][0]
    assert history.names == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert len(history) == trainer.epoch == 20 and "20 epochs" in repr(history)
    assert history.best("val_loss")["val_loss"] == min(history["val_loss"])
    assert len(trainer.fit(loader(), epochs=20)) == 20  # nothing left to do


def test_the_epochs_loss_is_the_mean_over_samples():
    """A last batch of another size must not count as much as a whole one."""
    trainer = make(lr=1e-12)
    data = quadrants(10)
    history = trainer.fit(DataLoader(data, batch_size=8), epochs=1)
    whole = trainer.loss(trainer.model(minidl.Tensor(data.tensors[0])), minidl.Tensor(data.tensors[1]))
    assert history["loss"][0] == pytest.approx(whole.item(), rel=1e-5)


def test_evaluate_and_predict_leave_no_trace():
    trainer = make([Accuracy()])
    trainer.model.append(nn.Dropout(0.5))
    data = DataLoader(quadrants(), batch_size=7)
    before = minidl.random.get_rng_state()
    first = trainer.evaluate(data, [Accuracy(), ConfusionMatrix(2)])
    assert first["loss"] == trainer.evaluate(data)["loss"]  # no dropout
    assert first["confusion"].sum() == 64 and first["accuracy"] == np.trace(first["confusion"]) / 64
    outputs = trainer.predict(quadrants().tensors[0], batch_size=10)
    assert outputs.shape == (64, 2) and not outputs.requires_grad
    assert (trainer.predict(data).numpy() == outputs.numpy()).mean() > 0.99
    assert trainer.model.training and minidl.random.get_rng_state() == before


@pytest.mark.parametrize("killed_after", [2, 7, 10, 24, 35])
def test_a_killed_run_resumes_with_the_same_bits(tmp_path, killed_after):
    """7 batches an epoch, a checkpoint every 3: killed at the start, in the middle, between epochs, twice."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([sys.executable, RUN, whole], check=True)
    killed = subprocess.run([sys.executable, RUN, broken, str(killed_after)])
    assert killed.returncode == -9 and not (broken / "final.safetensors").exists()
    if killed_after == 7:
        assert subprocess.run([sys.executable, RUN, broken, "9"]).returncode == -9
    subprocess.run([sys.executable, RUN, broken], check=True)
    assert same(minidl.load(whole / "final.safetensors"), minidl.load(broken / "final.safetensors"))


def test_the_comparison_of_runs_can_fail(tmp_path):
    subprocess.run([sys.executable, RUN, tmp_path], check=True)
    state = minidl.load(tmp_path / "final.safetensors")
    other = minidl.load(tmp_path / "final.safetensors")
    other["model"]["0.weight"][0, 0] = 0
    assert same(state, minidl.load(tmp_path / "final.safetensors")) and not same(state, other)


def test_resume_refuses_other_runs(tmp_path):
    path = tmp_path / "c.safetensors"
    make([Accuracy()], [Checkpoint(path)]).fit(loader(), epochs=1)
    with pytest.raises(DataError, match="metrics"):
        make([], [Checkpoint(path)]).fit(loader(), epochs=2, resume_from=path)
    minidl.save({"w": minidl.ones(1)}, path)
    with pytest.raises(DataError, match="state_dict"):
        make().fit(loader(), epochs=2, resume_from=path)
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match="safetensors"):
        make().fit(loader(), epochs=2, resume_from=path)


def test_early_stopping_restores_the_best_weights():
    class Worse(Callback):
        """Makes the validation loss rise from the third epoch on."""

        def on_epoch_end(self, trainer, row):
            row["val_loss"] = abs(row["epoch"] - 3)
            if row["epoch"] == 3:
                self.best = {k: v.numpy().copy() for k, v in trainer.model.state_dict().items()}

    worse, stopping = Worse(), EarlyStopping(patience=2)
    trainer = make(callbacks=[worse, stopping])
    history = trainer.fit(loader(), DataLoader(quadrants(seed=1), batch_size=64), epochs=50)
    assert len(history) == 6 and stopping.best_epoch == 3
    state = trainer.model.state_dict()
    assert all((state[name].numpy() == value).all() for name, value in worse.best.items())


def test_early_stopping_asks_for_its_column():
    with pytest.raises(OptionError, match="validation data"):
        make(callbacks=[EarlyStopping()]).fit(loader(), epochs=1)
    with pytest.raises(OptionError, match="mode"):
        EarlyStopping(mode="low")
    with pytest.raises(OptionError, match="patience"):
        EarlyStopping(patience=-1)


def test_schedules_by_epoch_and_by_plateau():
    trainer = make(lr=1.0)
    trainer.callbacks = [Schedule(StepLR(trainer.optimizer, 1, gamma=0.5))]
    assert trainer.fit(loader(), epochs=3)["lr"] == [1.0, 0.5, 0.25]
    trainer = make(lr=1.0)
    plateau = ReduceLROnPlateau(trainer.optimizer, patience=0, factor=0.1, threshold=1e9, threshold_mode="abs")
    trainer.callbacks = [Schedule(plateau, monitor="loss")]
    assert trainer.fit(loader(), epochs=3)["lr"][-1] < 1.0
    with pytest.raises(OptionError, match="per"):
        Schedule(plateau, per="year")


def test_logs_are_whole_files(tmp_path):
    callbacks = [CSVLog(tmp_path / "log.csv"), JSONLinesLog(tmp_path / "log.jsonl"), Curves(tmp_path / "curves.png")]
    history = make([Accuracy()], callbacks).fit(loader(), epochs=2)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["accuracy"] for line in lines] == history["accuracy"]
    from PIL import Image

    picture = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    assert picture.shape[1] > 2 * 400 and picture.std() > 5


def test_checkpoint_of_the_best_only(tmp_path):
    path = tmp_path / "best.safetensors"

    class Scripted(Callback):
        def on_epoch_end(self, trainer, row):
            row["score"] = {1: 5, 2: 3, 3: 4, 4: 2, 5: 9}[row["epoch"]]

    make(callbacks=[Scripted(), Checkpoint(path, monitor="score")]).fit(loader(), epochs=5)
    assert minidl.load(path)["epoch"] == 4
    with pytest.raises(OptionError, match="every"):
        Checkpoint(path, every_epochs=0)


def test_the_best_of_the_epochs_that_are_saved(tmp_path):
    """The best epoch is not one of those looked at: the next best that is must not be lost."""
    path = tmp_path / "best.safetensors"

    class Scripted(Callback):
        def on_epoch_end(self, trainer, row):
            row["score"] = {1: 1, 2: 5, 3: 2, 4: 3}[row["epoch"]]

    make(callbacks=[Scripted(), Checkpoint(path, every_epochs=2, monitor="score")]).fit(loader(), epochs=4)
    assert minidl.load(path)["epoch"] == 4


def test_an_interrupted_epoch_begins_anew():
    class Interrupt(Callback):
        seen = 0

        def on_batch_end(self, trainer):
            self.seen += 1
            if self.seen == 6:
                raise KeyboardInterrupt

    interrupt = Interrupt()
    trainer = make(callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader(), epochs=2)
    assert (trainer.epoch, trainer.batch) == (1, 2)
    assert len(trainer.fit(loader(), epochs=2)) == 2 and interrupt.seen == 6 + 4 and trainer._seen == 64


def test_batches_that_are_no_pairs_are_named():
    with pytest.raises(DataError, match=r"fit.*pairs"):
        make().fit([minidl.ones(2, 2)], epochs=1)
    with pytest.raises(DataError, match="tuple of 1"):
        make().evaluate([(minidl.ones(2, 2),)])
    with pytest.raises(DataError, match="generator"):
        make().fit((batch for batch in list(loader())), epochs=2)
    assert make().predict(np.zeros((0, 2), np.float32)).shape == (0, 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says so, too, where it computes
def test_a_loss_that_is_not_finite_stops_the_run():
    with pytest.raises(AnomalyError, match="learning rate"):
        make(lr=1e30).fit(loader(), epochs=5)


def test_bad_use():
    with pytest.raises(OptionError, match="clip"):
        make(clip_grad_norm=0)
    with pytest.raises(OptionError, match="Metric"):
        make(metrics=[lambda a, b: 0])
    with pytest.raises(OptionError, match="epochs"):
        make().fit(loader(), epochs=-1)
    with pytest.raises(DataError, match="empty loader"):
        make().fit(DataLoader(quadrants(3), batch_size=8, drop_last=True), epochs=1)


def test_clipping_bounds_the_gradient():
    seen = []

    class Watch(Callback):
        def on_batch_end(self, trainer):
            seen.append(np.sqrt(sum((p.grad.numpy() ** 2).sum() for p in trainer.model.parameters())))

    make(callbacks=[Watch()], clip_grad_norm=0.01).fit(loader(), epochs=1)
    assert len(seen) == 4 and max(seen) < 0.0101


def test_the_bar_is_silent_when_not_in_a_terminal(capsys):
    make().fit(loader(), epochs=1)
    assert capsys.readouterr() == ("", "")


def test_history():
    history = History([{"epoch": 1, "a": 2.0}, {"epoch": 2, "a": 1.0, "b": 5}])
    assert history["b"] == [None, 5] and history.best("a")["epoch"] == 2 and history.best("a", "max")["epoch"] == 1
    with pytest.raises(OptionError, match="epoch, a, b"):
        history["c"]
    with pytest.raises(OptionError, match="min"):
        history.best("a", "least")
    with pytest.raises(OptionError, match="empty"):
        History().best("a")
