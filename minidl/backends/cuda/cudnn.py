"""The fast road for convolutions: NVIDIA's cuDNN, through its package nvidia-cudnn-frontend, by ``MINIDL_CONV=cudnn``.

A plan is built once for each combination of shapes and options, and kept. Plans that add in no fixed order are left
out, and those on tensor cores unless `allow_tf32` lets them in: the road changes the speed, not what is promised.
Source: https://docs.nvidia.com/deeplearning/cudnn/frontend/latest/operations/Convolutions.html
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache, lru_cache
from typing import Any

from minidl.backends.cuda.device import check_device, tf32_allowed
from minidl.backends.cuda.launch import fits
from minidl.backends.reference.base import Array, Pair
from minidl.errors import DeviceError, OptionError

__all__ = ["convolve", "takes"]

# For each of the family's three operations: the graph's method, and the names of its two operands.
_OPERATIONS = {
    "forward": ("conv_fprop", "image", "weight"),
    "input": ("conv_dgrad", "loss", "filter"),
    "weight": ("conv_wgrad", "image", "loss"),
}


@cache
def _chosen() -> bool:
    road = os.environ.get("MINIDL_CONV", "im2col")
    if road not in ("im2col", "cudnn"):
        raise OptionError("MINIDL_CONV", expected="'im2col' or 'cudnn'", actual=repr(road))
    if road == "cudnn" and importlib.util.find_spec("cudnn") is None:
        raise DeviceError("MINIDL_CONV=cudnn", expected="the package nvidia-cudnn-frontend", actual="no such package",
                          hint="pip install nvidia-cudnn-frontend nvidia-cudnn-cu12")  # fmt: skip
    return road == "cudnn"


def takes(groups: int, *arrays: Array) -> bool:
    """Whether cuDNN was chosen and takes this call: one group, and no array empty."""
    return _chosen() and groups == 1 and fits(*arrays) and all(array.size for array in arrays)


@cache
def _handle() -> Any:
    import cudnn

    return cudnn.create_handle()


@lru_cache(maxsize=512)
def _plan(
    operation: str,
    shapes: tuple[tuple[int, ...], ...],
    dtype: str,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    tf32: bool,
) -> tuple[Any, tuple[Any, ...], int]:
    """The built graph, its tensors (two operands and the result), and the bytes of its workspace."""
    import cudnn

    kind = cudnn.data_type.FLOAT if dtype == "float32" else cudnn.data_type.DOUBLE
    graph = cudnn.pygraph(io_data_type=kind, intermediate_data_type=kind, compute_data_type=kind, handle=_handle())
    method, *names = _OPERATIONS[operation]
    operands = [
        graph.tensor(name=name, dim=list(shape), stride=_strides(shape), data_type=kind)
        for name, shape in zip(names, shapes[:2], strict=True)
    ]
    options = {"padding": list(padding), "stride": list(stride), "dilation": list(dilation)}
    result = getattr(graph, method)(**dict(zip(names, operands, strict=True)), **options)
    result.set_output(True).set_data_type(kind).set_dim(list(shapes[2])).set_stride(_strides(shapes[2]))
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    left_out = [cudnn.numerical_note.NONDETERMINISTIC]
    if dtype == "float32" and not tf32:
        left_out.append(cudnn.numerical_note.TENSOR_CORE)
    graph.deselect_numeric_notes(left_out)
    graph.check_support()
    graph.build_plans()
    return graph, (*operands, result), graph.get_workspace_size()


def _strides(shape: tuple[int, ...]) -> list[int]:
    """Of a C-contiguous array, in elements."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return strides


def convolve(
    operation: str, first: Array, second: Array, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """One of the family's operations on contiguous arrays; `shape` is that of the result.

    Parameters
    ----------
    operation : {"forward", "input", "weight"}
        conv2d of (x, weight), its input gradient of (gradient, weight), its weight gradient of (x, gradient).
    """
    import cudnn

    cupy = check_device()
    dtype = first.dtype.name
    graph, tensors, room = _plan(operation, (first.shape, second.shape, shape), dtype, stride, padding, dilation,
                                 tf32_allowed())  # fmt: skip
    result = cupy.empty(shape, first.dtype)
    workspace = cupy.empty(max(room, 1), cupy.uint8)
    cudnn.set_stream(handle=_handle(), stream=cupy.cuda.get_current_stream().ptr)
    graph.execute(dict(zip(tensors, (first, second, result), strict=True)), workspace, handle=_handle())
    return result
