"""Points: one number against another."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from gcvit_edu.viz.style import GREY, LOCAL, WIDTH, styled


@styled
def points(
    values: Mapping[str, tuple[float, float]],
    *,
    labels: tuple[str, str],
    others: Sequence[str] = (),
    joined: bool = True,
    height: float = 3.4,
) -> None:
    """Named points; those of one family are joined by a line, from left to right.

    Args:
        values: (x, y) by name.
        labels: of the x and y axes, with units.
        others: names that do not belong to the family; they are grey.
        joined: draw the family's line.
        height: in inches.

    Raises:
        ValueError: for a name in others that has no point.
    """
    if strange := set(others) - set(values):
        raise ValueError(f"there is no point for {sorted(strange)[0]!r}; give its values, or leave it out of others")
    _, ax = plt.subplots(figsize=(WIDTH, height))
    family = sorted(point for name, point in values.items() if name not in others)
    ax.plot(*zip(*family, strict=True), "o" + "-" * joined, color=LOCAL, markersize=7, linewidth=1.6)
    for name, (x, y) in values.items():
        colour = GREY if name in others else LOCAL
        if name in others:
            ax.plot(x, y, "s", color=colour, markersize=7)
        ax.annotate(name, (x, y), xytext=(8, 5), textcoords="offset points", color=colour)
    ax.margins(x=0.14, y=0.14)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.grid(color="#DDDDDD", linewidth=0.8)
