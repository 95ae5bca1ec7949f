"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.backends import backend_of
from minidl.nn.options import flag, number
from minidl.optim.optimizer import Optimizer, ParamGroup
from minidl.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    r"""Divide the gradient by the root of the sum of all its squares so far.

    .. math:: s \leftarrow s + g^2, \qquad
              p \leftarrow p - \frac{\eta}{1 + (t - 1)\,\delta}\,\frac{g}{\sqrt{s} + \epsilon}

    Source: J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods for online learning, 2011.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate η ≥ 0.
    lr_decay : float
        δ ≥ 0.
    weight_decay : float
        λ ≥ 0; λp is added to the gradient.
    initial_accumulator_value : float
        What s begins with, ≥ 0.
    eps : float
        ε ≥ 0.
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
    >>> optimizer = optim.Adagrad([w], lr=1.0)
    >>> (w * w / 2).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [3.0]
    """

    required_state = ("step", "sum")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            number("Adagrad", name, options[name], least=0)
        flag("Adagrad", "maximize", options["maximize"])

    def update(self, group: ParamGroup, params: list[Tensor]) -> None:
        self.advance(params, ("sum",), start=group["initial_accumulator_value"])
        for step, together in self.by_step(params).items():
            backend_of(together[0].data).adagrad_update(
                [tensor.data for tensor in together],
                self.gradients(together),
                self.column(together, "sum"),
                step,
                group["lr"],
                group["lr_decay"],
                group["weight_decay"],
                group["eps"],
                group["maximize"],
            )
