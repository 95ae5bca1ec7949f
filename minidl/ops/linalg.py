"""Products: matmul for stacks of matrices, linear for layers, dot and outer for vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backends import backend_of
from minidl.errors import ShapeError
from minidl.gradcheck import call, cases
from minidl.op import Op
from minidl.ops.arithmetic import mul
from minidl.ops.broadcast import sum_to
from minidl.ops.cast import floats, promote
from minidl.ops.reduce import Sum
from minidl.ops.shape import Reshape, unsqueeze

__all__ = ["dot", "linear", "matmul", "outer"]


class MatMul(Op):
    """Y = A B for (stacks of) matrices;  ∂L/∂A = ∂L/∂Y Bᵀ,  ∂L/∂B = Aᵀ ∂L/∂Y."""

    def forward(self, a: Any, b: Any) -> Any:
        self.save(a, b)
        if b.ndim == 2 < a.ndim:
            # One matrix for the whole stack: a single tall product instead of many small ones.
            return backend_of(a).matmul(_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
        return backend_of(a).matmul(a, b)

    def backward(self, grad: Any) -> Any:
        a, b = self.saved
        grad_a = grad_b = None
        if self.needs[0]:
            grad_a = sum_to(MatMul()(grad, b.swapaxes(-1, -2)), a.shape)
        if self.needs[1]:
            if b.ndim == 2 < a.ndim:
                a, grad = _rows(a), _rows(grad)
            grad_b = sum_to(MatMul()(a.swapaxes(-1, -2), grad), b.shape)
        return grad_a, grad_b


class Linear(Op):
    """Y = X Wᵀ + b;  ∂L/∂X = ∂L/∂Y W,  ∂L/∂W = (∂L/∂Y)ᵀ X,  ∂L/∂b = Σ rows of ∂L/∂Y."""

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        shape, kernel = x.shape, weight.shape
        if len(kernel) != 2 or not shape or shape[-1] != kernel[1]:
            raise ShapeError(
                "linear",
                expected="x (..., K), weight (O, K)" if len(kernel) != 2 else f"x of shape (..., {kernel[1]})",
                actual=f"x {shape}, weight {kernel}",
                hint="flatten(x, 1) joins the dimensions of an image" if len(shape) > 2 else "",
            )
        if bias is not None and bias.shape != kernel[:1]:
            raise ShapeError("linear", expected=f"bias of shape ({kernel[0]},)", actual=f"shape {bias.shape}")
        self.save(x, weight)
        if len(shape) == 2:
            return backend_of(x).linear(x, weight, bias)
        return backend_of(x).linear(_rows(x), weight, bias).reshape(*shape[:-1], kernel[0])

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved
        flat = x.ndim == 2
        rows = grad if flat else _rows(grad)
        _, with_weight, with_bias = self.needs
        grad_x = grad_weight = grad_bias = None
        if self.needs[0]:
            grad_x = MatMul()(rows, weight)
            grad_x = grad_x if flat else grad_x.reshape(x.shape)
        if with_weight:
            x = x if flat else _rows(x)
            if with_bias:
                grad_weight, grad_bias = LinearParameterGrads()(rows, x)
            else:
                grad_weight = MatMul()(rows.swapaxes(0, 1), x)
        elif with_bias:
            grad_bias = Sum((0,), False)(rows)
        return grad_x, grad_weight, grad_bias


class LinearParameterGrads(Op):
    """The adjoint of `Linear` in (W, b), dW = Gᵀ X and db = Σ rows of G;  ∂L/∂G = X Vᵀ + u,  ∂L/∂X = G V."""

    def forward(self, grad: Any, x: Any) -> Any:
        self.save(grad, x)
        return backend_of(x).linear_parameter_grads(grad, x)

    def backward(self, direction: Any, bias_direction: Any) -> Any:
        grad, x = self.saved
        return (
            Linear()(x, direction, bias_direction) if self.needs[0] else None,
            MatMul()(grad, direction) if self.needs[1] else None,
        )


def _rows(x: Any) -> Any:
    """All leading dimensions joined into one."""
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def matmul(a: Any, b: Any) -> Any:
    """Matrix product, ``a @ b``: ``y[.., m, n] = Σₖ a[.., m, k] · b[.., k, n]``.

    Parameters
    ----------
    a : Tensor or array (..., M, K) or (K,)
    b : Tensor or array (..., K, N) or (K,)
        The leading dimensions broadcast. A vector stands for one row (left) or one column (right), and its
        dimension of size one is dropped from the result.

    Returns
    -------
    Tensor (..., M, N)

    Raises
    ------
    ShapeError
        If an operand is 0-d, the inner sizes differ, or the leading dimensions do not broadcast.

    Examples
    --------
    >>> import minidl
    >>> minidl.tensor([[1.0, 2.0], [3.0, 4.0]]) @ minidl.tensor([1.0, 1.0])
    tensor([3., 7.])
    """
    a, b = promote(a, b)
    left, right = getattr(a, "shape", ()), getattr(b, "shape", ())
    if not left or not right:
        raise ShapeError(
            "matmul", expected="at least one dimension each", actual=_pair(a, b), hint="use * for a number"
        )
    if left[-1] != right[-2 if len(right) > 1 else -1]:
        raise ShapeError(
            "matmul",
            expected="inner sizes that agree, (..., M, K) @ (..., K, N)",
            actual=_pair(a, b),
            hint="transpose one of them with .mT" if len(left) > 1 < len(right) else "",
        )
    if len(left) == 1 or len(right) == 1:
        y = MatMul()(unsqueeze(a, 0) if len(left) == 1 else a, unsqueeze(b, 1) if len(right) == 1 else b)
        return Reshape(left[:-1] if len(right) == 1 else (*right[:-2], right[-1]))(y)
    if len(left) > 2 < len(right) and left[:-2] != right[:-2]:
        try:
            np.broadcast_shapes(left[:-2], right[:-2])
        except ValueError:
            raise ShapeError("matmul", expected="leading dimensions that broadcast", actual=_pair(a, b)) from None
    return MatMul()(a, b)


def _pair(a: Any, b: Any) -> str:
    return f"{tuple(np.shape(a))} @ {tuple(np.shape(b))}"


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Affine map, the product of a fully connected layer: ``y = x Wᵀ + b``.

    Parameters
    ----------
    x : Tensor or array (..., K)
    weight : Tensor or array (O, K)
    bias : Tensor or array (O,), optional

    Returns
    -------
    Tensor (..., O)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import minidl
    >>> linear(minidl.tensor([[1.0, 2.0]]), minidl.tensor([[3.0, 4.0], [0.0, 1.0]]), minidl.tensor([0.5, 0.0]))
    tensor([[11.5,  2. ]])
    """
    return Linear()(*floats(x, weight, bias))


def dot(a: Any, b: Any) -> Any:
    """Inner product of two vectors: ``y = Σᵢ aᵢ bᵢ``.

    Raises
    ------
    ShapeError
        If one is no vector, or the lengths differ.

    Examples
    --------
    >>> import minidl
    >>> dot(minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError("dot", expected="two vectors", actual=_pair(a, b), hint="use @ for matrices")
    return matmul(a, b)


def outer(a: Any, b: Any) -> Any:
    """Outer product of two vectors: ``y[i, j] = aᵢ bⱼ``.

    Raises
    ------
    ShapeError
        If one is no vector.

    Examples
    --------
    >>> import minidl
    >>> outer(minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError("outer", expected="two vectors", actual=_pair(a, b))
    return mul(unsqueeze(a, 1), b)


def _loop_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products written as sums over k of broadcast elements."""
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    y = sum(left[..., :, k, None] * right[..., None, k, :] for k in range(left.shape[-1]))
    y = y[..., 0, :] if a.ndim == 1 else y
    return y[..., 0] if b.ndim == 1 else y


def _loop_linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    rows = [[np.dot(row, weight_row) for weight_row in weight] for row in x.reshape(-1, x.shape[-1])]
    return np.array(rows).reshape(*x.shape[:-1], -1) + (0 if bias is None else bias)


def _two(a: tuple[int, ...], b: tuple[int, ...]) -> Any:
    return lambda r: call(r.normal(size=a), r.normal(size=b))


cases(
    matmul,
    _loop_matmul,
    {
        "matrices": _two((2, 3), (3, 4)),
        "vectors": _two((3,), (3,)),
        "matrix and vector": _two((2, 3), (3,)),
        "vector and matrix": _two((3,), (3, 2)),
        "stack and vector": _two((2, 2, 3), (3,)),
        "vector and stack": _two((3,), (2, 3, 2)),
        "stacks": _two((2, 2, 3), (2, 3, 2)),
        "one matrix on the right": _two((2, 2, 2, 3), (3, 2)),
        "one matrix on the left": _two((2, 3), (2, 3, 2)),
        "stacks that broadcast": _two((2, 1, 2, 3), (3, 3, 1)),
    },
)
cases(
    linear,
    _loop_linear,
    {
        "bias": lambda r: call(r.normal(size=(2, 3)), r.normal(size=(4, 3)), r.normal(size=(4,))),
        "no bias": lambda r: call(r.normal(size=(2, 3)), r.normal(size=(2, 3))),
        "vector": lambda r: call(r.normal(size=(3,)), r.normal(size=(2, 3)), r.normal(size=(2,))),
        "3-d": lambda r: call(r.normal(size=(2, 2, 3)), r.normal(size=(2, 3)), r.normal(size=(2,))),
    },
)
cases(dot, lambda a, b: sum(x * y for x, y in zip(a, b, strict=True)), {"vectors": _two((4,), (4,))})
cases(outer, lambda a, b: np.array([[x * y for y in b] for x in a]), {"vectors": _two((3,), (4,))})
