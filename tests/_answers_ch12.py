"""Right and wrong answers to the exercises of chapter 12, with the diagnosis each wrong one must get."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gcvit_edu.check import Verdict, ch12
from gcvit_edu.mixers import shifted_apart


def half(a: list[float], b: list[float], factor: float, ddof: int = 1, root: float = 0.5) -> tuple[float, float]:
    off = np.array(a) - np.array(b)
    wide = factor * off.std(ddof=ddof) / len(off) ** root
    return off.mean() - wide, off.mean() + wide


def unpaired(a: list[float], b: list[float], t: float) -> tuple[float, float]:
    wide = t * math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))
    return np.mean(a) - np.mean(b) - wide, np.mean(a) - np.mean(b) + wide


def answers_of(right: Tensor, group: Tensor, drawn: list[int]) -> Tensor:
    return torch.cat([right[group == one] for one in drawn]).double()


def of_means(right: Tensor, group: Tensor, drawn: list[int]) -> float:
    return float(np.mean([right[group == one].double().mean() for one in drawn]))


def flipped(differences: list[float]) -> list[float]:
    return [
        sum(sign * value for sign, value in zip(signs, differences, strict=True))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]


def p_value(differences: list[float]) -> float:
    found = abs(sum(differences))
    return float(np.mean([abs(one) > found - 1e-9 for one in flipped(differences)]))


def one_sided(differences: list[float]) -> float:
    return float(np.mean([one > sum(differences) - 1e-9 for one in flipped(differences)]))


def without_itself(differences: list[float]) -> float:
    return float(np.mean([abs(one) > abs(sum(differences)) + 1e-9 for one in flipped(differences)]))


def one_vector(query: Tensor, seed: int) -> Tensor:
    return query.mean((0, 2), keepdim=True).expand_as(query)


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch12.one_vector, lambda q: q.mean(0).mean(1)[None, :, None].repeat(len(q), 1, q.shape[2], 1)),
    (ch12.pairs_left, lambda side, window: (~shifted_apart(side, side, window)).sum().item()),
    (ch12.pairs_left, lambda side, window: round(((side / window - 0.5) * window**2) ** 2)),
    (ch12.paired_interval, half),
    (ch12.drawn_accuracy, lambda *case: answers_of(*case).mean()),
    (ch12.seeds_needed, lambda difference, s: next(n for n in range(1, 999) if 2.8 * s / n**0.5 <= difference)),
    (ch12.sign_flips, p_value),
    (ch12.message, ([1.0, 0.0], [1, 0])),
    (ch12.message, ([2.0, 3.0], [0.0, 1.0])),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch12.one_vector, lambda q: one_vector(q, 0), "used one_vector"),
    (ch12.one_vector, lambda q: q.mean(0, keepdim=True).expand_as(q), "the cells still differ"),
    (ch12.one_vector, lambda q: q.mean(2, keepdim=True).expand_as(q), "the images still differ"),
    (ch12.one_vector, lambda q: q.mean((0, 1, 2)).expand_as(q), "heads are averaged, too"),
    (ch12.one_vector, lambda q: q.mean((0, 2, 3), keepdim=True).expand_as(q), "channels are averaged, too"),
    (ch12.one_vector, lambda q: q.mean((0, 2), keepdim=True), "The mean is right; bring it back"),
    (ch12.one_vector, lambda q: q.mean((0, 2)), "keep the axes"),
    (ch12.one_vector, lambda q: q, "Nothing has changed"),
    (ch12.one_vector, torch.zeros_like, "That is zero"),
    (ch12.one_vector, lambda q: 2 * q, "largest difference"),
    (ch12.pairs_left, lambda s, w: (s // w - 1) * w**2 + 2 * (w // 2) ** 2, "along one side"),
    (ch12.pairs_left, lambda s, w: (s // w) ** 2 * w**4, "without the mask"),
    (ch12.pairs_left, lambda s, w: (s // w - 1) ** 2 * w**4, "halves of the cut window are missing"),
    (ch12.pairs_left, lambda s, w: s * s, "not pairs of them"),
    (ch12.pairs_left, lambda s, w: ((s // w - 1) * w**2 + w**2 // 4) ** 2, "Only one of the two halves"),
    (ch12.pairs_left, lambda s, w: 7, "For 8, 4 your function gives 7"),
    (ch12.paired_interval, lambda a, b, t: half(b, a, t), "changed places"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, t)[::-1], "changed places"),
    (ch12.paired_interval, unpaired, "unpaired"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, t, ddof=0), "n - 1, not by n"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, t, root=0), "interval for single seeds"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, t, root=1), "root of n, not by n"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, 1.96), "1.96 assumes that the deviation is known"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, 4.3), "4.30 is for three seeds"),
    (ch12.paired_interval, lambda a, b, t: half(a, b, 1), "one standard error"),
    (ch12.paired_interval, lambda a, b, t: (0.0, 1.0), "which is not right"),
    (ch12.paired_interval, lambda a, b, t: 0.5, "Return two numbers"),
    (ch12.drawn_accuracy, lambda r, g, d: answers_of(r, g, sorted(set(d))).mean().item(), "counts twice"),
    (ch12.drawn_accuracy, of_means, "each drawing should count alike"),
    (ch12.drawn_accuracy, lambda r, g, d: r[d].double().mean().item(), "Those are drawings"),
    (ch12.drawn_accuracy, lambda r, g, d: r.double().mean().item(), "nothing was drawn"),
    (ch12.drawn_accuracy, lambda *case: answers_of(*case).sum().item(), "divide it by the drawings"),
    (ch12.drawn_accuracy, lambda r, g, d: answers_of(r, g, d).sum().item() / len(r), "not by all there are"),
    (ch12.drawn_accuracy, lambda r, g, d: answers_of(r, g, d).sum().item() / len(d), "not by the emoji"),
    (ch12.drawn_accuracy, lambda r, g, d: 0.123, "was expected"),
    (ch12.drawn_accuracy, lambda r, g, d: "half", "not str"),
    (ch12.seeds_needed, lambda x, s: math.ceil(2 * (2.8 * s / x) ** 2), "for unpaired networks"),
    (ch12.seeds_needed, lambda x, s: math.ceil(2.8 * s / x), "Square it"),
    (ch12.seeds_needed, lambda x, s: int((2.8 * s / x) ** 2), "Round up"),
    (ch12.seeds_needed, lambda x, s: (2.8 * s / x) ** 2, "whole numbers"),
    (ch12.seeds_needed, lambda x, s: math.ceil((2.8 * x / s) ** 2), "changed places"),
    (ch12.seeds_needed, lambda x, s: math.ceil((1.96 * s / x) ** 2), "every other case only"),
    (ch12.seeds_needed, lambda x, s: math.ceil(2.8 * (s / x) ** 2), "2.8 is squared, too"),
    (ch12.seeds_needed, lambda x, s: 3, "gives 3, which is not right"),
    (ch12.sign_flips, one_sided, "Both directions count"),
    (ch12.sign_flips, without_itself, "that was found counts, too"),
    (ch12.sign_flips, lambda x: 1 - p_value(x), "one minus it"),
    (ch12.sign_flips, lambda x: 2 / 2 ** len(x), "it depends on the differences"),
    (ch12.sign_flips, lambda x: p_value(x) * 2 ** len(x), "divide by all there are"),
    (ch12.sign_flips, lambda x: 0.05, "gives 0.05"),
    (ch12.sign_flips, lambda x: torch.tensor(0.05), "Return a Python number"),
    (ch12.message, (None, None), "Put two numbers into each list"),
    (ch12.message, ([1, "a"], [0, 1]), "two lists of numbers"),
    (ch12.message, ([1.0, 0.0, 2.0], [0, 1]), "not 3 and 2"),
    (ch12.message, ([1.0, 1.0], [1.0, 0.0]), "the two keys are alike"),
    (ch12.message, ([1.0, 0.0], [1.0, 1.0]), "the two values are alike"),
    (ch12.message, ([1.0, 0.0], [0.0, 1.0]), "falls where it should rise"),
    (ch12.message, ([2.0, 0.0], [1.0, 0.0]), "by how much must the keys differ"),
    (ch12.message, ([1.0, 0.0], [3.0, 0.0]), "0.731 was expected"),
]
