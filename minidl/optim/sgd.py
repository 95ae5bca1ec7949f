"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.nn.options import flag, number
from minidl.optim.optimizer import Optimizer, ParamGroup
from minidl.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Go down the gradient, with a memory of where it went before.

    .. math:: v \leftarrow \mu v + (1 - \tau)\,g, \qquad p \leftarrow p - \eta\,v
              \quad (\text{Nesterov: } p \leftarrow p - \eta\,(g + \mu v))

    The first step takes v = g. Source: I. Sutskever et al., On the importance of initialization and momentum in deep
    learning, 2013.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate η ≥ 0.
    momentum : float
        μ ≥ 0; 0 for none.
    dampening : float
        τ.
    weight_decay : float
        λ ≥ 0; λp is added to the gradient.
    nesterov : bool
        Look ahead; needs momentum and no dampening.
    maximize : bool
        Go up instead.

    Raises
    ------
    OptionError
        If an option is out of range, or `nesterov` comes without momentum or with dampening.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> w = nn.Parameter([4.0])
    >>> optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (w * w / 2).sum().backward()
    ...     optimizer.step()
    >>> round(w.item(), 4)
    1.944
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            number("SGD", name, options[name], least=0)
        number("SGD", "dampening", options["dampening"])
        flag("SGD", "maximize", options["maximize"])
        if flag("SGD", "nesterov", options["nesterov"]) and (options["momentum"] == 0 or options["dampening"] != 0):
            raise OptionError(
                "SGD",
                expected="momentum > 0 and dampening = 0 with nesterov=True",
                actual=f"momentum={options['momentum']}, dampening={options['dampening']}",
            )

    def update(self, group: ParamGroup, params: list[Tensor]) -> None:
        momentum = group["momentum"]
        before: list[Any] | None = None
        if momentum != 0:
            try:
                before = self.column(params, "momentum_buffer")
            except KeyError:  # the first step of some of them
                before = [self.state.setdefault(tensor, {}).get("momentum_buffer") for tensor in params]
        buffers = backend_of(params[0].data).sgd_update(
            [tensor.data for tensor in params],
            self.gradients(params),
            before,
            group["lr"],
            momentum,
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
        )
        if buffers is not None and buffers is not before:
            for tensor, buffer in zip(params, buffers, strict=True):
                self.state[tensor]["momentum_buffer"] = buffer
