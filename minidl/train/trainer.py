"""The training loop, written once."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minidl import ops
from minidl.errors import AnomalyError, DataError, OptionError
from minidl.io import load
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.utils import clip_grad_norm_
from minidl.optim import Optimizer
from minidl.random import get_rng_state, set_rng_state
from minidl.tensor import Tensor
from minidl.train.callbacks import Callback
from minidl.train.history import History
from minidl.train.metrics import Metric

__all__ = ["Trainer"]

# The progress bar is brought up to date this often (seconds).
_PACE = 0.2
# A GPU's results are read then, too, or after so many batches: their outputs are kept until then.
_UNREAD = 64


def _pair(where: str, batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        parts = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise DataError(where, expected="batches (inputs, targets)", actual=f"a {type(batch).__name__}{parts}",
                        hint="a Dataset's samples must be pairs, too")  # fmt: skip
    return batch[0], batch[1]


def _send(value: Any, device: str) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)([_send(each, device) for each in value])
    if isinstance(value, Mapping):
        return {key: _send(each, device) for key, each in value.items()}
    if hasattr(value, "__array_interface__"):
        value = Tensor(value)
    return value.to(device) if isinstance(value, Tensor) else value


class Trainer:
    """Fits a model to data: forward, loss, backward, step, over batches and epochs.

    Parameters
    ----------
    model : Module
        Batches are sent to the device of its parameters: ``model.to("cuda")`` is all that a GPU needs.
    loss : callable
        ``loss(outputs, targets)`` gives a scalar Tensor: a loss module or function.
    optimizer : Optimizer
        Over the parameters of the model.
    metrics : sequence of Metric
        Measured on training and validation data.
    callbacks : sequence of Callback
    clip_grad_norm : float, optional
        Scale the gradients down to this total norm before each step.

    Attributes
    ----------
    history : History
        One row an epoch.
    epoch, batch : int
        Epochs completed, and batches done in the running epoch.
    stop : bool
        Set by a callback to end the run after the epoch.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn, optim
    >>> from minidl.data import DataLoader, TensorDataset
    >>> from minidl.train import Accuracy
    >>> from minidl.train import Accuracy, Trainer
    >>> _ = minidl.manual_seed(0)
    >>> x = minidl.randn(64, 2)
    >>> data = DataLoader(TensorDataset(x, (x.sum(1) > 0).astype("int64")), batch_size=16, shuffle=True)
    >>> model = nn.Linear(2, 2)
    >>> trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.1), [Accuracy()])
    >>> trainer.fit(data, epochs=10)["accuracy"][-1] > 0.9
    True
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Callback] = (),
        clip_grad_norm: float | None = None,
    ) -> None:
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise OptionError("Trainer", expected="clip_grad_norm > 0", actual=repr(clip_grad_norm))
        for kind, items in ((Metric, metrics), (Callback, callbacks)):
            wrong = [type(item).__name__ for item in items if not isinstance(item, kind)]
            if wrong:
                raise OptionError("Trainer", expected=f"a sequence of {kind.__name__}s", actual=", ".join(wrong))
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = list(metrics)
        self.callbacks = sorted(callbacks, key=lambda callback: callback.order)
        self.clip_grad_norm = clip_grad_norm
        self.history = History()
        self.epoch = 0
        self.batch = 0
        self.stop = False
        self._loader: Any = None
        self._total = 0.0
        self._seen = 0
        self._unread: list[tuple[Tensor, Any, Any]] = []

    # The loop

    def fit(
        self,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        epochs: int = 1,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are done in all.

        Parameters
        ----------
        train, validation : iterable of (inputs, targets)
            `DataLoader`s, or any iterable of batches that can be started again.
        epochs : int
            In all: a second ``fit(epochs=10)`` after ten epochs does nothing.
        resume_from : path, optional
            A file of `Checkpoint`. If it exists the run goes on from there, with the same bits as if it had never
            been interrupted; if not, it starts from the beginning. So a killed script can just be started again.

        Returns
        -------
        History

        Raises
        ------
        AnomalyError
            If the loss becomes NaN or infinite.
        DataError
            If the file to resume from is damaged or belongs to another run.
        """
        if epochs < 0:
            raise OptionError("fit", expected="epochs >= 0", actual=str(epochs))
        self._loader = train
        self.stop = False
        self.batch = 0  # an epoch that was interrupted in this process begins anew
        if resume_from is not None and Path(resume_from).exists():
            self.load_state_dict(load(resume_from))
        self._tell("on_fit_start")
        while self.epoch < epochs and not self.stop:
            self._fit_epoch(train, validation, epochs)
        self._tell("on_fit_end")
        return self.history

    def _fit_epoch(self, train: Iterable[Any], validation: Iterable[Any] | None, epochs: int) -> None:
        started = time.perf_counter()
        if self.batch == 0:
            self._total, self._seen = 0.0, 0
            self._unread.clear()
            for metric in self.metrics:
                metric.reset()
        self._tell("on_epoch_start")
        self.model.train()
        with self._bar(train, f"epoch {self.epoch + 1}/{epochs}", self.batch) as bar:
            read_at = started
            for batch in train:
                inputs, targets = self._pair("fit", batch)
                loss, outputs = self._step(inputs, targets)
                self._unread.append((loss, outputs, targets))
                self.batch += 1
                self._tell("on_batch_end")
                bar.update()
                due = time.perf_counter() - read_at > _PACE
                if due or loss.device == "cpu" or len(self._unread) >= _UNREAD:
                    self._read()
                if due:
                    bar.set_postfix_str(self._brief(self._row("")), refresh=False)
                    read_at = time.perf_counter()
        self._read()
        if not self._seen:
            raise DataError("fit", expected="at least one batch in an epoch", actual="an empty loader",
                            hint="drop_last=True with fewer samples than batch_size leaves nothing, and a generator "
                            "is used up after one epoch")  # fmt: skip
        row = {"epoch": self.epoch + 1, **self._row("")}
        if validation is not None:
            row.update({f"val_{name}": value for name, value in self.evaluate(validation).items()})
        row["lr"] = float(self.optimizer.param_groups[0]["lr"])
        row["seconds"] = time.perf_counter() - started
        self.history.rows.append(row)
        self.epoch += 1
        self.batch = 0
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _pair(self, where: str, batch: Any) -> tuple[Any, Any]:
        """Inputs and targets of a batch, where the model is."""
        inputs, targets = _pair(where, batch)
        return self._sent(inputs), self._sent(targets)

    def _sent(self, value: Any) -> Any:
        """Tensors and arrays, also in tuples, lists and dictionaries, on the device of the model's parameters."""
        device = next((parameter.device for parameter in self.model.parameters()), "cpu")
        return value if device == "cpu" else _send(value, device)

    def _step(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        self.optimizer.zero_grad()
        outputs = self.model(inputs)
        loss = self.loss(outputs, targets)
        loss.backward()
        if self.clip_grad_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
        self.optimizer.step()
        return loss, outputs

    def _read(self) -> None:
        """Add the losses and measure the outputs since the last reading; this waits for a GPU."""
        for loss, outputs, targets in self._unread:
            count = len(targets)
            value = float(loss.item())
            if not math.isfinite(value):
                raise AnomalyError(
                    "fit", expected="a finite loss", actual=f"{value} in epoch {self.epoch + 1}",
                    hint="lower the learning rate, clip gradients, or find the operation with minidl.detect_anomaly()",
                )  # fmt: skip
            self._total += value * count
            self._seen += count
            for metric in self.metrics:
                metric.update(outputs, targets)
        self._unread.clear()

    def _row(self, prefix: str) -> dict[str, Any]:
        row = {f"{prefix}loss": self._total / self._seen if self._seen else math.nan}
        row.update({prefix + metric.name: metric.compute() for metric in self.metrics if metric.scalar})
        return row

    # Measuring and using

    def evaluate(self, data: Iterable[Any], metrics: Sequence[Metric] | None = None) -> dict[str, Any]:
        """Mean loss and metrics over data, without dropout and without gradients.

        Parameters
        ----------
        data : iterable of (inputs, targets)
        metrics : sequence of Metric, optional
            In place of the trainer's own; structures (a confusion matrix) are part of the result, too.

        Returns
        -------
        dict
            ``{"loss": …, metric name: …}``.
        """
        measured = self.metrics if metrics is None else list(metrics)
        saved = [metric.state_dict() for metric in self.metrics]
        for metric in measured:
            metric.reset()
        total, seen = 0.0, 0
        training = self.model.training
        self.model.eval()
        try:
            with no_grad():
                for batch in data:
                    inputs, targets = self._pair("evaluate", batch)
                    outputs = self.model(inputs)
                    total += float(self.loss(outputs, targets).item()) * len(targets)
                    seen += len(targets)
                    for metric in measured:
                        metric.update(outputs, targets)
            results = {metric.name: metric.compute() for metric in measured}
        finally:
            self.model.train(training)
            for metric, state in zip(self.metrics, saved, strict=True):
                if metric in measured:
                    metric.load_state_dict(state)
        return {"loss": total / seen if seen else math.nan, **results}

    def predict(self, inputs: Any, batch_size: int = 256) -> Tensor:
        """Outputs of the model, without dropout and without gradients.

        Parameters
        ----------
        inputs : Tensor, array, or iterable of batches
            Batches may be inputs alone or (inputs, targets).
        batch_size : int
            Samples at a time when `inputs` is one array.
        """
        if hasattr(inputs, "shape"):
            whole = inputs if isinstance(inputs, Tensor) else Tensor(inputs)
            batches: Iterable[Any] = (whole[i : i + batch_size] for i in range(0, max(len(whole), 1), batch_size))
        else:
            batches = inputs
        training = self.model.training
        self.model.eval()
        try:
            with no_grad():
                parts = [self.model(self._sent(b[0] if isinstance(b, (tuple, list)) else b)) for b in batches]
        finally:
            self.model.train(training)
        return ops.concat(parts, 0)

    # Resuming

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, for `minidl.save`."""
        self._read()
        loader = self._loader.state_dict() if hasattr(self._loader, "state_dict") else None
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self.callbacks],
            "metrics": [[metric.name, metric.state_dict()] for metric in self.metrics],
            "loader": loader,
            "random": get_rng_state(),
            "history": self.history.rows,
            "epoch": self.epoch,
            "batch": self.batch,
            "total": self._total,
            "seen": self._seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; the trainer must be built as it was then.

        Raises
        ------
        DataError
            If the state lacks an entry or has other callbacks or metrics.
        """
        if not isinstance(state, Mapping) or not {"model", "optimizer", "callbacks", "metrics", "epoch"} <= set(state):
            raise DataError(
                "Trainer",
                expected="a state of Trainer.state_dict()",
                actual=f"a {type(state).__name__} without its entries",
                hint="the file may hold weights alone: model.load_state_dict(minidl.load(path))",
            )
        parts: list[tuple[Any, Any]] = []
        for what, own, names in (
            ("callbacks", self.callbacks, [type(callback).__name__ for callback in self.callbacks]),
            ("metrics", self.metrics, [metric.name for metric in self.metrics]),
        ):
            saved = [name for name, _ in state[what]]
            if saved != names:
                raise DataError("Trainer", expected=f"the {what} of the saved run: {', '.join(saved) or 'none'}",
                                actual=", ".join(names) or "none")  # fmt: skip
            parts += zip(own, [content for _, content in state[what]], strict=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for part, content in parts:
            part.load_state_dict(content)
        if state["loader"] is not None and hasattr(self._loader, "load_state_dict"):
            self._loader.load_state_dict(state["loader"])
        set_rng_state(state["random"])
        self.history = History(state["history"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._total, self._seen = state["total"], state["seen"]
        self._unread.clear()

    # Telling

    def _tell(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    def _bar(self, data: Any, title: str, done: int) -> Any:
        """A progress bar in a terminal, silence elsewhere."""
        from tqdm import tqdm

        total = len(data) if hasattr(data, "__len__") else None
        return tqdm(total=total, initial=done, desc=title, unit="batch", disable=None)

    @staticmethod
    def _brief(row: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {value:.4f}" for name, value in row.items())
