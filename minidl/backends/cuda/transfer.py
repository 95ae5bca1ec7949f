"""Sending batches to the GPU while it works on the one before.

    host        write 0       write 1       write 2            into page-locked memory, two buffers in turn
    copy stream      send 0        send 1        send 2        to two buffers on the device
    GPU                    step 0        step 1        step 2  first a copy out of the buffer, at the device's own speed

A page-locked buffer is written again when its transfer has ended, a device buffer when the GPU has copied it out:
events say so. The arrays handed out belong to the stream that computes, like all others, so they may be kept as long
as one likes. What is larger than any batch goes without the buffers, which are kept.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np

from minidl.backends.cuda.device import check_device

__all__ = ["send"]

_BUFFERS = 2
_LARGEST = 1 << 28  # bytes; a batch of 256 images of 3 x 224 x 224 float32 fits


class _Buffer:
    """Page-locked memory, as much on the device, and the events that guard them."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.size = 0
        self.sent = cupy.cuda.Event(disable_timing=True)
        self.copied_out = cupy.cuda.Event(disable_timing=True)

    def reserve(self, size: int) -> None:
        """Make room; what is on its way must have arrived before the old room is given back."""
        if size > self.size:
            self.copied_out.synchronize()
            self.locked = np.frombuffer(self.cupy.cuda.alloc_pinned_memory(size), np.uint8, size)
            self.staged = self.cupy.empty(size, np.uint8)
            # The pool gives memory that queued work may still use. Its own stream runs in order; the copy stream must
            # wait.
            self.copied_out.record(self.cupy.cuda.get_current_stream())
            self.size = size


class _Sender:
    """The copy stream of one device and its buffers."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.lock = threading.Lock()
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.buffers = [_Buffer(cupy) for _ in range(_BUFFERS)]

    def send(self, array: np.ndarray) -> Any:
        dtype = array.dtype.newbyteorder("=")  # a GPU knows no other
        with self.lock:
            buffer = self.buffers.pop(0)
            self.buffers.append(buffer)
            buffer.reserve(array.nbytes)
            buffer.sent.synchronize()
            locked = buffer.locked[: array.nbytes]
            locked.view(dtype).reshape(array.shape)[...] = array
            working = self.cupy.cuda.get_current_stream()
            self.stream.wait_event(buffer.copied_out)
            buffer.staged[: array.nbytes].set(locked, self.stream)
            buffer.sent.record(self.stream)
            working.wait_event(buffer.sent)
            result = self.cupy.empty(array.shape, dtype)
            result[...] = buffer.staged[: array.nbytes].view(dtype).reshape(array.shape)
            buffer.copied_out.record(working)
        return result


@cache
def _sender(device: int) -> _Sender:
    return _Sender(check_device())


def send(array: np.ndarray) -> Any:
    """A copy of the array on the GPU; the host goes on at once, and the transfer runs beside the work queued before."""
    cupy = check_device()
    if not 0 < array.nbytes <= _LARGEST:
        return cupy.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return _sender(cupy.cuda.Device().id).send(array)
