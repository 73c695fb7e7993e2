"""Colours, letters and panels that all figures share.

Blue is local, vermillion is global, everywhere. The colours are those of Okabe and Ito, which colour-blind
readers can tell apart; figures have a white background, so that they look the same in light and dark mode.
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from PIL import Image
from torch import Tensor

LOCAL, GLOBAL = "#0072B2", "#D55E00"
GREEN, ORANGE, SKY, PINK, GREY = "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#6B6B6B"
YELLOW = "#F0E442"  # for lines on photographs only: it vanishes on white
CYCLE = (LOCAL, GLOBAL, GREEN, ORANGE, SKY, PINK, GREY)
MARKERS = "osD^vP*"
TINTS = (SKY, ORANGE, GREEN, PINK, GREY)  # for things that are neither local nor global
LOCAL_MAP = LinearSegmentedColormap.from_list("local", ["#FFFFFF", SKY, LOCAL, "#00304D"])
GLOBAL_MAP = LinearSegmentedColormap.from_list("global", ["#FFFFFF", ORANGE, GLOBAL, "#5C2900"])

WIDTH = 6.4  # inches: narrow enough that the letters can be read on a phone
PHOTO_DPI = 96  # photographs are large files as PNG, and gain little from more
_STYLE = {
    "figure.dpi": 130,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.prop_cycle": plt.cycler(color=CYCLE),
    "axes.grid": False,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


_P, _R = ParamSpec("_P"), TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw in the book's style, and leave other figures' settings alone."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # Not plt.rc_context: it would also undo what a notebook's backend sets when the first figure starts it.
        before = {key: plt.rcParams[key] for key in _STYLE}
        plt.rcParams.update(_STYLE)
        try:
            return draw(*args, **kwargs)
        finally:
            plt.rcParams.update(before)

    return drawn


def panels(count: int, columns: int, panel_height: float, dpi: int | None = None) -> list[Axes]:
    """One figure of the book's width with count panels, row by row.

    Args:
        count: panels that are returned; further ones are empty.
        columns: panels in a row.
        panel_height: of each row, in inches.
        dpi: dots per inch; None for Matplotlib's setting.
    """
    rows = -(-count // columns)
    _, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * panel_height), squeeze=False, dpi=dpi)
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    return flat[:count]


def as_array(values: Tensor | np.ndarray | Image.Image) -> np.ndarray:
    """The values as an array for matplotlib."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy has no bfloat16


def check_count(names: Collection[str], most: int) -> None:
    """Refuse more lines than there are colours or markers to distinguish them.

    Raises:
        ValueError: for more names than most.
    """
    if len(names) > most:
        raise ValueError(f"{len(names)} lines ({', '.join(names)}), but only {most} can be told apart; draw fewer")


def lighten(colour: str, amount: float) -> tuple[float, ...]:
    """The colour mixed with white; amount 1 is white."""
    return tuple(part + (1 - part) * amount for part in to_rgb(colour))
