"""Small matrices with their numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from gcvit_edu.viz.style import TINTS, as_array, lighten, panels, styled


@styled
def number_grids(
    grids: Mapping[str, Tensor],
    *,
    groups: Sequence[Tensor | None] | None = None,
    columns: int = 2,
    panel_height: float = 3.1,
    fmt: str = "{:d}",
    labels: Sequence[str] = (),
) -> None:
    """Small matrices with their numbers written in the cells.

    Args:
        grids: matrices by title.
        groups: for each matrix, one of its shape that says which cells belong together (0, 1, 2, ...): they share
            a tint; -1 leaves a cell grey. None tints nothing.
        columns: panels in a row.
        panel_height: in inches.
        fmt: the format of a number.
        labels: names of the rows, and of the columns; empty for none.
    """
    groups = groups or [None] * len(grids)
    axes = panels(len(grids), columns, panel_height)
    for ax, (title, grid), group in zip(axes, grids.items(), groups, strict=True):
        values = as_array(grid)
        tint = np.full((*values.shape, 3), 0.955)
        if group is not None:
            for cell, number in np.ndenumerate(as_array(group)):
                if number >= 0:
                    tint[cell] = lighten(TINTS[int(number) % len(TINTS)], 0.62)
        ax.imshow(tint, interpolation="nearest")
        size = min(10.5, 62 / max(values.shape) / columns * 2)
        for (row, column), value in np.ndenumerate(values):
            ax.text(column, row, fmt.format(value), ha="center", va="center", fontsize=size, color="#111111")
        ax.set_xticks(np.arange(0.5, values.shape[1] - 1), minor=True)
        ax.set_yticks(np.arange(0.5, values.shape[0] - 1), minor=True)
        ax.grid(which="minor", color="white", linewidth=1.5)
        ax.set_xticks(range(values.shape[1]) if labels else [], labels)
        ax.set_yticks(range(values.shape[0]) if labels else [], labels)
        ax.tick_params(which="both", length=0)
        ax.spines[:].set_visible(False)
        ax.set_title(title)
