"""Where windows land: the output sizes of convolutions and poolings, and the errors that explain a bad one.

Every function takes the name of the operation first, so that a complaint names what the user called. Sizes
and options are tuples with one entry for each spatial axis: `(height, width)` for images.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

from minidl.errors import MinidlError, OptionError, ShapeError

__all__ = ["adaptive_windows", "conv_output_size", "conv_transpose_output_size", "pair", "pool_output_size"]

Sizes = Sequence[int]


def pair(value: Any, name: str) -> tuple[int, int]:
    """Return an option given as one integer or as two, as a pair.

    Parameters
    ----------
    value : int or tuple of two ints
    name : str
        What the error calls it, the operation and the option: ``"conv2d stride"``.

    Examples
    --------
    >>> pair(3, "conv2d stride"), pair((1, 2), "conv2d stride")
    ((3, 3), (1, 2))
    """
    try:
        entries = (value, value) if not isinstance(value, (tuple, list)) else tuple(value)
        if len(entries) == 2 and not any(isinstance(entry, bool) for entry in entries):
            return operator.index(entries[0]), operator.index(entries[1])
    except TypeError:
        pass
    raise OptionError(
        name,
        expected="an integer or a pair of integers (height, width)",
        actual=repr(value),
        hint="a single integer serves both axes",
    )


@functools.lru_cache(maxsize=1024)  # a network asks for the same few sizes in every step
def conv_output_size(
    name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[int, ...]:
    r"""Return how many windows of a convolution fit along each axis.

    .. math:: \text{out} = \left\lfloor \frac{\text{size} + 2\,\text{padding} - \text{extent}}{\text{stride}}
              \right\rfloor + 1, \qquad \text{extent} = \text{dilation}\,(\text{kernel} - 1) + 1

    Raises
    ------
    OptionError
        If a kernel size, stride or dilation is not positive, or a padding negative.
    ShapeError
        If the kernel is larger than the padded input.

    Examples
    --------
    >>> conv_output_size("conv2d", (28, 28), kernel=(5, 5), stride=(1, 1), padding=(2, 2), dilation=(1, 1))
    (28, 28)
    """
    _check_options(name, kernel, stride, padding, dilation)
    output = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - (d * (k - 1) + 1)
        if room < 0:
            raise _too_large(name, size, kernel, padding, dilation)
        output.append(room // s + 1)
    return tuple(output)


def conv_transpose_output_size(
    name: str,
    size: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    dilation: Sizes,
) -> tuple[int, ...]:
    r"""Return the output size of a transposed convolution.

    .. math:: \text{out} = (\text{size} - 1)\,\text{stride} - 2\,\text{padding}
              + \text{dilation}\,(\text{kernel} - 1) + 1 + \text{output\_padding}

    `conv_output_size` maps it back to `size`. A stride s lets s different sizes do that, and
    `output_padding` picks one of them.

    Raises
    ------
    OptionError
        If a kernel size, stride or dilation is not positive, a padding is negative, or an output padding is
        not smaller than the stride or the dilation.
    ShapeError
        If nothing would be left of the output.

    Examples
    --------
    >>> conv_transpose_output_size("conv_transpose2d", (7, 7), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
    (14, 14)
    """
    _check_options(name, kernel, stride, padding, dilation)
    if any(o < 0 or o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise OptionError(
            name,
            expected="an output_padding of at least 0 and smaller than the stride or the dilation",
            actual=f"output_padding={tuple(output_padding)}, stride={tuple(stride)}{_dilated(dilation)}",
            hint="output_padding only picks one of the sizes that a convolution maps to the same output",
        )
    output = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + o
        for n, k, s, p, o, d in zip(size, kernel, stride, padding, output_padding, dilation, strict=True)
    )
    if min(size) < 1 or min(output) < 1:
        raise ShapeError(
            name,
            expected="an input and an output of at least one pixel",
            actual=f"input {_by(size)}, which gives output {_by(output)}",
            hint="use less padding or a larger kernel",
        )
    return output


@functools.lru_cache(maxsize=1024)
def pool_output_size(
    name: str, size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[int, ...]:
    r"""Return how many windows of a pooling fit along each axis.

    .. math:: \text{out} = \left\lfloor \frac{\text{size} + 2\,\text{padding} - \text{extent}}{\text{stride}}
              \right\rfloor + 1, \qquad \text{extent} = \text{dilation}\,(\text{kernel} - 1) + 1

    With `ceil_mode` the fraction is rounded up, so that the last window may hang over the right edge; but
    it must start inside the input or its left padding, or it is dropped.

    Raises
    ------
    OptionError
        If a kernel size, stride or dilation is not positive, or a padding is negative or more than half the
        window: a window could then lie in the padding alone.
    ShapeError
        If no window fits, or if a dilated window jumps over the whole input.

    Examples
    --------
    >>> options = dict(kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1))
    >>> pool_output_size("max_pool2d", (5, 5), **options, ceil_mode=False)
    (2, 2)
    >>> pool_output_size("max_pool2d", (5, 5), **options, ceil_mode=True)
    (3, 3)
    """
    _check_options(name, kernel, stride, padding, dilation)
    output = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        extent = d * (k - 1) + 1
        if 2 * p > extent:
            raise OptionError(
                name,
                expected="a padding of at most half the window",
                actual=f"padding={tuple(padding)} with kernel {_by(kernel)}{_dilated(dilation)}",
                hint="pad the input itself (minidl.pad) if you want more",
            )
        room = n + 2 * p - extent
        windows = -(-room // s) + 1 if ceil_mode else room // s + 1
        if ceil_mode and (windows - 1) * s >= n + p:
            windows -= 1
        if windows < 1 or n < 1:
            raise _too_large(name, size, kernel, padding, dilation)
        if p and d > 1 and _jumps_over(n, windows, k, s, p, d):
            raise ShapeError(
                name,
                expected="windows that meet the input",
                actual=f"kernel {_by(kernel)}, dilation={tuple(dilation)}, padding={tuple(padding)} on input "
                f"{_by(size)}: a window has its pixels in the padding only",
                hint="use a smaller dilation or less padding",
            )
        output.append(windows)
    return tuple(output)


def adaptive_windows(size: int, output: int) -> list[tuple[int, int]]:
    r"""Return the windows of adaptive pooling along one axis, as pairs (start, end).

    Window i of `output` reaches from :math:`\lfloor i\,\text{size}/\text{output} \rfloor` to :math:`\lceil
    (i + 1)\,\text{size}/\text{output} \rceil`: all pixels are covered, and where the sizes do not divide,
    neighbours overlap.

    Examples
    --------
    >>> adaptive_windows(5, 2)
    [(0, 3), (2, 5)]
    """
    return [(i * size // output, -(-(i + 1) * size // output)) for i in range(output)]


def _check_options(name: str, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> None:
    for option, values, least in (
        ("kernel_size", kernel, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        if min(values) < least:
            raise OptionError(name, expected=f"a {option} of at least {least}", actual=f"{option}={tuple(values)}")


def _jumps_over(n: int, windows: int, k: int, s: int, p: int, d: int) -> bool:
    return not all(any(0 <= w * s - p + i * d < n for i in range(k)) for w in range(windows))


def _too_large(name: str, size: Sizes, kernel: Sizes, padding: Sizes, dilation: Sizes) -> MinidlError:
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    return ShapeError(
        name,
        expected="an input that is, padded, at least as large as the kernel",
        actual=f"input {_by(size)} (padded {_by(padded)}) and kernel {_by(kernel)}{_dilated(dilation)}",
        hint="use a smaller kernel, more padding, or fewer poolings before this layer",
    )


def _by(sizes: Sizes) -> str:
    return "x".join(str(n) for n in sizes)


def _dilated(dilation: Sizes) -> str:
    return f", dilation={tuple(dilation)}" if max(dilation) > 1 else ""
