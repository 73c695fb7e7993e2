"""Means with their uncertainty."""

from collections.abc import Mapping

import matplotlib.pyplot as plt

from gcvit_edu.viz.style import GREY, WIDTH, styled


@styled
def intervals(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    colours: Mapping[str, str] | None = None,
    lines: Mapping[str, float] | None = None,
    row_height: float = 0.24,
) -> None:
    """Dots with their intervals, row by row, one panel for each quantity.

    Args:
        panels: by title, and within by the name of the row: mean, lower and upper end. All have the same rows.
        colours: of rows, by name; grey for the others.
        lines: by title of a panel, a value to compare with.
        row_height: in inches.
    """
    names = list(next(iter(panels.values())))
    places = range(len(names))
    size = (WIDTH, row_height * len(names) + 0.75)
    _, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for place, name in zip(places, names, strict=True):
            mean, low, high = rows[name]
            colour = (colours or {}).get(name, GREY)
            ax.plot([low, high], [place, place], color=colour, linewidth=2)
            ax.plot(mean, place, "o", color=colour, markersize=5)
        if lines and title in lines:
            ax.axvline(lines[title], color="black", linestyle="--", linewidth=1.1, zorder=0)
        ax.set_title(title)
        ax.set_yticks(places, names)
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=9)
        ax.grid(axis="x", color="#DDDDDD", linewidth=0.8)
    axes[0][0].invert_yaxis()
