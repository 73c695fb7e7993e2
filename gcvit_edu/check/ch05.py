"""Checkers of chapter 5, Window attention."""

import math
from collections.abc import Callable, Iterator

import torch
from einops import rearrange
from torch import Tensor

from gcvit_edu.attention import attend_explicit
from gcvit_edu.check.answers import call, number, tensor
from gcvit_edu.check.forbidden import LOOP
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_cases, compare_measured, not_yet
from gcvit_edu.position import relative_position_index
from gcvit_edu.windows import window_merge


@checker(without=("einops",))
def merge(function: Callable[[Tensor, int, int, int], Tensor]) -> Verdict:
    """Exercise 5.1: function(windows, window, height, width) is the inverse of window_partition."""

    def tried(images: int, rows: int, columns: int, window: int, channels: int) -> Verdict:
        height, width = rows * window, columns * window
        windows = torch.arange(1.0 * images * height * width * channels).reshape(-1, window**2, channels)

        def merged(pattern: str) -> Tensor:
            return rearrange(windows, pattern, nh=rows, nw=columns, wh=window, ww=window)

        mistakes = {
            "The windows are laid out column by column; they come row by row.": merged(
                "(b nw nh) (wh ww) c -> b (nh wh) (nw ww) c"
            ),
            "The tokens inside each window are transposed; they run row by row.": merged(
                "(b nh nw) (ww wh) c -> b (nh wh) (nw ww) c"
            ),
            "Rows and columns of windows are swapped: height // window rows, width // window columns.": merged(
                "(b nw nh) (wh ww) c -> b (nw wh) (nh ww) c"
            ).reshape(images, height, width, channels),
            "Windows of different images are mixed: all windows of image 0 come first.": merged(
                "(nh nw b) (wh ww) c -> b (nh wh) (nw ww) c"
            ),
            "You put the tokens side by side in one reshape, so each window became a strip; "
            "the window's rows must end up in different rows of the map.": windows.reshape(
                images, height, width, channels
            ),
        }
        right = window_merge(windows, window, height, width)
        answer = call(function, windows, window, height, width)
        return compare(answer, right, "Cutting and merging are inverse to each other.", mistakes)

    cases = ((2, 2, 3, 2, 3), (1, 1, 3, 3, 2), (3, 3, 2, 2, 1), (5, 2, 2, 4, 3), (1, 1, 1, 2, 4))
    return all_right(tried(*case) for case in cases)


@checker()
def attention_pairs(function: Callable[[int, int, int], int]) -> Verdict:
    """Exercise 5.2: function(height, width, window) counts query-key pairs, padding included."""
    cases = [(56, 56, 7), (28, 28, 7), (60, 45, 7), (10, 3, 4), (3, 10, 4), (29, 57, 14), (1, 1, 7), (12, 9, 3)]

    def pairs(height: int, width: int, window: int) -> int:
        return math.ceil(height / window) * math.ceil(width / window) * window**4

    def real_pairs(height: int, width: int, window: int) -> int:
        rows = [min(window, height - top) for top in range(0, height, window)]
        columns = [min(window, width - left) for left in range(0, width, window)]
        return sum((row * column) ** 2 for row in rows for column in columns)

    mistakes = {
        "You left the padded tokens out; they are masked, but their products are computed.": real_pairs,
        "You counted pairs of the whole map; a token meets only the tokens of its own window.": lambda h, w, _: (
            (h * w) ** 2
        ),
        "You counted windows times tokens; within a window every token meets every token.": lambda h, w, s: (
            math.ceil(h / s) * math.ceil(w / s) * s**2
        ),
        "Right where the windows fit. Where they do not, the map is padded to whole windows first.": lambda h, w, s: (
            (h // s) * (w // s) * s**4
        ),
        "Right where the windows fit. Where they do not, the padded tokens are computed too.": lambda h, w, s: (
            h * w * s**2
        ),
    }
    return compare_cases(function, cases, pairs, mistakes, "Linear in the number of tokens, for a fixed window.")


@checker(without=("torch.meshgrid", LOOP))
def relative_index(function: Callable[[int], Tensor]) -> Verdict:
    """Exercise 5.3: function(window) equals relative_position_index(window)."""

    def tried(window: int) -> Verdict:
        answer = call(function, window)
        if isinstance(answer, Tensor) and answer.is_floating_point():
            return not_yet("Your indices are floating-point numbers; a table is looked up with integers.")
        rows, columns = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        dy, dx = rows[:, None] - rows, columns[:, None] - columns
        side = 2 * window - 1
        shifted_y, shifted_x = dy + window - 1, dx + window - 1
        mistakes = {
            "The sign is wrong: an offset is query minus key.": (window - 1 - dy) * side + (window - 1 - dx),
            "Rows and columns are swapped: the row offset is multiplied by 2w-1.": shifted_x * side + shifted_y,
            "You multiplied the row offset by w; there are 2w-1 different column offsets.": shifted_y * window
            + shifted_x,
            "Without adding w-1 the indices are negative, and count from the table's end.": dy * side + dx,
            "Distances lost their sign: left and right must not share a row of the table.": dy.abs() * side + dx.abs(),
        }
        return compare(answer, relative_position_index(window), "All (2w-1)**2 offsets have their own row.", mistakes)

    return all_right(tried(window) for window in (3, 7, 4, 2, 1))


@checker()
def attention(function: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 5.4: function(q, k, v, bias) is softmax(q k^T / sqrt(d) + bias) v."""

    def tried(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, _: Tensor) -> Verdict:
        answer = call(function, q, k, v, bias)
        d = q.shape[-1]
        products = q @ k.mT
        mistakes = {
            "Your output equals attention without the bias.": (products / d**0.5).softmax(-1) @ v,
            "Your output equals attention without the division by sqrt(d).": (products + bias).softmax(-1) @ v,
            "You divided by d; it is sqrt(d).": (products / d + bias).softmax(-1) @ v,
            "You divided the bias by sqrt(d) too; only the products are divided.": ((products + bias) / d**0.5).softmax(
                -1
            )
            @ v,
            "The softmax runs over the queries; each query's weights over the keys must sum to one.": (
                products / d**0.5 + bias
            ).softmax(-2)
            @ v,
            "You added the bias after the softmax; it belongs to the logits.": ((products / d**0.5).softmax(-1) + bias)
            @ v,
            "The roles of q and k are swapped.": (k @ q.mT / d**0.5 + bias).softmax(-1) @ v,
        }
        right = attend_explicit(q, k, v, bias)[0]
        return compare(answer, right, "Your output equals attend's.", mistakes)

    return all_right(tried(*example) for example in _examples())


@checker()
def masked_attention(function: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 5.5: function(q, k, v, bias, real) is attention in which nobody looks at padded tokens."""

    def tried(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Verdict:
        answer = tensor(call(function, q, k, v, bias, real)).double()
        logits = q @ k.mT / q.shape[-1] ** 0.5 + bias
        keys, queries = real[:, None, None, :], real[:, None, :, None]
        right = attend_explicit(q, k, v, bias, real)[0] * queries
        # What a padded query gets is cropped later, so only real queries count. Masked queries leave a trace there.
        unmasked = "Your output equals attention without a mask."
        if answer.shape == q.shape:
            lost_rows = bool(answer.isnan().any())
            if lost_rows:
                unmasked = "You masked the queries; mask the keys, so that no query looks at padding."
            answer = answer.nan_to_num() * queries
            if lost_rows and torch.allclose(answer, right.double(), atol=1e-5):
                return not_yet(
                    "The rows of padded queries are not numbers, and their gradients would spoil the values. "
                    "Mask the keys only."
                )
        shares = (
            "Padded tokens still take their share of the weights: you set their weights, or their values, to zero "
            "after the softmax, and the rest no longer sums to one."
        )
        turned = "The mask is the wrong way round: real is True for the tokens that may be looked at."
        zeroed = "You set the logits of padded keys to zero, a logit like any other; use minus infinity."
        weights = {
            unmasked: logits.softmax(-1),
            shares: logits.softmax(-1) * keys,
            turned: logits.masked_fill(keys, float("-inf")).softmax(-1).nan_to_num(),
            zeroed: logits.masked_fill(~keys, 0.0).softmax(-1),
        }
        mistakes = {diagnosis: wrong @ v * queries for diagnosis, wrong in weights.items()}
        return compare(answer, right, "No real token sees the padding.", mistakes)

    return all_right(tried(*example) for example in _examples())


@checker()
def blocks_to_cross(function: Callable[[int, int], int]) -> Verdict:
    """Exercise 5.6: function(side, window) counts Swin blocks until one corner has reached the other."""
    cases = [(8, 8), (16, 8), (32, 8), (56, 7), (20, 4), (11, 7), (30, 7), (10, 2), (13, 5), (9, 3), (5, 8)]
    mistakes = {
        "One too few each time: the block that reaches the far corner counts too.": lambda *case: (
            _blocks_to_cross(*case) - 1
        ),
        "One too many each time: Swin's first block is not shifted, and counting stops when the corner is reached.": (
            lambda *case: _blocks_to_cross(*case) + 1
        ),
        "That is the number of windows in a row. Mark what is reached, block after block.": lambda side, window: (
            side // window
        ),
        "You let a shifted window reach round the edge; Swin masks that, because the two sides are not neighbours.": (
            lambda side, window: 1 if side <= window else 2
        ),
    }
    praise = "Now look at how your numbers grow with the side, and answer the question."
    return compare_cases(function, cases, _blocks_to_cross, mistakes, praise)


@checker()
def entropy_without_scale(answer: float) -> Verdict:
    """Exercise 5.7: the mean entropy in bits of attention without 1/sqrt(d), for d = 32 and T = 49."""
    answer = number(answer)
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 400, 49, 32, generator=generator, dtype=torch.float64)
    nats = {}
    for scale in (1.0, 32**-0.5):
        logarithms = (q @ k.mT * scale).log_softmax(-1)
        nats[scale] = -(logarithms.exp() * logarithms).sum(-1).mean().item()
    bits = nats[1.0] / math.log(2)
    mistakes = {
        "That is the entropy with the division by sqrt(d).": (nats[32**-0.5] / math.log(2), 0.1),
        "That is in nats; divide by log 2 to get bits.": (nats[1.0], 0.07),
        "The sign is wrong: entropy is minus the sum of p log p.": (-bits, 0.1),
    }
    otherwise = f"{answer:.3g} bits is not right. Are there 49 tokens, of 32 standard normal numbers each?"
    praise = "Now do the same for d from 2 to 512 and answer the question."
    return compare_measured(answer, (bits, 0.1), praise, mistakes, otherwise)


def _examples() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """Queries, keys, values, bias and mask, for several numbers of windows, heads, tokens and channels."""
    generator = torch.Generator().manual_seed(0)
    masks = (
        [[True] * 4, [True, False, True, False], [True, True, False, False]],
        [[True] * 9],
        [[True] * 6, [False] * 5 + [True]],
    )
    for (heads, d), mask in zip(((2, 5), (1, 2), (3, 8)), masks, strict=True):
        real = torch.tensor(mask)
        windows, tokens = real.shape
        q, k, v = torch.randn(3, windows, heads, tokens, d, generator=generator)
        yield q, k, v, torch.randn(heads, tokens, tokens, generator=generator), real


def _blocks_to_cross(side: int, window: int) -> int:
    reached, blocks = 0, 0  # the rightmost token that knows of the leftmost one
    while reached < side - 1:
        shift = window // 2 if blocks % 2 else 0
        reached = min(side - 1, ((reached + window - shift) // window) * window + shift - 1)
        blocks += 1
    return max(blocks, 1)
