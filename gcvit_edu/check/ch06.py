"""Checkers of chapter 6, The global query."""

import math
from collections.abc import Callable
from math import floor, log, log2

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.attention import GlobalWindowAttention
from gcvit_edu.check.answers import boolean, call, number
from gcvit_edu.check.forbidden import LOOP, steps
from gcvit_edu.check.verdict import (
    Verdict,
    all_right,
    checker,
    compare,
    compare_cases,
    compare_formula,
    compare_measured,
    not_yet,
)

Attention = Callable[[Tensor, Tensor], Tensor]


@checker()
def halvings(function: Callable[[int, int], int]) -> Verdict:
    """Exercise 6.1: function(side, window) is the number of halvings from a map to one window."""
    cases = [(56, 7), (28, 7), (14, 14), (7, 7), (64, 7), (60, 7), (40, 7), (4, 7)]
    cases += [(96, 12), (10, 12), (56, 10), (29, 20), (9, 4), (1, 1)]
    mistakes = {
        "A map smaller than the window is not halved: never below 0.": lambda side, window: round(log2(side / window)),
        "Round to the nearest whole number, not down.": lambda side, window: max(0, floor(log2(side / window))),
        "Round to the nearest whole number, not up.": lambda side, window: max(0, -floor(-log2(side / window))),
        "That is the ratio; how often must it be halved?": lambda side, window: max(0, side // window),
        "Take the logarithm to base 2.": lambda side, window: max(0, round(log(side / window))),
    }
    praise = "Three, two, none, none at 224 pixels."
    return compare_cases(function, cases, lambda side, window: max(0, round(log2(side / window))), mistakes, praise)


@checker(without=("torch.max_pool2d", "torch.max_pool2d_with_indices"))
def max_pool(function: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 6.2: function(x) takes maxima of 3x3 cells with stride 2, and pads with minus infinity."""
    generator = torch.Generator().manual_seed(6)

    def pooled(x: Tensor, stride: int = 2, padding: int = 1) -> Tensor:
        return F.max_pool2d(x, 3, stride, padding)

    def tried(x: Tensor) -> Verdict:
        right = pooled(x)
        late = pooled(F.pad(x, (0, 2, 0, 2), value=float("-inf")), padding=0)
        mistakes = {
            "A zero from the padding has won: pad with minus infinity.": pooled(F.pad(x, (1, 1, 1, 1)), padding=0),
            "The padding is missing: the first square stands half outside.": pooled(x, padding=0),
            "The stride is missing: visit every second row and column.": pooled(x, stride=1),
            "A zero from your start has won: begin with the first slice, or with minus infinity.": right.clamp(min=0),
            "You took means; take maxima.": F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            "You took minima; take maxima.": -pooled(-x),
            "Your squares are 2 x 2; they are 3 x 3 and overlap.": F.max_pool2d(x, 2, 2, ceil_mode=True),
            "Your squares begin one cell too late: the first one begins in the padding.": late[
                :, :, : right.shape[2], : right.shape[3]
            ],
        }
        return compare(call(function, x), right, "Nothing that is not in the map has got into it.", mistakes)

    # mostly negative, so that a zero would win
    shapes = ((2, 3, 7, 10), (1, 2, 8, 6), (3, 1, 5, 9), (1, 1, 3, 3), (2, 4, 3, 4))
    verdict = all_right(tried(torch.randn(shape, generator=generator) - 2) for shape in shapes)
    if verdict and steps(function, torch.ones(1, 2, 4, 4)) < steps(function, torch.ones(3, 4, 8, 6)):
        return not_yet("The result is right, but a larger map takes more steps. Loop over the square's places only.")
    return verdict


@checker(without=("einops",))
def heads(function: Callable[[Tensor, int], Tensor]) -> Verdict:
    """Exercise 6.3: function(x, num_heads) cuts a query map, (B, C, w, w), into heads, (B, h, T, d)."""

    def tried(images: int, num_heads: int, d: int, window: int) -> Verdict:
        x = torch.arange(1.0 * images * num_heads * d * window**2).reshape(images, num_heads * d, window, window)
        right = rearrange(x, "b (h d) y x -> b h (y x) d", h=num_heads)
        mistakes = {
            "You cut across space: a token holds several places of one channel. Split the channels first.": (
                x.reshape(right.shape)
            ),
            "You cut the row of cells: split the channels into (h, d), then move h in front of the tokens.": (
                rearrange(x, "b c y x -> b y x c").reshape(right.shape)
            ),
            "Each head got every second channel; its channels are neighbours.": rearrange(
                x, "b (d h) y x -> b h (y x) d", h=num_heads
            ),
            "Rows and columns of the cells are swapped.": rearrange(x, "b (h d) y x -> b h (x y) d", h=num_heads),
            "The last two axes are swapped: tokens come before channels.": right.mT,
            "Heads and tokens are swapped: heads come first.": right.transpose(1, 2),
        }
        return compare(call(function, x, num_heads), right, "Each token is one place.", mistakes)

    return all_right(tried(*case) for case in ((2, 2, 3, 3), (1, 3, 4, 2), (3, 1, 4, 4), (2, 5, 2, 1), (5, 4, 1, 3)))


@checker(without=("torch.repeat_interleave", "torch.repeat", LOOP))
def spread(function: Callable[[Tensor, int], Tensor]) -> Verdict:
    """Exercise 6.4: function(query, windows) gives each window its image's query, image-major."""

    def tried(windows: int, *shape: int) -> Verdict:
        query = torch.arange(1.0 * math.prod(shape)).reshape(shape)
        mistakes = {
            "You tiled: the order is 0, 1, 2, 0, 1, 2, ... That is the bug of this chapter.": query.repeat(
                windows, 1, 1, 1
            ),
            "You repeated the heads, not the images.": query.repeat_interleave(windows, dim=1),
            "All windows got the first image's query.": query[:1].expand(len(query) * windows, -1, -1, -1).clone(),
            "Images and windows are still two axes: join them with flatten(0, 1).": query[:, None]
            .expand(-1, windows, -1, -1, -1)
            .clone(),
        }
        return compare(
            call(function, query, windows),
            query.repeat_interleave(windows, 0),
            "Image-major, as the windows are.",
            mistakes,
        )

    cases = ((4, 3, 2, 4, 5), (3, 4, 1, 2, 3), (1, 2, 3, 4, 2), (6, 1, 2, 1, 3), (2, 5, 2, 4, 1))
    return all_right(tried(*case) for case in cases)


def _with_query(attention: Attention, spoil: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Attention:
    return lambda x, query: attention(*spoil(x, query))


def _tiled(attention: GlobalWindowAttention) -> Attention:
    def broken(x: Tensor, query: Tensor) -> Tensor:
        number = torch.arange(4 * len(x)) % len(x)  # the image whose query each window meets
        # one window after the other, each as a map of its own
        windows = rearrange(x, "b (y h) (z w) c -> (b y z) h w c", y=2, z=2)
        out = attention(windows, query[number])
        return rearrange(out, "(b y z) h w c -> b (y h) (z w) c", y=2, z=2)

    return broken


@checker()
def catches_mixing(function: Callable[[Attention], bool]) -> Verdict:
    """Exercise 6.5: function(attention) says whether images are independent; tried on one right and broken versions."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        attention = GlobalWindowAttention(16, num_heads=2, window=4)
        for parameter in attention.parameters():
            nn.init.normal_(parameter, std=0.5)
    broken = {
        "queries that are tiled over the windows": _tiled(attention),
        "one that gives all images the first one's query": _with_query(attention, lambda x, q: (x, q[:1].expand_as(q))),
        "one that gives all images the mean of the queries": _with_query(
            attention, lambda x, q: (x, q.mean(0, keepdim=True).expand_as(q))
        ),
        "one that mixes the maps and leaves the queries alone": _with_query(
            attention, lambda x, q: (x - x.mean(0, keepdim=True) * (len(x) > 1), q)
        ),
        "one that spoils the last image only": _with_query(
            attention, lambda x, q: (x, torch.cat([q[:-1], (q[-1:] + q[:1]) / 2]))
        ),
    }
    if not boolean(call(function, attention)):
        return not_yet("Your test refuses the right version. Do you compare with a small tolerance?")
    accepted = [name for name, version in broken.items() if boolean(call(function, version))]
    if len(accepted) == len(broken):
        return not_yet("Your test accepts everything. Does its batch hold more than one image?")
    if accepted:
        advice = "Give each image its own map and query, look at all, and compare with each image alone"
        return not_yet(
            f"Your test accepts {accepted[0]}. {advice}. (Another order of the batch does not show all mixing.)"
        )
    return Verdict(True, f"It accepts the right version and refuses all {len(broken)} broken ones.")


@checker()
def share_of_right_queries(function: Callable[[int, int], float]) -> Verdict:
    """Exercise 6.6: function(batch, windows) is the share of windows that meet their own image's query when tiled."""

    def right_ones(batch: int, windows: int) -> int:
        return sum(k // windows == k % batch for k in range(batch * windows))

    def share(batch: int, windows: int) -> float:
        return right_ones(batch, windows) / (batch * windows)

    mistakes = {
        "With one window per image tiling is right: all windows meet their own.": lambda b, n: 1 / b,
        "1/B is right where one of the two numbers divides the other. Count: 3 images of 4 windows give one half.": (
            lambda b, n: 1 / b if n > 1 else 1.0
        ),
        "You divided by the images; count shares of all windows.": lambda b, n: right_ones(b, n) / b,
        "That is the number of windows, not their share.": right_ones,
        "That is the share of windows that meet a wrong query.": lambda b, n: 1 - share(b, n),
        "The windows of an image are adjacent: window n belongs to image n // windows.": lambda b, n: 1.0,
    }
    cases = [(128, 64), (128, 16), (128, 1), (1, 64), (2, 4), (3, 5), (3, 4), (4, 6), (6, 4), (5, 5), (7, 2)]
    praise = "Now answer the questions: which blocks were affected, and what would tell?"
    return compare_formula(function, cases, share, praise, mistakes, tensors=True)


@checker()
def zero_wins(answer: float) -> Verdict:
    """Exercise 6.7: the probability that zero padding changes a maximum in the first row, but not in a corner."""
    answer = number(answer)
    mistakes = {
        "You counted the corner too; leave column 0 out.": ((7 / 64 + 1 / 16) / 8, 0.002),
        "That is a corner's probability.": (1 / 16, 0.005),
        "A square in the first row has not nine real cells, but six.": (1 / 512, 0.001),
        "That is the share of all cells; look at row 0, columns 1 to 7.": ((14 / 64 + 1 / 16) / 64, 0.001),
    }
    otherwise = f"{answer:.3g} is not right. Compare row 0, columns 1 to 7, over many maps of 16 x 16."
    praise = "Now answer the questions: can you compute it, and what of corners and later poolings?"
    return compare_measured(answer, (1 / 64, 0.002), praise, mistakes, otherwise)
