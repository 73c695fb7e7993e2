"""Figures of the scores of trained networks, and of the classes that they confuse."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from gcvit_edu.viz.style import GREY, MARKERS, ORANGE, PINK, WIDTH, check_count, styled


@styled
def confusion(table: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """The confusion matrix: rows are the truth, columns the guess, empty cells are zero.

    Args:
        table: table[truth][guess], pictures.
        names: of the classes.
    """
    counts = np.asarray(table)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    _, ax = plt.subplots(figsize=(WIDTH, 5.6))
    ax.imshow(shares, cmap="Greys", vmin=0, vmax=1.15, interpolation="nearest")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "#111111"
            ax.text(column, row, str(count), ha="center", va="center", fontsize=9.5, color=colour)
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(np.arange(0.5, len(names) - 1), minor=True)
    ax.set_yticks(np.arange(0.5, len(names) - 1), minor=True)
    ax.grid(which="minor", color="#DDDDDD", linewidth=0.8)
    ax.tick_params(which="both", length=0)
    ax.set_xlabel("guess")
    ax.set_ylabel("truth")


@styled
def seeds(
    results: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    label: str,
    line: tuple[str, float] | None = None,
) -> None:
    """Runs with several seeds: a ring for each, and a bar at their mean.

    Args:
        results: by series (three at most), and within by the name of the setting, one value for each seed; all
            series have the same settings.
        label: of the y axis, with its unit.
        line: a value to compare with, and its name.

    Raises:
        ValueError: for more than three series.
    """
    check_count(results, 3)
    _, ax = plt.subplots(figsize=(WIDTH, 3.4))
    settings = list(next(iter(results.values())))
    for number, ((series, values), colour, marker) in enumerate(
        zip(results.items(), (GREY, PINK, ORANGE), MARKERS, strict=False)
    ):
        shift = 0.24 * (number - (len(results) - 1) / 2)
        for place, setting in enumerate(settings):
            runs = list(values[setting])
            x = place + shift
            ax.plot([x] * len(runs), runs, marker, color=colour, markersize=6, fillstyle="none", markeredgewidth=1.4)
            ax.plot([x - 0.09, x + 0.09], [sum(runs) / len(runs)] * 2, color=colour, linewidth=2.6)
        ax.plot([], [], marker, color=colour, fillstyle="none", markeredgewidth=1.4, label=series)
    if line is not None:
        ax.axhline(line[1], color="black", linestyle="--", linewidth=1.2, label=line[0], zorder=0)
    ax.set_xticks(range(len(settings)), settings)
    ax.set_ylabel(label)
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    ax.legend()
