"""Broadcasting and its adjoint: `broadcast_to` repeats, `sum_to` adds the repeats up again."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op

__all__ = ["broadcast_to", "expand", "sum_to"]


class SumTo(Op):
    """Sum over the axes that broadcasting to the input's shape had repeated."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        lead = x.ndim - len(self.shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, size in enumerate(self.shape) if size == 1 and x.shape[lead + i] != 1
        )
        return backend_of(x).sum(x, axes, True).reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        return broadcast_to(grad, self.before)


class BroadcastTo(Op):
    """Repeat along new axes and axes of size one, without a copy."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.before = x.shape
        return backend_of(x).xp.broadcast_to(x, self.shape)

    def backward(self, grad: Any) -> Any:
        return sum_to(grad, self.before)


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum `x` down to `shape`: the adjoint of `broadcast_to`, and what a gradient needs after broadcasting.

    Formula: ``y[j] = Σ x[i]`` over all i that broadcasting maps to j.

    Raises
    ------
    ShapeError
        If `shape` does not broadcast to the shape of `x`.

    Examples
    --------
    >>> import minidl
    >>> sum_to(minidl.ones(2, 3), (1, 3))
    tensor([[2., 2., 2.]])
    """
    if x.shape == shape:
        return x
    shape = tuple(shape)
    if not _broadcasts(shape, x.shape):
        raise ShapeError("sum_to", expected=f"a shape that broadcasts to {x.shape}", actual=str(shape))
    return SumTo(shape)(x)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Repeat `x` to `shape` by NumPy's broadcasting rules, as a view.

    Formula: ``y[i] = x[j]`` where j drops the leading axes of i and is 0 along the axes of size one.

    Raises
    ------
    ShapeError
        If the shape of `x` does not broadcast to `shape`.

    Examples
    --------
    >>> import minidl
    >>> broadcast_to(minidl.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    shape = tuple(shape)
    if x.shape == shape:
        return x
    if not _broadcasts(x.shape, shape):
        raise ShapeError(
            "broadcast_to",
            expected=f"sizes equal to those of {shape} or one, counted from the right",
            actual=f"shape {x.shape}",
        )
    return BroadcastTo(shape)(x)


def expand(x: Any, *sizes: Any) -> Any:
    """`broadcast_to` with PyTorch's spelling: -1 keeps the size of an axis.

    Examples
    --------
    >>> import minidl
    >>> expand(minidl.ones(3, 1), -1, 4).shape
    (3, 4)
    """
    wanted = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    lead = len(wanted) - x.ndim
    if lead < 0 or any(size == -1 for size in wanted[:lead]):
        raise ShapeError("expand", expected=f"at least {x.ndim} sizes, -1 only for existing axes", actual=str(wanted))
    return broadcast_to(x, tuple(x.shape[i - lead] if size == -1 else size for i, size in enumerate(wanted)))


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    if len(small) > len(large):
        return False
    return all(s in (1, t) for s, t in zip(reversed(small), reversed(large), strict=False))


def _loop_sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    target = np.broadcast_to(np.arange(out.size).reshape(shape), x.shape)
    np.add.at(out.ravel(), target.ravel(), x.ravel())
    return out


cases(
    sum_to,
    oracle=_loop_sum_to,
    samples={
        "leading axis": lambda r: call(r.normal(size=(4, 2, 3)), (2, 3)),
        "size one": lambda r: call(r.normal(size=(4, 2, 3)), (4, 1, 3)),
        "to a scalar": lambda r: call(r.normal(size=(2, 3)), ()),
    },
)
cases(
    broadcast_to,
    oracle=lambda x, shape: x + np.zeros(shape),
    samples={
        "new axis": lambda r: call(r.normal(size=(3,)), (4, 3)),
        "size one": lambda r: call(r.normal(size=(2, 1, 3)), (2, 4, 3)),
        "from a scalar": lambda r: call(r.normal(size=()), (2, 3)),
    },
)
cases(
    expand,
    oracle=lambda x, *sizes: x + np.zeros((2, 4, 3)),
    samples={"keep": lambda r: call(r.normal(size=(4, 1)), 2, -1, 3)},
)
