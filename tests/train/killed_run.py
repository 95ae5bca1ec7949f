"""A small training run for the resume tests: ``python killed_run.py FOLDER [stop after n batches]``."""

import os
import signal
import sys
from pathlib import Path

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import Accuracy, Callback, Checkpoint, EarlyStopping, Schedule, Trainer


class KillAt(Callback):
    """SIGKILL to the own process, so that nothing can be cleaned up; never when `batches` is 0."""

    order = 2

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_batch_end(self, trainer: Trainer) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, kill_after: int = 0) -> Trainer:
    minidl.manual_seed(7)
    inputs = minidl.randn(70, 6)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).astype("int64")
    train = DataLoader(TensorDataset(inputs[:50], labels[:50]), batch_size=8, shuffle=True)
    test = DataLoader(TensorDataset(inputs[50:], labels[50:]), batch_size=20)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=6 * len(train))
    path = folder / "run.safetensors"
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        [Accuracy()],
        [
            Schedule(schedule, per="batch"),
            EarlyStopping(patience=50, restore_best=False),
            Checkpoint(path, every_batches=3),
            KillAt(kill_after),
        ],
        clip_grad_norm=1.0,
    )
    trainer.fit(train, test, epochs=6, resume_from=path)
    return trainer


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = run(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    state = {**trainer.state_dict(), "history": history}
    minidl.save(state, folder / "final.safetensors")
