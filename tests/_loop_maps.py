"""Every map again, slow and obvious: one image, one window, one head, one query, one key at a time, in float64."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gcvit_edu.model import GCViT

Cell = tuple[int, int]


def inputs_of(model: GCViT, image: Tensor) -> dict[tuple[int, int], tuple[Tensor, Tensor | None]]:
    """{(stage, block): what its attention is given: (H, W, C) and the query (h, T, d) or None} for one image."""
    kept: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}
    hooks = []
    for s, stage in enumerate(model.stages):
        for b, block in enumerate(stage.blocks):

            def keep(_: nn.Module, given: tuple, place: tuple[int, int] = (s, b)) -> None:
                kept[place] = (given[0][0], given[1][0] if len(given) > 1 else None)

            hooks.append(block.attn.register_forward_pre_hook(keep))
    with torch.no_grad():
        model(image[None])
    for hook in hooks:
        hook.remove()
    return kept


def windows_of(x: Tensor, w: int) -> Iterator[tuple[Cell, list[Cell]]]:
    """The corner of each window, and its real cells, counted from the corner."""
    for top in range(0, x.shape[0], w):
        for left in range(0, x.shape[1], w):
            cells = [(i, j) for i in range(w) for j in range(w)]
            yield (top, left), [(i, j) for i, j in cells if top + i < x.shape[0] and left + j < x.shape[1]]


def queries_of(attn: nn.Module, x: Tensor, query: Tensor | None, corner: Cell, real: list[Cell]) -> dict[Cell, Tensor]:
    """{cell: (h, d)}: the cells of the global query, pooled to a window's real part, or the window's real tokens."""
    w = attn.window
    if query is not None:
        rows, columns = (1 + max(cell[axis] for cell in real) for axis in (0, 1))
        asked = {}
        for i, j in real:
            ys = range(i * w // rows, -(-(i + 1) * w // rows))
            xs = range(j * w // columns, -(-(j + 1) * w // columns))
            pooled = [query[:, y * w + x] for y in ys for x in xs]
            asked[i, j] = sum(pooled) / len(pooled)
        return asked
    return {(i, j): projected(attn.qkv, x[corner[0] + i, corner[1] + j], attn, 0) for i, j in real}


def projected(linear: nn.Linear, token: Tensor, attn: nn.Module, which: int) -> Tensor:
    """(h, d): one of the two or three parts of a token's projection; -2 is the key."""
    return (linear.weight @ token + linear.bias).unflatten(0, (-1, attn.num_heads, len(token) // attn.num_heads))[which]


def key_of(attn: nn.Module, x: Tensor, y: int, z: int) -> Tensor:
    return projected(attn.kv if hasattr(attn, "kv") else attn.qkv, x[y, z], attn, -2)


def bias_of(attn: nn.Module, cell: Cell, other: Cell, head: int) -> Tensor:
    w = attn.window
    row = (cell[0] - other[0] + w - 1) * (2 * w - 1) + cell[1] - other[1] + w - 1
    return attn.bias.table[row, head]


@torch.no_grad()
def loop_rows(attn: nn.Module, x: Tensor, query: Tensor | None, head: int) -> Iterator[tuple[Cell, Cell, Tensor]]:
    """For each window's corner and each query's cell in it, the attention over the map (H, W), zero outside it."""
    for corner, real in windows_of(x, attn.window):
        for cell, q in queries_of(attn, x, query, corner, real).items():
            logits = []
            for other in real:
                key = key_of(attn, x, corner[0] + other[0], corner[1] + other[1])[head]
                logits.append(q[head] @ key / math.sqrt(len(key)) + bias_of(attn, cell, other, head))
            row = x.new_zeros(x.shape[:2])
            for other, weight in zip(real, torch.softmax(torch.stack(logits), 0), strict=True):
                row[corner[0] + other[0], corner[1] + other[1]] = weight
            yield corner, cell, row


def loop_windows(attn: nn.Module, x: Tensor, query: Tensor | None, head: int) -> Tensor:
    """The column mean of each window; of the whole map where one window covers it."""
    by_window: dict[Cell, list[Tensor]] = {}
    for corner, _, row in loop_rows(attn, x, query, head):
        by_window.setdefault(corner, []).append(row)
    return sum(sum(rows) / len(rows) for rows in by_window.values())


@torch.no_grad()
def loop_unwindowed(attn: nn.Module, x: Tensor, query: Tensor | None, head: int, bias: bool = True) -> Tensor:
    """One softmax over the map for each query; each window asks."""
    keys = []
    for corner, real in windows_of(x, attn.window):
        for i, j in real:
            place = (corner[0] + i, corner[1] + j)
            keys.append((place, (i, j), key_of(attn, x, *place)[head]))
    total, asked = x.new_zeros(x.shape[:2]), 0
    for corner, real in windows_of(x, attn.window):
        for cell, q in queries_of(attn, x, query, corner, real).items():
            logits = [q[head] @ key / math.sqrt(len(key)) for _, _, key in keys]
            if bias:
                logits = [
                    logit + bias_of(attn, cell, other, head) for logit, (_, other, _) in zip(logits, keys, strict=True)
                ]
            for (place, _, _), weight in zip(keys, torch.softmax(torch.stack(logits), 0), strict=True):
                total[place] += weight
            asked += 1
    return total / asked


def loop_rollout(model: GCViT, image: Tensor, stage: int) -> Tensor:
    """The whole matrices of all blocks and downsamplers, multiplied one after another."""
    product, before = None, None
    for (s, b), (x, query) in inputs_of(model, image).items():
        if s < stage:
            continue
        height, width = x.shape[:2]
        if product is None:
            first, product = (height, width), torch.eye(height * width, dtype=x.dtype)
        elif before is not None and b == 0:
            pool = x.new_zeros(height * width, before[0] * before[1])
            for y in range(height):
                for z in range(width):
                    made_of = [(i, j) for i in (2 * y, 2 * y + 1) for j in (2 * z, 2 * z + 1)]
                    made_of = [(i, j) for i, j in made_of if i < before[0] and j < before[1]]
                    for i, j in made_of:
                        pool[y * width + z, i * before[1] + j] = 1 / len(made_of)
            product = pool @ product
        attn = model.stages[s].blocks[b].attn
        matrix = x.new_zeros(height * width, height * width)
        for head in range(attn.num_heads):
            for corner, cell, row in loop_rows(attn, x, query, head):
                y, z = corner[0] + cell[0], corner[1] + cell[1]
                if y < height and z < width:  # the others update padding
                    matrix[y * width + z] += row.flatten() / attn.num_heads
        product = (torch.eye(height * width, dtype=x.dtype) + matrix) / 2 @ product
        before = (height, width)
    return product.mean(0).reshape(first)


@torch.no_grad()
def loop_gradient(model: GCViT, image: Tensor, stage: int, block: int, label: int, head: int | None) -> Tensor:
    """Central differences: each weight of each head is moved a little, and the logit looked at."""
    x, query = inputs_of(model, image)[stage, block]
    attn, step = model.stages[stage].blocks[block].attn, 1e-5
    linear = attn.kv if hasattr(attn, "kv") else attn.qkv
    d = x.shape[-1] // attn.num_heads
    gain = x.new_zeros(x.shape[:2])
    for one in range(attn.num_heads) if head is None else [head]:
        moves, places, weights = [], [], []
        for corner, cell, row in loop_rows(attn, x, query, one):
            y, z = corner[0] + cell[0], corner[1] + cell[1]
            if y >= x.shape[0] or z >= x.shape[1]:
                continue  # padding, which is cropped
            for place in (row > 0).nonzero().tolist():
                value = projected(linear, x[tuple(place)], attn, -1)[one]
                move = x.new_zeros(x.shape)
                move[y, z] = attn.proj.weight[:, one * d : (one + 1) * d] @ value
                moves.append(step * move)
                places.append(tuple(place))
                weights.append(row[tuple(place)])
        up, down = (logits_moved(model, image, attn, sign * torch.stack(moves), label) for sign in (1, -1))
        for place, weight, slope in zip(places, weights, (up - down) / (2 * step), strict=True):
            gain[place] += max(0, slope * weight)
    return gain / (attn.num_heads if head is None else 1)


@torch.no_grad()
def loop_grad_cam(model: GCViT, image: Tensor, stage: int, label: int) -> Tensor:
    """Central differences: each channel is moved a little over the whole map, and the logit looked at."""
    features = model.forward_intermediates(image[None], [stage], output_fmt="NHWC", intermediates_only=True)[0][0]
    height, width, channels = features.shape
    step = 1e-5
    moves = step * torch.eye(channels, dtype=image.dtype)[:, None, None, :].expand(-1, height, width, -1)
    up, down = (logits_moved(model, image, model.stages[stage], sign * moves, label) for sign in (1, -1))
    total = features.new_zeros(height, width)
    for channel, slope in enumerate((up - down) / (2 * step)):
        total += slope / (height * width) * features[:, :, channel]
    return total.clamp_min(0)


def logits_moved(model: GCViT, image: Tensor, module: nn.Module, moves: Tensor, label: int) -> Tensor:
    """(K,): the logit with each of the moves (K, H, W, C) added to the output of a module."""
    hook = module.register_forward_hook(lambda _, __, out: out + moves)
    try:
        return model(image[None].expand(len(moves), -1, -1, -1))[:, label]
    finally:
        hook.remove()
