"""Gradients and parameters as a whole: clipping, and one long vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minidl.backends import backend_of
from minidl.errors import AnomalyError, OptionError, ShapeError
from minidl.nn.options import number
from minidl.ops import concat
from minidl.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [tensor.grad for tensor in tensors if tensor.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Shorten the gradients, in place, so that all together have at most the norm `max_norm`.

    ``g ← g · min(1, max_norm / (norm + 10⁻⁶))``, with the norm of all gradients as one vector: their direction stays.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
        Those without a gradient are passed over.
    max_norm : float
    norm_type : float
        p of the p-norm; ``math.inf`` for the largest absolute value.
    error_if_nonfinite : bool
        Raise if the norm is NaN or infinite; otherwise such gradients become NaN or zero.

    Returns
    -------
    Tensor
        The norm before, 0-d.

    Raises
    ------
    OptionError
        If `max_norm` is negative or NaN, or `norm_type` not positive.
    AnomalyError
        If asked for and the norm is not finite. The gradients are as they were then.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> w = nn.Parameter([3.0, 4.0])
    >>> (w * w / 2).sum().backward()
    >>> nn.utils.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6, 0.8])
    """
    limit = math.inf if max_norm == math.inf else number("clip_grad_norm_", "max_norm", max_norm, least=0)
    p = math.inf if norm_type == math.inf else number("clip_grad_norm_", "norm_type", norm_type, above=0)
    gradients = _gradients(parameters)
    if not gradients:
        return Tensor(0.0)
    arrays = [gradient.data for gradient in gradients]
    backend = backend_of(arrays[0])
    norm = backend.grad_norm(arrays, float(p))
    if error_if_nonfinite and not math.isfinite(float(norm)):
        raise AnomalyError("clip_grad_norm_", expected="finite gradients", actual=f"a gradient norm of {norm}",
                           hint="minidl.detect_anomaly() finds the operation that it came from")  # fmt: skip
    factor = backend.xp.minimum(limit / (norm + 1e-6), 1.0)  # NaN stays NaN
    if not backend.looks or not factor >= 1:  # where looking would mean waiting, a factor of 1 is multiplied, too
        backend.scale_(arrays, factor)
        for gradient in gradients:
            gradient.mark_changed()
    return Tensor(norm, dtype=arrays[0].dtype)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of the gradients, in place, to [-clip_value, clip_value].

    Raises
    ------
    OptionError
        If `clip_value` is negative or not finite.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> w = nn.Parameter([3.0, -0.5])
    >>> (w * w / 2).sum().backward()
    >>> nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    limit = number("clip_grad_value_", "clip_value", clip_value, least=0)
    for gradient in _gradients(parameters):
        array = gradient.data
        backend_of(array).xp.clip(array, -limit, limit, out=array)
        gradient.mark_changed()


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All parameters in one dimension, one after the other; gradients flow through.

    Examples
    --------
    >>> from minidl import nn
    >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    tensors = list(parameters)
    if not tensors:
        raise OptionError("parameters_to_vector", expected="at least one parameter", actual="none")
    return concat([tensor.reshape(-1) for tensor in tensors])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write a vector back into the parameters, the reverse of `parameters_to_vector`.

    Raises
    ------
    ShapeError
        If its length is not the number of elements of all parameters. Nothing has been changed then.
    """
    tensors = list(parameters)
    total = sum(tensor.size for tensor in tensors)
    if vector.shape != (total,):
        raise ShapeError("vector_to_parameters", expected=f"a vector of {total} elements",
                         actual=f"shape {vector.shape}")  # fmt: skip
    start = 0
    for tensor in tensors:
        tensor.data[...] = vector.data[start : start + tensor.size].reshape(tensor.shape)
        tensor.mark_changed()
        start += tensor.size
