"""Running sums, and products of many elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.axes import normalize_dim, reduced_dims
from minidl.ops.cast import astype
from minidl.ops.oracles import over_groups
from minidl.ops.permutation import permute
from minidl.ops.reduce import sum
from minidl.ops.shape import reshape

__all__ = ["cumsum", "prod"]


class Cumsum(Op):
    """yₖ = Σ xᵢ over i ≤ k;  ∂L/∂xᵢ = Σ ∂L/∂yₖ over k ≥ i: the running sum from the other end."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
        return backend_of(x).xp.cumsum(x, axis=self.axis, dtype=dtype)

    def backward(self, grad: Any) -> Any:
        turned = tuple([slice(None)] * self.axis + [slice(None, None, -1)])
        return Cumsum(self.axis)(grad[turned])[turned]


def cumsum(x: Any, dim: int) -> Any:
    """Running sum along a dimension: ``yₖ = x₀ + … + xₖ``.

    Parameters
    ----------
    x : Tensor or array
        Booleans and integers give int64.
    dim : int

    Raises
    ------
    ShapeError
        If there is no such dimension.

    Examples
    --------
    >>> import minidl
    >>> cumsum(minidl.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    axis = normalize_dim("cumsum", dim, x.ndim)
    return Cumsum(axis)(x) if x.ndim else sum(x)


def prod(x: Any, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Any:
    """Product over some or all dimensions: ``y = Πᵢ xᵢ``; one of no elements.

    The derivative in one factor is the product of the others. To divide y by the factor fails at zeros, so nothing is
    divided: the product is taken by halves, n factors becoming n/2 products of two, and so on. The gradient of each
    halving is that of `mul`, right at zeros and at any order, and all of it takes O(n) products.

    Parameters
    ----------
    x : Tensor or array
        Booleans and integers give int64.
    dim : int, tuple of int or None
        The dimensions to reduce; None, or an empty tuple, is all of them.
    keepdim : bool
        Keep the reduced dimensions, with size one.

    Raises
    ------
    ShapeError
        If there is no such dimension, or it is named twice.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([0.0, 2.0, 3.0], requires_grad=True)
    >>> prod(x).backward()
    >>> x.grad
    tensor([6., 0., 0.])
    """
    dims = reduced_dims("prod", dim, x.ndim)
    if x.dtype.kind != "f":
        x = astype(x, np.int64)
    others = tuple([i for i in range(x.ndim) if i not in dims])
    shape = tuple([1 if i in dims else size for i, size in enumerate(x.shape) if keepdim or i not in dims])
    count = math.prod([x.shape[i] for i in dims])
    factors = reshape(permute(x, dims + others), (count, *[x.shape[i] for i in others]))
    if count == 0:
        return reshape(sum(factors, 0) + 1, shape)
    odd_ones = []
    while count > 1:
        half = count // 2
        if count % 2:
            odd_ones.append(factors[2 * half :])
        factors = factors[:half] * factors[half : 2 * half]
        count = half
    for factor in odd_ones:
        factors = factors * factor
    return reshape(factors, shape)


def _loop_cumsum(x: np.ndarray, dim: int) -> np.ndarray:
    return np.apply_along_axis(lambda row: [math.fsum(row[: k + 1]) for k in range(len(row))], dim, x)


def _with_zeros(r: np.random.Generator, shape: tuple[int, ...], zeros: int) -> np.ndarray:
    x = r.normal(size=shape)
    x.reshape(-1)[:zeros] = 0
    return x


cases(
    cumsum,
    _loop_cumsum,
    {
        "first": lambda r: call(r.normal(size=(4, 2)), 0),
        "last": lambda r: call(r.normal(size=(2, 4)), -1),
        "middle": lambda r: call(r.normal(size=(2, 3, 2)), 1),
    },
)
cases(
    prod,
    over_groups(math.prod),
    {
        "all": lambda r: call(r.normal(size=(2, 3))),
        "one": lambda r: call(r.normal(size=(2, 5, 2)), 1),
        "several": lambda r: call(r.normal(size=(2, 3, 2)), (0, -1)),
        "keepdim": lambda r: call(r.normal(size=(2, 7)), 1, keepdim=True),
        "one zero": lambda r: call(_with_zeros(r, (5,), 1)),
        "two zeros": lambda r: call(_with_zeros(r, (2, 4), 2), 0),
    },
)
