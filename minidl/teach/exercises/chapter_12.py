"""Exercises of chapter 12, LeNet."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

# 12.1


def size_after(size, layers):
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) // stride + 1
    return size


def _slide(size, layers):
    """Put the window wherever it fits, and count."""
    for kernel, stride, padding in layers:
        width = size + 2 * padding
        size = sum(1 for left in range(0, width, stride) if left + kernel <= width)
    return size


def _draw_layers(rng: np.random.Generator) -> tuple[Any, ...]:
    layers = []
    for _ in range(int(rng.integers(2, 5))):
        kernel = int(rng.integers(2, 6))
        layers.append((kernel, int(rng.integers(1, 4)), int(rng.integers(0, kernel))))
    return int(rng.integers(60, 200)), layers


def _without_one(size, layers):
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) // stride
    return size


def _padding_once(size, layers):
    for kernel, stride, padding in layers:
        size = (size + padding - kernel) // stride + 1
    return size


def _true_division(size, layers):
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) / stride + 1
    return size


# 12.2


def count_parameters(layers):
    total = 0
    for kind, inputs, outputs, kernel in layers:
        if kind == "conv":
            total += outputs * (inputs * kernel * kernel + 1)
        if kind == "linear":
            total += outputs * (inputs + 1)
    return total


def _count_arrays(layers):
    """Make the arrays and count their elements."""
    shapes = []
    for kind, inputs, outputs, kernel in layers:
        if kind == "conv":
            shapes += [(outputs, inputs, kernel, kernel), (outputs,)]
        if kind == "linear":
            shapes += [(outputs, inputs), (outputs,)]
    return sum(np.zeros(shape, dtype=bool).size for shape in shapes)


def _draw_network(rng: np.random.Generator) -> tuple[Any, ...]:
    channels, layers = int(rng.integers(1, 4)), []
    for _ in range(int(rng.integers(1, 3))):
        outputs, kernel = int(rng.integers(2, 17)), int(rng.integers(2, 6))
        layers += [("conv", channels, outputs, kernel), ("pool", outputs, outputs, 2)]
        channels = outputs
    features = channels * 16
    for outputs in rng.integers(5, 50, size=2):
        layers.append(("linear", features, int(outputs), 0))
        features = int(outputs)
    return (layers,)


def _no_bias(layers):
    total = 0
    for kind, inputs, outputs, kernel in layers:
        if kind == "conv":
            total += outputs * inputs * kernel * kernel
        if kind == "linear":
            total += outputs * inputs
    return total


def _one_kernel_for_all_inputs(layers):
    total = 0
    for kind, inputs, outputs, kernel in layers:
        if kind == "conv":
            total += outputs * (kernel * kernel + 1)
        if kind == "linear":
            total += outputs * (inputs + 1)
    return total


def _pooling_learns(layers):
    return count_parameters([("conv" if kind == "pool" else kind, *sizes) for kind, *sizes in layers])


# 12.3


def normalise(train, test):
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation


def _normalise_by_sums(train, test):
    values = [float(v) for v in train.ravel()]
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return tuple(
        np.array([(float(v) - mean) / variance**0.5 for v in x.ravel()]).reshape(x.shape) for x in (train, test)
    )


def _draw_pictures(rng: np.random.Generator) -> tuple[Any, ...]:
    side = int(rng.integers(3, 7))
    train = rng.uniform(0, 1, size=(int(rng.integers(4, 9)), side, side)) ** 2
    return train, rng.uniform(0.2, 1, size=(int(rng.integers(2, 5)), side, side))


def _each_by_its_own(train, test):
    return (train - train.mean()) / train.std(), (test - test.mean()) / test.std()


def _both_together(train, test):
    everything = np.concatenate([train, test])
    mean, deviation = everything.mean(), everything.std()
    return (train - mean) / deviation, (test - mean) / deviation


def _by_the_variance(train, test):
    mean, variance = train.mean(), train.var()
    return (train - mean) / variance, (test - mean) / variance


def _in_place(train, test):
    mean, deviation = train.mean(), train.std()
    train -= mean
    train /= deviation
    return train, (test - mean) / deviation


exercises = [
    Exercise(
        "12.1",
        "The size of a picture after a stack of layers",
        solution=size_after,
        reference=_slide,
        samples=_draw_layers,
        hints=(
            "Do one layer first. How many places are there for a window of 5 in a row of 28 pixels?",
            "Padding adds pixels on both sides. A stride of s leaves every s-th place; the first place always counts.",
            "size = (size + 2 * padding - kernel) // stride + 1, once for each layer, in order.",
        ),
        wrong=(
            Wrong(_without_one, "first difference"),
            Wrong(_padding_once, "first difference"),
            Wrong(_true_division, "expected an integer, got a float"),
        ),
    ),
    Exercise(
        "12.2",
        "The number of parameters of a network",
        solution=count_parameters,
        reference=_count_arrays,
        samples=_draw_network,
        hints=(
            "Which arrays does a layer hold? Write their shapes down; a parameter is one element of one of them.",
            "A convolution's weight has shape (outputs, inputs, kernel, kernel): every output looks at all inputs.",
            "conv: outputs * (inputs * kernel**2 + 1). linear: outputs * (inputs + 1). The 1 is the bias. Pooling: 0.",
        ),
        wrong=(
            Wrong(_no_bias, "first difference"),
            Wrong(_one_kernel_for_all_inputs, "first difference"),
            Wrong(_pooling_learns, "first difference"),
        ),
    ),
    Exercise(
        "12.3",
        "Normalise with the statistics of the training set",
        solution=normalise,
        reference=_normalise_by_sums,
        samples=_draw_pictures,
        hints=(
            "Two numbers are needed, a mean and a standard deviation. Which pictures may they be computed from?",
            "The test set stands for pictures that nobody has seen yet: it gives no numbers, it only receives them.",
            "mean, deviation = train.mean(), train.std(); then (x - mean) / deviation for x = train and for x = test.",
        ),
        wrong=(
            Wrong(_each_by_its_own, "result 2 of 2"),
            Wrong(_both_together, "result 1 of 2"),
            Wrong(_by_the_variance, "times the expected one everywhere"),
            Wrong(_in_place, "changed its input train in place"),
        ),
    ),
]
