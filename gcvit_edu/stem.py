"""From pixels to the first map, and from each stage's map to the next (Hatamizadeh et al. 2023)."""

import torch
from einops import rearrange
from torch import Tensor, nn

from gcvit_edu.layers import FusedMBConv


class Downsample(nn.Module):
    """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), C'): norm, fused MBConv, convolution of stride 2, norm.

    Args:
        dim: C.
        dim_out: C'.
    """

    def __init__(self, dim: int, dim_out: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mbconv = FusedMBConv(dim)
        self.conv = nn.Conv2d(dim, dim_out, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        x = rearrange(self.norm1(x), "b h w c -> b c h w")  # a view: the memory stays channels last
        x = self.conv(self.mbconv(x))
        return self.norm2(rearrange(x, "b c h w -> b h w c"))


class PatchStem(nn.Module):
    """Image (B, in_chans, H, W) -> map (B, ceil(H/4), ceil(W/4), C): two overlapping convolutions of stride 2.

    Args:
        in_chans: channels of the image.
        dim: C.
    """

    def __init__(self, in_chans: int, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, dim, kernel_size=3, stride=2, padding=1)
        if in_chans == 1:  # both orders are the same then; the strides of gradients, as in FusedMBConv
            self.conv.to(memory_format=torch.channels_last)
        self.down = Downsample(dim, dim)

    def forward(self, image: Tensor) -> Tensor:
        # Channels last in memory, so that the first norm need not copy its map. Not contiguous(): for a batch of one
        # it may leave strides that the convolution does not recognise as channels last.
        image = rearrange(image, "b c h w -> b h w c")
        image = image.clone(memory_format=torch.contiguous_format)
        image = rearrange(image, "b h w c -> b c h w")
        return self.down(rearrange(self.conv(image), "b c h w -> b h w c"))
