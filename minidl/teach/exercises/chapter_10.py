"""Exercises of chapter 10, a Cython kernel: packing, the shape of a tile, and sharing out rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.teach.exercise import Exercise, Wrong

__all__ = ["exercises"]

Shares = list[tuple[int, int]]


# --- 10.1: packing ----------------------------------------------------------------------------------------------------


def pack(y: np.ndarray, nr: int) -> np.ndarray:
    points, features = y.shape
    tiles = -(-points // nr)
    padded = np.zeros((tiles * nr, features), y.dtype)
    padded[:points] = y
    return padded.reshape(tiles, nr, features).transpose(0, 2, 1).copy()


def _number_by_number(y: np.ndarray, nr: int) -> np.ndarray:
    points, features = y.shape
    tiles = np.zeros((points // nr + (points % nr > 0), features, nr), y.dtype)
    for place in range(points):
        for k in range(features):
            tiles[place // nr, k, place % nr] = y[place, k]
    return tiles


def _sample_points(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    nr = int(rng.integers(3, 6))
    points = 2 * nr + int(rng.integers(1, nr))  # the last tile is never full
    return rng.normal(size=(points, int(rng.integers(2, 4)))).astype(np.float32), nr


def _rest_dropped(y: np.ndarray, nr: int) -> np.ndarray:
    tiles = len(y) // nr
    return y[: tiles * nr].reshape(tiles, nr, -1).transpose(0, 2, 1).copy()


def _not_transposed(y: np.ndarray, nr: int) -> np.ndarray:
    return pack(y, nr).transpose(0, 2, 1).copy()


def _reshaped(y: np.ndarray, nr: int) -> np.ndarray:
    """The right shape, without moving a number."""
    return pack(y, nr).transpose(0, 2, 1).reshape(-1, y.shape[1], nr)


def _in_double(y: np.ndarray, nr: int) -> np.ndarray:
    tiles = -(-len(y) // nr)
    padded = np.zeros((tiles * nr, y.shape[1]))
    padded[: len(y)] = y
    return padded.reshape(tiles, nr, -1).transpose(0, 2, 1).copy()


# --- 10.2: the shape of a tile ----------------------------------------------------------------------------------------


def best_tile(registers: int, width: int) -> tuple[int, int]:
    best, ratio = (0, 0), 0.0
    for vectors in range(1, registers):
        rows = (registers - vectors - 2) // vectors  # the tallest that fits beside this width
        if rows >= 1 and rows * vectors / (rows + vectors) > ratio:
            best, ratio = (rows, vectors * width), rows * vectors / (rows + vectors)
    return best


def _every_tile(registers: int, width: int) -> tuple[int, int]:
    fitting = [
        (rows, vectors)
        for rows in range(1, registers + 1)
        for vectors in range(1, registers + 1)
        if rows * vectors + vectors + 1 + 1 <= registers
    ]
    # 1 / rows + 1 / vectors is the loads for each multiply-add: the fewest, then the narrowest.
    rows, vectors = min(fitting, key=lambda tile: (round(1 / tile[0] + 1 / tile[1], 12), tile[1]))
    return rows, vectors * width


def _sample_processor(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([8, 16, 24, 32, 48, 64])), int(rng.choice([2, 4, 8, 16]))


def _sums_alone(registers: int, width: int) -> tuple[int, int]:
    return _every_tile(registers + 2, width)


def _largest_area(registers: int, width: int) -> tuple[int, int]:
    tallest = registers - 3  # one vector wide: the most sums, and a load for each
    return tallest, width


def _in_vectors(registers: int, width: int) -> tuple[int, int]:
    rows, columns = best_tile(registers, width)
    return rows, columns // width


def _exchanged(registers: int, width: int) -> tuple[int, int]:
    rows, columns = best_tile(registers, width)
    return columns, rows


# --- 10.3: sharing out rows -------------------------------------------------------------------------------------------


def shares(rows: int, threads: int) -> Shares:
    size, longer = divmod(rows, threads)
    starts = [thread * size + min(thread, longer) for thread in range(threads + 1)]
    return [(starts[thread], starts[thread + 1]) for thread in range(threads)]


def _dealt(rows: int, threads: int) -> Shares:
    """Deal one row after the other, as cards, and count what each has got."""
    got = [0] * threads
    for row in range(rows):
        got[row % threads] += 1
    return [(sum(got[:thread]), sum(got[: thread + 1])) for thread in range(threads)]


def _sample_rows(rng: np.random.Generator) -> tuple[int, int]:
    threads = int(rng.integers(4, 7))
    return 2 * threads + int(rng.integers(2, threads)), threads


def _lost(rows: int, threads: int) -> Shares:
    size = rows // threads
    return [(thread * size, (thread + 1) * size) for thread in range(threads)]


def _rest_to_the_last(rows: int, threads: int) -> Shares:
    found = _lost(rows, threads)
    return [*found[:-1], (found[-1][0], rows)]


def _rounded_up(rows: int, threads: int) -> Shares:
    size = -(-rows // threads)
    return [(min(thread * size, rows), min((thread + 1) * size, rows)) for thread in range(threads)]


def _overlapping(rows: int, threads: int) -> Shares:
    return [(start, min(stop + 1, rows)) for start, stop in shares(rows, threads)]


exercises: list[Any] = [
    Exercise(
        "10.1",
        "Packing points into tiles",
        solution=pack,
        reference=_number_by_number,
        samples=_sample_points,
        hints=(
            "How many tiles are needed? M / nr, rounded up. The last one is filled up with zeros.",
            "Make zeros of tiles·nr rows in the type of y, copy y into the top, and reshape to three axes.",
            "After reshape(tiles, nr, K), axis 1 is the point in the tile, axis 2 the coordinate: transpose(0, 2, 1).",
        ),
        wrong=(
            Wrong(_rest_dropped, "wrong shape"),
            Wrong(_not_transposed, "wrong shape"),
            Wrong(_reshaped, "largest difference"),
            Wrong(_in_double, "wrong dtype: expected float32, got float64"),
        ),
    ),
    Exercise(
        "10.2",
        "The best tile for a processor",
        solution=best_tile,
        reference=_every_tile,
        samples=_sample_processor,
        hints=(
            "For a given number of vectors n, how tall can the tile be at most? mr·n + n + 2 registers are needed.",
            "mr = (registers - n - 2) // n. Try every n, and keep the tile with the largest mr·n / (mr + n).",
            "Compare with > and go through n upwards: of equals the narrowest stays. Return (mr, n·width).",
        ),
        wrong=(
            Wrong(_sums_alone, "first difference: expected"),
            Wrong(_largest_area, "first difference: expected"),
            Wrong(_in_vectors, "result 2 of 2: first difference: expected"),
            Wrong(_exchanged, "result 1 of 2: first difference: expected"),
        ),
    ),
    Exercise(
        "10.3",
        "Sharing out rows to threads",
        solution=shares,
        reference=_dealt,
        samples=_sample_rows,
        hints=(
            "size, rest = divmod(rows, threads): everybody gets `size` rows. Who gets one of the rest?",
            "The first `rest` threads get size + 1. Thread t starts where, if min(t, rest) before it got one more?",
            "start(t) = t·size + min(t, rest); thread t has the rows from start(t) to start(t + 1).",
        ),
        wrong=(
            Wrong(_lost, "first difference: expected"),
            Wrong(_rest_to_the_last, "first difference: expected"),
            Wrong(_rounded_up, "first difference: expected"),
            Wrong(_overlapping, "first difference: expected"),
        ),
    ),
]
