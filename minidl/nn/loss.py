"""Losses as modules: a number that says how far predictions are from targets.

Each takes ``reduction``: ``"mean"``, ``"sum"``, or ``"none"`` for a loss per element. Two shapes that differ raise,
also where they would broadcast: (N,) against (N, 1) is a mistake that trains without complaint elsewhere.
"""

from __future__ import annotations

from typing import Any

from minidl.errors import OptionError
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.options import choice, flag, integer, number
from minidl.tensor import Tensor, as_array

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]

_REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    def __init__(self, reduction: str = "mean", reductions: tuple[str, ...] = _REDUCTIONS) -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, reductions)

    def _register_weight(self, name: str, weight: Any) -> None:
        """Keep weights as a buffer: they move with the loss and are not learned."""
        tensor = None if weight is None else Tensor(as_array(weight))
        if tensor is not None and tensor.dtype.kind != "f":
            raise OptionError(type(self).__name__, expected=f"{name} to be floats", actual=f"dtype {tensor.dtype}")
        self.register_buffer(name, tensor)


class MSELoss(_Loss):
    """Mean squared error: ``(x - t)²``.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.MSELoss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, x: Any, target: Any) -> Any:
        return F.mse_loss(x, target, self.reduction)


class L1Loss(_Loss):
    """Mean absolute error: ``|x - t|``, with gradient 0 where they are equal.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.L1Loss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, x: Any, target: Any) -> Any:
        return F.l1_loss(x, target, self.reduction)


class HuberLoss(_Loss):
    """Square near zero, straight beyond: ``d²/2`` where |d| < delta, else ``delta (|d| - delta/2)``; d = x - t.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.HuberLoss(delta=1.0)(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(0.75)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = number("HuberLoss", "delta", delta, above=0)

    def forward(self, x: Any, target: Any) -> Any:
        return F.huber_loss(x, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """`HuberLoss` divided by its bend: ``d²/(2 beta)`` where |d| < beta, else ``|d| - beta/2``; d = x - t.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.SmoothL1Loss()(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(0.75)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = number("SmoothL1Loss", "beta", beta, least=0)

    def forward(self, x: Any, target: Any) -> Any:
        return F.smooth_l1_loss(x, target, self.reduction, self.beta)


class CrossEntropyLoss(_Loss):
    """What a classifier learns by: ``-ln softmax(x)[label]``, from logits, stable at any size of them.

    Parameters
    ----------
    weight : array of C floats, optional
        A factor for each class; the mean is then weighted, too.
    ignore_index : int
        A label that counts for nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        In [0, 1]: the part of the target that is spread over all classes.

    Notes
    -----
    Shapes: logits (N, C) or (N, C, …), targets (N) or (N, …) of integers, or probabilities of the shape of the logits.

    Raises
    ------
    OptionError
        If an option is out of range; when called: if a label is.
    ShapeError
        When called: if the shapes do not fit.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.CrossEntropyLoss()(minidl.zeros(2, 10), minidl.tensor([3, 7]))
    tensor(2.3026)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = integer("CrossEntropyLoss", "ignore_index", ignore_index, least=None)
        self.label_smoothing = number("CrossEntropyLoss", "label_smoothing", label_smoothing, least=0, most=1)

    def forward(self, x: Any, target: Any) -> Any:
        return F.cross_entropy(x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(_Loss):
    """``-x[label]`` for logarithms of probabilities x, as `LogSoftmax` gives them. Options as for `CrossEntropyLoss`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.NLLLoss()(minidl.tensor([[-0.5, -1.0], [-2.0, -0.25]]), minidl.tensor([0, 1]))
    tensor(0.375)
    """

    weight: Tensor | None

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = integer("NLLLoss", "ignore_index", ignore_index, least=None)

    def forward(self, x: Any, target: Any) -> Any:
        return F.nll_loss(x, target, self.weight, self.ignore_index, self.reduction)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities: ``-(t ln x + (1 - t) ln(1 - x))``, the logarithms cut off at -100.

    Parameters
    ----------
    weight : array, optional
        A factor for each element, of a shape that broadcasts to theirs.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.BCELoss()(minidl.tensor([0.5, 0.5]), minidl.tensor([0.0, 1.0]))
    tensor(0.6931)
    """

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)

    def forward(self, x: Any, target: Any) -> Any:
        return F.binary_cross_entropy(x, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """`BCELoss` of sigmoid(x), from the logits x themselves and stable at any size of them.

    Parameters
    ----------
    weight : array, optional
        A factor for each element.
    reduction : {"mean", "sum", "none"}
    pos_weight : array, optional
        A factor for the positive part, against rare positives.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.BCEWithLogitsLoss()(minidl.tensor([-1000.0, 0.0]), minidl.tensor([0.0, 1.0]))
    tensor(0.3466)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self._register_weight("pos_weight", pos_weight)

    def forward(self, x: Any, target: Any) -> Any:
        return F.binary_cross_entropy_with_logits(x, target, self.weight, self.reduction, self.pos_weight)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence ``t (ln t - x)`` of targets t from the distribution whose logarithm is x.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean", the sum divided by the number of rows, is the mathematical definition; "mean" divides by
        the number of elements.
    log_target : bool
        Whether the targets are logarithms, too.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> uniform = minidl.tensor([[0.5, 0.5]])
    >>> nn.KLDivLoss(reduction="batchmean")(uniform.log(), uniform)
    tensor(0.)
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, (*_REDUCTIONS, "batchmean"))
        self.log_target = flag("KLDivLoss", "log_target", log_target)

    def forward(self, x: Any, target: Any) -> Any:
        return F.kl_div(x, target, self.reduction, self.log_target)
