"""Right and wrong answers to the exercises of chapter 10, with the diagnosis each wrong one must get."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.check import Verdict, ch10


def targets(z: Tensor, label: int, right: float, other: float) -> Tensor:
    return torch.where(torch.arange(len(z)) == label, right, other).to(z)


def loss(z: Tensor, label: int, smoothing: float) -> Tensor:
    return F.cross_entropy(z[None], torch.tensor([label]), label_smoothing=smoothing)


def loss_of(
    right: Callable[[float, int], float],
    other: Callable[[float, int], float],
    logarithms: Callable[[Tensor], Tensor] = lambda z: z.log_softmax(0),
) -> Callable[[Tensor, int, float], Tensor]:
    """The loss with other targets, or of something else than logarithms."""
    return lambda z, label, k: -(targets(z, label, right(k, len(z)), other(k, len(z))) * logarithms(z)).sum()


def always_smooth(z: Tensor, label: int, smoothing: float) -> Tensor:
    return loss(z, label, 0.3)


def smooth_right(k: float, n: int) -> float:
    return 1 - k + k / n


def smooth_other(k: float, n: int) -> float:
    return k / n


def rate(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    if step < warmup:
        return peak * step / warmup
    if step < total - 1 - cooldown:
        return peak
    return peak * (total - 1 - step) / cooldown


def late_zero(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    return peak * min(step / warmup, 1.0, (total - step) / cooldown)


def early_start(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    return peak * min((step + 1) / warmup, 1.0, (total - 1 - step) / cooldown)


def no_warmup(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    return peak * min(1.0, (total - 1 - step) / cooldown)


def no_fall(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    return peak * min(1.0, step / warmup)


def triangle(step: int, total: int, warmup: int, cooldown: int, peak: float) -> float:
    return peak * min(step / warmup, (total - 1 - step) / (total - 1 - warmup))


def once(found: list[list[bool]], pictures: int) -> float:
    answers = {rank + place * len(found): right for rank, part in enumerate(found) for place, right in enumerate(part)}
    return sum(answers[number] for number in range(pictures)) / pictures


def everything(found: list[list[bool]]) -> list[bool]:
    return [right for part in found for right in part]


def always_without_the_last(found: list[list[bool]], pictures: int) -> float:
    answers = [right for one_each in zip(*found, strict=True) for right in one_each]
    kept = answers[: 1 - len(found)]
    return sum(kept) / len(kept)


def by_group(right: Tensor, group: Tensor) -> float:
    hits, drawings, share = {}, {}, right.double().mean().item()
    for answer, number in zip(right.tolist(), group.tolist(), strict=True):
        hits[number] = hits.get(number, 0) + answer
        drawings[number] = drawings.get(number, 0) + 1
    return math.sqrt(sum((hits[j] - share * drawings[j]) ** 2 for j in hits)) / len(right)


def independent(right: Tensor, group: Tensor) -> float:
    share = right.double().mean().item()
    return math.sqrt(share * (1 - share) / len(right))


def not_centred(right: Tensor, group: Tensor) -> float:
    return torch.bincount(group, right.double()).square().sum().sqrt().item() / len(right)


def of_means(right: Tensor, group: Tensor) -> float:
    means = torch.bincount(group, right.double()) / torch.bincount(group)
    return means.std(correction=0).item() / math.sqrt(len(means))


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch10.smoothed_loss, loss_of(smooth_right, smooth_other)),
    (ch10.plateau, rate),
    (ch10.half_life, lambda steps: math.exp(-math.log(2) / steps)),
    (ch10.part_factors, lambda sizes: torch.tensor(sizes) / sum(sizes)),
    (ch10.counted_once, once),
    (ch10.deviation_by_group, by_group),
    (ch10.deviation_by_group, lambda right, group: torch.tensor(by_group(right, group), dtype=torch.float64)),
    (ch10.quieter, lambda b: sum(((1 - b) * b**j) ** 2 for j in range(20_000))),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch10.smoothed_loss, loss, "used cross_entropy"),
    (ch10.smoothed_loss, lambda z, label, k: loss(z, label, 0.0), "not smoothed"),
    (ch10.smoothed_loss, loss_of(lambda k, n: 1 - k, lambda k, n: k / (n - 1)), "spread over all classes"),
    (ch10.smoothed_loss, loss_of(lambda k, n: 1 - k, smooth_other), "and its part of what is spread"),
    (ch10.smoothed_loss, loss_of(lambda k, n: 1 + k / n, smooth_other), "too much"),
    (ch10.smoothed_loss, loss_of(smooth_right, smooth_other, lambda z: z.softmax(0)), "logarithm of the prob"),
    (ch10.smoothed_loss, loss_of(smooth_right, smooth_other, lambda z: z), "softmax is missing"),
    (ch10.smoothed_loss, lambda z, label, k: -loss(z, label, k), "sign is wrong"),
    (ch10.smoothed_loss, lambda z, label, k: loss(z, label, k) / len(z), "do not take the mean"),
    (ch10.smoothed_loss, lambda z, label, k: loss(z, label, k) / math.log(2), "natural logarithm"),
    (ch10.smoothed_loss, lambda z, label, k: loss(z, label, k).item(), "Return a tensor"),
    (ch10.smoothed_loss, always_smooth, "With smoothing 0"),
    (ch10.plateau, early_start, "Step 0 should have the rate 0"),
    (ch10.plateau, late_zero, "The last step"),
    (ch10.plateau, no_warmup, "warm-up is missing"),
    (ch10.plateau, no_fall, "never falls"),
    (ch10.plateau, triangle, "in the last cooldown steps only"),
    (ch10.plateau, lambda *case: rate(*case) / case[-1], "Multiply by the peak"),
    (ch10.plateau, lambda step, total, warmup, cooldown, peak: rate(step, total, warmup, cooldown - 1, peak), "late"),
    (ch10.plateau, lambda step, total, *case: rate(step, total, *case) + (step == 49) / 1000, "0 was expected"),
    (ch10.plateau, lambda *case: 0.5, "step 0 gets 0.5"),
    (ch10.plateau, lambda *case: "fast", "Return a number for each step"),
    (ch10.half_life, lambda steps: 1 - 1 / steps, "a third of the say"),
    (ch10.half_life, lambda steps: math.exp(-1 / steps), "not exp(-1)"),
    (ch10.half_life, lambda steps: 1 - 0.5 ** (1 / steps), "That is 1 - decay"),
    (ch10.half_life, lambda steps: 0.5**steps, "solve for the decay"),
    (ch10.half_life, lambda steps: 0.5 ** (0.5 / steps), "twice as many steps"),
    (ch10.half_life, lambda steps: 0.7, "For 1 your function gives 0.7"),
    (ch10.half_life, lambda steps: torch.tensor(0.7), "Return a Python number"),
    (ch10.part_factors, lambda sizes: [1 / len(sizes)] * len(sizes), "equal parts only"),
    (ch10.part_factors, lambda sizes: [1 / s / sum(1 / t for t in sizes) for s in sizes], "counts for more"),
    (ch10.part_factors, lambda sizes: [float(size) for size in sizes], "sum to one"),
    (ch10.part_factors, lambda sizes: [1 / sum(sizes)] * len(sizes), "if each part's loss were a sum"),
    (ch10.part_factors, lambda sizes: 0.25, "Return a list of numbers"),
    (ch10.counted_once, lambda f, n: sum(everything(f)) / len(everything(f)), "are counted, too"),
    (ch10.counted_once, lambda f, n: sum(everything(f)) / n, "exceed 1"),
    (ch10.counted_once, lambda f, n: sum(everything(f)[:n]) / n, "last answers of the last process"),
    (ch10.counted_once, lambda f, n: once(f, n) * n, "divide it by the pictures"),
    (ch10.counted_once, lambda f, n: 1 - once(f, n), "share of wrong answers"),
    (ch10.counted_once, always_without_the_last, "nothing should be left out"),
    (ch10.counted_once, lambda f, n: 0.25, "your function gives 0.2500"),
    (ch10.counted_once, lambda f, n: "half", "not str"),
    (ch10.deviation_by_group, independent, "simple formula"),
    (ch10.deviation_by_group, lambda r, g: independent(r, g) * (len(r) / 40) ** 0.5, "not that of emoji"),
    (ch10.deviation_by_group, lambda r, g: by_group(r, g) ** 2, "root is missing"),
    (ch10.deviation_by_group, lambda r, g: by_group(r, g) * len(r), "of drawings, outside the root"),
    (ch10.deviation_by_group, lambda r, g: by_group(r, g) * len(r) / len(g.unique()), "not by that of the emoji"),
    (ch10.deviation_by_group, lambda r, g: by_group(r, g) * len(r) ** 0.5, "outside the root, not inside"),
    (ch10.deviation_by_group, not_centred, "Subtract the accuracy first"),
    (ch10.deviation_by_group, of_means, "fewer drawings count less"),
    (ch10.deviation_by_group, lambda r, g: 0.5, "was expected"),
    (ch10.deviation_by_group, lambda r, g: "much", "not str"),
    (ch10.quieter, lambda b: 1 - b, "weight of the newest number"),
    (ch10.quieter, lambda b: 1.0, "to be squared"),
    (ch10.quieter, lambda b: (1 - b) ** 2, "newest weight alone"),
    (ch10.quieter, lambda b: math.sqrt((1 - b) / (1 + b)), "That is the deviation"),
    (ch10.quieter, lambda b: 1 / (1 - b * b), "geometric series"),
    (ch10.quieter, lambda b: (1 + b) / (1 - b), "one over this"),
    (ch10.quieter, lambda b: 0.3, "For 0.0 your function gives 0.3"),
]
