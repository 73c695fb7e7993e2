"""Lines with an interval at each point."""

from collections.abc import Mapping, Sequence

from gcvit_edu.viz.style import CYCLE, MARKERS, check_count, panels, styled


@styled
def interval_curves(
    x: Sequence[float],
    series: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]],
    *,
    labels: tuple[str, str],
    columns: int = 2,
    panel_height: float = 2.3,
    colours: Sequence[str] = CYCLE,
) -> None:
    """Lines with intervals over a common x, one panel for each quantity, each with its own scale from 0.

    Args:
        x: positions of the values.
        series: by title of the panel, and within by the name of the line: mean, lower and upper end at each x. All
            panels have the same lines, which a legend above them names.
        labels: of the x and y axes, with units.
        columns: panels in a row.
        panel_height: in inches.
        colours: one per line.

    Raises:
        ValueError: for more lines than colours or markers.
    """
    for lines in series.values():
        check_count(lines, min(len(colours), len(MARKERS)))
    axes = panels(len(series), columns, panel_height)
    for number, (ax, (title, lines)) in enumerate(zip(axes, series.items(), strict=True)):
        for (name, values), colour, marker in zip(lines.items(), colours, MARKERS, strict=False):
            mean, low, high = zip(*values, strict=True)
            ax.plot(x, mean, color=colour, marker=marker, markersize=4.5, linewidth=1.8, label=name)
            ax.vlines(x, low, high, color=colour, linewidth=1.4)
        ax.set_title(title)
        ax.set_xticks(x)
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", color="#DDDDDD", linewidth=0.8)
        if number % columns == 0:
            ax.set_ylabel(labels[1])
        if number >= len(series) - columns:
            ax.set_xlabel(labels[0])
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
