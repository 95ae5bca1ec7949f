"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.backends import backend_of
from minidl.errors import OptionError
from minidl.nn.options import flag, number
from minidl.optim.optimizer import Optimizer, ParamGroup
from minidl.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    r"""Divide a running mean of the gradient by the root of a running mean of its square.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2, \qquad
              p \leftarrow p - \eta\,\frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Source: D. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015; AMSGrad: S. Reddi, S. Kale, S. Kumar, On
    the convergence of Adam and beyond, 2018.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate η ≥ 0.
    betas : pair of floats
        (β₁, β₂), each in [0, 1).
    eps : float
        ε ≥ 0.
    weight_decay : float
        λ ≥ 0; λp is added to the gradient (see `AdamW`).
    amsgrad : bool
        Divide by the largest v so far.
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
    >>> optimizer = optim.Adam([w], lr=0.5)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (w * w / 2).sum().backward()
    ...     optimizer.step()
    >>> round(w.item(), 4)
    2.5111
    """

    decoupled = False
    required_state = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay"):
            number(name, option, options[option], least=0)
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise OptionError(name, expected="betas to be a pair of numbers", actual=f"betas={betas!r}")
        for beta in betas:
            number(name, "each of betas", beta, least=0, below=1)
        flag(name, "amsgrad", options["amsgrad"])
        flag(name, "maximize", options["maximize"])

    def update(self, group: ParamGroup, params: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        self.advance(params, names if group["amsgrad"] else names[:2])
        for step, together in self.by_step(params).items():
            backend_of(together[0].data).adam_update(
                [tensor.data for tensor in together],
                self.gradients(together),
                self.column(together, "exp_avg"),
                self.column(together, "exp_avg_sq"),
                self.column(together, "max_exp_avg_sq") if group["amsgrad"] else None,
                step,
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                self.decoupled,
                group["maximize"],
            )


class AdamW(Adam):
    r"""`Adam` whose weight decay does not pass through the running means.

    It shrinks the parameter itself first, :math:`p \leftarrow p\,(1 - \eta\lambda)`, so that parameters with large
    and with small gradients decay alike. Options as for `Adam`, with `weight_decay` 0.01 by default.
    Source: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, 2019.

    Examples
    --------
    >>> from minidl import nn, optim
    >>> optimizer = optim.AdamW(nn.Linear(3, 2).parameters(), lr=3e-4)
    >>> optimizer.param_groups[0]["weight_decay"]
    0.01
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
