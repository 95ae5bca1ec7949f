"""What reductions are held against in their gradient-check cases: plain Python over one list of numbers at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["over_groups"]


def over_groups(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """An oracle for a reduction: calls `function` with the list of the numbers that become one, for each of them.

    Examples
    --------
    >>> over_groups(max)(np.array([[1.0, 5.0], [4.0, 2.0]]), dim=0)
    array([4., 5.])
    """

    def oracle(x: np.ndarray, dim: Any = None, keepdim: bool = False, **options: Any) -> np.ndarray:
        dims = list(range(x.ndim)) if dim is None else [d % x.ndim for d in np.atleast_1d(dim)]
        others = [i for i in range(x.ndim) if i not in dims]
        shape = [1 if i in dims else size for i, size in enumerate(x.shape) if keepdim or i not in dims]
        groups = np.transpose(x, others + dims).reshape(int(np.prod([x.shape[i] for i in others])), -1)
        return np.array([function(group.tolist(), **options) for group in groups]).reshape(shape)

    return oracle
