"""Products of matrices."""

from __future__ import annotations

from minidl.backends.reference.base import Array
from minidl.backends.reference.reduce import Reduce

__all__ = ["Products"]


class Products(Reduce):
    """matmul, linear and the gradient of its parameters."""

    def matmul(self, a: Array, b: Array) -> Array:
        r"""Return the products of two stacks of matrices.

        .. math:: y_{\dots mn} = \sum_k a_{\dots mk}\, b_{\dots kn}

        `a` is (..., M, K) and `b` (..., K, N); the leading axes broadcast. Both have at least two.
        """
        return self._dense(self.xp.matmul(a, b))

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        r"""Return the affine map of a fully connected layer.

        .. math:: y_{mo} = \sum_k x_{mk}\, w_{ok} + b_o

        `x` is (M, K), `weight` (O, K), `bias` (O,) or None; the result is (M, O).
        """
        y = self._dense(self.xp.matmul(x, weight.T))
        if bias is not None:
            y += bias
        return y

    def linear_parameter_grads(self, grad: Array, x: Array) -> tuple[Array, Array]:
        r"""Return the adjoint of `linear` in its weight and bias.

        .. math:: dw_{ok} = \sum_m g_{mo}\, x_{mk}, \qquad db_o = \sum_m g_{mo}

        `grad` is (M, O), `x` (M, K); the results are (O, K) and (O,).
        """
        return self.matmul(grad.T, x), self.sum(grad, (0,), False)
