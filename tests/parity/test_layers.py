"""Every layer and loss against PyTorch's, over random shapes and options.

The weights of PyTorch's layer are loaded into ours, by the state_dict; then outputs, input gradients, parameter
gradients and buffers must agree, over several steps of training and in evaluation, and the state_dict must fit back.
"""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim

torch = pytest.importorskip("torch", reason="the parity suite needs PyTorch")
from torch_agreement import assert_same  # noqa: E402  # needs torch

torch.set_num_threads(1)  # the arrays are small

SEEDS = {"float64": range(8), "float32": range(3)}
RTOL = {"float64": 1e-9, "float32": 2e-4}


def images(r, channels=None, least=7, axes=2):
    return r.normal(size=(r.integers(1, 4), channels or r.integers(1, 5), *r.integers(least, 13, axes)))


def one_or_each(r, low, high, axes):
    """An option as one integer, or one for each axis."""
    return int(r.integers(low, high)) if r.random() < 0.5 else tuple(int(n) for n in r.integers(low, high, axes))


def conv(axes):
    def draw(r):
        groups = int(r.choice([1, 1, 2, 3]))
        channels, outputs = groups * int(r.integers(1, 4)), groups * int(r.integers(1, 4))
        kernel = one_or_each(r, 1, 4, axes)
        options = {"stride": one_or_each(r, 1, 4, axes), "padding": one_or_each(r, 0, 3, axes)}
        options |= {"dilation": one_or_each(r, 1, 4, axes), "groups": groups, "bias": bool(r.random() < 0.7)}
        if r.random() < 0.3:
            options |= {"stride": 1, "padding": str(r.choice(["same", "valid"]))}
        return (channels, outputs, kernel), options, [images(r, channels, axes=axes)]

    return draw


def conv_transpose(axes):
    def draw(r):
        groups = int(r.choice([1, 1, 2]))
        channels, outputs = groups * int(r.integers(1, 4)), groups * int(r.integers(1, 4))
        stride, dilation = int(r.integers(1, 4)), int(r.integers(1, 3))
        options = {"stride": stride, "padding": int(r.integers(0, 3)), "dilation": dilation, "groups": groups}
        options |= {"output_padding": int(r.integers(0, max(stride, dilation))), "bias": bool(r.random() < 0.7)}
        return (channels, outputs, one_or_each(r, 2, 5, axes)), options, [images(r, channels, axes=axes, least=5)]

    return draw


def max_pool(axes):
    def draw(r):
        kernel = one_or_each(r, 2, 4, axes)
        options = {"padding": int(r.integers(0, 2)), "dilation": int(r.integers(1, 3))}
        options["ceil_mode"] = bool(r.random() < 0.5)
        if r.random() < 0.7:
            options["stride"] = one_or_each(r, 1, 4, axes)
        return (kernel,), options, [images(r, axes=axes)]

    return draw


def avg_pool(axes):
    def draw(r):
        options = {"padding": int(r.integers(0, 2)), "ceil_mode": bool(r.random() < 0.5)}
        options["count_include_pad"] = bool(r.random() < 0.5)
        if r.random() < 0.7:
            options["stride"] = one_or_each(r, 1, 4, axes)
        return (one_or_each(r, 2, 4, axes),), options, [images(r, axes=axes)]

    return draw


def output_size(axes):
    def draw(r):
        size = tuple(int(n) if r.random() < 0.8 else None for n in r.integers(1, 9, axes))
        return (size if axes > 1 and r.random() < 0.7 else int(r.integers(1, 9)),), {}, [images(r, axes=axes)]

    return draw


def batch_norm(axes):
    def draw(r):
        x = images(r, axes=axes, least=2) * 3 + 1
        x = np.concatenate([x, x[::-1] * 0.7 + 0.1])
        options = {"affine": bool(r.random() < 0.7), "track_running_stats": bool(r.random() < 0.8)}
        options |= {"eps": float(r.choice([1e-5, 1e-2])), "momentum": None if r.random() < 0.3 else float(r.random())}
        return (x.shape[1],), options, [x]

    return draw


def layer_norm(r):
    shape = tuple(int(n) for n in r.integers(2, 6, 4))
    count = int(r.integers(1, 4))
    options = {"elementwise_affine": bool(r.random() < 0.7), "bias": bool(r.random() < 0.7), "eps": 1e-4}
    normalized = shape[4 - count :]
    return (int(normalized[0]) if count == 1 else normalized,), options, [r.normal(size=shape)]


def group_norm(r):
    groups = int(r.integers(1, 4))
    channels = groups * int(r.integers(1, 4))
    return (groups, channels), {"affine": bool(r.random() < 0.7)}, [images(r, channels, least=2)]


def linear(r):
    inputs, outputs = (int(n) for n in r.integers(1, 9, 2))
    lead = tuple(int(n) for n in r.integers(1, 5, r.integers(0, 3)))
    return (inputs, outputs), {"bias": bool(r.random() < 0.7)}, [r.normal(size=(*lead, inputs))]


def embedding(r):
    rows, width = (int(n) for n in r.integers(2, 9, 2))
    options = {"padding_idx": int(r.integers(-rows, rows))} if r.random() < 0.5 else {}
    return (rows, width), options, [r.integers(0, rows, (3, 4))]


def upsample(r):
    x = images(r, least=2)
    options = {"mode": str(r.choice(["nearest", "bilinear"]))}
    if options["mode"] == "bilinear" and r.random() < 0.6:
        options["align_corners"] = bool(r.random() < 0.5)
    if r.random() < 0.5:
        options["size"] = tuple(int(n) for n in r.integers(2, 20, 2))
    else:
        options["scale_factor"] = float(r.choice([0.7, 1.5, 2.0, 3.0]))
    return (), options, [x]


def pointwise(*choices):
    """A nonlinearity, with one of a few sets of options."""

    def draw(r):
        return (), dict(choices[r.integers(len(choices))]), [3 * r.normal(size=tuple(r.integers(1, 5, 3)))]

    return draw


def flatten(r):
    start = int(r.integers(0, 4))
    return (start, int(r.integers(start, 4)) - int(r.choice([0, 4]))), {}, [r.normal(size=(2, 3, 1, 4))]


LAYERS = {
    "Linear": linear,
    "Conv1d": conv(1),
    "Conv2d": conv(2),
    "ConvTranspose1d": conv_transpose(1),
    "ConvTranspose2d": conv_transpose(2),
    "MaxPool1d": max_pool(1),
    "MaxPool2d": max_pool(2),
    "AvgPool1d": avg_pool(1),
    "AvgPool2d": avg_pool(2),
    "AdaptiveAvgPool1d": output_size(1),
    "AdaptiveAvgPool2d": output_size(2),
    "AdaptiveMaxPool2d": output_size(2),
    "BatchNorm1d": lambda r: batch_norm(int(r.integers(0, 2)))(r),
    "BatchNorm2d": batch_norm(2),
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "Embedding": embedding,
    "Upsample": upsample,
    "Flatten": flatten,
    "Unflatten": lambda r: ((1, (2, 3)), {}, [r.normal(size=(3, 6, 2))]),
    "Identity": pointwise({}),
    "ReLU": pointwise({}, {"inplace": True}),
    "ReLU6": pointwise({}),
    "LeakyReLU": pointwise({}, {"negative_slope": 0.3}, {"negative_slope": 0.2, "inplace": True}),
    "ELU": pointwise({}, {"alpha": 0.3}),
    "GELU": pointwise({}, {"approximate": "tanh"}),
    "SiLU": pointwise({}),
    "Softplus": pointwise({}, {"beta": 2.0, "threshold": 1.0}),
    "Hardtanh": pointwise({}, {"min_val": -0.5, "max_val": 2.0}),
    "Sigmoid": pointwise({}),
    "Tanh": pointwise({}),
    "Softmax": pointwise({"dim": 0}, {"dim": 1}, {"dim": -1}),
    "LogSoftmax": pointwise({"dim": 0}, {"dim": -2}, {"dim": 2}),
    "Dropout": pointwise({"p": 0.0}, {"p": 1.0}),
}
# PyTorch's text changes between versions.
OWN_WORDS = {"BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm"}


def tensors(arrays, dtype):
    """The same inputs for both libraries; floats require a gradient."""
    ours, theirs = [], []
    for array in arrays:
        array = np.asarray(array)
        array = array.astype(dtype) if array.dtype.kind == "f" else array
        ours.append(minidl.tensor(array, requires_grad=array.dtype.kind == "f"))
        theirs.append(torch.tensor(array, requires_grad=array.dtype.kind == "f"))
    return ours, theirs


def twins(name, seed, dtype):
    """Our layer with the weights of PyTorch's, both with the same inputs."""
    rng = np.random.default_rng(seed)
    arguments, options, arrays = LAYERS[name](rng)
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, name)(*arguments, **options).to(getattr(torch, dtype))
    for parameter in theirs.parameters():  # beyond ones and zeros
        parameter.data += 0.3 * torch.randn_like(parameter)
    ours = getattr(nn, name)(*arguments, **options).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs, arrays, rng


def assert_step_agrees(ours, theirs, arrays, dtype, rng):
    x, t = tensors(arrays, dtype)
    # A copy, since an inplace layer of PyTorch's may not change a leaf.
    y, u = ours(*x), theirs(*[tensor.clone() for tensor in t])
    assert_same(y, u, RTOL[dtype], "output")
    if not u.requires_grad:
        assert not y.requires_grad
        return
    weight = rng.normal(size=u.shape).astype(dtype)
    ours.zero_grad()
    theirs.zero_grad()
    y.backward(weight)
    u.backward(torch.tensor(weight))
    for i, (a, b) in enumerate(zip(x, t, strict=True)):
        assert_same(a.grad, b.grad, RTOL[dtype], f"gradient of input {i}")
    for (key, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert key == other
        assert_same(a.grad, b.grad, RTOL[dtype] * 10, f"gradient of {key}")


def assert_state_agrees(ours, theirs, rtol):
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for key, value in other.items():
        assert_same(mine[key], value, rtol, key)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's, on speed
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, dtype):
    for seed in SEEDS[dtype]:
        ours, theirs, arrays, rng = twins(name, seed, dtype)
        assert_state_agrees(ours, theirs, 0)
        if name not in OWN_WORDS:
            assert repr(ours) == repr(theirs)
        for _ in range(3):
            assert_step_agrees(ours, theirs, arrays, dtype, rng)
            arrays = [a * 0.9 + 0.2 if a.dtype.kind == "f" else a for a in arrays]
        assert_state_agrees(ours, theirs, RTOL[dtype])
        assert_step_agrees(ours.eval(), theirs.eval(), arrays, dtype, rng)
        theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})


def test_max_pool_indices():
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 9))
    for name, size in (("MaxPool2d", 3), ("AdaptiveMaxPool2d", (2, 4))):
        y, places = getattr(nn, name)(size, return_indices=True)(minidl.tensor(x))
        u, expected = getattr(torch.nn, name)(size, return_indices=True)(torch.tensor(x))
        assert_same(y, u, 0, name)
        assert_same(places, expected, 0, name)


# Losses


def labels(r, shape, classes):
    target = r.integers(0, classes, shape)
    target[r.random(shape) < 0.2] = -100
    target.flat[0] = 1  # at least one counts
    return target


def classes(r, logarithms):
    count = int(r.integers(2, 6))
    spatial = tuple(int(n) for n in r.integers(1, 4, r.integers(0, 3)))
    x = 3 * r.normal(size=(int(r.integers(1, 6)), count, *spatial))
    options = {"weight": r.uniform(0.2, 2, count)} if r.random() < 0.5 else {}
    target = labels(r, (x.shape[0], *spatial), count)
    if r.random() < 0.3:
        options["ignore_index"] = 0
        target[target == -100] = 0
    if not logarithms and r.random() < 0.5:
        options["label_smoothing"] = 0.2
    return options, [x, target]


def class_probabilities(r):
    x = r.normal(size=(4, 3, 2))
    target = r.random(x.shape)
    options = {"weight": r.uniform(0.2, 2, 3)} if r.random() < 0.5 else {}
    return options | {"label_smoothing": float(r.choice([0.0, 0.3]))}, [x, target / target.sum(1, keepdims=True)]


def regression(**ranges):
    def draw(r):
        shape = tuple(int(n) for n in r.integers(1, 5, r.integers(0, 4)))
        options = {name: float(r.uniform(*bounds)) for name, bounds in ranges.items()}
        return options, [r.normal(size=shape), r.normal(size=shape)]

    return draw


def binary(logits):
    def draw(r):
        x = 4 * r.normal(size=(3, 4)) if logits else r.uniform(0, 1, (3, 4))
        options = {"weight": r.uniform(0.2, 2, 4)} if r.random() < 0.5 else {}
        if logits and r.random() < 0.5:
            options["pos_weight"] = r.uniform(0.2, 3, 4)
        return options, [x, r.random((3, 4)).round(int(r.integers(0, 2)))]

    return draw


def divergence(r):
    x = np.log(r.dirichlet(np.ones(4), 3))
    target = r.dirichlet(np.ones(4), 3)
    return ({"log_target": True}, [x, np.log(target)]) if r.random() < 0.5 else ({}, [x, target])


LOSSES = {
    "MSELoss": regression(),
    "L1Loss": regression(),
    "HuberLoss": regression(delta=(0.2, 2)),
    "SmoothL1Loss": regression(beta=(0.0, 2)),
    "CrossEntropyLoss": lambda r: classes(r, logarithms=False),
    "CrossEntropyLoss of probabilities": class_probabilities,
    "NLLLoss": lambda r: classes(r, logarithms=True),
    "BCELoss": binary(logits=False),
    "BCEWithLogitsLoss": binary(logits=True),
    "KLDivLoss": divergence,
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's advice for KLDivLoss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, reduction):
    if reduction == "batchmean" and name != "KLDivLoss":
        with pytest.raises(minidl.errors.OptionError, match="reduction"):
            getattr(nn, name.split()[0])(reduction=reduction)
        return
    for seed in SEEDS["float64"]:
        rng = np.random.default_rng(seed)
        options, arrays = LOSSES[name](rng)
        kind = name.split()[0]
        theirs = getattr(torch.nn, kind)(
            **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}, reduction=reduction
        )
        ours = getattr(nn, kind)(**options, reduction=reduction)
        assert_state_agrees(ours, theirs, 0)
        assert repr(ours) == repr(theirs)
        assert_step_agrees(ours, theirs, arrays, "float64", rng)


# A whole network


def network(library):
    return library.Sequential(
        library.Conv2d(3, 8, 3, padding=1, bias=False),
        library.BatchNorm2d(8),
        library.ReLU(),
        library.MaxPool2d(2),
        library.Sequential(library.Conv2d(8, 8, 3, stride=2, groups=2), library.GELU(), library.AdaptiveAvgPool2d(2)),
        library.Flatten(),
        library.LayerNorm(32),
        library.Linear(32, 5),
    )


def test_a_network_trains_alike():
    theirs, ours = network(torch.nn).double(), network(nn).double()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    our_steps = optim.SGD(ours.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    their_steps = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(5):
        x, target = rng.normal(size=(6, 3, 10, 10)), rng.integers(0, 5, 6)
        our_steps.zero_grad()
        their_steps.zero_grad()
        nn.CrossEntropyLoss()(ours(minidl.tensor(x)), minidl.tensor(target)).backward()
        torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(target)).backward()
        our_norm = nn.utils.clip_grad_norm_(ours.parameters(), 0.5)
        their_norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        assert our_norm.item() == pytest.approx(their_norm.item(), rel=1e-9)
        our_steps.step()
        their_steps.step()
    assert_state_agrees(ours, theirs, 1e-8)


# First values


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Linear", (40, 50)),
        ("Conv1d", (8, 64, 5)),
        ("Conv2d", (6, 64, (3, 4))),
        ("ConvTranspose1d", (8, 64, 5)),
        ("ConvTranspose2d", (6, 64, 3)),
        ("Embedding", (60, 50)),
    ],
)
def test_first_values_have_pytorchs_distribution(name, arguments):
    minidl.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    for (key, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        bounded = name != "Embedding"
        assert abs(a).max() == pytest.approx(abs(b).max(), rel=(0.1 if a.size < 200 else 0.01) if bounded else 0.3), key
        assert a.std() == pytest.approx(b.std(), rel=0.35 if a.size < 200 else 0.05), key
        assert abs(a.mean()) < 4 * a.std() / a.size**0.5, key


@pytest.mark.parametrize("shape", [(30, 50), (64, 3, 3, 3)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uniform_", {"a": -2.0, "b": 3.0}),
        ("normal_", {"mean": 1.0, "std": 2.0}),
        ("trunc_normal_", {"std": 2.0, "a": -3.0, "b": 1.0}),
        ("constant_", {"val": 0.3}),
        ("zeros_", {}),
        ("ones_", {}),
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": 0.2, "mode": "fan_out"}),
        ("kaiming_uniform_", {"nonlinearity": "relu"}),
        ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("orthogonal_", {"gain": 1.5}),
    ],
)
def test_initialisers_have_pytorchs_distribution(name, options, shape):
    minidl.manual_seed(0)
    torch.manual_seed(0)
    a = getattr(nn.init, name)(minidl.empty(shape), **options).numpy()
    b = getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy()
    assert a.mean() == pytest.approx(b.mean(), abs=float(0.15 * b.std() + 1e-6))
    assert a.std() == pytest.approx(b.std(), rel=0.07, abs=1e-7)
    levels = [0.05, 0.5, 0.95]
    assert np.quantile(a, levels) == pytest.approx(np.quantile(b, levels), abs=float(0.2 * b.std() + 1e-6))


def test_gains():
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu"):
        assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (None, 0.0, 0.3):
        assert nn.init.calculate_gain("leaky_relu", slope) == torch.nn.init.calculate_gain("leaky_relu", slope)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0, float("inf")])
def test_clip_grad_norm(norm_type, max_norm):
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in ((3, 4), (5,), ()):
        values = rng.normal(size=shape)
        ours.append(nn.Parameter(values))
        theirs.append(torch.nn.Parameter(torch.tensor(values)))
        ours[-1].grad, theirs[-1].grad = minidl.tensor(values * 2), torch.tensor(values * 2)
    ours.append(nn.Parameter([1.0]))  # without a gradient
    found = nn.utils.clip_grad_norm_(ours, max_norm, norm_type)
    wanted = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)
    for a, b in zip(ours[:-1], theirs, strict=True):
        assert_same(a.grad, b.grad, 1e-12, "clipped gradient")
