"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.backends import backend_of
from minidl.nn.options import flag, number
from minidl.optim.optimizer import Optimizer, ParamGroup
from minidl.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    r"""Divide the gradient by the root of a running mean of its square.

    .. math:: v \leftarrow \alpha v + (1 - \alpha)\,g^2, \qquad p \leftarrow p - \eta\,\frac{g}{\sqrt{v} + \epsilon}

    Source: T. Hinton, Neural networks for machine learning, lecture 6e, 2012; centred: A. Graves, Generating sequences
    with recurrent neural networks, 2013.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate η ≥ 0.
    alpha : float
        α ≥ 0, how much of the running mean is kept.
    eps : float
        ε ≥ 0.
    weight_decay : float
        λ ≥ 0; λp is added to the gradient.
    momentum : float
        μ ≥ 0; the quotients are gathered with this momentum.
    centered : bool
        Subtract the square of a running mean of the gradient from v.
    maximize : bool
        Go up instead.

    Raises
    ------
    OptionError
        If an option is out of range.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> w = nn.Parameter([4.0])
    >>> optimizer = optim.RMSprop([w], lr=0.1)
    >>> (w * w / 2).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    3.0
    """

    required_state = ("step", "square_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            number("RMSprop", name, options[name], least=0)
        flag("RMSprop", "centered", options["centered"])
        flag("RMSprop", "maximize", options["maximize"])

    def update(self, group: ParamGroup, params: list[Tensor]) -> None:
        names = {"square_avg": True, "grad_avg": group["centered"], "momentum_buffer": group["momentum"] != 0}
        self.advance(params, tuple(name for name, wanted in names.items() if wanted))
        backend_of(params[0].data).rmsprop_update(
            [tensor.data for tensor in params],
            self.gradients(params),
            self.column(params, "square_avg"),
            self.column(params, "grad_avg") if group["centered"] else None,
            self.column(params, "momentum_buffer") if group["momentum"] != 0 else None,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["maximize"],
        )
