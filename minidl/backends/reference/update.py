"""The steps of the optimizers, in place on lists of arrays.

The order of the arithmetic is PyTorch's, operation for operation, so that a trajectory can be compared step
by step. With `maximize` the gradient is taken with the opposite sign; `weight_decay` λ adds λp to it, if
not said otherwise.
"""

from __future__ import annotations

from typing import Any

from minidl.backends.reference.base import Array, Base

__all__ = ["Update"]

Arrays = list[Array]


class Update(Base):
    """SGD, Adam and AdamW, RMSprop, Adagrad; the norm of a gradient, and scaling."""

    def sgd_update(
        self,
        params: Arrays,
        grads: Arrays,
        momenta: list[Array | None] | None,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> list[Array | None] | None:
        r"""Take a step of gradient descent.

        .. math:: v \leftarrow \mu v + (1 - \tau) g, \qquad p \leftarrow p - \eta\,v
                  \quad (\text{Nesterov: } p \leftarrow p - \eta\,(g + \mu v))

        with learning rate η, momentum μ and dampening τ; without momentum v = g. Where an entry of
        `momenta` is None (the first step) v starts as a copy of g. Returns the list of buffers v, to be
        passed to the next step.
        """
        buffers: list[Array | None] | None = None if momenta is None else list(momenta)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            step = _direction(param, grad, weight_decay, maximize)
            if momentum != 0 and buffers is not None:
                buffer = buffers[i]
                if buffer is None:
                    buffer = buffers[i] = self.xp.array(step, order="C")
                else:
                    buffer *= momentum
                    buffer += (1 - dampening) * step
                step = step + momentum * buffer if nesterov else buffer
            param -= lr * step
        return buffers

    def adam_update(
        self,
        params: Arrays,
        grads: Arrays,
        exp_avgs: Arrays,
        exp_avg_sqs: Arrays,
        max_exp_avg_sqs: Arrays | None,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        r"""Take a step of Adam, or of AdamW with `decoupled`.

        .. math:: m \leftarrow m + (1 - \beta_1)(g - m), \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2,

        .. math:: p \leftarrow p - \frac{\eta}{1 - \beta_1^t}\,
                  \frac{m}{\sqrt{v} / \sqrt{1 - \beta_2^t} + \epsilon}

        `step` t counts from 1. AdamW shrinks the parameter itself, :math:`p \leftarrow p\,(1 -
        \eta\lambda)`, in place of adding λp to the gradient. With `max_exp_avg_sqs` (AMSGrad) the running
        maximum of v divides.
        """
        xp = self.xp
        step_size = lr / (1 - beta1**step)
        correction = (1 - beta2**step) ** 0.5
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if decoupled and weight_decay != 0:
                param *= 1 - lr * weight_decay
            g = _direction(param, grad, 0.0 if decoupled else weight_decay, maximize)
            m, v = exp_avgs[i], exp_avg_sqs[i]
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            if max_exp_avg_sqs is not None:
                v = xp.maximum(max_exp_avg_sqs[i], v)
                max_exp_avg_sqs[i][...] = v
            param -= step_size * m / (xp.sqrt(v) / correction + eps)

    def rmsprop_update(
        self,
        params: Arrays,
        grads: Arrays,
        square_avgs: Arrays,
        grad_avgs: Arrays | None,
        momenta: Arrays | None,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        r"""Take a step of RMSprop.

        .. math:: v \leftarrow \alpha v + (1 - \alpha)\,g^2, \qquad
                  p \leftarrow p - \eta\,g / (\sqrt{v} + \epsilon)

        Centred (with `grad_avgs` ḡ): :math:`\bar g \leftarrow \bar g + (1 - \alpha)(g - \bar g)`, and
        :math:`v - \bar g^2` stands under the root. With `momenta` u: :math:`u \leftarrow \mu u +
        g/(\sqrt{v} + \epsilon)` and :math:`p \leftarrow p - \eta\,u`.
        """
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            g = _direction(param, grad, weight_decay, maximize)
            v = square_avgs[i]
            v *= alpha
            v += (1 - alpha) * g * g
            if grad_avgs is not None:
                mean = grad_avgs[i]
                mean += (1 - alpha) * (g - mean)
                v = v - mean * mean
            scale = self.xp.sqrt(v) + eps
            if momenta is not None:
                u = momenta[i]
                u *= momentum
                u += g / scale
                param -= lr * u
            else:
                param -= lr * g / scale

    def adagrad_update(
        self,
        params: Arrays,
        grads: Arrays,
        state_sums: Arrays,
        step: int,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        eps: float,
        maximize: bool,
    ) -> None:
        r"""Take a step of Adagrad.

        .. math:: s \leftarrow s + g^2, \qquad
                  p \leftarrow p - \frac{\eta}{1 + (t - 1)\,\delta}\,\frac{g}{\sqrt{s} + \epsilon}

        `step` t counts from 1; δ is `lr_decay`.
        """
        rate = lr / (1 + (step - 1) * lr_decay)
        for param, grad, total in zip(params, grads, state_sums, strict=True):
            g = _direction(param, grad, weight_decay, maximize)
            total += g * g
            param -= rate * g / (self.xp.sqrt(total) + eps)

    def grad_norm(self, grads: Arrays, norm_type: float) -> Any:
        r"""Return the norm of all arrays as one vector, :math:`(\sum |g_i|^p)^{1/p}`; p may be inf.

        The sum is taken in double precision. A float; on a GPU an array without dimensions, for which nobody waits.
        """
        return float(self._grad_norm(grads, norm_type))

    def _grad_norm(self, grads: Arrays, norm_type: float) -> Array:
        xp = self.xp
        sizes = [xp.abs(grad.astype(xp.float64)) for grad in grads if grad.size]
        if not sizes:
            return xp.zeros(())
        if norm_type == float("inf"):
            return xp.stack([size.max() for size in sizes]).max()
        return xp.stack([(size**norm_type).sum() for size in sizes]).sum() ** (1 / norm_type)

    def scale_(self, arrays: Arrays, factor: Any) -> None:
        """Multiply every array by `factor`, a number or what `grad_norm` gave, in place."""
        for array in arrays:
            array *= factor


def _direction(param: Array, grad: Array, weight_decay: float, maximize: bool) -> Array:
    """Return the gradient to descend along: the sign turned to maximize, and the weight decay added."""
    if maximize:
        grad = -grad
    return grad + weight_decay * param if weight_decay != 0 else grad
