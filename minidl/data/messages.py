"""How a loader and its workers talk: a pickle, and after it the arrays as they lie in memory.

Sending the arrays beside the pickle (out-of-band buffers, PEP 574) saves copying them into it and out of it
again. Both ends are processes of one program; nothing here ever reads a file or a stranger's bytes.
"""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from minidl.errors import OptionError

__all__ = ["pack", "receive", "send", "unpack"]

Message = tuple[bytes, list[Any]]


def pack(content: Any, what: str) -> Message:
    """Turn `content` into bytes; `what` names it in the error.

    Raises
    ------
    OptionError
        Something in it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        body = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise OptionError(
            "DataLoader",
            expected=f"{what} that can be sent between processes (num_workers > 0)",
            actual=str(error),
            hint="define functions at the top of a module instead of as a lambda, or use num_workers=0",
        ) from error
    return body, [buffer.raw() for buffer in buffers]


def unpack(message: Message) -> Any:
    """Turn a message back into its content."""
    body, buffers = message
    return pickle.loads(body, buffers=buffers)


def send(pipe: Connection, message: Message) -> None:
    """Write a message into a pipe."""
    body, buffers = message
    pipe.send_bytes(pickle.dumps([buffer.nbytes for buffer in buffers]))
    pipe.send_bytes(body)
    for buffer in buffers:
        if buffer.nbytes:
            pipe.send_bytes(buffer)


def receive(pipe: Connection) -> Message:
    """Read a message from a pipe; EOFError or OSError when the other end is gone."""
    sizes = pickle.loads(pipe.recv_bytes())
    body = pipe.recv_bytes()
    buffers = []
    for size in sizes:
        buffer = np.empty(size, np.uint8)
        if size:
            pipe.recv_bytes_into(buffer)
        buffers.append(buffer)
    return body, buffers
