"""Attention rollout (Abnar & Zuidema 2020) for windows, from the network's output back to the tokens of a stage."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.maps.layout import map_to_windows, windows_to_map


def rollout(records: Sequence[AttentionRecord]) -> Tensor:
    """(B, H, W): the share of each token of the first block's map in the mean of the last map. It sums to one.

    Every block is modelled as 0.5 I + 0.5 A, where A is the mean of its heads: half of a token stays, the other half is
    replaced by the tokens that it attends to. A is block-diagonal, one block for each window. That holds for global
    blocks, too: token i of a window is updated with row i of the window's map, whose query is cell i of the global
    query. The matrices are multiplied through all blocks, and the mean over the last map's tokens is taken, as in the
    head.

    A downsampler is modelled as the mean of 2x2 tokens, or of the existing ones at an odd edge. That is an
    approximation: its convolutions overlap, are learned, and squeeze-and-excitation mixes the whole map.

    What it means: the places that the output's content could come from, if attention alone moved it, and all weights
    moved it equally. If the blocks cross no border of windows, it also shows how far a window can reach.

    What it does not mean: it ignores values, MLPs and the different use of heads; it is the same for every class; and
    the true residual is rarely one half. Over many blocks its rows become similar.

    Args:
        records: of consecutive blocks in one forward pass, from capture_attention; the map is that of the first.

    Raises:
        ValueError: if there is no record, or they do not follow each other.
    """
    if not records:
        raise ValueError("a rollout needs the record of one block or more; run the model within capture_attention")
    _check_order(records)
    last = records[-1]
    height, width = last.map_size
    share = last.weights.new_full((len(last.weights), height, width), 1 / (height * width))
    stage = last.stage
    for record in reversed(records):
        if record.stage != stage:
            share, stage = spread(share, record.map_size), record.stage
        windows = map_to_windows(share, record.window, record.shift)
        attended = torch.einsum("bnq,bnqk->bnk", windows, record.weights.mean(2))
        share = 0.5 * share + 0.5 * windows_to_map(attended, record.window, record.map_size, record.shift)
    return share


def spread(share: Tensor, map_size: tuple[int, int]) -> Tensor:
    """(B, ceil(H/2), ceil(W/2)) -> (B, H, W): every token's share in equal parts to the 2x2 tokens that it came from.

    At an odd edge there are two, or only one; the total stays the same.
    """
    height, width = map_size
    ones = share.new_ones(1, height, width)
    ones = F.pad(ones, (0, width % 2, 0, height % 2))
    parts = rearrange(ones, "1 (y two) (x too) -> y x (two too)", two=2, too=2).sum(-1)
    wide = (share / parts).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    return wide[:, :height, :width]


def _check_order(records: Sequence[AttentionRecord]) -> None:
    for one, after in pairwise(records):
        same_stage = (after.stage, after.block) == (one.stage, one.block + 1) and after.map_size == one.map_size
        halved = tuple(-(-side // 2) for side in one.map_size)
        next_stage = (after.stage, after.block) == (one.stage + 1, 0) and after.map_size == halved
        if not (same_stage or next_stage) or len(one.weights) != len(after.weights):
            raise ValueError(
                f"block {after.block} of stage {after.stage} does not follow block {one.block} of stage {one.stage} "
                "in one forward pass; give consecutive records of one pass"
            )
