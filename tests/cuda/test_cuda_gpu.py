"""What only a real GPU can show: no leak over a thousand steps, and life after its memory was exhausted."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import minidl
from minidl import nn, optim


@pytest.fixture
def device(cupy):
    if not hasattr(cupy, "show_config"):
        pytest.skip("needs a real GPU")
    return cupy


def test_a_thousand_steps_do_not_leak(device):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).to("cuda")
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = minidl.randn(8, 1, 8, 8, device="cuda"), minidl.zeros(8, dtype="int64", device="cuda")
    gc.collect()
    gc.disable()
    try:
        used = []
        for step in range(1100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step in (99, 1099):
                minidl.cuda.synchronize()
                used.append(minidl.cuda.memory_stats()["bytes_in_use"])
    finally:
        gc.enable()
    assert used[1] <= used[0]


def test_exhausted_memory_is_an_error_that_one_survives(device):
    free, _ = device.cuda.Device().mem_info
    x = minidl.zeros(free // 12, device="cuda")  # a third of what is free, in float32
    with pytest.raises(minidl.errors.OutOfMemoryError, match="batch"):
        kept = [x]
        for _ in range(8):
            kept.append(kept[-1] + 1)
    del kept, x
    minidl.cuda.empty_cache()
    y = minidl.ones(1000, device="cuda") * 2
    np.testing.assert_array_equal(y.cpu().numpy(), np.full(1000, 2, np.float32))
