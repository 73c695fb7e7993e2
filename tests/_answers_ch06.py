"""Right and wrong answers to the exercises of chapter 6, with the diagnosis each wrong one must get."""

import math
from collections.abc import Callable
from math import ceil, floor, log, log2
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import max_pool2d

from gcvit_edu.check import Verdict, ch06


def together_and_alone(batch: int, tolerance: float, *, same_map: bool = False, last: int | None = None) -> Callable:
    """A test of independence: results of a batch beside those of its images."""

    def test(attention: Callable) -> bool:
        torch.manual_seed(1)
        x, query = torch.randn(batch, 8, 8, 16), torch.randn(batch, 2, 16, 8)
        if same_map:
            x = x[:1].expand_as(x)
        with torch.no_grad():
            together = attention(x, query)[:last]
            alone = torch.cat([attention(x[i : i + 1], query[i : i + 1]) for i in range(batch)])[:last]
        return bool((together - alone).abs().max() <= tolerance)

    return test


def with_zeros(x: Tensor) -> Tensor:
    return F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)


def late(x: Tensor) -> Tensor:
    return F.max_pool2d(F.pad(x, (0, 2, 0, 2), value=-1e9), 3, 2)[:, :, :4, :5]


def by_slices(x: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1), value=-math.inf)
    rows, columns = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
    cells = [padded[:, :, y : y + 2 * rows - 1 : 2, z : z + 2 * columns - 1 : 2] for y in range(3) for z in range(3)]
    return torch.stack(cells).amax(0)


def place_by_place(x: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1), value=-math.inf)
    rows = [
        torch.stack([padded[:, :, y : y + 3, z : z + 3].amax((2, 3)) for z in range(0, x.shape[3], 2)], -1)
        for y in range(0, x.shape[2], 2)
    ]
    return torch.stack(rows, 2)


def share(batch: int, windows: int) -> float:
    return sum(k // windows == k % batch for k in range(batch * windows)) / batch / windows


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch06.halvings, lambda s, w: max(0, round(log2(s / w)))),
    (ch06.max_pool, by_slices),
    (ch06.heads, lambda x, h: x.reshape(len(x), h, -1, x.shape[2] * x.shape[3]).transpose(2, 3)),
    (ch06.spread, lambda q, n: q[:, None].expand(-1, n, -1, -1, -1).flatten(0, 1)),
    (ch06.catches_mixing, together_and_alone(3, 1e-5)),
    (ch06.share_of_right_queries, share),
    (ch06.share_of_right_queries, lambda b, n: torch.tensor(share(b, n))),
    (ch06.zero_wins, 0.0157),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch06.halvings, lambda s, w: round(log2(s / w)), "never below 0"),
    (ch06.halvings, lambda s, w: max(0, floor(log2(s / w))), "not down"),
    (ch06.halvings, lambda s, w: max(0, ceil(log2(s / w))), "not up"),
    (ch06.halvings, lambda s, w: s // w, "the ratio"),
    (ch06.halvings, lambda s, w: max(0, round(log(s / w))), "base 2"),
    (ch06.max_pool, lambda x: F.max_pool2d(x, 3, 2, 1), "used max_pool2d"),
    (ch06.max_pool, nn.MaxPool2d(3, 2, 1), "used max_pool2d"),
    (ch06.max_pool, lambda x: max_pool2d(x, 3, 2, 1), "used max_pool2d"),
    (ch06.max_pool, lambda x: torch.max_pool2d(x, 3, 2, 1), "used max_pool2d"),
    (ch06.max_pool, place_by_place, "square's places only"),
    (ch06.max_pool, with_zeros, "A zero from the padding"),
    (ch06.max_pool, lambda x: F.max_pool2d(x, 3, 2), "padding is missing"),
    (ch06.max_pool, lambda x: F.max_pool2d(x, 3, 1, 1), "stride is missing"),
    (ch06.max_pool, lambda x: F.max_pool2d(x, 3, 2, 1).relu(), "A zero from your start"),
    (ch06.max_pool, lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), "took means"),
    (ch06.max_pool, lambda x: -F.max_pool2d(-x, 3, 2, 1), "took minima"),
    (ch06.max_pool, lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True), "2 x 2"),
    (ch06.max_pool, late, "one cell too late"),
    (ch06.heads, lambda x, h: x.reshape(len(x), h, 9, -1), "cut across space"),
    (ch06.heads, lambda x, h: x.permute(0, 2, 3, 1).reshape(len(x), h, 9, -1), "You cut the row of cells"),
    (ch06.heads, lambda x, h: rearrange(x, "b (d h) y x -> b h (y x) d", h=h), "every second channel"),
    (ch06.heads, lambda x, h: rearrange(x, "b (h d) y x -> b h (x y) d", h=h), "Rows and columns"),
    (ch06.heads, lambda x, h: x.reshape(len(x), h, -1, 9), "last two axes"),
    (ch06.heads, lambda x, h: rearrange(x, "b (h d) y x -> b (y x) h d", h=h), "Heads and tokens"),
    (ch06.heads, lambda x, h: rearrange(x, "b (h d) y x -> b h (y x) d", h=h), "used einops"),
    (ch06.spread, lambda q, n: q.repeat_interleave(n, 0), "used repeat_interleave"),
    (ch06.spread, lambda q, n: torch.repeat_interleave(q, n, 0), "used repeat_interleave"),
    (ch06.spread, lambda q, n: q[:, None].repeat(1, n, 1, 1, 1).flatten(0, 1), "used repeat"),
    (ch06.spread, lambda q, n: torch.stack([q[k // n] for k in range(n * len(q))]), "used a loop"),
    (ch06.spread, lambda q, n: q.repeat(n, 1, 1, 1), "You tiled"),
    (ch06.spread, lambda q, n: q.repeat_interleave(n, 1), "repeated the heads"),
    (ch06.spread, lambda q, n: torch.cat([q[:1]] * n * len(q)), "the first image's"),
    (ch06.spread, lambda q, n: torch.stack([q] * n, 1), "still two axes"),
    (ch06.catches_mixing, lambda attention: True, "accepts everything"),
    (ch06.catches_mixing, together_and_alone(1, 1e-5), "accepts everything"),
    (ch06.catches_mixing, lambda attention: False, "refuses the right version"),
    (ch06.catches_mixing, together_and_alone(3, -1.0), "refuses the right version"),
    (ch06.catches_mixing, together_and_alone(3, 1e-5, last=2), "spoils the last image only"),
    (ch06.catches_mixing, lambda attention: torch.tensor(True), "True or False, not Tensor"),
    (ch06.catches_mixing, together_and_alone(3, 1e-5, last=1), "the first one's query"),
    (ch06.share_of_right_queries, lambda b, n: 1 / b, "tiling is right"),
    (ch06.share_of_right_queries, lambda b, n: 1 / b if n > 1 else 1.0, "3 images of 4 windows give one half"),
    (ch06.share_of_right_queries, lambda b, n: share(b, n) * n, "divided by the images"),
    (ch06.share_of_right_queries, lambda b, n: round(share(b, n) * b * n), "not their share"),
    (ch06.share_of_right_queries, lambda b, n: 1 - share(b, n), "meet a wrong query"),
    (ch06.share_of_right_queries, lambda b, n: 1.0, "are adjacent"),
    (ch06.share_of_right_queries, lambda b, n: 0.5, "gives 0.5"),
    (ch06.zero_wins, 0.0215, "counted the corner"),
    (ch06.zero_wins, 0.0625, "corner's probability"),
    (ch06.zero_wins, 0.00195, "but six"),
    (ch06.zero_wins, 0.0044, "share of all cells"),
    (ch06.zero_wins, 0.5, "is not right"),
    (ch06.zero_wins, None, "Measure it"),
    (ch06.zero_wins, torch.tensor(0.0156), ".item()"),
]
