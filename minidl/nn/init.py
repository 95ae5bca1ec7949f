"""Filling parameters with their first values.

Every function writes in place, outside the graph, and returns the Tensor. The variance is what matters: a layer of
`fan_in` inputs keeps the size of its signal if its weights have variance ``gain² / fan_in``.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from minidl.backends import backend_of
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.nn.options import choice, number
from minidl.random import default_generator
from minidl.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_T = TypeVar("_T", bound=Tensor)

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def _write(name: str, tensor: _T, values: Any) -> _T:
    if tensor.dtype.kind != "f":
        raise DTypeError(f"init.{name}", expected="a floating-point Tensor", actual=str(tensor.dtype))
    tensor.data[...] = backend_of(tensor.data).xp.asarray(values)
    tensor.mark_changed()
    return tensor


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Numbers of inputs and outputs that one output and one input of the layer are connected to."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"init.{name}",
            expected="a weight of at least two dimensions (outputs, inputs, ...)",
            actual=f"shape {tensor.shape}",
            hint="for a bias use zeros_, constant_ or uniform_",
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks a signal, inverted: √2 for relu, √(2 / (1 + a²)) for leaky relu.

    Parameters
    ----------
    nonlinearity : str
        linear, conv1d, conv2d, conv_transpose1d, conv_transpose2d, sigmoid, tanh, relu, leaky_relu or selu.
    param : float, optional
        The slope a of leaky_relu, 0.01 if not given.

    Examples
    --------
    >>> calculate_gain("relu")
    1.4142135623730951
    """
    choice("init.calculate_gain", "nonlinearity", nonlinearity, [*_GAINS, "leaky_relu"])
    if nonlinearity != "leaky_relu":
        return _GAINS[nonlinearity]
    slope = number("init.calculate_gain", "param", 0.01 if param is None else param)
    return math.sqrt(2.0 / (1 + slope**2))


def uniform_(tensor: _T, a: float = 0.0, b: float = 1.0) -> _T:
    """Fill with uniform random numbers from [a, b)."""
    low, high = number("init.uniform_", "a", a), number("init.uniform_", "b", b, least=a)
    return _write("uniform_", tensor, default_generator().uniform(low, high, tensor.shape))


def normal_(tensor: _T, mean: float = 0.0, std: float = 1.0) -> _T:
    """Fill with normal random numbers."""
    mean, std = number("init.normal_", "mean", mean), number("init.normal_", "std", std, least=0)
    return _write("normal_", tensor, default_generator().normal(mean, std, tensor.shape))


def trunc_normal_(tensor: _T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> _T:
    """Fill with normal random numbers, drawn again until they lie in [a, b].

    `a` and `b` are values, not multiples of `std`.

    Raises
    ------
    OptionError
        If hardly any normal number falls in [a, b].
    """
    where = "init.trunc_normal_"
    mean, std = number(where, "mean", mean), number(where, "std", std, above=0)
    a, b = number(where, "a", a), number(where, "b", b, above=a)
    share = (math.erf((b - mean) / std / math.sqrt(2)) - math.erf((a - mean) / std / math.sqrt(2))) / 2
    if share < 0.01:
        raise OptionError(where, expected="an interval that holds at least 1 % of the distribution",
                          actual=f"[{a}, {b}] for mean {mean} and std {std}")  # fmt: skip
    values = default_generator().normal(mean, std, tensor.shape)
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = default_generator().normal(mean, std, int(outside.sum()))
        outside = (values < a) | (values > b)
    return _write("trunc_normal_", tensor, values)


def constant_(tensor: _T, val: float) -> _T:
    """Fill with one value."""
    return _write("constant_", tensor, number("init.constant_", "val", val))


def zeros_(tensor: _T) -> _T:
    """Fill with zeros."""
    return _write("zeros_", tensor, 0.0)


def ones_(tensor: _T) -> _T:
    """Fill with ones."""
    return _write("ones_", tensor, 1.0)


def eye_(tensor: _T) -> _T:
    """Fill a matrix with the identity."""
    if tensor.ndim != 2:
        raise ShapeError("init.eye_", expected="a matrix", actual=f"shape {tensor.shape}")
    return _write("eye_", tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def xavier_uniform_(tensor: _T, gain: float = 1.0) -> _T:
    """Fill with uniform numbers from ±gain √(6 / (fan_in + fan_out)), of variance ``2 gain² / (fan_in + fan_out)``.

    Source: X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.
    """
    bound = number("init.xavier_uniform_", "gain", gain) * math.sqrt(6.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -abs(bound), abs(bound))


def xavier_normal_(tensor: _T, gain: float = 1.0) -> _T:
    """Fill with normal numbers of variance ``2 gain² / (fan_in + fan_out)``. Source as for `xavier_uniform_`."""
    std = number("init.xavier_normal_", "gain", gain) * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor)))
    return normal_(tensor, 0.0, abs(std))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    choice(f"init.{name}", "mode", mode, ("fan_in", "fan_out"))
    fan_in, fan_out = _fans(name, tensor)
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(max(1, fan_in if mode == "fan_in" else fan_out))


def kaiming_uniform_(tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> _T:
    """Fill with uniform numbers from ±√3 gain / √fan, of variance ``gain² / fan``.

    Parameters
    ----------
    tensor : Tensor
        A weight of shape (outputs, inputs, …).
    a : float
        Slope of the leaky relu that follows; 0 for relu.
    mode : {"fan_in", "fan_out"}
        Keep the size of the signal, or of the gradient.
    nonlinearity : str
        As in `calculate_gain`.

    Notes
    -----
    `Linear` and the convolutions begin with ``a=√5``, as in PyTorch: then the bound is ``1 / √fan_in``.
    Source: K. He, X. Zhang, S. Ren, J. Sun, Delving deep into rectifiers, 2015.

    Examples
    --------
    >>> import minidl
    >>> weight = kaiming_uniform_(minidl.empty(100, 50))
    >>> bool(abs(weight.data).max() <= (6 / 50) ** 0.5)
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> _T:
    """Fill with normal numbers of variance ``gain² / fan``; arguments and source as for `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def orthogonal_(tensor: _T, gain: float = 1.0) -> _T:
    """Fill with an orthogonal matrix times `gain`: its rows, or columns if there are fewer, stand at right angles.

    Dimensions after the first are taken as one. The matrix is the Q of a QR decomposition of normal numbers, its signs
    chosen so that every orthogonal matrix is equally likely.
    Source: A. Saxe, J. McClelland, S. Ganguli, Exact solutions to the nonlinear dynamics of learning, 2013.
    """
    _fans("orthogonal_", tensor)
    gain = number("init.orthogonal_", "gain", gain)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(default_generator().normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return _write("orthogonal_", tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))
