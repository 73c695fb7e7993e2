"""Checkers of chapter 8, The whole model, its family, its equals."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from gcvit_edu.check.answers import number
from gcvit_edu.check.verdict import Verdict, checker, compare_cases, compare_formula, compare_measured, not_yet
from gcvit_edu.config import GCViTConfig
from gcvit_edu.counting import count
from gcvit_edu.model import GCViT


@checker()
def block_parameters(function: Callable[[int, int, int, float, bool], int]) -> Verdict:
    """Exercise 8.1: function(dim, heads, window, ratio, use_global) counts a block's parameters."""
    cases = [
        (64, 2, 7, 3.0, False),
        (64, 2, 7, 3.0, True),
        (96, 3, 7, 2.0, True),
        (256, 8, 14, 3.0, False),
        (50, 2, 5, 2.55, True),
    ]

    def parameters(
        dim: int,
        heads: int,
        window: int,
        ratio: float,
        use_global: bool,
        *,
        bias: int = 1,
        norms: int = 4,
        table: Callable[[int, int], int] = lambda window, heads: (2 * window - 1) ** 2 * heads,
        proj: int = 1,
        mlps: int = 2,
        thirds: int = 2,
    ) -> int:
        hidden = int(dim * ratio)
        qkv = (thirds if use_global else 3) * dim
        linears = qkv * (dim + bias) + proj * dim * (dim + bias)
        mlp = hidden * (dim + bias) + (mlps - 1) * dim * (hidden + bias)
        return linears + mlp + norms * dim + table(window, heads)

    def but(**changes: Any) -> Callable[..., int]:
        return lambda *case: parameters(*case, **changes)

    mistakes = {
        "The biases of the linear layers are missing.": but(bias=0),
        "The two norms are missing; each has a scale and a shift of dim numbers.": but(norms=0),
        "There are two norms, not one.": but(norms=2),
        "A norm has a scale and a shift for each channel, not only one of them: 2 * dim each.": but(norms=3),
        "The table of the relative position bias is missing.": but(table=lambda window, heads: 0),
        "The table has a column for every head.": but(table=lambda window, heads: (2 * window - 1) ** 2),
        "A bias is kept per offset, not per pair of tokens: (2 * window - 1) ** 2 rows.": but(
            table=lambda window, heads: window**4 * heads
        ),
        "A global block makes keys and values only; its queries come from outside.": but(thirds=3),
        "The projection behind attention, dim to dim, is missing.": but(proj=0),
        "The MLP has two layers: dim to hidden, and hidden to dim.": but(mlps=1),
    }
    return compare_cases(function, cases, parameters, mistakes, "Now you can size a model without building it.")


@checker()
def small_variant(config: GCViTConfig) -> Verdict:
    """Exercise 8.2: a config of 4.5 to 5 million parameters at 224 pixels, with heads of 32 channels."""
    if config is None:
        return not_yet("Put your GCViTConfig in this cell, then run it again.")
    if not isinstance(config, GCViTConfig):
        return not_yet(f"Expected a GCViTConfig, got {type(config).__name__}.")
    if config.image_size != 224 or config.num_classes != 1000 or config.in_chans != 3:
        return not_yet("It should be for colour images of 224 pixels and 1000 classes.")
    if len(config.depths) != 4:
        return not_yet(f"Four stages, please, not {len(config.depths)}.")
    widths = {dim // heads for dim, heads in zip(config.dims, config.num_heads, strict=True)}
    if widths != {32}:
        return not_yet(f"The heads are {sorted(widths)} channels wide, not 32: give stage s its C * 2**s / 32 heads.")
    if any(side % window for side, window in zip(config.map_sizes, config.window_sizes, strict=True)):
        return not_yet(f"Maps of sides {config.map_sizes} cannot be cut into whole windows of {config.window_sizes}.")
    with torch.device("meta"):
        millions = count(GCViT(config)).parameters / 1e6
    if millions > 5:
        return not_yet(f"That has {millions:.2f} million parameters, too many.")
    if millions < 4.5:
        return not_yet(f"That has {millions:.2f} million parameters; you may spend more.")
    return Verdict(True, f"{millions:.2f} million parameters.")


@checker()
def first_loss(function: Callable[[int, float], float]) -> Verdict:
    """Exercise 8.3: function(classes, deviation) is log(classes) + deviation**2 / 2."""
    cases = [(1000, 0.5), (1000, 0.0), (10, 0.3), (100, 1.0), (2, 0.7)]
    mistakes: dict[str, Callable[[int, float], float]] = {
        "That is the loss of equal logits; random ones cost more.": lambda n, u: math.log(n),
        "The deviation enters with its square: the mean of exp(z) is exp(u**2 / 2).": lambda n, u: math.log(n) + u / 2,
        "Divide the square by two: the mean of exp(z) is exp(u**2 / 2).": lambda n, u: math.log(n) + u**2,
        "The sign is wrong: being sure of something random costs.": lambda n, u: math.log(n) - u**2 / 2,
        "PyTorch's cross-entropy uses the natural logarithm.": lambda n, u: math.log2(n) + u**2 / 2,
        "The natural logarithm, not the one to base 10.": lambda n, u: math.log10(n) + u**2 / 2,
    }
    praise = "Now answer the question about the loss of 6.6."
    return compare_formula(function, cases, lambda n, u: math.log(n) + u**2 / 2, praise, mistakes, relative=1e-4)


@checker()
def products_take_over(answer: int) -> Verdict:
    """Exercise 8.4: the first multiple of 32 at which attention's products do more than half of tiny's work."""
    answer = number(answer, "Find it")
    if answer % 32 or answer < 32:
        return not_yet("Give a multiple of 32.")
    if answer > 4096:  # counting it would tell nothing new
        return not_yet("There is a far smaller size with more than half.")
    answer = int(answer)
    share = _products_share(answer)
    if answer == 672:
        return Verdict(True, f"There they take {share:.1%}. Now answer the questions.")
    if share < 0.5:
        return not_yet(f"At {answer} pixels the products take {share:.1%}, not yet half.")
    return not_yet(f"At {answer} pixels the products take {share:.1%}; there is a smaller size with more than half.")


@checker()
def predicted_at_512(answer: float) -> Verdict:
    """Exercise 8.5: the work at 512 pixels that the published figures at 224 and 384 predict."""
    answer = number(answer, "Compute it")
    s, t = 384 / 224, 512 / 224
    b = (120.4 - 32.6 * s**2) / (s**4 - s**2)
    a = 32.6 - b
    mistakes = {
        "That is what the counted figures predict; take the published ones.": (202.14, 0.5),
        "That is the published figure at 512 pixels; predict it from the other two.": (245.0, 0.5),
        "You let everything grow with the square of the side, from 224 pixels.": (32.6 * t**2, 0.5),
        "You let everything grow with the square of the side, from 384 pixels.": (120.4 * (512 / 384) ** 2, 0.5),
        "You drew a straight line through the two; the law has squares and fourth powers.": (
            32.6 + (120.4 - 32.6) * (512 - 224) / (384 - 224),
            0.5,
        ),
        "You fitted a single power of the side; the law is a sum of two.": (
            32.6 * t ** (math.log(120.4 / 32.6) / math.log(s)),
            0.5,
        ),
    }
    otherwise = f"{answer:.4g} is not right. Do your a and b give 32.6 at 224 and 120.4 at 384 pixels?"
    praise = "Now the same with the counted figures, and the question."
    return compare_measured(answer, (a * t**2 + b * t**4, 1.0), praise, mistakes, otherwise)


@cache
def _products_share(size: int) -> float:
    config = GCViTConfig().resized(size)
    stages = zip(config.map_sizes, config.window_sizes, config.dims, config.depths, strict=True)
    products = sum(2 * side**2 * window**2 * dim * depth for side, window, dim, depth in stages)
    with torch.device("meta"):
        model = GCViT(config)
    return products / count(model).multiply_adds
