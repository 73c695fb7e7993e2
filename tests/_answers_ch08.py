"""Right and wrong answers to the exercises of chapter 8, with the diagnosis each wrong one must get."""

import re
from collections.abc import Callable
from math import log, log2, log10
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.check import Verdict, ch08
from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import Block


def built(dim: int, heads: int, window: int, ratio: float, use_global: bool) -> Block:
    with torch.device("meta"):
        return Block(dim, heads, window, use_global=use_global, mlp_ratio=ratio)


def parameters(*case: Any, leave: Callable[[str, Tensor], bool] = lambda name, value: False) -> int:
    return sum(value.numel() for name, value in built(*case).named_parameters() if not leave(name, value))


def without(pattern: str) -> Callable[..., int]:
    return lambda *case: parameters(*case, leave=lambda name, value: bool(re.fullmatch(pattern, name)))


def variant(**changes: Any) -> GCViTConfig:
    numbers: dict[str, Any] = {"embed_dim": 32, "depths": (2, 2, 13, 3), "num_heads": (1, 2, 4, 8)}
    return GCViTConfig(**{**numbers, **changes})


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch08.block_parameters, parameters),
    (ch08.small_variant, variant()),
    (ch08.first_loss, lambda n, u: log(n) + u**2 / 2),
    (ch08.products_take_over, 672),
    (ch08.predicted_at_512, 265.6),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch08.block_parameters, without(r"(attn\.(qkv|kv|proj)|mlp\.fc.)\.bias"), "biases of the linear layers"),
    (ch08.block_parameters, without(r"norm..*"), "two norms are missing"),
    (ch08.block_parameters, without(r"norm1.*"), "two norms, not one"),
    (ch08.block_parameters, lambda *case: parameters(*case) - case[0], "a scale and a shift for each channel"),
    (ch08.block_parameters, without(r"attn\.bias\.table"), "table of the relative position bias is missing"),
    (
        ch08.block_parameters,
        lambda *case: parameters(*case) - (case[1] - 1) * (2 * case[2] - 1) ** 2,
        "a column for every head",
    ),
    (
        ch08.block_parameters,
        lambda *case: parameters(*case) + case[1] * (case[2] ** 4 - (2 * case[2] - 1) ** 2),
        "per offset, not per pair",
    ),
    (
        ch08.block_parameters,
        lambda *case: parameters(*case[:4], False),
        "keys and values only",
    ),
    (ch08.block_parameters, without(r"attn\.proj.*"), "projection behind attention"),
    (ch08.block_parameters, without(r"mlp\.fc2.*"), "MLP has two layers"),
    (ch08.block_parameters, lambda *case: 7, "gives 7, which is not right"),
    (ch08.small_variant, None, "Put your GCViTConfig"),
    (ch08.small_variant, {"embed_dim": 32}, "Expected a GCViTConfig, got dict"),
    (ch08.small_variant, variant(num_classes=10), "1000 classes"),
    (
        ch08.small_variant,
        variant(depths=(2, 2, 9), num_heads=(1, 2, 4), window_sizes=(7, 7, 14)),
        "Four stages",
    ),
    (ch08.small_variant, variant(num_heads=(2, 4, 8, 16)), "[16] channels wide"),
    (ch08.small_variant, variant(window_sizes=(7, 7, 12, 7)), "cannot be cut into whole windows"),
    (ch08.small_variant, variant(depths=(3, 4, 19, 5)), "too many"),
    (ch08.small_variant, variant(depths=(2, 2, 4, 2)), "you may spend more"),
    (ch08.first_loss, lambda n, u: log(n), "random ones cost more"),
    (ch08.first_loss, lambda n, u: log(n) + u / 2, "enters with its square"),
    (ch08.first_loss, lambda n, u: log(n) + u**2, "Divide the square by two"),
    (ch08.first_loss, lambda n, u: log(n) - u**2 / 2, "sign is wrong"),
    (ch08.first_loss, lambda n, u: log2(n) + u**2 / 2, "uses the natural logarithm"),
    (ch08.first_loss, lambda n, u: log10(n) + u**2 / 2, "not the one to base 10"),
    (ch08.first_loss, lambda n, u: torch.tensor(log(n)), "Return a Python number"),
    (ch08.first_loss, lambda n, u: 1.0, "your function gives 1,"),
    (ch08.products_take_over, None, "Find it"),
    (ch08.products_take_over, 640, "not yet half"),
    (ch08.products_take_over, 1024, "a smaller size"),
    (ch08.products_take_over, 650, "a multiple of 32"),
    (ch08.predicted_at_512, None, "Compute it"),
    (ch08.predicted_at_512, "266", "Give a number, not str"),
    (ch08.predicted_at_512, 202.1, "counted figures predict"),
    (ch08.predicted_at_512, 245.0, "published figure at 512"),
    (ch08.predicted_at_512, 32.6 * (512 / 224) ** 2, "from 224 pixels"),
    (ch08.predicted_at_512, 120.4 * (512 / 384) ** 2, "from 384 pixels"),
    (ch08.predicted_at_512, 190.64, "straight line"),
    (
        ch08.predicted_at_512,
        32.6 * (512 / 224) ** (log(120.4 / 32.6) / log(384 / 224)),
        "single power",
    ),
    (ch08.predicted_at_512, 1.0, "1 is not right"),
]
