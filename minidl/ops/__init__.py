"""The operations, one file a family; each stands with its gradient, its formula and its gradient-check cases."""

from minidl.ops import methods as methods
from minidl.ops.activation import erf, gelu, sigmoid, silu, softplus, tanh
from minidl.ops.adaptive_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from minidl.ops.arithmetic import add, div, mul, neg, sub
from minidl.ops.batch_norm import batch_norm
from minidl.ops.broadcast import broadcast_to, expand, sum_to
from minidl.ops.cast import astype
from minidl.ops.comparison import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from minidl.ops.conv import conv1d, conv2d
from minidl.ops.conv_transpose import conv_transpose1d, conv_transpose2d
from minidl.ops.cross_entropy import cross_entropy, nll_loss
from minidl.ops.cumulative import cumsum, prod
from minidl.ops.dropout import dropout
from minidl.ops.einsum import einsum
from minidl.ops.elementwise import abs, clamp, clip, cos, maximum, minimum, sin, where
from minidl.ops.embedding import embedding, one_hot
from minidl.ops.extrema import amax, amin, argmax, argmin, max, min
from minidl.ops.index import index_select, masked_fill
from minidl.ops.join import cat, chunk, concat, split, stack, unbind
from minidl.ops.layer_norm import group_norm, layer_norm
from minidl.ops.linalg import dot, linear, matmul, outer
from minidl.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from minidl.ops.matrix import diagonal, trace, tril, triu
from minidl.ops.padding import pad
from minidl.ops.permutation import movedim, permute, swapaxes, transpose
from minidl.ops.pool import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from minidl.ops.powers import exp, expm1, log, log1p, log2, pow, rsqrt, sqrt
from minidl.ops.rearrange import flip, repeat, repeat_interleave, roll, tile
from minidl.ops.rectifiers import elu, hardtanh, leaky_relu, relu, relu6
from minidl.ops.reduce import all, any, count_nonzero, mean, std, sum, var
from minidl.ops.resize import interpolate
from minidl.ops.rounding import ceil, floor, round, sign
from minidl.ops.scatter import gather, scatter_add, take_along_axis
from minidl.ops.shape import clone, contiguous, flatten, ravel, reshape, squeeze, unflatten, unsqueeze
from minidl.ops.softmax import log_softmax, logsumexp, softmax
from minidl.ops.sorting import argsort, sort, topk
from minidl.ops.unfold import fold, unfold
from minidl.ops.vector_norm import norm

__all__ = [
    "abs",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "astype",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "concat",
    "contiguous",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cos",
    "count_nonzero",
    "cross_entropy",
    "cumsum",
    "diagonal",
    "div",
    "dot",
    "dropout",
    "einsum",
    "elu",
    "embedding",
    "eq",
    "erf",
    "exp",
    "expand",
    "expm1",
    "flatten",
    "flip",
    "floor",
    "fold",
    "gather",
    "ge",
    "gelu",
    "group_norm",
    "gt",
    "hardtanh",
    "huber_loss",
    "index_select",
    "interpolate",
    "isfinite",
    "isinf",
    "isnan",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "le",
    "leaky_relu",
    "linear",
    "log",
    "log1p",
    "log2",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lt",
    "masked_fill",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "movedim",
    "mse_loss",
    "mul",
    "ne",
    "neg",
    "nll_loss",
    "norm",
    "one_hot",
    "outer",
    "pad",
    "permute",
    "pow",
    "prod",
    "ravel",
    "relu",
    "relu6",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "scatter_add",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "sum_to",
    "swapaxes",
    "take_along_axis",
    "tanh",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "var",
    "where",
]
