"""Normalisation: over the batch, over the features of each example, over groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.creation import ones, tensor, zeros
from minidl.errors import OptionError, ShapeError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.options import flag, integer, number
from minidl.nn.parameter import Parameter
from minidl.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm"]


class _BatchNorm(Module):
    """Statistics and parameters that both batch norms share."""

    dimensions: tuple[int, ...]
    layouts: str
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features)
        self.eps = number(name, "eps", eps, least=0)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, least=0, most=1)
        self.affine = flag(name, "affine", affine)
        self.track_running_stats = flag(name, "track_running_stats", track_running_stats)
        self.weight = Parameter(ones(self.num_features)) if affine else None
        self.bias = Parameter(zeros(self.num_features)) if affine else None
        tracked = self.track_running_stats
        self.register_buffer("running_mean", zeros(self.num_features) if tracked else None)
        self.register_buffer("running_var", ones(self.num_features) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracked else None)

    def reset_parameters(self) -> None:
        """Forget the statistics, and scale by one and shift by zero again."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        if x.ndim not in self.dimensions:
            raise ShapeError(type(self).__name__, expected=f"an input of shape {self.layouts}",
                             actual=f"shape {x.shape}")  # fmt: skip
        count = self.num_batches_tracked
        if not self.training or count is None:
            training = self.training or count is None
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training, 0.0, self.eps)
        share = 1 / (count.item() + 1) if self.momentum is None else self.momentum
        y = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, share, self.eps)
        count.data += 1
        count.mark_changed()
        return y

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        return output.size

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm2d(_BatchNorm):
    """Give every channel mean 0 and variance 1 over the batch and its pixels, then scale and shift by learned numbers.

    ``y = (x - μ) / √(σ² + eps) · weight + bias``. In training, μ and σ² (biased) are those of the batch, and the
    running statistics move towards them: ``running = (1 - momentum) running + momentum · batch``, with the unbiased
    variance. In evaluation μ and σ² are the running statistics.
    Source: S. Ioffe, C. Szegedy, Batch normalization, 2015.

    Parameters
    ----------
    num_features : int
        Number of channels C.
    eps : float
    momentum : float or None
        None: the plain average over all batches so far.
    affine : bool
        Whether to learn weight and bias.
    track_running_stats : bool
        False: no running statistics; the batch's are used in evaluation, too.

    Attributes
    ----------
    weight, bias : Parameter, shape (C,), or None
        Begin with ones and zeros.
    running_mean, running_var, num_batches_tracked : Tensor or None
        Buffers.

    Notes
    -----
    Shapes: (N, C, H, W) → the same.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When called: if the input is no batch of images of C channels, or, in training, a single value a channel.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> y = layer(minidl.randn(8, 3, 4, 4) * 5 + 2)
    >>> bool(abs(y.data.mean()) < 1e-5), layer.num_batches_tracked.item()
    (True, 1)
    """

    dimensions = (4,)
    layouts = "(N, C, H, W)"


class BatchNorm1d(_BatchNorm):
    """Batch norm of feature vectors or signals: (N, C) or (N, C, L) → the same. All else as for `BatchNorm2d`.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.BatchNorm1d(1)(minidl.tensor([[1.0], [3.0]]))
    tensor([[-1.],
            [ 1.]], op=BatchNorm)
    """

    dimensions = (2, 3)
    layouts = "(N, C) or (N, C, L)"


class LayerNorm(Module):
    """Give the features of every example mean 0 and variance 1, then scale and shift by learned numbers.

    ``y = (x - μ) / √(σ² + eps) · weight + bias`` with μ and σ² (biased) over the last dimensions.
    Source: J. Ba, J. Kiros, G. Hinton, Layer normalization, 2016.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        Sizes of the last dimensions, which are normalised together.
    eps : float
    elementwise_affine : bool
        Whether to learn a weight and a bias of that shape.
    bias : bool
        Whether to learn the bias.

    Notes
    -----
    Shapes: (…, *normalized_shape) → the same.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When called: if the last dimensions differ.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.LayerNorm(2, elementwise_affine=False)(minidl.tensor([[1.0, 3.0], [5.0, 5.0]]))
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        sizes = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(integer("LayerNorm", "normalized_shape", size) for size in sizes)
        if not self.normalized_shape:
            raise OptionError("LayerNorm", expected="normalized_shape with at least one size", actual="()")
        self.eps = number("LayerNorm", "eps", eps, least=0)
        self.elementwise_affine = flag("LayerNorm", "elementwise_affine", elementwise_affine)
        bias = flag("LayerNorm", "bias", bias) and self.elementwise_affine
        self.weight = Parameter(ones(self.normalized_shape)) if self.elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape)) if bias else None

    def reset_parameters(self) -> None:
        """Scale by one and shift by zero again."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        return output.size

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Give every group of channels of every example mean 0 and variance 1, then scale and shift each channel.

    Like `LayerNorm` it does not depend on the other examples of the batch.
    Source: Y. Wu, K. He, Group normalization, 2018.

    Parameters
    ----------
    num_groups, num_channels : int
        The first must divide the second.
    eps : float
    affine : bool
        Whether to learn a weight and a bias for each channel.

    Notes
    -----
    Shapes: (N, num_channels, …) → the same.

    Raises
    ------
    OptionError
        If an option is out of range, or `num_groups` does not divide `num_channels`.
    ShapeError
        When called: if the channels differ.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> nn.GroupNorm(2, 4)(minidl.zeros(8, 4, 5, 5)).shape
    (8, 4, 5, 5)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.num_groups = integer("GroupNorm", "num_groups", num_groups)
        self.num_channels = integer("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise OptionError("GroupNorm", expected="num_groups to divide num_channels",
                              actual=f"num_groups={num_groups}, num_channels={num_channels}")  # fmt: skip
        self.eps = number("GroupNorm", "eps", eps, least=0)
        self.affine = flag("GroupNorm", "affine", affine)
        self.weight = Parameter(ones(self.num_channels)) if affine else None
        self.bias = Parameter(zeros(self.num_channels)) if affine else None

    def reset_parameters(self) -> None:
        """Scale by one and shift by zero again."""
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError("GroupNorm", expected=f"an input of shape (N, {self.num_channels}, ...)",
                             actual=f"shape {x.shape}")  # fmt: skip
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        return output.size

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
