"""Activations and their derivatives, element by element; arrays of any shape."""

from __future__ import annotations

import math

from minidl.backends.reference.base import Array, Base

__all__ = ["Activation"]

# Rational approximations of the error function, numerators and denominators by falling powers.
# W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics of Computation 23 (1969).
_NEAR_ZERO = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_FURTHER_OUT = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_BOUNDARY = 0.46875
_ONE_FROM_HERE = 6.0  # 1 - erf(6) = 2e-17 is below the precision of float64


class Activation(Base):
    """relu, sigmoid, tanh, gelu, silu and erf."""

    def relu(self, x: Array) -> Array:
        r"""Return :math:`\max(x, 0)`; NaN stays NaN."""
        return self._dense(self.xp.maximum(x, 0))

    def relu_grad(self, grad: Array, y: Array) -> Array:
        r"""Return :math:`g\,[y > 0]` for y = relu(x): the subgradient at 0 is 0."""
        return self._dense(self.xp.where(y > 0, grad, 0))

    def sigmoid(self, x: Array) -> Array:
        r"""Return :math:`\sigma(x) = 1 / (1 + e^{-x})`.

        Written with :math:`e^{-|x|}`, which cannot overflow: :math:`\sigma(x) = e^x / (1 + e^x)` for
        negative x.
        """
        z = self.xp.exp(-self.xp.abs(x))
        return self._dense(self.xp.where(x >= 0, 1, z) / (1 + z))

    def sigmoid_grad(self, grad: Array, y: Array) -> Array:
        r"""Return :math:`g\,y\,(1 - y)` for y = sigmoid(x)."""
        return self._dense(grad * ((1 - y) * y))

    def tanh(self, x: Array) -> Array:
        r"""Return :math:`\tanh x`."""
        return self._dense(self.xp.tanh(x))

    def tanh_grad(self, grad: Array, y: Array) -> Array:
        r"""Return :math:`g\,(1 - y^2)` for y = tanh(x)."""
        return self._dense(grad * (1 - y * y))

    def gelu(self, x: Array, approximate: str) -> Array:
        r"""Return the Gaussian error linear unit, x times the normal distribution function.

        .. math:: y = x\,\Phi(x), \qquad \Phi(x) = \tfrac12 \left(1 + \operatorname{erf}(x/\sqrt2)\right)

        With `approximate` = "tanh": :math:`\Phi(x) \approx \tfrac12 (1 + \tanh(\sqrt{2/\pi}\,(x +
        0.044715\,x^3)))`. Source: D. Hendrycks, K. Gimpel, Gaussian error linear units (2016).
        """
        if approximate == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
            return self._dense(0.5 * x * (1 + self.xp.tanh(inner)))
        return self._dense(0.5 * x * (1 + self.erf(x * math.sqrt(0.5))))

    def gelu_grad(self, grad: Array, x: Array, approximate: str) -> Array:
        r"""Return the gradient of `gelu`.

        .. math:: dx = g\,(\Phi(x) + x\,\varphi(x)), \qquad \varphi(x) = e^{-x^2/2} / \sqrt{2\pi}

        With `approximate` = "tanh", Φ is the approximation and φ its derivative.
        """
        xp = self.xp
        if approximate == "tanh":
            k = math.sqrt(2 / math.pi)
            t = xp.tanh(k * (x + 0.044715 * (x * x * x)))
            slope = k * (1 + 3 * 0.044715 * (x * x))
            return self._dense(grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope))
        distribution = 0.5 * (1 + self.erf(x * math.sqrt(0.5)))
        density = xp.exp(-0.5 * (x * x)) / math.sqrt(2 * math.pi)
        return self._dense(grad * (distribution + x * density))

    def silu(self, x: Array) -> Array:
        r"""Return the sigmoid linear unit (swish), :math:`x\,\sigma(x)`."""
        return self._dense(x * self.sigmoid(x))

    def silu_grad(self, grad: Array, x: Array) -> Array:
        r"""Return the gradient of `silu`, :math:`g\,\sigma(x)\,(1 + x\,(1 - \sigma(x)))`."""
        s = self.sigmoid(x)
        return self._dense(grad * (s * (1 + x * (1 - s))))

    def erf(self, x: Array) -> Array:
        r"""Return the error function, accurate to about one unit in the last place of float64.

        .. math:: \operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt

        Near zero it is x times a rational function of :math:`x^2`; further out
        :math:`1 - e^{-x^2}` times a rational function of |x| (Cody 1969).
        """
        xp = self.xp
        wide = x.astype(xp.promote_types(x.dtype, xp.float32))
        distance = xp.minimum(xp.abs(wide), _ONE_FROM_HERE)
        inner = xp.minimum(distance, _BOUNDARY)
        near_zero = wide * _rational(inner * inner, _NEAR_ZERO)
        further_out = xp.sign(wide) * (1 - xp.exp(-distance * distance) * _rational(distance, _FURTHER_OUT))
        y = xp.where(distance <= _BOUNDARY, near_zero, further_out)
        return self._dense(y.astype(self._dtype(x), copy=False))


def _rational(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Return a quotient of two polynomials by Horner's rule."""
    numerator, denominator = (_polynomial(x, powers) for powers in coefficients)
    return numerator / denominator


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value *= x
        value += coefficient
    return value
