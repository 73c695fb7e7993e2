"""Photographs, and a network's maps, windows and attention on them."""

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from gcvit_edu.viz.style import (
    GLOBAL,
    GLOBAL_MAP,
    LOCAL,
    LOCAL_MAP,
    ORANGE,
    PHOTO_DPI,
    YELLOW,
    as_array,
    panels,
    styled,
)


@styled
def pictures(
    images: Mapping[str, Image.Image | Tensor | np.ndarray], *, columns: int = 2, panel_height: float = 3.2
) -> None:
    """Pictures with their titles, row by row: (H, W, 3) with values from 0 to 1, or PIL images.

    Args:
        images: title -> picture.
        columns: pictures in a row.
        panel_height: of each row, in inches.
    """
    for ax, (title, image) in zip(panels(len(images), columns, panel_height, PHOTO_DPI), images.items(), strict=True):
        ax.imshow(as_array(image), interpolation="nearest")
        ax.set_title(title)
        ax.set_axis_off()


@styled
def maps(values: Mapping[str, Tensor], *, columns: int = 4, panel_height: float = 1.75) -> None:
    """Channels of feature maps, (H, W) each, in grey: from black, the least value, to white, the largest.

    A map with negative values gets a range that is symmetric around zero, so that zero is middle grey.

    Args:
        values: title -> channel.
        columns: maps in a row.
        panel_height: of each row, in inches.
    """
    for ax, (title, channel) in zip(panels(len(values), columns, panel_height, PHOTO_DPI), values.items(), strict=True):
        cells = as_array(channel)
        largest = float(np.abs(cells).max())
        lowest = -largest if cells.min() < 0 else 0.0
        ax.imshow(cells, cmap="gray", vmin=lowest, vmax=largest, interpolation="nearest")
        ax.set_title(title)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set(visible=True, color="#999999", linewidth=0.6)  # an all-white map has a border, too


@styled
def windows_on_photo(
    image: Image.Image, stages: Mapping[str, tuple[int, int]], *, columns: int = 2, panel_height: float = 3.2
) -> None:
    """A photograph cut into windows (thick), with the tokens of one window in the middle (thin).

    Args:
        image: the photograph.
        stages: by title, the stride of the map (pixels per token side) and the window's side in tokens.
        columns: panels in a row.
        panel_height: in inches.
    """
    for ax, (title, (stride, window)) in zip(
        panels(len(stages), columns, panel_height, PHOTO_DPI), stages.items(), strict=True
    ):
        step = stride * window
        ax.imshow(image)
        _grid(ax, image.width, image.height, step, 1.6)
        left, top = (((side - 1) // step // 2) * step for side in image.size)
        for offset in range(0, step + 1, stride):
            ax.plot([left, left + step], [top + offset] * 2, color=YELLOW, linewidth=0.8)
            ax.plot([left + offset] * 2, [top, top + step], color=YELLOW, linewidth=0.8)
        ax.set_xlim(0, max(image.width, left + step))
        ax.set_ylim(max(image.height, top + step), 0)
        ax.set_title(title)
        ax.set_axis_off()


@styled
def local_and_global(image: Image.Image, stride: int, window: int) -> None:
    """The origin of a block's queries: one window's own tokens (blue), or cells of the whole map (vermillion).

    Args:
        image: the photograph.
        stride: pixels per token side.
        window: side of the window, in tokens.
    """
    step = stride * window
    left, right = panels(2, 2, 3.2, PHOTO_DPI)
    for ax, title in ((left, "local: each window asks itself"), (right, "global: the whole image asks")):
        ax.imshow(faded(image), cmap="gray", vmin=0, vmax=1)
        _grid(ax, image.width, image.height, step, 1.0)
        ax.set_title(title)
        ax.set_axis_off()
    x, y = (((side - 1) // step // 2) * step for side in image.size)
    cell_x, cell_y = image.width / window, image.height / window
    for row in range(window):
        for column in range(window):
            left.add_patch(cell_patch(x + column * stride, y + row * stride, stride, stride, LOCAL))
            right.add_patch(cell_patch(column * cell_x, row * cell_y, cell_x, cell_y, GLOBAL))
    right.add_patch(Rectangle((x, y), step, step, fill=False, edgecolor=LOCAL, linewidth=2.5, zorder=4))


@styled
def attention_on_photo(
    image: Image.Image,
    views: Mapping[str, tuple[Tensor, tuple[int, int]]],
    *,
    window: int,
    columns: int = 2,
    panel_height: float = 3.2,
) -> None:
    """For each chosen token, the photograph with its attention laid over it, and a frame around token and window.

    Args:
        image: the photograph.
        views: by title, the attention over the whole map (h, w), zero outside the token's window, and the
            token's row and column.
        window: side of the window, in tokens.
        columns: panels in a row.
        panel_height: in inches.
    """
    axes = panels(len(views), columns, panel_height, PHOTO_DPI)
    for ax, (title, (weights, (row, column))) in zip(axes, views.items(), strict=True):
        values = as_array(weights)
        step_y, step_x = image.height / values.shape[0], image.width / values.shape[1]
        ax.imshow(faded(image), cmap="gray", vmin=0, vmax=1, extent=(0, image.width, image.height, 0))
        shade = LOCAL_MAP(values / values.max())
        shade[..., 3] = 0.9 * np.sqrt(values / values.max())  # small weights leave the photograph visible
        ax.imshow(shade, extent=(0, image.width, image.height, 0), interpolation="nearest")
        top, left = row // window * window, column // window * window
        frame = {"fill": False, "linewidth": 2}
        ax.add_patch(
            Rectangle((left * step_x, top * step_y), window * step_x, window * step_y, edgecolor=ORANGE, **frame)
        )
        ax.add_patch(Rectangle((column * step_x, row * step_y), step_x, step_y, edgecolor=GLOBAL, **frame))
        ax.set_title(title)
        ax.set_axis_off()


@styled
def fields_on_photo(
    image: Image.Image, fields: Mapping[str, Tensor], *, columns: int = 4, panel_height: float = 1.75
) -> None:
    """Receptive fields: gradients over the photograph on a logarithmic scale, the photograph in grey where they are 0.

    Args:
        image: the photograph.
        fields: by title, the size of the gradient at every pixel, (height, width).
        columns: panels in a row.
        panel_height: in inches.
    """
    for ax, (title, field) in zip(panels(len(fields), columns, panel_height, PHOTO_DPI), fields.items(), strict=True):
        values = as_array(field).astype(float)
        ax.imshow(faded(image), cmap="gray", vmin=0, vmax=1)
        decades = np.log10(np.where(values > 0, values, 1) / values.max()).clip(-6, 0)
        shade = GLOBAL_MAP(1 + decades / 6)
        shade[..., 3] = values > 0
        ax.imshow(shade, interpolation="nearest")
        ax.set_title(title)
        ax.set_axis_off()


@styled
def maps_on_photo(
    image: Image.Image,
    values: Mapping[str, Tensor],
    *,
    local: Collection[str] = (),
    columns: int = 4,
    panel_height: float = 1.75,
) -> None:
    """Maps of where a network looks over the photograph in grey: the darker a pixel, the larger its number.

    Each panel has its own scale, from nothing at 0 to the darkest at its largest number, so that panels cannot be
    compared in size. A map of zeros leaves the photograph as it is.

    Args:
        image: the photograph.
        values: by title, a number for every pixel, (height, width), none negative, as AttentionMap.to_pixels gives.
        local: titles of the maps that are drawn in blue, as those of local blocks; the others are vermillion.
        columns: panels in a row.
        panel_height: in inches.
    """
    for ax, (title, found) in zip(panels(len(values), columns, panel_height, PHOTO_DPI), values.items(), strict=True):
        numbers = as_array(found).astype(float)
        share = numbers / (numbers.max() or 1.0)
        ax.imshow(faded(image), cmap="gray", vmin=0, vmax=1)
        shade = (LOCAL_MAP if title in local else GLOBAL_MAP)(share)
        shade[..., 3] = 0.9 * np.sqrt(share)  # small numbers leave the photograph visible
        ax.imshow(shade, interpolation="nearest")
        ax.set_title(title)
        ax.set_axis_off()


def _grid(ax: Axes, width: int, height: int, step: int, linewidth: float) -> None:
    for x in range(0, width + step, step):
        ax.axvline(min(x, width), color="white", linewidth=linewidth)
    for y in range(0, height + step, step):
        ax.axhline(min(y, height), color="white", linewidth=linewidth)


def faded(image: Image.Image) -> np.ndarray:
    """A light grey version of a photograph, as a background for colours."""
    return np.asarray(image.convert("L")) / 255 * 0.5 + 0.5


def cell_patch(x: float, y: float, width: float, height: float, colour: str) -> Rectangle:
    """A part of a picture, framed and lightly filled; in pixels.

    Args:
        x: of the left edge.
        y: of the upper edge.
        width: of the part.
        height: of the part.
        colour: of the frame and, lighter, of the area.
    """
    return Rectangle(
        (x, y), width, height, facecolor=(*to_rgb(colour), 0.22), edgecolor=colour, linewidth=1.0, zorder=3
    )
