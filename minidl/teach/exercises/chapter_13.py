"""Chapter 13: a crop with padding, accuracy class by class, the arithmetic of a small CNN.

Where a mistake is known by its number, the reason of a wrong answer is that number ("got 0.5").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]


# 13.1


def _crop(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    height, width, _ = picture.shape
    padded = np.pad(picture, ((padding, padding), (padding, padding), (0, 0)))
    return padded[top : top + height, left : left + width]


def _crop_by_pixels(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    piece = np.zeros_like(picture)
    height, width, _ = picture.shape
    for i in range(height):
        for j in range(width):
            row, column = top + i - padding, left + j - padding
            if 0 <= row < height and 0 <= column < width:
                piece[i, j] = picture[row, column]
    return piece


def _picture(rng: np.random.Generator) -> tuple[Any, ...]:
    height, width = (int(size) for size in rng.permutation([4, 5, 6])[:2])
    padding = int(rng.integers(1, 3))
    top, left = (int(place) for place in rng.permutation(2 * padding + 1)[:2])
    return rng.uniform(0.1, 1, (height, width, 3)), padding, top, left


def _no_padding(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    height, width, _ = picture.shape
    return picture[top : top + height, left : left + width]


def _swapped_corner(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    return _crop(picture, padding, left, top)


def _padded_channels(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    height, width, _ = picture.shape
    return np.pad(picture, padding)[top : top + height, left : left + width]


def _edge_in_place_of_zeros(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    height, width, _ = picture.shape
    padded = np.pad(picture, ((padding, padding), (padding, padding), (0, 0)), mode="edge")
    return padded[top : top + height, left : left + width]


def _rolled(picture: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    return np.roll(
        picture, (padding - top, padding - left), axis=(0, 1)
    )  # what leaves on one side returns on the other


# 13.2


def _per_class(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    right = np.bincount(labels[labels == guesses], minlength=classes)
    return right / np.maximum(np.bincount(labels, minlength=classes), 1)


def _per_class_by_loops(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    shares = np.zeros(classes)
    for c in range(classes):
        mine = [guess for label, guess in zip(labels.tolist(), guesses.tolist(), strict=True) if label == c]
        shares[c] = sum(guess == c for guess in mine) / len(mine) if mine else 0.0
    return shares


def _guesses(rng: np.random.Generator) -> tuple[Any, ...]:
    classes = int(rng.integers(3, 6))
    labels = rng.integers(0, classes - 1, int(rng.integers(15, 30)))  # the last class has no samples
    guesses = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, classes, len(labels)))
    guesses[0], guesses[1] = classes - 1, labels[1]
    return labels, guesses, classes


def _by_guesses(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    right = np.bincount(labels[labels == guesses], minlength=classes)
    return right / np.maximum(np.bincount(guesses, minlength=classes), 1)


def _by_everything(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels[labels == guesses], minlength=classes) / len(labels)


def _one_against_the_rest(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    return np.array([((labels == c) == (guesses == c)).mean() for c in range(classes)])


def _empty_class_forgotten(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    return np.array([(guesses[labels == c] == c).sum() / np.float64((labels == c).sum()) for c in range(classes)])


# 13.3


def _multiply_adds(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    out = size - kernel + 1
    convolution = kernels * out * out * channels * kernel * kernel
    return convolution + kernels * (out // 2) ** 2 * classes


def _multiply_adds_by_counting(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    """Walk over the places of the window, as the loops of chapter 8 do, and count."""
    count, places = 0, 0
    for top in range(size):
        for left in range(size):
            if top + kernel <= size and left + kernel <= size:
                places += 1
                count += kernels * channels * kernel * kernel
    side = round(places**0.5)
    pooled = len(range(0, side - 1, 2)) ** 2
    return count + pooled * kernels * classes


def _small_network(rng: np.random.Generator) -> tuple[Any, ...]:
    return tuple(int(rng.integers(*limits)) for limits in ((9, 20), (2, 5), (3, 9), (2, 6), (2, 11)))


def _weights_only(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    out = size - kernel + 1
    return kernels * channels * kernel * kernel + kernels * (out // 2) ** 2 * classes


def _same_size(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    return kernels * size * size * channels * kernel * kernel + kernels * (size // 2) ** 2 * classes


def _pool_forgotten(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    out = size - kernel + 1
    return kernels * out * out * channels * kernel * kernel + kernels * out * out * classes


def _one_input_channel(size: int, channels: int, kernels: int, kernel: int, classes: int) -> int:
    return _multiply_adds(size, 1, kernels, kernel, classes)


exercises = [
    Exercise(
        "13.1",
        "A crop with padding",
        solution=_crop,
        reference=_crop_by_pixels,
        samples=_picture,
        hints=(
            "Two steps: put a frame of zeros around the picture, then cut a piece of the old size out of it.",
            "Only rows and columns get a frame; the colours do not. np.pad takes one pair of widths for each axis.",
            "np.pad(picture, ((p, p), (p, p), (0, 0)))[top : top + H, left : left + W].",
        ),
        wrong=(
            Wrong(_no_padding, "wrong shape"),
            Wrong(_swapped_corner, "got 0.978367"),
            Wrong(_padded_channels, "wrong shape"),
            Wrong(_edge_in_place_of_zeros, "expected 0, got"),
            Wrong(_rolled, "expected 0, got"),
        ),
    ),
    Exercise(
        "13.2",
        "Accuracy class by class",
        solution=_per_class,
        reference=_per_class_by_loops,
        samples=_guesses,
        hints=(
            "For each class, look only at the samples that truly belong to it. How many of them were recognised?",
            "Divide the right ones of a class by the number of its labels, not of its guesses. A class may be empty.",
            "np.bincount(labels[labels == guesses], minlength=K) / np.maximum(np.bincount(labels, minlength=K), 1).",
        ),
        wrong=(
            Wrong(_by_guesses, "got 0.888888"),
            Wrong(_by_everything, "got 0.321428"),
            Wrong(_one_against_the_rest, "got 0.678571"),
            Wrong(_empty_class_forgotten, "not finite where it should be"),
        ),
    ),
    Exercise(
        "13.3",
        "The arithmetic of a small CNN",
        solution=_multiply_adds,
        reference=_multiply_adds_by_counting,
        samples=_small_network,
        hints=(
            "How many numbers does the convolution produce, and how many products are in each of them?",
            "Each of kernels * out * out numbers takes channels * kernel * kernel products; out = size - kernel + 1.",
            "Add the dense layer: kernels * (out // 2)**2 inputs times classes. Pooling and ReLU multiply nothing.",
        ),
        wrong=(
            Wrong(_weights_only, "got 1656"),
            Wrong(_same_size, "got 45280"),
            Wrong(_pool_forgotten, "got 31200"),
            Wrong(_one_input_channel, "got 14200"),
        ),
    ),
]
