"""The global query: one window of queries computed from the whole map (Hatamizadeh et al. 2023)."""

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
        halvings: how often the map is halved.
    """

    def __init__(self, dim: int, num_heads: int, window: int, halvings: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.halvings = halvings
        self.mbconvs = nn.ModuleList(FusedMBConv(dim) for _ in range(max(1, halvings)))

    def forward(self, x: Tensor) -> Tensor:
        x = rearrange(x, "b h w c -> b c h w")
        for mbconv in self.mbconvs:
            x = mbconv(x)
            if self.halvings:
                # Pads with minus infinity, so a border cell is the maximum of real values only.
                x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        if x.shape[2:] != (self.window, self.window):
            x = F.adaptive_avg_pool2d(x, self.window)
        return rearrange(x, "b (h d) y x -> b h (y x) d", h=self.num_heads)
