"""The small parts: MLP, squeeze-and-excitation, fused MBConv, drop path, layer scale."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """(..., C) -> (..., C): two linear layers with a GELU between; mixes channels, never tokens.

    Args:
        dim: C.
        hidden_dim: width between the two layers.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SqueezeExcite(nn.Module):
    """(B, C, H, W) -> (B, C): a gate between 0 and 1 for each channel, computed from all channel means.

    Hu et al. 2018, with GELU and no biases as in Hatamizadeh et al. 2023. The caller multiplies the map by the gates.

    Args:
        dim: C; the gate is computed at a quarter of it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim // 4, bias=False)
        self.fc2 = nn.Linear(dim // 4, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Channels last, like the map in memory: the mean's gradient is then laid out like the map, too.
        squeezed = rearrange(x, "b c h w -> b (h w) c").mean(1)
        return torch.sigmoid(self.fc2(F.gelu(self.fc1(squeezed))))


class FusedMBConv(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): depthwise 3x3, GELU, squeeze-and-excitation, 1x1, residual.

    GC ViT's "fused MBConv" (Hatamizadeh et al. 2023) has no batch norm and no expansion,
    so it is not the block that EfficientNetV2 calls by this name.

    Args:
        dim: C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, kernel_size=3, padding=1, groups=dim, bias=False)
        self.se = SqueezeExcite(dim)
        self.conv_pw = nn.Conv2d(dim, dim, kernel_size=1, bias=False)
        # The same order in memory, but with the strides of gradients of channels-last maps, which DDP compares.
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.conv_dw(x))
        return x + self.conv_pw(y * self.se(y)[:, :, None, None])


class DropPath(nn.Module):
    """(B, ...) -> (B, ...): in training, drop a whole sample with probability rate and scale up the rest.

    Stochastic depth, Huang et al. 2016: a residual block whose branch is dropped is skipped.

    Args:
        rate: probability of dropping, at least 0 and below 1.

    Raises:
        ValueError: for another rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate={rate} must be at least 0 and below 1; it is a probability")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * (x.new_empty(shape).bernoulli_(keep) / keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


class LayerScale(nn.Module):
    """(..., C) -> (..., C): multiply each channel by a learned number, Touvron et al. 2021.

    Args:
        dim: C.
        init_value: the initial value of every number; small, so that a deep network starts near the identity.
    """

    def __init__(self, dim: int, init_value: float) -> None:
        super().__init__()
        self.init_value = float(init_value)
        self.gamma = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the initial value, also after to_empty, which leaves memory uninitialised."""
        nn.init.constant_(self.gamma, self.init_value)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
