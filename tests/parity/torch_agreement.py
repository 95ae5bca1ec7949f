"""How minidl and PyTorch are held against each other: values, gradients, and gradients of gradients."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")


def outputs_of(result):
    """The results of a call as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def assert_same(found, wanted, rtol, what):
    """Equal arrays, NaN for NaN; `found` may lack (None) what is zero."""
    wanted = wanted.numpy(force=True) if isinstance(wanted, torch.Tensor) else wanted
    found = found.detach().numpy() if isinstance(found, minidl.Tensor) else found
    if found is None or wanted is None:
        assert not np.any(found if wanted is None else wanted), f"{what}: only one of the two has a gradient"
        return
    assert found.shape == wanted.shape, what
    assert found.dtype == wanted.dtype, what
    # What cancels to zero is zero only up to the rounding of numbers about one.
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-4) if wanted.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale, err_msg=what)


def agree(ours, theirs, arrays, order=2, rtol=1e-9, seed=0):
    """Assert that two functions of float arrays agree in their results and derivatives up to an order (0, 1 or 2)."""
    rng = np.random.default_rng(seed)
    x = [minidl.tensor(a, requires_grad=order > 0) for a in arrays]
    t = [torch.tensor(a, requires_grad=order > 0) for a in arrays]
    y, u = outputs_of(ours(*x)), outputs_of(theirs(*t))
    assert len(y) == len(u)
    for i, (a, b) in enumerate(zip(y, u, strict=True)):
        assert_same(a, b, rtol, f"output {i}")
    if order == 0:
        return
    live = [i for i, b in enumerate(u) if b.dtype.is_floating_point]
    weights = [rng.normal(size=u[i].shape).astype(u[i].numpy(force=True).dtype) for i in live]
    g = minidl.grad([y[i] for i in live], x, [minidl.tensor(w) for w in weights], create_graph=True, allow_unused=True)
    h = torch.autograd.grad(
        [u[i] for i in live], t, [torch.tensor(w) for w in weights], create_graph=True, allow_unused=True
    )
    for i, (a, b) in enumerate(zip(g, h, strict=True)):
        assert_same(a, b, rtol, f"gradient of input {i}")
    pairs = [(a, b) for a, b in zip(g, h, strict=True) if b is not None and b.requires_grad]
    if order == 1 or not pairs:
        return
    weights = [rng.normal(size=b.shape).astype(b.numpy(force=True).dtype) for _, b in pairs]
    recorded = [(a, minidl.tensor(w)) for (a, _), w in zip(pairs, weights, strict=True) if a.requires_grad]
    gg = [None] * len(x)
    if recorded:
        gg = minidl.grad([a for a, _ in recorded], x, [w for _, w in recorded], allow_unused=True)
    hh = torch.autograd.grad([b for _, b in pairs], t, [torch.tensor(w) for w in weights], allow_unused=True)
    for i, (a, b) in enumerate(zip(gg, hh, strict=True)):
        assert_same(a, b, rtol * 10, f"second derivative of input {i}")
