"""The convolution player: a page on which every output pixel of a convolution shows what it is made of."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minidl.backends import host_array
from minidl.errors import OptionError, ShapeError
from minidl.modes import no_grad
from minidl.nn.conv import Conv2d
from minidl.ops.conv import conv2d
from minidl.tensor import Tensor
from minidl.viz.page import Page, build_page

__all__ = ["conv_player"]

_MOST = 120_000  # numbers; more than these are surely more than a megabyte


def conv_player(
    layer: Conv2d | Any,
    picture: Any,
    path: str | os.PathLike[str] | None = None,
    title: str = "Convolution player",
) -> Page:
    """Write a page that takes a convolution of a picture apart, pixel by pixel.

    Pointing at an output pixel, or going there by the arrow keys, shows the patch of the input times the kernel, the
    sum, and the bias; backward, where the pixel's gradient goes back to, in the input and in the weights, and what that
    comes to when all pixels' gradients are added up. The output is the engine's.

    Parameters
    ----------
    layer : Conv2d, or array or Tensor (O, C, KH, KW) or (KH, KW)
        Your own layer, with its stride, padding, dilation and groups; or bare kernels.
    picture : array or Tensor (C, H, W), (1, C, H, W), or (H, W) for a single channel
        What goes into the layer: of a later layer in a network, what the layers before it made of a picture.
    path : path, optional
        The HTML file to write. In a notebook it can be left out: the last line of a cell shows itself.
    title : str

    Returns
    -------
    Page
        `save(path)` writes it.

    Raises
    ------
    ShapeError
        If the picture is no picture, or kernels are no kernels; what does not fit the layer, the layer itself refuses.
    OptionError
        If the page would be larger than a megabyte.

    Examples
    --------
    >>> from minidl import nn, viz
    >>> viz.conv_player(nn.Conv2d(1, 2, 3, padding=1), np.eye(8), "convolution.html")
    <Page 'Convolution player', ... kB>
    """
    x = _array(picture)
    if x.ndim == 4 and x.shape[0] == 1:
        x = x[0]
    if x.ndim == 2:
        x = x[None]
    if x.ndim != 3 or not x.size:
        raise ShapeError(
            "conv_player", expected="one picture: (C, H, W), (1, C, H, W) or (H, W)",
            actual=f"shape {np.shape(picture)}", hint="choose one of a batch: pictures[0]",
        )  # fmt: skip
    if isinstance(layer, Conv2d):
        weight, bias = _array(layer.weight), None if layer.bias is None else _array(layer.bias)
        options = {name: getattr(layer, name) for name in ("stride", "dilation", "groups", "padding")}
    else:
        weight, bias = _array(layer), None
        options = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "padding": (0, 0)}
        if weight.ndim == 2:
            weight = weight[None, None]
        if weight.ndim != 4:
            raise ShapeError("conv_player", expected="a Conv2d, or kernels (O, C, KH, KW) or (KH, KW)",
                             actual=f"a {type(layer).__name__} of shape {np.shape(weight)}")  # fmt: skip
    with no_grad():
        y = host_array(conv2d(x[None].astype(weight.dtype), weight, bias, **options))[0]
    if x.size + weight.size + y.size > _MOST:
        raise OptionError(
            "conv_player", expected="a page of at most one megabyte",
            actual=f"{x.size:,} pixels, {weight.size:,} weights and {y.size:,} results",
            hint="take a smaller picture, a part of it, or fewer kernels: weight[:8]",
        )  # fmt: skip
    data = {
        "channels": x.shape[0], "height": x.shape[1], "width": x.shape[2],
        "outputs": y.shape[0], "outHeight": y.shape[1], "outWidth": y.shape[2],
        "kernel": list(weight.shape[2:]), "stride": list(options["stride"]), "dilation": list(options["dilation"]),
        "padding": _padding(options["padding"], weight.shape[2:], options["dilation"]), "groups": options["groups"],
        "input": _planes(x), "output": _planes(y), "bias": None if bias is None else _numbers(bias),
        "weight": [_planes(kernels) for kernels in weight],
    }  # fmt: skip
    page = build_page("conv", ["conv_model.js", "conv.js"], title, data, _table(y[0]))
    if path is not None:
        page.save(path)
    return page


def _array(value: Any) -> np.ndarray:
    array = host_array(value.detach().data if isinstance(value, Tensor) else value)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _padding(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """Rows above, columns to the left, rows below, columns to the right."""
    if padding == "valid":
        padding = (0, 0)
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        before = [n // 2 for n in whole]  # an odd one goes to the end, as in PyTorch
        return [*before, *[n - b for n, b in zip(whole, before, strict=True)]]
    return [*padding, *padding]


def _numbers(array: np.ndarray) -> list[float | str]:
    """Seven significant digits: a float32 has no more."""
    return [float(f"{x:.7g}") if np.isfinite(x) else str(x) for x in array.ravel().tolist()]


def _planes(array: np.ndarray) -> list[list[float | str]]:
    return [_numbers(plane) for plane in array]


def _table(plane: np.ndarray) -> str:
    head = "".join(f'<th scope="col">{j}</th>' for j in range(plane.shape[1]))
    rows = "".join(
        f'<tr><th scope="row">{i}</th>' + "".join(f"<td>{value:.3g}</td>" for value in row) + "</tr>"
        for i, row in enumerate(plane)
    )
    return (
        '<table id="output-table" class="numbers" data-channel="0">'
        "<caption>Output channel 0: rows and columns of pixels</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
