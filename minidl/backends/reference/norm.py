"""Normalisation: subtract the mean, divide by the standard deviation, then scale and shift."""

from __future__ import annotations

from minidl.backends.reference.base import Array, Base

__all__ = ["Norm"]


class Norm(Base):
    """Batch norm and layer norm, with their gradients."""

    def batch_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        r"""Normalise every channel over the batch and its pixels (the training form).

        .. math:: y = \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}\, w_c + b_c

        `x` is (N, C, *spatial), `weight` and `bias` (C,) or None. Returns y and the statistics of the
        batch, mean and biased variance (the sum of squares divided by the number of values), each (C,).
        """
        axes = _all_but_channels(x)
        count = max(x.size // max(x.shape[1], 1), 1)
        mean = x.sum(axis=axes) / count
        centred = x - _per_channel(mean, x)
        var = (centred * centred).sum(axis=axes) / count
        return self.batch_norm_eval(x, mean, var, weight, bias, eps), mean, var

    def batch_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        r"""Return the gradients of `batch_norm` in x, weight and bias, through the statistics too.

        With :math:`\hat x = (x - \mu)/\sqrt{\sigma^2 + \epsilon}` and sums and means over the m values of a
        channel,

        .. math:: db = \sum g, \qquad dw = \sum g\,\hat x, \qquad
                  dx = \frac{w}{\sqrt{\sigma^2 + \epsilon}} \left(g - \frac{db}{m} - \hat
                  x\,\frac{dw}{m}\right)

        The two subtracted terms are what the mean and the variance pass back: dx is orthogonal to 1 and to
        x̂.
        """
        axes = _all_but_channels(x)
        count = max(x.size // max(x.shape[1], 1), 1)
        rstd = 1 / self.xp.sqrt(var + eps)
        normalised = (x - _per_channel(mean, x)) * _per_channel(rstd, x)
        bias_grad = grad.sum(axis=axes)
        weight_grad = (grad * normalised).sum(axis=axes)
        x_grad = (
            grad - _per_channel(bias_grad / count, x) - normalised * _per_channel(weight_grad / count, x)
        ) * _per_channel(rstd if weight is None else rstd * weight, x)
        return self._dense(x_grad), weight_grad, bias_grad

    def batch_norm_eval(
        self, x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> Array:
        """Normalise with given statistics (the evaluation form of `batch_norm`, same shapes)."""
        scale = 1 / self.xp.sqrt(var + eps)
        if weight is not None:
            scale = scale * weight
        y = (x - _per_channel(mean, x)) * _per_channel(scale, x)
        if bias is not None:
            y += _per_channel(bias, x)
        return self._dense(y)

    def layer_norm(self, x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
        r"""Normalise every row.

        .. math:: y_{md} = (x_{md} - \mu_m)\, r_m\, w_d + b_d, \qquad r_m = 1/\sqrt{\sigma_m^2 + \epsilon}

        `x` is (M, D), `weight` and `bias` (D,) or None. Returns y and, for each row, the mean and r, both
        (M,).
        """
        count = max(x.shape[1], 1)
        mean = x.sum(axis=1) / count
        centred = x - mean[:, None]
        rstd = 1 / self.xp.sqrt((centred * centred).sum(axis=1) / count + eps)
        y = centred * rstd[:, None]
        if weight is not None:
            y *= weight
        if bias is not None:
            y += bias
        return self._dense(y), mean, rstd

    def layer_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array
    ) -> tuple[Array, Array, Array]:
        r"""Return the gradients of `layer_norm` in x (M, D), weight (D,) and bias (D,).

        .. math:: db_d = \sum_m g_{md}, \qquad dw_d = \sum_m g_{md}\,\hat x_{md}, \qquad
                  dx_{md} = r_m \left(h_{md} - \overline{h_m} - \hat x_{md}\,\overline{(h \hat x)_m}\right)

        with h = g w and the bar a mean over the row: the same three terms as in `batch_norm_grad`.
        """
        count = max(x.shape[1], 1)
        normalised = (x - mean[:, None]) * rstd[:, None]
        scaled = grad if weight is None else grad * weight
        mean_part = scaled.sum(axis=1, keepdims=True) / count
        variance_part = (scaled * normalised).sum(axis=1, keepdims=True) / count
        x_grad = (scaled - mean_part - normalised * variance_part) * rstd[:, None]
        return self._dense(x_grad), (grad * normalised).sum(axis=0), grad.sum(axis=0)


def _all_but_channels(x: Array) -> tuple[int, ...]:
    """Return the axes of (N, C, *spatial) without that of the channels."""
    return (0, *range(2, x.ndim))


def _per_channel(values: Array, x: Array) -> Array:
    """Return `values` (C,) in the shape that broadcasts against x (N, C, *spatial)."""
    return values.reshape(len(values), *[1] * (x.ndim - 2))
