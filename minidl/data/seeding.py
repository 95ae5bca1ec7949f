"""Where the randomness of data comes from: one seed, and a generator for every purpose derived from it.

A `DataLoader` owns one integer seed. Everything random about an epoch is a pure function of that seed and
of *what* is drawn, never of who draws it or when:

- the order of epoch `e` comes from the generator of ``(seed, ORDER, e)``;
- the random transforms of batch `b` of epoch `e` draw from the generator of ``(seed, BATCH, e, b)``.

So the same seed gives the same batches with no worker and with eight, and a run that was stopped in the
middle of an epoch goes on with the very pictures it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from minidl.random import default_generator

__all__ = ["BATCH", "GLOBALS", "ORDER", "current_generator", "draw_seed", "keyed_generator", "randomness_of"]

#: The streams of one seed: the order of an epoch, a batch's transforms, a worker's global generators.
ORDER, BATCH, GLOBALS = 0, 1, 2


def keyed_generator(seed: int, *key: int) -> np.random.Generator:
    """A generator that depends on `seed` and `key` alone.

    Examples
    --------
    >>> a, b = keyed_generator(7, ORDER, 0), keyed_generator(7, ORDER, 0)
    >>> bool((a.permutation(10) == b.permutation(10)).all())
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw_seed(generator: np.random.Generator | None = None) -> int:
    """Draw a seed below 2**63 from `generator`, by default from minidl's own (`minidl.manual_seed`)."""
    return int((default_generator() if generator is None else generator).integers(2**63))


class _Randomness:
    """The generator of a batch, built only when the first transform asks for it."""

    __slots__ = ("generator", "key", "seed")

    def __init__(self, seed: int, key: tuple[int, ...]) -> None:
        self.seed, self.key = seed, key
        self.generator: np.random.Generator | None = None


_current: ContextVar[_Randomness | None] = ContextVar("minidl_data_randomness", default=None)


@contextmanager
def randomness_of(seed: int, *key: int) -> Iterator[None]:
    """Inside the block, `current_generator` is the generator of ``(seed, *key)``."""
    token = _current.set(_Randomness(seed, key))
    try:
        yield
    finally:
        _current.reset(token)


def current_generator() -> np.random.Generator:
    """The generator that a random transform draws from.

    While a `DataLoader` builds a batch it is the generator of that batch; anywhere else it is minidl's
    own, the one that `minidl.manual_seed` seeds. Use it in transforms of your own, and they are reproducible
    with any number of workers.

    Examples
    --------
    >>> def add_noise(image):
    ...     return image + current_generator().normal(0, 0.1, image.shape).astype(image.dtype)
    """
    randomness = _current.get()
    if randomness is None:
        return default_generator()
    if randomness.generator is None:
        randomness.generator = keyed_generator(randomness.seed, *randomness.key)
    return randomness.generator
