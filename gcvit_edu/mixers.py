"""Taking the global query away: from a trained network for a while, or from a new one for good.

There are two questions. What does a trained network lose when its global query is changed (QUERY_CHANGES)? And how well
does a network learn that never had one, with something else in its place (MIXERS)? The second is the fairer one:
a trained network has learned to rely on its query.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention, attend_explicit
from gcvit_edu.model import Block, GCViT, init_weights
from gcvit_edu.windows import window_merge, window_partition


class ShiftedWindowAttention(WindowAttention):
    """(B, H, W, C) -> (B, H, W, C): attention within windows that are moved half a window down and to the right.

    This is the other way to exchange information between windows (Liu et al. 2021, section 3.2): blocks with and
    without a shift take turns. The map is rolled, and tokens that are together only by rolling do not look at
    each other. A map of a single window is not shifted. Arguments and weights as in WindowAttention.

    Raises:
        ValueError: in the forward pass, if the map is not a whole number of windows.
    """

    attend = staticmethod(lambda *arguments: attend_explicit(*arguments)[0])  # bias and mask differ by window here

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        if (height, width) == (self.window, self.window):
            return super().forward(x)
        shift = self.window // 2
        windows = window_partition(x.roll((-shift, -shift), (1, 2)), self.window)
        qkv = self.qkv(windows)
        q, k, v = rearrange(qkv, "n t (three h d) -> three n h t d", three=3, h=self.num_heads)
        apart = shifted_apart(height, width, self.window, x.device)
        bias = self.bias().masked_fill(apart[:, None], float("-inf"))  # (N, h, T, T)
        y = self.attend(q, k, v, bias.repeat(batch, 1, 1, 1))
        y = self.proj(rearrange(y, "n h t d -> n t (h d)"))
        return window_merge(y, self.window, height, width).roll((shift, shift), (1, 2))


def shifted_apart(height: int, width: int, window: int, device: torch.device | str = "cpu") -> Tensor:
    """(N, T, T) of bool: True for two tokens of a rolled map's window that were not together before the roll.

    Args:
        height: of the map, in tokens: whole windows.
        width: likewise.
        window: side of the window, in tokens; the map is rolled by half of it.
        device: of the result.
    """
    shift = window // 2

    def parts(side: int) -> Tensor:  # of a rolled side: whole windows, then the last window's two parts
        place = torch.arange(side, device=device)
        return (place >= side - window).int() + (place >= side - shift).int()

    part = 3 * parts(height)[:, None] + parts(width)
    cut = window_partition(part[None, :, :, None], window).squeeze(-1)
    return cut[:, :, None] != cut[:, None, :]


class PooledQuery(nn.Module):
    """(B, H, W, C) -> (B, heads, T, d): a global query without weights, each cell the mean of the tokens it covers."""

    def __init__(self, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads, self.window = num_heads, window

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(rearrange(x, "b h w c -> b c h w"), self.window)
        return rearrange(pooled, "b (h d) y x -> b h (y x) d", h=self.num_heads)


class NoQuery(nn.Module):
    """A placeholder for a stage's global query, for stages whose blocks use none."""

    def forward(self, x: Tensor) -> None:
        return None


def _with_attention(block: Block, kind: type[WindowAttention | GlobalWindowAttention]) -> None:
    old = block.attn
    block.attn = kind(old.proj.out_features, old.num_heads, old.window).apply(init_weights)
    block.use_global = kind is GlobalWindowAttention


def _without_query(kind: type[WindowAttention]) -> Callable[[GCViT], None]:
    def change(model: GCViT) -> None:
        for stage in model.stages:
            stage.query = NoQuery()
            for block in stage.blocks[1::2]:
                _with_attention(block, kind)

    return change


def _pooled(model: GCViT) -> None:
    for stage in model.stages:
        stage.query = PooledQuery(stage.query.num_heads, stage.query.window)


def _all_global(model: GCViT) -> None:
    for stage in model.stages:
        for block in stage.blocks[::2]:
            _with_attention(block, GlobalWindowAttention)


# The attention of the odd blocks; in "all global" the even ones have it, too.
MIXERS: dict[str, Callable[[GCViT], None]] = {
    "global query": lambda model: None,
    "pooled query": _pooled,
    "all global": _all_global,
    "local only": _without_query(WindowAttention),
    "shifted": _without_query(ShiftedWindowAttention),
}


def with_mixer(model: GCViT, mixer: str) -> GCViT:
    """Replace the parts that connect the windows of an untrained network; the model, changed in place.

    Args:
        model: untrained, since the parts that are exchanged are new.
        mixer: one of MIXERS. "global query" is GC ViT itself. "pooled query" has no weights to compute the query
            with. "all global" has no local blocks. "local only" has no global ones: windows exchange
            information only through the convolutions between stages. "shifted" has Swin's shifted windows in place of
            global blocks.

    Raises:
        ValueError: for another mixer.
    """
    if mixer not in MIXERS:
        raise ValueError(f"mixer={mixer!r} is unknown; there are {', '.join(MIXERS)}")
    MIXERS[mixer](model)
    return model
