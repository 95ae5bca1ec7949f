"""The memory of large results, which is kept and handed out again.

Fresh memory from the operating system has to be mapped and cleared page by page when it is first touched, which costs
more than the arithmetic of many a layer. A training step asks for the same sizes over and over; so the compiled
kernels take the memory of their results from a pool, and an array that dies gives its block back to it.
"""

from __future__ import annotations

from minidl import _kernels
from minidl.errors import OptionError

__all__ = ["empty_cache", "memory_stats", "set_memory_limit"]


def memory_stats() -> dict[str, int]:
    """How much memory the pool holds, in bytes; zeros where the kernels are not compiled.

    Returns
    -------
    dict
        ``live`` (in arrays) and ``peak`` (its highest value), ``cached`` (free, kept for the next array, at most
        ``limit``), and how many requests found a free block (``hits``) or did not (``misses``). Blocks below 16 KiB
        are not counted.

    Examples
    --------
    >>> sorted(memory_stats())
    ['cached', 'hits', 'limit', 'live', 'misses', 'peak']
    """
    if _kernels.kernels is None:
        return dict.fromkeys(("live", "cached", "peak", "hits", "misses", "limit"), 0)
    return _kernels.kernels.memory.stats()


def empty_cache() -> int:
    """Give free blocks and the working memory of the kernels back to the system; returns the bytes of the blocks."""
    if _kernels.kernels is None:
        return 0
    _kernels.kernels.scratch.empty()
    return _kernels.kernels.memory.empty_cache()


def set_memory_limit(limit: int) -> None:
    """Keep at most `limit` bytes of free blocks (1 GiB at the start; 0 keeps none).

    Raises
    ------
    OptionError
        If the limit is negative.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise OptionError("set_memory_limit", expected="a number of bytes >= 0", actual=repr(limit))
    if _kernels.kernels is not None:
        _kernels.kernels.memory.set_limit(limit)
