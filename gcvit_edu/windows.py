"""Cutting a feature map into windows and putting it back (Liu et al. 2021, section 3.2).

Windows are image-major: all windows of image 0 come first, then all of image 1.
Within an image they run row by row, and so do the tokens within a window.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def window_partition(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B*N, T, C) with T = window**2; the N windows of one image stay adjacent.

    Raises:
        ValueError: if H or W is not a multiple of window.
    """
    _, height, width, _ = x.shape
    if height % window or width % window:
        raise ValueError(
            f"a {height}x{width} feature map cannot be cut into {window}x{window} windows; "
            "pad it first with pad_to_windows"
        )
    return rearrange(x, "b (nh wh) (nw ww) c -> (b nh nw) (wh ww) c", wh=window, ww=window)


def window_merge(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """(B*N, T, C) -> (B, height, width, C), the inverse of window_partition.

    Args:
        windows: image-major, as window_partition gives them.
        window: side of the window, in tokens; T = window**2.
        height: of the map, in tokens.
        width: of the map, in tokens.

    Raises:
        ValueError: if the windows do not make up whole maps of height x width.
    """
    per_image = (height // window) * (width // window)
    if (
        height % window
        or width % window
        or not per_image
        or windows.shape[0] % per_image
        or windows.shape[1] != window**2
    ):
        raise ValueError(
            f"{windows.shape[0]} windows of {windows.shape[1]} tokens do not make up maps of {height}x{width} "
            f"with {window}x{window} windows; give the height and width that window_partition was given"
        )
    nh, nw = height // window, width // window
    return rearrange(windows, "(b nh nw) (wh ww) c -> b (nh wh) (nw ww) c", nh=nh, nw=nw, wh=window, ww=window)


def pad_to_windows(x: Tensor, window: int) -> tuple[Tensor, Tensor | None]:
    """Pad a map with zeros, at the bottom and on the right, until it holds whole windows.

    Returns:
        The padded map, (B, H, W, C) -> (B, H', W', C), and the mask of its real tokens,
        (N, T) and boolean, in the order of window_partition; None where nothing was padded.
    """
    _, height, width, _ = x.shape
    bottom, right = -height % window, -width % window
    if not (bottom or right):
        return x, None
    real = torch.ones(1, height, width, 1, dtype=torch.bool, device=x.device)
    x = F.pad(x, (0, 0, 0, right, 0, bottom))
    real = F.pad(real, (0, 0, 0, right, 0, bottom), value=False)
    return x, window_partition(real, window).squeeze(-1)


def queries_for_windows(query: Tensor, window: int, height: int, width: int) -> Tensor:
    """Global query (B, h, T, d) -> (B*N, h, T, d): the queries of each window of a map that must be padded.

    A window that is only partly on the map gets the query pooled to its r x c real tokens, which asks about the whole
    picture; the first r x c cells would ask about its upper left corner only. The other windows get the query as it is.
    (For a token alone in its window nothing changes: attention over one key has no choice, whatever the query is.)

    Args:
        query: of each image, T = window**2.
        window: side of the window, in tokens.
        height: of the map without padding, in tokens.
        width: of the map without padding, in tokens.
    """
    rows, columns = -(-height // window), -(-width // window)  # of windows
    last_height, last_width = height - (rows - 1) * window, width - (columns - 1) * window
    cells = rearrange(query, "b h (y x) d -> b (h d) y x", y=window)

    def asked(r: int, c: int) -> Tensor:
        """The query of a window with r x c real tokens; that of padded tokens is zero."""
        pooled = F.pad(F.adaptive_avg_pool2d(cells, (r, c)), (0, window - c, 0, window - r))
        return rearrange(pooled, "b (h d) y x -> b h (y x) d", h=query.shape[1])

    kinds = torch.stack([asked(r, c) for r in (window, last_height) for c in (window, last_width)], dim=1)
    in_last_row = torch.arange(rows, device=query.device) == rows - 1
    in_last_column = torch.arange(columns, device=query.device) == columns - 1
    kind = 2 * in_last_row[:, None] + in_last_column  # (rows, columns): which of the four
    return kinds[:, kind.flatten()].flatten(0, 1)
