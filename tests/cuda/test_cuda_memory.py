"""Exhausted memory: an error that names the operation, on any device."""

from __future__ import annotations

import pytest

import minidl
from minidl.errors import OutOfMemoryError


def test_exhausted_memory_names_the_operation(cupy, monkeypatch):
    x = minidl.ones(3, 3, device="cuda")

    def refuse(*arguments, **options):
        raise cupy.cuda.memory.OutOfMemoryError("Out of memory allocating 36 bytes")

    backend = type(minidl.backends.backend_of(x.data))
    monkeypatch.setattr(backend, "matmul", refuse)
    with pytest.raises(OutOfMemoryError, match=r"(?s)MatMul.*36 bytes.*smaller batch") as caught:
        x @ x
    assert isinstance(caught.value, MemoryError)
    monkeypatch.undo()
    assert (x @ x).cpu().tolist() == [[3.0] * 3] * 3
