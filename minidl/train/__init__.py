"""Training: the loop, what watches it, and what measures it."""

from minidl.train.callbacks import Callback, Checkpoint, EarlyStopping, Schedule
from minidl.train.curves import plot_history
from minidl.train.history import History
from minidl.train.logs import CSVLog, Curves, JSONLinesLog
from minidl.train.metrics import (
    F1,
    ROC,
    ROCAUC,
    Accuracy,
    CohenKappa,
    ConfusionMatrix,
    Metric,
    Precision,
    Recall,
    TopK,
)
from minidl.train.trainer import Trainer

__all__ = [
    "F1",
    "ROC",
    "ROCAUC",
    "Accuracy",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CohenKappa",
    "ConfusionMatrix",
    "Curves",
    "EarlyStopping",
    "History",
    "JSONLinesLog",
    "Metric",
    "Precision",
    "Recall",
    "Schedule",
    "TopK",
    "Trainer",
    "plot_history",
]
