"""Attention as bytes: whole numbers that still sum exactly, chosen to fit into a page."""

import base64
from collections.abc import Sequence
from typing import Any

import torch

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.explorer.quantise import LEVELS, quantise
from gcvit_edu.maps import window_means

LEAST_SCALE = 4  # a mean map's scale reaches at least this many equal shares, so that even attention looks pale


def text_of(content: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def packed_size(count: int) -> int:
    """The number of base64 characters of count bytes."""
    return 4 * -(-count // 3)


def blocks_with_heads(records: Sequence[AttentionRecord], room: int) -> set[int]:
    """The records, by index, whose single heads fit into so many characters, beside the head means of all records.

    The smallest are taken first, so that as many blocks as possible have their heads.

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
    """One block for the page's script: its place, its sizes and its mean map, without the attention.

    Raises:
        ValueError: for shifted windows, which the script would draw at a wrong place.
    """
    if record.shift:
        raise ValueError(
            f"block {record.block} of stage {record.stage} has shifted windows, which the explorer cannot show; "
            "leave it out of blocks=[(stage, block), ...], or see gcvit_edu.attention_map"
        )
    seen = window_means(record)[0]
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
