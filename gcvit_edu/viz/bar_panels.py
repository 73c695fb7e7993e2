"""Bars of the same things measured in several ways, side by side."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from gcvit_edu.viz.style import LOCAL, WIDTH, styled


@styled
def bar_panels(
    panels: Mapping[str, Mapping[str, float]],
    *,
    label: str,
    fmt: str = "{:.3g}",
    height: float = 3.0,
    colours: Sequence[str] = (LOCAL,),
) -> None:
    """Panels of horizontal bars over one scale, with the names of the things on the left only.

    Args:
        panels: by title, the values by name; all panels have the same names in the same order.
        label: of the x axis, with its unit.
        fmt: the format of the value beside its bar.
        height: in inches.
        colours: one for all bars, or one for each name.
    """
    _, axes = plt.subplots(1, len(panels), figsize=(WIDTH, height), sharex=True, sharey=True, squeeze=False)
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=True):
        names = list(values)
        shades = list(colours) * len(names) if len(colours) == 1 else list(colours)
        shown = ax.barh(names, list(values.values()), color=shades[: len(names)], height=0.65)
        ax.bar_label(shown, fmt=fmt, padding=4)
        ax.set_title(title)
        ax.set_xlabel(label)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].invert_yaxis()
    axes[0, 0].margins(x=0.22)
