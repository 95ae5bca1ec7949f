"""What happened, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minidl.errors import OptionError

__all__ = ["History"]


class History:
    """One row of numbers an epoch: ``loss``, the metrics, the same with ``val_``, ``lr`` and ``seconds``.

    Examples
    --------
    >>> history = History([{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.4}])
    >>> history["loss"], history.best("loss")["epoch"]
    ([0.9, 0.4], 2)
    """

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        self.rows: list[dict[str, Any]] = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        """One column; None where an epoch has no such number."""
        if self.rows and name not in self.names:
            raise OptionError("History", expected=f"one of {', '.join(self.names)}", actual=repr(name))
        return [row.get(name) for row in self.rows]

    @property
    def names(self) -> list[str]:
        """Names of the columns, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def best(self, name: str, mode: str = "min") -> dict[str, Any]:
        """The row of the epoch with the least (``"min"``) or greatest (``"max"``) value of a column."""
        if mode not in ("min", "max"):
            raise OptionError("History.best", expected='"min" or "max"', actual=repr(mode))
        if not self.rows:
            raise OptionError("History.best", expected="at least one epoch", actual="an empty history")
        self[name]  # refuses unknown names
        rows = [row for row in self.rows if row.get(name) is not None]
        return (min if mode == "min" else max)(rows, key=lambda row: row[name])

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        last = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in self.rows[-1].items())
        return f"History({len(self)} epochs; last: {last})"
