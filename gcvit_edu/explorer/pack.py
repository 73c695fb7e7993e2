"""Attention as bytes: whole numbers that still sum exactly, and what fits into a page."""

import base64
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.quantise import LEVELS, quantise
from gcvit_edu.windows import window_merge

LEAST_SCALE = 4  # a mean map's scale reaches at least this many equal shares, so that even attention looks pale


def received(record: AttentionRecord) -> Tensor:
    """The mean map of a block, (h, w): the share that each token gets, averaged over heads and its window's queries.

    Each window has been divided by a softmax of its own. So within a window this ranks the tokens; between windows
    it says nothing, as every window hands out as much as any other. Padding, as query or as key, is left out.
    """
    height, width = record.map_size
    rows, columns = (side * record.window for side in record.grid)
    weights = record.weights[0].mean(1)  # (N, T, T)
    asks = torch.ones(weights.shape[:2], dtype=weights.dtype)
    if not record.is_global:
        # A padded token of a local block asks, too; nobody hears it.
        real = torch.zeros(rows // record.window, record.window, columns // record.window, record.window)
        real.view(rows, columns)[:height, :width] = 1
        asks = real.permute(0, 2, 1, 3).reshape(asks.shape).to(weights)
    means = (weights * asks[..., None]).sum(1) / asks.sum(1, keepdim=True)
    return window_merge(means[..., None], record.window, rows, columns)[0, :height, :width, 0]


def text_of(content: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def packed_size(count: int) -> int:
    """Characters that so many bytes take as base64."""
    return 4 * -(-count // 3)


def blocks_with_heads(records: Sequence[AttentionRecord], room: int) -> set[int]:
    """The records, by their place in the list, whose single heads fit into so many characters beside all head means.

    The smallest first, so that as many blocks as possible have theirs.

    Raises:
        ValueError: if not even the head means fit.
    """
    means = [record.weights[0, :, 0].numel() for record in records]
    left = room - sum(map(packed_size, means))
    if left < 0:
        raise ValueError(
            f"the attention of {len(records)} blocks takes {(room - left) / 1000:.0f} kB even without single heads, "
            f"and there is room for {max(room, 0) / 1000:.0f} kB; "
            "show fewer blocks=[(stage, block), ...] or a smaller size, or allow more with limit_kb"
        )
    extra = [
        packed_size(record.weights[0].numel()) - packed_size(mean) for record, mean in zip(records, means, strict=True)
    ]
    chosen = set()
    for place in sorted(range(len(records)), key=lambda place: extra[place]):
        if extra[place] <= left:
            chosen.add(place)
            left -= extra[place]
    return chosen


def describe(record: AttentionRecord) -> dict[str, Any]:
    """One block as the page's script reads it: its place, its sizes and its mean map, without the attention."""
    seen = received(record)
    most = max(seen.max().item(), LEAST_SCALE / record.window**2)
    return {
        "stage": record.stage,
        "block": record.block,
        "global": record.is_global,
        "heads": record.weights.shape[2],
        "everyHead": False,
        "window": record.window,
        "grid": list(record.grid),
        "map": list(record.map_size),
        "seen": text_of((seen / most * LEVELS).round().to(torch.uint8).cpu().numpy().tobytes()),
        "rows": "",
    }


def attention_of(record: AttentionRecord, *, every_head: bool) -> dict[str, Any]:
    """The attention of a block, (window, head, query, key) as bytes; without every head, the mean is the only one."""
    weights = record.weights[0] if every_head else record.weights[0].mean(1, keepdim=True)
    return {"everyHead": every_head, "rows": text_of(quantise(weights).tobytes())}
