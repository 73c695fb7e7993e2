"""Right and wrong answers to the exercises of chapter 5, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.attention import attend_explicit
from gcvit_edu.check import Verdict, ch05
from gcvit_edu.position import relative_position_index
from gcvit_edu.windows import window_merge

INFINITY = float("inf")
LOG_2 = 0.6931471805599453


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, logits_to_weights: Callable[[Tensor], Tensor]) -> Tensor:
    return logits_to_weights(q @ k.transpose(-2, -1)) @ v


def entropy(scale: float, logarithm_of_base: float) -> float:
    torch.manual_seed(1)
    q, k = torch.randn(2, 300, 49, 32)
    logarithms = (q @ k.mT * scale).log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1).mean().item() / logarithm_of_base


def crossing(side: int, window: int, *, first: int = 0, wrap: bool = False, extra: int = 0, up: bool = False) -> int:
    knows, blocks = {0}, 0
    while side - 1 not in knows:
        half = window - window // 2 if up else window // 2  # the shift, rounded up or down
        shift = half if (blocks + first) % 2 else 0
        number = [(token + window - shift) // window for token in range(side)]
        if wrap and shift:
            number = [((token - shift) % side) // window for token in range(side)]
        reached = {number[token] for token in knows}
        knows = {token for token in range(side) if number[token] in reached}
        blocks += 1
    return max(blocks, 1) + extra


def mask_in(fill: float, axis: str) -> Callable[..., Tensor]:
    def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
        logits = q @ k.mT / q.shape[-1] ** 0.5 + bias
        mask = real[:, None, None, :] if axis == "keys" else real[:, None, :, None]
        return logits.masked_fill(~mask, fill).softmax(-1) @ v

    return attention


def zero_after(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
    return attend_explicit(q, k, v, bias)[1] * real[:, None, None, :] @ v


def keys_and_queries(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
    seen = real[:, None, None, :] & real[:, None, :, None]
    return (q @ k.mT / q.shape[-1] ** 0.5 + bias).masked_fill(~seen, -INFINITY).softmax(-1) @ v


def real_pairs(height: int, width: int, window: int) -> list[tuple[int, int]]:
    tokens = [(y, x) for y in range(height) for x in range(width)]
    if height * width > 100:  # the large maps fit their windows, or nearly: count by arithmetic
        rows = [min(window, height - y) for y in range(0, height, window)]
        columns = [min(window, width - x) for x in range(0, width, window)]
        return [(0, 0)] * sum((row * column) ** 2 for row in rows for column in columns)
    return [
        (0, 0) for a in tokens for b in tokens if all(i // window == j // window for i, j in zip(a, b, strict=True))
    ]


def by_hand(window: int, row_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    token = torch.arange(window**2)
    return row_of(token[:, None] // window - token // window, token[:, None] % window - token % window)


def merged(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    tiles = windows.reshape(-1, height // window, width // window, window, window, windows.shape[-1])
    return tiles.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, windows.shape[-1])


def one_by_one(window: int) -> Tensor:
    side, places = 2 * window - 1, [(y, x) for y in range(window) for x in range(window)]
    return torch.tensor([[(y - v + window - 1) * side + x - w + window - 1 for v, w in places] for y, x in places])


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch05.merge, merged),
    (ch05.attention_pairs, lambda h, w, s: ceil(h / s) * ceil(w / s) * s**4),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: (y + w - 1) * (2 * w - 1) + x + w - 1)),
    (ch05.attention, lambda q, k, v, b: attend_explicit(q, k, v, b)[0]),
    (ch05.masked_attention, lambda *a: attend_explicit(*a)[0]),
    (ch05.blocks_to_cross, crossing),
    (ch05.entropy_without_scale, entropy(1.0, LOG_2)),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch05.merge, lambda x, w, h, wd: window_merge(x.reshape(2, 2, 3, 4, 3).mT.mT, w, h, wd), "raised"),
    (ch05.merge, window_merge, "used einops"),
    (ch05.merge, lambda x, w, h, wd: x.reshape(2, h, wd, 3), "became a strip"),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(-1, 2, 2, 3).transpose(1, 2).reshape(-1, 4, 3), w, h, wd),
        "tokens inside each window are transposed",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(2, 3, 2, 4, 3).transpose(1, 2).reshape(-1, 4, 3), w, h, wd),
        "column by column",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(6, 2, 4, 3).transpose(0, 1).reshape(-1, 4, 3), w, h, wd),
        "different images are mixed",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: x.reshape(2, 3, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5).reshape(2, h, wd, 3),
        "Rows and columns of windows are swapped",
    ),
    (ch05.attention_pairs, lambda h, w, s: len(real_pairs(h, w, s)), "left the padded tokens out"),
    (ch05.attention_pairs, lambda h, w, s: (h * w) ** 2, "whole map"),
    (ch05.attention_pairs, lambda h, w, s: ceil(h / s) * ceil(w / s) * s**2, "windows times tokens"),
    (ch05.attention_pairs, lambda h, w, s: (h // s) * (w // s) * s**4, "padded to whole windows first"),
    (ch05.attention_pairs, lambda h, w, s: h * w * s**2, "padded tokens are computed too"),
    (ch05.attention_pairs, lambda h, w, s: 5, "gives 5, which is not right"),
    (ch05.relative_index, lambda w: relative_position_index(w).float(), "with integers"),
    (ch05.relative_index, relative_position_index, "used meshgrid"),
    (ch05.relative_index, one_by_one, "used a loop"),
    (ch05.relative_index, lambda w: relative_position_index(w).T, "sign is wrong"),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: (x + w - 1) * (2 * w - 1) + y + w - 1), "swapped"),
    (
        ch05.relative_index,
        lambda w: by_hand(w, lambda y, x: (y + w - 1) * w + x + w - 1),
        "multiplied the row offset by w",
    ),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: y * (2 * w - 1) + x), "negative"),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: y.abs() * (2 * w - 1) + x.abs()), "lost their sign"),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5).softmax(-1)),
        "without the bias",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s + b).softmax(-1)),
        "without the division",
    ),
    (ch05.attention, lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5 + b).softmax(-1)), "divided by d"),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: ((s + b) / 5**0.5).softmax(-1)),
        "divided the bias",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5 + b).softmax(-2)),
        "over the queries",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5).softmax(-1) + b),
        "after the softmax",
    ),
    (ch05.attention, lambda q, k, v, b: attend_explicit(k, q, v, b)[0], "roles of q and k"),
    (ch05.attention, lambda q, k, v, b: attend_explicit(q, k, v, b), "Expected a tensor, got tuple"),
    (ch05.masked_attention, lambda q, k, v, b, r: attend_explicit(q, k, v, b)[0], "without a mask"),
    (ch05.masked_attention, lambda q, k, v, b, r: attend_explicit(q, k, v, b, ~r)[0], "wrong way round"),
    (ch05.masked_attention, keys_and_queries, "Mask the keys only"),
    (ch05.masked_attention, zero_after, "no longer sums to one"),
    (ch05.masked_attention, mask_in(0.0, "keys"), "a logit like any other"),
    (ch05.masked_attention, mask_in(-INFINITY, "queries"), "masked the queries"),
    (
        ch05.masked_attention,
        lambda q, k, v, b, r: attend_explicit(q, k, v * r[:, None, :, None], b)[0],
        "share of the weights",
    ),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, extra=-1), "One too few"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, extra=1), "One too many"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, first=1), "first block is not shifted"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, wrap=True), "round the edge"),
    (ch05.blocks_to_cross, lambda s, w: s // w, "number of windows in a row"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, up=True), "For 11, 7"),
    (ch05.blocks_to_cross, lambda s, w: 2 * s // w - 1, "For 11, 7"),
    (ch05.blocks_to_cross, lambda s, w: 4, "gives 4"),
    (ch05.entropy_without_scale, entropy(32**-0.5, LOG_2), "with the division"),
    (ch05.entropy_without_scale, entropy(1.0, 1.0), "in nats"),
    (ch05.entropy_without_scale, -entropy(1.0, LOG_2), "sign is wrong"),
    (ch05.entropy_without_scale, None, "Measure it"),
    (ch05.entropy_without_scale, torch.tensor(1.0), ".item()"),
]
