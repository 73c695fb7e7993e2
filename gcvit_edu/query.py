"""The global query: one window of queries computed from the whole map (Hatamizadeh et al. 2023)."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.layers import FusedMBConv


class GlobalQueryGenerator(nn.Module):
    """(B, H, W, C) -> (B, heads, T, d): halve the map until it is one window, then cut the channels into heads.

    Each halving is a fused MBConv and a max-pool of 3x3 with stride 2. With no halving there is one fused MBConv.
    A map that does not end as window x window (another image size than the training one) is resized to it:
    each cell becomes the mean of the cells it covers.

    Args:
        dim: C.
        num_heads: attention heads; d = C / heads.
        window: side of the window; T = window**2.
        levels: halvings.
    """

    def __init__(self, dim: int, num_heads: int, window: int, levels: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.levels = levels
        self.mbconvs = nn.ModuleList(FusedMBConv(dim) for _ in range(max(1, levels)))

    def forward(self, x: Tensor) -> Tensor:
        x = rearrange(x, "b h w c -> b c h w")
        for mbconv in self.mbconvs:
            x = mbconv(x)
            if self.levels:
                # Pads with minus infinity, so a border cell is the maximum of real values only.
                x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        if x.shape[2:] != (self.window, self.window):
            x = F.adaptive_avg_pool2d(x, self.window)
        return rearrange(x, "b (h d) y x -> b h (y x) d", h=self.num_heads)


def queries_for_windows(query: Tensor, window: int, height: int, width: int) -> Tensor:
    """Global query (B, h, T, d) -> (B*N, h, T, d): what each window asks on a map that is padded to whole windows.

    A window in the last row or column may be only partly on the map. It asks with the query pooled to its r x c real
    tokens, so that it still asks about the whole picture. With the first r x c cells of the query it would ask about
    the picture's upper left corner only. All other windows ask with the query as it is. (A token alone in its window,
    in the corner, hears of nothing: attention over one key has no choice, whatever is asked.)

    Args:
        query: as GlobalQueryGenerator makes it.
        window: side of the window; T = window**2.
        height: of the map before padding, in tokens.
        width: likewise.
    """
    rows, columns = -(-height // window), -(-width // window)  # of windows
    last_height, last_width = height - (rows - 1) * window, width - (columns - 1) * window
    cells = rearrange(query, "b h (y x) d -> b (h d) y x", y=window)

    def asked(r: int, c: int) -> Tensor:
        """The query of a window with r x c real tokens; its padded tokens ask zeros, and are cut off later."""
        pooled = F.pad(F.adaptive_avg_pool2d(cells, (r, c)), (0, window - c, 0, window - r))
        return rearrange(pooled, "b (h d) y x -> b h (y x) d", h=query.shape[1])

    kinds = torch.stack([asked(r, c) for r in (window, last_height) for c in (window, last_width)], dim=1)
    in_last_row = torch.arange(rows, device=query.device) == rows - 1
    in_last_column = torch.arange(columns, device=query.device) == columns - 1
    kind = 2 * in_last_row[:, None] + in_last_column  # (rows, columns): which of the four
    return kinds[:, kind.flatten()].flatten(0, 1)
