"""A block's queries compared with all tokens of its map at once: one softmax in place of one per window."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from gcvit_edu.capture import shift_of
from gcvit_edu.maps.columns import of_head
from gcvit_edu.maps.layout import real_tokens, windows_to_map
from gcvit_edu.model import GCViT
from gcvit_edu.windows import pad_to_windows, queries_for_windows, window_partition


@dataclass(frozen=True)
class BlockQueries:
    """The queries and keys of a block, before any softmax.

    Attributes:
        queries: (B, M, h, T, d); one set per window, or M = 1 for a global block on a map that is not padded,
            where all windows have the same queries.
        keys: (B, N, h, T, d).
        bias: (h, T, T), the relative position bias within a window.
        window: side of the window, T = window**2. Windows and tokens run row by row.
        map_size: height and width of the map without padding, in tokens.
        is_global: whether the queries are the global query's.
        shift: rows and columns by which the map was rolled, up and to the left, before it was cut into windows.
    """

    queries: Tensor
    keys: Tensor
    bias: Tensor
    window: int
    map_size: tuple[int, int]
    is_global: bool
    shift: int = 0


@torch.no_grad()
def block_queries(model: GCViT, image: Tensor, stage: int, block: int) -> BlockQueries:
    """Run a model and keep the queries and keys of one block.

    Args:
        model: a GCViT.
        image: (B, in_chans, H, W).
        stage: index of the stage, from 0.
        block: index of the block in its stage, from 0.
    """
    chosen = model.stages[stage].blocks[block]
    attn, kept = chosen.attn, []
    hook = attn.register_forward_pre_hook(lambda _, inputs: kept.append(inputs))
    try:
        model(image)
    finally:
        hook.remove()
    ((x, *query),) = kept
    map_size = tuple(x.shape[1:3])
    shift = shift_of(attn, map_size)
    tokens, _ = pad_to_windows(x.roll((-shift, -shift), (1, 2)), attn.window)
    tokens = window_partition(tokens, attn.window)
    sizes = {"b": len(x), "h": attn.num_heads}
    if chosen.use_global:
        keys, _ = rearrange(attn.kv(tokens), "(b n) t (two h d) -> two b n h t d", two=2, **sizes)
        queries = query[0][:, None]
        if any(side % attn.window for side in map_size):
            queries = queries_for_windows(query[0], attn.window, *map_size).unflatten(0, (len(x), -1))
    else:
        queries, keys, _ = rearrange(attn.qkv(tokens), "(b n) t (three h d) -> three b n h t d", three=3, **sizes)
    return BlockQueries(queries, keys, attn.bias(), attn.window, map_size, chosen.use_global, shift)


def unwindowed_weights(queries: Tensor, keys: Tensor, bias: Tensor | None, real: Tensor) -> Tensor:
    """(B, h, Q, d) and (B, N, h, T, d) -> (B, h, Q, N, T): softmax over all real keys of the map at once.

    Args:
        queries: Q = T of them, those of one window or the global query's.
        keys: of all windows.
        bias: (h, Q, T), added in every window; None for none.
        real: (N, T), False for padding, which gets exactly zero.
    """
    logits = torch.einsum("bhqd,bnhkd->bhqnk", queries * queries.shape[-1] ** -0.5, keys)
    if bias is not None:
        logits = logits + bias[None, :, :, None, :]
    logits = logits.masked_fill(~real, float("-inf"))
    return logits.flatten(3).softmax(-1).view_as(logits)


def unwindowed(questions: BlockQueries, head: int | None = None, *, bias: bool = True) -> Tensor:
    """(B, H, W): the attention of a block if its softmax ran over the whole map. It sums to one.

    The queries are compared with the keys of all windows, one softmax goes over all of them, and the mean is taken over
    the queries: the cells of the global query, or all tokens of the map in a local block. On a padded map, each window
    uses its own cells of the global query, as in the network. If one window covers the map, the network does the same,
    and the result equals column_mean.

    The relative position bias is defined within one window only. It is added in every window as if the query stood
    there, at its own place. For a global block the network computes the same in each window; for a local block it is
    our choice. It repeats from window to window and prefers no window. Without it the map depends on contents alone.

    What it means: logits of different windows are compared, so a window that fits no query stays dark. It is the map
    of window_means with every window weighted by how well it fits, before the network's softmax makes all windows
    equal.

    What it does not mean: the network never compares these logits with each other, and was not trained to make them
    comparable: a number added to all logits of a window would change this map, but not the network.

    Args:
        questions: of a block, from block_queries.
        head: one head, or None for the mean of all.
        bias: add the relative position bias.

    Raises:
        ValueError: for a head that is not there.
    """
    real = real_tokens(questions.window, questions.map_size, questions.keys.device)
    added = questions.bias if bias else None
    total = torch.zeros_like(questions.keys[..., 0])  # (B, N, h, T)
    asking = 0
    for place in range(questions.queries.shape[1]):  # one window's queries at a time, to save memory
        queries = questions.queries[:, place][:, :, real[place]]  # padded queries are left out
        some_bias = None if added is None else added[:, real[place]]
        total += rearrange(unwindowed_weights(queries, questions.keys, some_bias, real).sum(2), "b h n k -> b n h k")
        asking += queries.shape[2]
    return windows_to_map(of_head(total, head) / asking, questions.window, questions.map_size, questions.shift)
