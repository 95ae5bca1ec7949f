"""Parameter: a Tensor that a module learns."""

from __future__ import annotations

from typing import Any

from minidl.tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that becomes part of a `Module` when it is set as an attribute, and that requires a gradient.

    Parameters
    ----------
    data : array, Tensor or nested list
        Floating-point values, taken without a copy where they are an array that can be written.
    requires_grad : bool
        False freezes it.

    Raises
    ------
    DTypeError
        If the values are integers, which have no gradient.

    Examples
    --------
    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)
        if not getattr(self.data.flags, "writeable", True):
            self.data = self.data.copy()  # an optimizer changes it in place

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
