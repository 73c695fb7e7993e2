"""Relative position bias: a learned number per head for the offset of a key from its query."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for every query and key of a window: (T, T) with T = window**2, integers.

    A key is dy rows and dx columns before its query, each from -(window-1) to window-1.
    The table has one row per offset, in the order of (dy, dx); see Swin, Liu et al. 2021, section 3.2.
    """
    steps = torch.arange(window)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()  # (T,): the place of each token
    dy = rows[:, None] - rows[None, :] + window - 1  # (T, T), from 0 to 2*window - 2
    dx = columns[:, None] - columns[None, :] + window - 1
    return dy * (2 * window - 1) + dx


class RelativePositionBias(nn.Module):
    """() -> (heads, T, T): one learned number per head and offset, added to the attention logits.

    Args:
        window: side of the window, in tokens.
        num_heads: attention heads.
    """

    def __init__(self, window: int, num_heads: int) -> None:
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.empty((2 * window - 1) ** 2, num_heads))
        self.register_buffer("index", None, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the table to zeros, and the index anew; after to_empty both are uninitialised memory."""
        nn.init.zeros_(self.table)
        with self.table.device:
            self.index = relative_position_index(self.window)

    def forward(self) -> Tensor:
        # The same as table[index] with the heads in front, but faster, in large windows several times when training.
        # Flattened first, so that the gradient has the table's own memory layout, which DDP needs.
        by_head = rearrange(self.table.flatten(), "(row h) -> h row", h=self.table.shape[1])
        return by_head.index_select(1, self.index.flatten()).unflatten(1, self.index.shape)

    def _load_from_state_dict(self, *args: Any) -> None:
        # The index is not saved, and a model that was made without memory (on "meta") has none until now.
        super()._load_from_state_dict(*args)
        with self.table.device:
            self.index = relative_position_index(self.window)


def resize_bias_table(table: Tensor, window: int) -> Tensor:
    """((2v-1)**2, heads) -> ((2*window-1)**2, heads): a table learned for window v, for another window.

    The table is a small picture of offsets per head. Its outermost offsets keep their meaning (the far edge
    of the window), and bicubic interpolation fills the offsets between.

    Raises:
        ValueError: if the table does not belong to a square window.
    """
    rows, _ = table.shape
    side = round(rows**0.5)
    if side**2 != rows or side % 2 == 0:
        raise ValueError(
            f"a bias table of {rows} rows belongs to no square window; expected (2w-1)**2 rows, such as 169 for w=7"
        )
    new_side = 2 * window - 1
    if side == new_side:
        return table
    at_least_float = torch.promote_types(table.dtype, torch.float32)
    picture = rearrange(table.to(at_least_float), "(y x) h -> 1 h y x", y=side)
    picture = F.interpolate(picture, size=(new_side, new_side), mode="bicubic", align_corners=True)
    resized = rearrange(picture, "1 h y x -> (y x) h")
    return resized.to(table.dtype).contiguous()  # safetensors saves no other tensors
