"""Real handwritten digits that need no network: scikit-learn bundles them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.images import ImageArrays
from minidl.data.seeding import keyed_generator
from minidl.errors import DataError, OptionError

__all__ = ["Digits"]


class Digits(ImageArrays):
    """1,797 handwritten digits of 8 x 8 grey pixels (Alpaydin & Kaynak, 1998), as bundled with scikit-learn.

    The 17 grey levels are spread over 0…255. The split takes the same share of every digit.

    Parameters
    ----------
    train : bool
        The training or the test part.
    transform, target_transform : callable, optional
        Applied to each picture (uint8 array (8, 8)) and each label (int).
    test_share : float
        Share of the test part.
    seed : int
        Which split.

    Raises
    ------
    DataError
        scikit-learn is not installed.

    Examples
    --------
    >>> len(Digits(train=True)), len(Digits(train=False))
    (1438, 359)
    """

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        test_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        if not 0 < test_share < 1:
            raise OptionError("Digits", expected="a test_share between 0 and 1", actual=repr(test_share))
        images, labels = _bundled()
        generator = keyed_generator(seed, 0)
        chosen = []
        for digit in range(10):
            rows = generator.permutation(np.flatnonzero(labels == digit))
            n_test = round(len(rows) * test_share)
            chosen.append(rows[n_test:] if train else rows[:n_test])
        rows = np.sort(np.concatenate(chosen))
        self.train = train
        pictures = np.rint(images[rows] * (255 / 16)).astype(np.uint8)
        super().__init__(pictures, labels[rows], list("0123456789"), transform, target_transform)


def _bundled() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (1797, 8, 8) with grey levels 0…16, and labels (1797,)."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataError(
            "Digits", expected="scikit-learn, which bundles them", actual="none", hint="pip install scikit-learn"
        )
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if file.exists():  # importing scikit-learn, to do no more than this, takes a second
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return bundle.images, bundle.target
