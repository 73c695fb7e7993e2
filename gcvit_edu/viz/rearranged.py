"""Small arrays before and after a rearrangement."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from gcvit_edu.viz.style import GREY, TINTS, WIDTH, as_array, lighten, styled

ARROW, GAP, WITHIN = 1.5, 0.9, 0.35  # room for the arrow, between two arrays, and between matrices of one array
LARGEST = 0.55  # inches per cell
TITLE = 0.45  # inches above the cells


@styled
def rearranged(before: Mapping[str, Tensor], after: Mapping[str, Tensor], *, groups: Sequence[Tensor]) -> None:
    """Small arrays and what became of them: numbers in cells of one size, with an arrow between before and after.

    Args:
        before: arrays by title, left of the arrow: (rows, columns), or (matrices, rows, columns), side by side.
        after: arrays by title, right of the arrow.
        groups: for each array, those before first, one of its shape that says which cells belong together
            (0, 1, 2, ...): they share a tint; -1 leaves a cell grey.
    """
    titles = [*before, *after]
    arrays = [_matrices(array) for array in (*before.values(), *after.values())]
    tints = [_matrices(group) for group in groups]
    widths = [count * columns + WITHIN * (count - 1) for count, _, columns in (array.shape for array in arrays)]
    tallest = max(array.shape[1] for array in arrays)
    total = sum(widths) + ARROW + GAP * (len(arrays) - 2)
    cell = min(LARGEST, WIDTH / total)

    _, ax = plt.subplots(figsize=(WIDTH, cell * tallest + TITLE))
    left = 0.0
    for place, (title, array, tint, width) in enumerate(zip(titles, arrays, tints, widths, strict=True)):
        if place == len(before):
            ax.annotate(
                "",
                (left + ARROW - 0.35, tallest / 2),
                (left + 0.35, tallest / 2),
                arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 2, "mutation_scale": 18},
            )
            left += ARROW
        elif place:
            left += GAP
        top = (tallest - array.shape[1]) / 2
        for number, (matrix, group) in enumerate(zip(array, tint, strict=True)):
            _cells(ax, left + number * (array.shape[2] + WITHIN), top, matrix, group, size=cell * 28)
        ax.text(left + width / 2, top - 0.2, title, ha="center", va="bottom", fontweight="bold")
        left += width
    spare = (WIDTH / cell - total) / 2  # a narrow drawing stands in the middle
    ax.set_xlim(-spare, total + spare)
    ax.set_ylim(tallest, -TITLE / cell)
    ax.set_axis_off()


def _matrices(array: Tensor) -> np.ndarray:
    """(matrices, rows, columns)."""
    values = as_array(array)
    return values if values.ndim == 3 else values[None]


def _cells(ax: Axes, left: float, top: float, matrix: np.ndarray, group: np.ndarray, size: float) -> None:
    """One matrix, with its upper left corner at (left, top)."""
    for (row, column), value in np.ndenumerate(matrix):
        place, number = (left + column, top + row), int(group[row, column])
        tint = lighten(TINTS[number % len(TINTS)], 0.62) if number >= 0 else (0.955,) * 3
        ax.add_patch(Rectangle(place, 1, 1, facecolor=tint, edgecolor="white", linewidth=1.5))
        middle = (place[0] + 0.5, place[1] + 0.5)
        ax.text(*middle, f"{value:g}", ha="center", va="center", fontsize=size, color="#111111")
