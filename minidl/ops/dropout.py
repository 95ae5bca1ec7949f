"""Dropout: leave out random elements in training, so that no unit can rely on another."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.cast import floats
from minidl.random import default_generator

__all__ = ["dropout"]


class Dropout(Op):
    """y = x m / (1 - p) with a mask m that follows from the seed and the position;  ∂L/∂x = Dropout(∂L/∂y).

    No mask is kept: the gradient draws the same one again.
    """

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self.seed = seed

    def forward(self, x: Any) -> Any:
        return backend_of(x).dropout(x, self.p, self.seed, 0)

    def backward(self, grad: Any) -> Any:
        return Dropout(self.p, self.seed)(grad)


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    r"""Set each element to zero with probability p, and scale the others up so that the mean stays.

    .. math:: y_i = \begin{cases} x_i / (1 - p) & \text{with probability } 1 - p \\ 0 & \text{with probability } p
              \end{cases}

    Outside training it returns `x` itself. Each call draws a seed from minidl's generator, so `manual_seed` makes it
    repeatable, on every device the same.

    Parameters
    ----------
    x : Tensor or array, of any shape
    p : float
        From 0 (keep all) to 1 (zero all).
    training : bool

    Raises
    ------
    OptionError
        If `p` is not a probability.

    References
    ----------
    N. Srivastava et al., *Dropout: a simple way to prevent neural networks from overfitting*, JMLR 15, 2014. The mask
    comes from Philox4x32-10: J. Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.

    Examples
    --------
    >>> import minidl
    >>> _ = minidl.manual_seed(0)
    >>> sorted(set(dropout(minidl.ones(100), 0.75).tolist()))
    [0.0, 4.0]
    """
    if not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise OptionError("dropout", expected="a probability p from 0 to 1", actual=repr(p))
    (x,) = floats(x)
    if not training or p == 0:
        return x
    return Dropout(float(p), int(default_generator().integers(2**63)))(x)


def _philox_words(seed: int, block: int) -> list[int]:
    """One block of Philox4x32-10, in Python's integers."""
    word = 2**32 - 1
    a, b, c, d = block & word, block >> 32, 0, 0
    key = [seed & word, seed >> 32]
    for _ in range(10):
        left, right = divmod(0xD2511F53 * a, 2**32), divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = right[0] ^ b ^ key[0], right[1], left[0] ^ d ^ key[1], left[1]
        key = [(key[0] + 0x9E3779B9) & word, (key[1] + 0xBB67AE85) & word]
    return [a, b, c, d]


def _loop_dropout(x: np.ndarray, p: float, training: bool = True) -> np.ndarray:
    """Element by element, with the seed that the generator draws first after `manual_seed(0)`."""
    if not training:
        return x
    seed = int(np.random.Generator(np.random.PCG64(0)).integers(2**63))
    kept = [_philox_words(seed, i // 4)[i % 4] / 2**32 >= p for i in range(x.size)]
    return np.where(np.reshape(kept, x.shape), x / (1 - p), 0.0)


cases(
    dropout,
    _loop_dropout,
    {
        "p = 0.3": lambda r: call(r.normal(size=(3, 5)), 0.3),
        "p = 0.8": lambda r: call(r.normal(size=(2, 7)), 0.8),
        "evaluation": lambda r: call(r.normal(size=(2, 3)), 0.5, training=False),
    },
)
