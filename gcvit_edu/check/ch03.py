"""Checkers of chapter 3, Patch stem and downsampling."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.check.answers import call, number, short
from gcvit_edu.check.forbidden import steps
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_cases, not_yet

Layers = list[tuple[int, int, int]]


@checker()
def output_rows(function: Callable[[int, int, int, int], int]) -> Verdict:
    """Exercise 3.1: function(height, kernel, stride, padding) is the number of rows that a convolution gives."""
    cases = [
        (224, 3, 2, 1),
        (225, 3, 2, 1),
        (224, 7, 4, 2),
        (56, 4, 4, 0),
        (10, 5, 3, 0),
        (11, 5, 2, 0),
        (7, 1, 1, 0),
        (9, 2, 3, 1),
    ]
    cases += [(5, 5, 1, 2), (10**17 + 4, 3, 2, 1)]
    mistakes = {
        "The padding is on both sides: it counts twice.": lambda h, k, t, p: (h + p - k) // t + 1,
        "You left the padding out.": lambda h, k, t, p: (h - k) // t + 1,
        "One is missing: the place where the kernel stands first counts too.": lambda h, k, t, p: (h + 2 * p - k) // t,
        "You left the kernel out: its last row must still lie on the map.": lambda h, k, t, p: (h + 2 * p) // t,
        "Round down, not up: a kernel that would reach beyond the map is not placed.": lambda h, k, t, p: (
            -(-(h + 2 * p - k) // t) + 1
        ),
        "Whole numbers only: / and int(...) lose the last digits of large numbers. // divides and rounds down.": (
            lambda h, k, t, p: math.floor((h + 2 * p - k) / t) + 1
        ),
        "That holds for kernel 3, stride 2 and padding 1 only.": lambda h, k, t, p: -(-h // 2),
    }
    praise = "The stem's halvings are a case of it."
    return compare_cases(function, cases, lambda h, k, t, p: (h + 2 * p - k) // t + 1, mistakes, praise)


@checker(without=("torch.layer_norm", "torch.native_layer_norm"))
def layer_norm(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 3.2: function(x, weight, bias) normalises the last axis of (B, H, W, C)."""
    generator = torch.Generator().manual_seed(3)

    def tried(x: Tensor, weight: Tensor, bias: Tensor) -> Verdict:
        def norm(
            axes: tuple[int, ...] = (-1,), *, unbiased: bool = False, eps: float = 1e-5, root: bool = True
        ) -> Tensor:
            variance = x.var(axes, unbiased=unbiased, keepdim=True) + eps
            return (x - x.mean(axes, keepdim=True)) / (variance.sqrt() if root else variance) * weight + bias

        deviation = x.var(-1, unbiased=False, keepdim=True).sqrt()
        centred, std = x - x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        mistakes = {
            "You divided the variance by C - 1; layer normalisation divides by C.": norm(unbiased=True),
            "You divided by the variance; divide by its root.": norm(root=False),
            "The 1e-5 belongs under the root, added to the variance.": centred / (deviation + 1e-5) * weight + bias,
            "torch.std divides by C - 1, not by C; and the 1e-5 belongs under the root.": centred
            / (std + 1e-5)
            * weight
            + bias,
            "torch.std divides by C - 1, not by C; and the 1e-5 is missing.": centred / std * weight + bias,
            "Add 1e-5 to the variance: a constant token would give 0/0.": norm(eps=0.0),
            "The learned weight and bias are missing.": (norm() - bias) / weight,
            "You normalised over the whole map; each token is normalised alone, over its channels.": norm((1, 2, 3)),
            "You normalised each channel over the places; each token is normalised over its channels.": norm((1, 2)),
            "That is batch normalisation, over places and images.": norm((0, 1, 2)),
            "Subtract the mean first.": x / _root(x) * weight + bias,
        }
        return compare(call(function, x, weight, bias), norm(), "Each token alone, over its channels.", mistakes)

    shapes = ((2, 3, 5, 6), (1, 4, 2, 9), (3, 1, 1, 4))
    # The variance is small, so that 1e-5 counts; the mean, too, so that E[x^2] - E[x]^2 is exact enough.
    inputs = (torch.randn(shape, generator=generator) * 0.02 + 0.1 for shape in shapes)
    return all_right(tried(x, *torch.randn(2, x.shape[-1], generator=generator)) for x in inputs)


def _root(x: Tensor) -> Tensor:
    """The root of each token's variance, with 1e-5 added."""
    return (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()


@checker()
def pixel_interval(function: Callable[[int, Layers], tuple[int, int]]) -> Verdict:
    """Exercise 3.3: function(token, layers) gives the first and last pixel row that the token reads."""
    cases = [
        (8, [(3, 2, 1), (3, 1, 1), (3, 2, 1)]),
        (0, [(3, 2, 1), (3, 2, 1)]),
        (5, [(4, 4, 0)]),
        (3, [(7, 2, 3), (5, 3, 1), (3, 1, 0)]),
        (0, [(3, 1, 1)]),
        (7, [(2, 3, 0), (3, 1, 2), (5, 2, 2)]),
    ]

    def interval(token: int, layers: Layers, *, padded: bool = True, forwards: bool = False) -> tuple[int, int]:
        low = high = token
        for kernel, stride, padding in layers if forwards else reversed(layers):
            shift = padding if padded else 0
            low, high = low * stride - shift, high * stride - shift + kernel - 1
        return low, high

    def around(token: int, layers: Layers, *, centred: bool) -> tuple[int, int]:
        low, high = interval(token, layers)
        strides = math.prod(stride for _, stride, _ in layers)
        middle, half = token * strides + (strides // 2 if centred else 0), (high - low) // 2
        return middle - half, middle + half

    mistakes = {
        "You left the padding out: output row 0 begins at row -padding.": lambda *case: interval(*case, padded=False),
        "Go backwards: the last layer's rows are what the layer before must give.": lambda *case: interval(
            *case, forwards=True
        ),
        "The last row that is read is included: add kernel - 1, not kernel.": lambda token, layers: (
            interval(token, layers)[0],
            _end_after(token, layers),
        ),
        "The width is right, but the middle is not: a token sits on the first of its pixels.": lambda *case: around(
            *case, centred=True
        ),
        "The middle is the token times all strides only where each padding is half the kernel, as in the stem: "
        "use the paddings.": lambda *case: around(*case, centred=False),
    }
    return compare_cases(function, cases, interval, mistakes, "Now you can place any token of any network.")


def _end_after(token: int, layers: Layers) -> int:
    high = token
    for kernel, stride, padding in reversed(layers):
        high = high * stride - padding + kernel
    return high


@checker(without=("torch.conv2d", "torch.convolution"))
def strided_convolution(function: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 3.4: function(x, weight) is a 3x3 convolution of stride 2 and padding 1."""
    generator = torch.Generator().manual_seed(4)

    def conv(x: Tensor, weight: Tensor, **options: Any) -> Tensor:
        return F.conv2d(x, weight, **{"stride": 2, "padding": 1, **options})

    def tried(x: Tensor, weight: Tensor) -> Verdict:
        replicated = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, stride=2)
        mistakes = {
            "Your kernel is flipped; neural networks do not flip it.": conv(x, weight.flip(2, 3)),
            "Rows and columns of your kernel are swapped.": conv(x, weight.mT),
            "The stride is missing: visit every second row and column.": conv(x, weight, stride=1),
            "The padding is missing.": conv(x, weight, padding=0),
            "Your slices begin one cell too late: the first one begins in the padding.": conv(
                F.pad(x, (0, 1, 0, 1)), weight, padding=0
            ),
            "Pad with zeros; you repeated the border.": replicated,
        }
        return compare(call(function, x, weight), conv(x, weight), "Nine slices, nine matrices.", mistakes)

    sizes = ((2, 3, 7, 10, 4), (1, 2, 6, 9, 2), (3, 1, 9, 7, 5), (2, 4, 8, 4, 3), (1, 2, 3, 3, 1))
    verdict = all_right(
        tried(torch.randn(b, c, h, w, generator=generator), torch.randn(out, c, 3, 3, generator=generator))
        for b, c, h, w, out in sizes
    )
    small, large = (torch.ones(1, 2, 4, 4), torch.ones(2, 2, 3, 3)), (torch.ones(3, 4, 8, 6), torch.ones(5, 4, 3, 3))
    if verdict and steps(function, *small) < steps(function, *large):
        return not_yet("The result is right, but a larger map takes more steps. Loop over the kernel's places only.")
    return verdict


@checker()
def centred_side(answer: int) -> Verdict:
    """Exercise 3.5: the smallest side above 300 at which stem and three downsamplers are mirror-symmetric."""
    answer = number(answer, "Find it by trying")
    if answer == 321:
        return Verdict(True, "Now answer the questions: what do all such sides have in common, and what of windows?")
    if answer == 301:
        return not_yet("That is enough for the stem; three more halvings follow.")
    if answer == 305:
        return not_yet("That is enough for two downsamplers after the stem; there are three.")
    if answer % 2 == 0:
        return not_yet(f"{answer} is even: its first halving uses the padding on one side only.")
    if answer in (225, 257, 289):
        return not_yet(f"{answer} is such a side, but not above 300.")
    if isinstance(answer, int) and answer > 321 and answer % 32 == 1:
        return not_yet(f"{answer} is such a side, but there is a smaller one above 300.")
    return not_yet(f"At {answer} pixels the chain is not symmetric. Mirror the picture, and mirror the map back.")


@checker()
def contrast(answer: str) -> Verdict:
    """Exercise 3.6: the parameter through which the stem notices the contrast."""
    names = {"conv.weight", "conv.bias", "down.conv.weight", "down.mbconv.conv_dw.weight", "down.mbconv.conv_pw.weight"}
    names |= {f"down.norm{n}.{kind}" for n in "12" for kind in ("weight", "bias")}
    names |= {f"down.mbconv.se.fc{n}.weight" for n in "12"}
    if answer is None:
        return not_yet("Find it by an experiment, put its name in this cell, then run it again.")
    if not isinstance(answer, str) or answer not in names:
        return not_yet(f"The stem has no parameter {short(answer)}; its names are those of stem.state_dict().")
    if answer == "conv.bias":
        return Verdict(True, "Now answer the questions: why can no later parameter matter, and what remains?")
    if answer in ("conv.weight", "down.norm1.weight", "down.conv.weight", "down.norm2.weight"):
        return not_yet(
            f"Without {answer} the picture no longer reaches the map as it did, so the comparison says little. "
            "Which parameter adds something that does not shrink with the picture?"
        )
    return not_yet(f"{answer} comes after the first norm, which has already removed the size of the tokens.")
