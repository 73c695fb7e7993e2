"""Lines and bars."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from gcvit_edu.viz.style import CYCLE, LOCAL, MARKERS, WIDTH, check_count, styled


@styled
def curves(
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    labels: tuple[str, str],
    log: str = "",
    height: float = 3.4,
    colours: Sequence[str] = CYCLE,
) -> None:
    """Lines with markers over a common x, each named at its end.

    Args:
        x: positions of the values.
        series: values by name.
        labels: of the x and y axes, with units.
        log: the axes that are logarithmic: "", "x", "y" or "xy".
        height: in inches.
        colours: one per line.

    Raises:
        ValueError: for more lines than colours or markers.
    """
    check_count(series, min(len(colours), len(MARKERS)))
    _, ax = plt.subplots(figsize=(WIDTH, height))
    for (name, values), colour, marker in zip(series.items(), colours, MARKERS, strict=False):
        ax.plot(x, values, color=colour, marker=marker, markersize=5, label=name)
    for axis in log:
        getattr(ax, f"set_{axis}scale")("log")
        getattr(ax, f"{axis}axis").set_major_formatter("{x:g}")
    ax.set_xticks(x)
    ax.minorticks_off()
    _name_ends(ax)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.8)


def _name_ends(ax: Axes) -> None:
    """Write each line's name at its end, moved up where two would overlap."""
    points = 72 / ax.figure.dpi
    lowest = float("-inf")
    for line in sorted(ax.lines, key=lambda line: line.get_ydata()[-1]):
        end = (line.get_xdata()[-1], line.get_ydata()[-1])
        height = ax.transData.transform(end)[1] * points
        place = max(height, lowest + 13)
        lowest = place
        ax.annotate(
            line.get_label(),
            end,
            xytext=(7, place - height),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
        )


@styled
def bars(values: Mapping[str, float], *, label: str, height: float = 2.6, colours: Sequence[str] = (LOCAL,)) -> None:
    """Horizontal bars with their values written beside them.

    Args:
        values: by name, from top to bottom.
        label: of the x axis, with its unit.
        height: in inches.
        colours: one for all bars, or one for each.
    """
    _, ax = plt.subplots(figsize=(WIDTH, height))
    names = list(values)
    shades = list(colours) * len(names) if len(colours) == 1 else list(colours)
    shown = ax.barh(names, list(values.values()), color=shades[: len(names)], height=0.65)
    ax.bar_label(shown, fmt="{:.3g}", padding=4)
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.margins(x=0.12)
    ax.tick_params(axis="y", length=0)
