"""The operations, one file a family; each stands with its gradient, its formula and its gradient-check cases."""

from minidl.ops import methods as methods
from minidl.ops.arithmetic import add, div, mul, neg, sub
from minidl.ops.broadcast import broadcast_to, expand, sum_to
from minidl.ops.cast import astype
from minidl.ops.powers import log, pow

__all__ = ["add", "astype", "broadcast_to", "div", "expand", "log", "mul", "neg", "pow", "sub", "sum_to"]
