"""Photographs of sizes that do not fit: the padding, and the parts that a resized query's cells cover."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle
from PIL import Image

from gcvit_edu.viz.photos import cell_patch, faded
from gcvit_edu.viz.style import GLOBAL, GREY, LOCAL, PHOTO_DPI, lighten, panels, styled


@styled
def padding_on_photo(
    views: Mapping[str, tuple[Image.Image, int, int]], *, columns: int = 2, panel_height: float = 3.2
) -> None:
    """Photographs under the windows (blue) of maps that are padded (hatched) until whole windows fit.

    Args:
        views: by title, the photograph, the stride of the map (pixels per token side) and the window's side in tokens.
        columns: panels in a row.
        panel_height: in inches.
    """
    for ax, (title, (image, stride, window)) in zip(
        panels(len(views), columns, panel_height, PHOTO_DPI), views.items(), strict=True
    ):
        step = stride * window
        right, bottom = (-(-side // step) * step for side in image.size)
        mapped_right, mapped_bottom = (-(-side // stride) * stride for side in image.size)
        hatched = {"facecolor": lighten(GREY, 0.85), "edgecolor": GREY, "hatch": "////", "linewidth": 0}
        ax.add_patch(Rectangle((0, 0), right, bottom, **hatched))
        ax.add_patch(Rectangle((0, 0), mapped_right, mapped_bottom, facecolor=lighten(GREY, 0.6), linewidth=0))
        ax.imshow(image, zorder=2, extent=(0, image.width, image.height, 0))
        for x in range(0, right + 1, step):
            ax.plot([x, x], [0, bottom], color=LOCAL, linewidth=1.4, zorder=3)
        for y in range(0, bottom + 1, step):
            ax.plot([0, right], [y, y], color=LOCAL, linewidth=1.4, zorder=3)
        ax.set_xlim(-2, right + 2)
        ax.set_ylim(bottom + 2, -2)
        ax.set_title(title)
        ax.set_axis_off()


@styled
def cells_on_photo(
    views: Mapping[str, tuple[Image.Image, Sequence[tuple[int, int]], Sequence[tuple[int, int]]]],
    *,
    columns: int = 2,
    panel_height: float = 3.2,
) -> None:
    """The part of a photograph that each cell of a query covers (vermillion); parts that two share are darker.

    Args:
        views: by title, the photograph, and the begin and the end of each row and each column of cells, in pixels.
        columns: panels in a row.
        panel_height: in inches.
    """
    for ax, (title, (image, rows, cols)) in zip(
        panels(len(views), columns, panel_height, PHOTO_DPI), views.items(), strict=True
    ):
        ax.imshow(faded(image), cmap="gray", vmin=0, vmax=1, extent=(0, image.width, image.height, 0))
        for top, bottom in rows:
            for left, right in cols:
                ax.add_patch(cell_patch(left, top, right - left, bottom - top, GLOBAL))
        (top, bottom), (left, right) = rows[len(rows) // 2], cols[len(cols) // 2]
        middle = {"fill": False, "edgecolor": GLOBAL, "linewidth": 3, "zorder": 4}
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, **middle))
        ax.set_xlim(-2, max(image.width, *(stop for _, stop in cols)) + 2)
        ax.set_ylim(max(image.height, *(stop for _, stop in rows)) + 2, -2)
        ax.set_title(title)
        ax.set_axis_off()
