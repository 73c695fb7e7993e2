"""Attention inside windows: with queries of the window's own, or with the global query."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.position import RelativePositionBias
from gcvit_edu.windows import pad_to_windows, queries_for_windows, window_merge, window_partition


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v like attend_explicit, by PyTorch's fused kernel where that is possible.

    Args:
        q: (B*N, h, T, d), or (B, h, T, d) where the N windows of an image share their queries.
        k: (B*N, h, T, d), windows image-major.
        v: as k.
        bias: (h, T, T), added to the logits.
        real: (N, T), False for padded tokens, which no query may look at.
    """
    # With a mask the fused kernel would need the bias repeated in memory for each window. On the CPU it has no backward
    # pass through the bias, and PyTorch's fallback is slower than ours.
    # A trace takes the fused kernel either way: PyTorch checks a trace by a second one, without gradients.
    trains_on_cpu = q.device.type == "cpu" and torch.is_grad_enabled() and not torch.jit.is_tracing()
    if real is not None or trains_on_cpu:
        return attend_explicit(q, k, v, bias, real)[0]
    return F.scaled_dot_product_attention(for_each_window(q, k), k, v, attn_mask=bias[None])


def attend_explicit(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(d) + bias) v, step by step, with the attention map.

    Args:
        q: (B*N, h, T, d), or (B, h, T, d) where the N windows of an image share their queries.
        k: (B*N, h, T, d), windows image-major.
        v: as k.
        bias: (h, T, T), added to the logits.
        real: (N, T), False for padded tokens, which no query may look at.

    Returns:
        The result, (B*N, h, T, d), and the map, (B*N, h, T, T), whose rows sum to one.
    """
    q = for_each_window(q * q.shape[-1] ** -0.5, k)
    logits = q @ k.transpose(-2, -1)
    logits += bias
    if real is not None:
        logits = rearrange(logits, "(b n) h q k -> b n h q k", n=real.shape[0])
        logits = logits.masked_fill(~real[:, None, None, :], float("-inf")).flatten(0, 1)
    weights = logits.softmax(dim=-1)
    return weights @ v, weights


def for_each_window(q: Tensor, k: Tensor) -> Tensor:
    """Queries (B, h, T, d) for keys (B*N, h, T, d) -> (B*N, h, T, d): an image's query for each of its N windows.

    Windows are image-major, so each image's copies stay together. With N = 1 nothing is copied.
    """
    windows = k.shape[0] // (q.shape[0] + (q.shape[0] == 0))  # no branch for an empty batch: a trace would fix it
    return q[:, None].expand(-1, windows, -1, -1, -1).flatten(0, 1)


class WindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C): every token attends to the tokens of its own window.

    A map that is not a whole number of windows is padded, and no token looks at the padding.

    Args:
        dim: C.
        num_heads: attention heads; they divide C.
        window: side of the window, in tokens.
    """

    attend = staticmethod(attend)  # an attribute, so that capture_attention can put its own in place

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.bias = RelativePositionBias(window, num_heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        x, real = pad_to_windows(x, self.window)
        _, padded_height, padded_width, _ = x.shape
        qkv = self.qkv(window_partition(x, self.window))
        q, k, v = rearrange(qkv, "n t (three h d) -> three n h t d", three=3, h=self.num_heads)
        x = self.attend(q, k, v, self.bias(), real)
        x = self.proj(rearrange(x, "n h t d -> n t (h d)"))
        x = window_merge(x, self.window, padded_height, padded_width)
        return x[:, :height, :width]


class GlobalWindowAttention(nn.Module):
    """(B, H, W, C) and the global query (B, h, T, d) -> (B, H, W, C).

    Keys and values come from each window, queries from the whole image: the same for all windows wholly on the map.
    Otherwise like WindowAttention, and with the same arguments.

    Raises:
        ValueError: if the query has another shape.
    """

    attend = staticmethod(attend)

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.kv = nn.Linear(dim, 2 * dim)
        self.bias = RelativePositionBias(window, num_heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, query: Tensor) -> Tensor:
        batch, height, width, dim = x.shape
        # A query of one head or of one image would be broadcast without a word.
        fits = (batch, self.num_heads, self.window**2, dim // self.num_heads)
        if query.shape != fits:
            raise ValueError(
                f"a query of shape {tuple(query.shape)} does not fit {batch} images and windows of "
                f"{self.window}x{self.window}; give (images, heads, tokens, channels of a head) = {fits}"
            )
        x, real = pad_to_windows(x, self.window)
        if real is not None:
            query = queries_for_windows(query, self.window, height, width)
        _, padded_height, padded_width, _ = x.shape
        kv = self.kv(window_partition(x, self.window))
        k, v = rearrange(kv, "n t (two h d) -> two n h t d", two=2, h=self.num_heads)
        x = self.attend(query, k, v, self.bias(), real)
        x = self.proj(rearrange(x, "n h t d -> n t (h d)"))
        x = window_merge(x, self.window, padded_height, padded_width)
        return x[:, :height, :width]
