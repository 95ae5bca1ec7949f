"""Three pictures: the ladder from plain loops to the kernels, the roofline, and the steps beside PyTorch's.

Each is drawn from measurements of this very run. Colours are those of `minidl.io.figure`, told apart by colour-blind
readers, and nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import Arena, Row
from benchmarks.ladder import RUNGS, climb
from benchmarks.peaks import Peaks, measure_peaks

__all__ = ["draw_figures", "draw_ladder", "draw_ratios", "draw_roofline"]

ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


def draw_figures(
    folder: Path, arena: Arena, facts: Mapping[str, Any], suites: Mapping[str, Sequence[Row]]
) -> list[Path]:
    """Draw the ladder always (it is measured here), the others where the run holds what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = int(facts["threads"])
    where = f"{facts['processor']}, variant {facts['instruction set']}, {threads} thread{'s' * (threads > 1)}"
    peaks = measure_peaks(str(facts["instruction set"]), threads, arena.settings.quick)
    paths = [folder / "ladder.png"]
    draw_ladder(paths[0], climb(arena), peaks, where)
    points = [
        row for row in suites.get("kernels", []) if row.flops and row.traffic and row.ours and row.peer == "torch"
    ]
    if points:
        paths.append(folder / "roofline.png")
        draw_roofline(paths[-1], points, peaks, where)
    bars = [row for row in suites.get("step", []) if row.ratio]
    if bars:
        paths.append(folder / "steps.png")
        draw_ratios(paths[-1], bars, where)
    return paths


def draw_ladder(path: Path, heights: Mapping[str, Sequence[float]], peaks: Peaks, where: str) -> None:
    """GFLOP/s of the same product and convolution, four ways, on a logarithmic axis."""
    from minidl.io.figure import BLUE, ORANGE, new_figure, save_figure

    figure = new_figure(7.5, 5.0)
    axes = figure.subplots()
    names = list(heights)
    width = 0.8 / len(names)
    for number, (name, color, hatch) in enumerate(zip(names, (BLUE, ORANGE), ("", "//"), strict=False)):
        places = [rung + (number - (len(names) - 1) / 2) * width for rung in range(len(RUNGS))]
        bars = axes.bar(places, heights[name], width, color=color, hatch=hatch, edgecolor="white", label=name)
        axes.bar_label(
            bars, [f"{value:.3g}" for value in heights[name]], fontsize=8, padding=3, bbox=ON_WHITE, zorder=3
        )
    for value, style, text in (
        (peaks.one_thread, ":", f"measured peak of one thread, {peaks.one_thread:.0f}"),
        (peaks.all_threads, "--", f"measured peak of all threads, {peaks.all_threads:.0f}"),
    ):
        axes.axhline(value, color="black", linewidth=1, linestyle=style, label=text, zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(min(map(min, heights.values())) / 3, peaks.all_threads * 2.5)
    axes.set_xticks(range(len(RUNGS)), [rung.title for rung in RUNGS])
    axes.set_ylabel("GFLOP/s (logarithmic)")
    axes.set_title("The same work, four ways (float32)")
    figure.legend(loc="outside upper center", ncols=2, fontsize=8)
    gain = max(values[-1] / values[0] for values in heights.values())
    save_figure(
        figure,
        path,
        f"From plain Python loops to the compiled kernels: up to {gain:,.0f} times as fast. The loops run on a "
        f"corner of the problem; their speed does not depend on its size. {where}.",
    )


GROUPS = (
    # words in a row's name, label, marker, colour's name
    (("conv", ", forward"), "convolution, forward", "o", "BLUE"),
    (("conv", "input gradient"), "convolution, input gradient", "s", "BLUE"),
    (("conv", "weight gradient"), "convolution, weight gradient", "^", "ORANGE"),
    (("matmul",), "matrix product", "D", "GREEN"),
    (("linear",), "dense layer", "v", "GREEN"),
    (("relu",), "relu", "P", "black"),
    (("max-pool",), "max pooling", "X", "black"),
    (("batch norm",), "batch norm", "*", "black"),
)


def draw_roofline(path: Path, rows: Sequence[Row], peaks: Peaks, where: str) -> None:
    """Each kernel under the roof that memory and arithmetic put over it (Williams, Waterman, Patterson, 2009)."""
    from minidl.io import figure as palette

    figure = palette.new_figure(8.5, 4.8)
    axes = figure.subplots()
    intensities = [row.flops / row.traffic for row in rows]
    left, right = min(intensities) / 2, max(intensities) * 2
    for bandwidth, style, text in ((peaks.memory, "-", "memory"), (peaks.cache, "--", "second-level cache")):
        ridge = peaks.all_threads / bandwidth
        xs = [left, max(ridge, left), right]
        ys = [min(x * bandwidth, peaks.all_threads) for x in xs]
        axes.plot(xs, ys, color="black", linewidth=1, linestyle=style, label=f"roof: {text}, {bandwidth:.0f} GB/s")
    for words, label, marker, color in GROUPS:
        here = [row for row in rows if row.name.startswith(words[0]) and all(word in row.name for word in words)]
        if here:
            axes.scatter(
                [row.flops / row.traffic for row in here],
                [row.flops / (row.ours or 1) / 1e9 for row in here],
                marker=marker, s=36, color=getattr(palette, color, color), alpha=0.75, linewidths=0, label=label,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_xlabel("arithmetic intensity (FLOP per byte that must be read or written)")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(f"Kernels under the roof: measured peak {peaks.all_threads:.0f} GFLOP/s")
    axes.grid(True, which="major", linewidth=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    palette.save_figure(
        figure,
        path,
        "A point touches the roof when nothing is wasted. Points above the solid slope work on data that is still in a "
        "cache; convolutions above the flat roof take Winograd's way, which saves multiplications; points far below a "
        f"roof are small problems, or kernels with room to grow. {where}.",
    )


def draw_ratios(path: Path, rows: Sequence[Row], where: str) -> None:
    """PyTorch's time over minidl's, with quartiles, and the level that each row has to reach."""
    from minidl.io.figure import BLUE, ORANGE, new_figure, save_figure

    figure = new_figure(8.0, 1.6 + 0.36 * len(rows))
    axes = figure.subplots()
    right = 1.05 * max(max(row.ratio.upper if row.ratio else 0, row.level or 0) for row in rows)
    for place, row in enumerate(reversed(rows)):
        assert row.ratio is not None
        error = [[row.ratio.median - row.ratio.lower], [row.ratio.upper - row.ratio.median]]
        axes.barh(place, row.ratio.median, color=BLUE, height=0.62)
        axes.errorbar(row.ratio.median, place, xerr=error, color="black", capsize=2, linewidth=1)
        axes.text(1.12 * right, place, f"{row.ratio.median:.2f}", va="center", ha="right", fontsize=9)
        if row.level is not None:
            axes.plot([row.level] * 2, [place - 0.4, place + 0.4], color=ORANGE, linewidth=2.5)
    axes.plot([], [], color=ORANGE, linewidth=2.5, label="level to reach")
    axes.axvline(1, color="black", linewidth=1, linestyle="--", label="as fast as PyTorch")
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=9)
    axes.set_xlim(0, 1.15 * right)
    axes.set_title("Beside PyTorch: a training step, and one picture")
    axes.set_xlabel("PyTorch's time / minidl's time (longer bars: minidl is faster)")
    figure.legend(loc="outside upper right", ncols=2, fontsize=8)
    save_figure(
        figure,
        path,
        "Training steps and inference: medians of the ratios of neighbouring rounds, whiskers from the first to the "
        f"third quartile. {where}.",
    )
