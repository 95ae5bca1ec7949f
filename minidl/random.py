"""The one generator that everything random draws from, unless it is given its own."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from minidl.errors import OptionError

__all__ = ["default_generator", "get_rng_state", "manual_seed", "set_rng_state"]

_generator = np.random.Generator(np.random.PCG64(secrets.randbits(64)))


def default_generator() -> np.random.Generator:
    """The generator behind `randn`, the initialisers, dropout's seeds and the loaders' seeds."""
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the default generator: the same seed gives the same numbers.

    Unlike PyTorch's, the numbers are NumPy's PCG64 stream, so equal seeds do not give PyTorch's numbers.

    Examples
    --------
    >>> import minidl
    >>> _ = minidl.manual_seed(0); a = minidl.randn(3)
    >>> _ = minidl.manual_seed(0); b = minidl.randn(3)
    >>> bool((a == b).all())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError("manual_seed", expected="a non-negative integer", actual=repr(seed))
    # The state is replaced inside the generator, so that whoever holds it sees the new stream.
    _generator.bit_generator.state = np.random.PCG64(int(seed)).state
    return _generator


def get_rng_state() -> dict[str, Any]:
    """State of the default generator, for `set_rng_state` (plain integers and strings: it can be saved as JSON)."""
    return dict(_generator.bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the default generator back to a state from `get_rng_state`."""
    try:
        _generator.bit_generator.state = state
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError(
            "set_rng_state", expected="a state from get_rng_state()", actual=f"{type(state).__name__} ({error})"
        ) from error
