"""The one table that ties a Tensor's operators and methods to operations.

`Tensor` (in tensor.py) holds data and knows no operation; each operation is a function of its own file. This table is
where ``x + y`` becomes ``add(x, y)`` and ``x.sum()`` becomes ``sum(x)``.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import backward
from minidl.ops import arithmetic, broadcast, cast, powers
from minidl.tensor import Tensor

METHODS: dict[str, Any] = {
    # autograd
    "backward": backward,
    # operators
    "__add__": arithmetic.add,
    "__radd__": lambda x, y: arithmetic.add(y, x),
    "__sub__": arithmetic.sub,
    "__rsub__": lambda x, y: arithmetic.sub(y, x),
    "__mul__": arithmetic.mul,
    "__rmul__": lambda x, y: arithmetic.mul(y, x),
    "__truediv__": arithmetic.div,
    "__rtruediv__": lambda x, y: arithmetic.div(y, x),
    "__neg__": arithmetic.neg,
    "__pow__": powers.pow,
    "__rpow__": lambda x, y: powers.pow(y, x),
    # types and devices
    "astype": cast.astype,
    # shape
    "broadcast_to": broadcast.broadcast_to,
    "expand": broadcast.expand,
    # elementwise
    "log": powers.log,
    "pow": powers.pow,
}

for _name, _function in METHODS.items():
    setattr(Tensor, _name, _function)
