"""Checkers of chapter 12, Does the global query matter?"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.check.answers import call, numbers, returned_number
from gcvit_edu.check.verdict import (
    Verdict,
    all_right,
    checker,
    compare,
    compare_cases,
    compare_formula,
    compare_number,
    compare_numbers,
    not_yet,
)


@checker(without=("one_vector",))
def one_vector(function: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 12.1: function(query) puts each head's mean over images and cells everywhere."""

    def tried(query: Tensor) -> Verdict:
        mean = query.mean((0, 2), keepdim=True)
        mistakes = {
            "That is the mean over the images; the cells still differ.": query.mean(0, keepdim=True).expand_as(query),
            "That is the mean over the cells; the images still differ.": query.mean(2, keepdim=True).expand_as(query),
            "The heads are averaged, too; each keeps a vector of its own.": query.mean((0, 1, 2)).expand_as(query),
            "The channels are averaged, too; a vector is to be left.": query.mean((0, 2, 3), keepdim=True).expand_as(
                query
            ),
            "The mean is right; bring it back to the shape of the query.": mean,
            "The mean is right; keep the axes, then bring it back to the shape of the query.": mean[0, :, 0],
            "Nothing has changed.": query,
            "That is zero; one vector knows as little, and is not zero.": torch.zeros_like(query),
        }
        answer = call(function, query)
        return compare(answer, mean.expand_as(query), "It says nothing about any picture, and costs little.", mistakes)

    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2, 4, 5), (1, 3, 9, 2), (2, 1, 4, 4), (4, 2, 1, 3))
    return all_right(tried(torch.randn(shape, generator=generator)) for shape in shapes)


@checker()
def pairs_left(function: Callable[[int, int], int]) -> Verdict:
    """Exercise 12.2: function(side, window) counts what the mask of shifted windows leaves."""

    def along(side: int, window: int) -> int:
        return (side // window - 1) * window**2 + 2 * (window // 2) ** 2

    return compare_cases(
        function,
        [(8, 4), (16, 4), (12, 2), (56, 14), (24, 6), (20, 10)],
        lambda side, window: along(side, window) ** 2,
        {
            "That is along one side; rows and columns have to fit both.": along,
            "That is without the mask: all pairs within the rolled windows.": lambda side, window: side**2 * window**2,
            "The halves of the cut window are missing.": lambda side, window: ((side // window - 1) * window**2) ** 2,
            "Tokens are counted along a side, not pairs of them.": lambda side, window: side**2,
            "Only one of the two halves is counted.": (
                lambda side, window: ((side // window - 1) * window**2 + (window // 2) ** 2) ** 2
            ),
        },
        "As many as the mask leaves; the others are computed in vain.",
    )


@checker()
def paired_interval(function: Callable[[list[float], list[float], float], tuple[float, float]]) -> Verdict:
    """Exercise 12.3: function(a, b, t) is the interval for the mean of a - b, paired."""

    def tried(a: list[float], b: list[float], t: float) -> Verdict:
        n = len(a)
        first, second = torch.tensor([a, b], dtype=torch.float64)
        off = first - second
        mean, s = off.mean().item(), off.std().item()
        apart = math.sqrt((first.var() + second.var()).item())
        whole = off.std(correction=0).item()

        def ends(half: float, middle: float = mean) -> tuple[float, float]:
            return middle - half, middle + half

        mistakes = {
            "The ends have changed places, or a and b have.": ends(-t * s / math.sqrt(n)),
            "The ends have changed places, or a and b have: it is a - b.": ends(t * s / math.sqrt(n), -mean),
            "That treats the two as unpaired; take the differences first.": ends(t * apart / math.sqrt(n)),
            "Divide by n - 1, not by n: the mean was taken from the same numbers.": ends(t * whole / math.sqrt(n)),
            "That is the interval for single seeds; the mean's deviation is smaller by the root of n.": ends(t * s),
            "Divide by the root of n, not by n.": ends(t * s / n),
            "Use the factor t; 1.96 assumes that the deviation is known.": ends(1.96 * s / math.sqrt(n)),
            "Use the t that is given; 4.30 is for three seeds.": ends(4.3 * s / math.sqrt(n)),
            "Use the t that is given; 4.303 is for three seeds.": ends(4.302653 * s / math.sqrt(n)),
            "The factor t is missing: that is one standard error.": ends(s / math.sqrt(n)),
        }
        found = numbers(call(function, a, b, t), 2, "Return two numbers: the lower and the upper end")
        otherwise = f"For {n} seeds your ends are {found[0]:.2f} and {found[1]:.2f}, which is not right."
        praise = "With three seeds, more than half of its width comes from Student's factor."
        return compare_numbers(found, ends(t * s / math.sqrt(n)), praise, mistakes, otherwise, relative=1e-4)

    cases = (
        ([64.0, 62.5, 66.0, 63.0], [65.0, 62.0, 66.5, 61.0], 3.18),
        ([0.3, 0.1, 0.2], [0.25, 0.3, 0.05], 4.30),
        ([71.0, 70.0, 72.5, 69.0, 73.0, 70.5], [68.0, 71.0, 70.5, 66.0, 72.0, 71.5], 2.57),
    )
    return all_right(tried(*case) for case in cases)


@checker()
def drawn_accuracy(function: Callable[[Tensor, Tensor, list[int]], float]) -> Verdict:
    """Exercise 12.4: function(right, group, drawn) is the accuracy over the drawings of the drawn emoji."""

    def tried(right: Tensor, group: Tensor, drawn: list[int]) -> Verdict:
        def share(values: Tensor) -> float:
            return values.double().mean().item()

        own = [right[group == one] for one in drawn]
        once = [right[group == one] for one in sorted(set(drawn))]
        wanted, hits = share(torch.cat(own)), float(torch.cat(own).sum())
        mistakes = {
            "An emoji that is drawn twice counts twice.": share(torch.cat(once)),
            "That is the mean of the emoji's accuracies; each drawing should count alike.": sum(map(share, own))
            / len(own),
            "Those are drawings with these numbers; draw emoji, with all their drawings.": share(right[drawn]),
            "That is the accuracy of all drawings; nothing was drawn.": share(right),
            "That is the number of right answers; divide it by the drawings.": hits,
            "Divide by the drawings that were drawn, not by all there are.": hits / len(right),
            "Divide by the drawings, not by the emoji.": hits / len(drawn),
        }
        answer = returned_number(call(function, right, group, drawn), "Return a number", tensors=True)
        otherwise = f"For a small example your function gives {answer:.4f}, and {wanted:.4f} was expected."
        return compare_number(answer, wanted, "Whole emoji, each as often as it was drawn.", mistakes, otherwise)

    group = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3, 3, 1])
    right = torch.tensor([1, 1, 0, 0, 1, 0, 1, 1, 1, 0]).bool()
    others = (right.logical_not()[:8], group[:8], [1, 1, 2, 0, 3, 2])
    return all_right(tried(*case) for case in ((right, group, [3, 0, 3, 2]), others, (right[2:], group[2:], [1])))


@checker()
def seeds_needed(function: Callable[[float, float], int]) -> Verdict:
    """Exercise 12.5: function(difference, s) is (2.8 s / difference) squared, rounded up."""
    return compare_cases(
        function,
        [(1.0, 1.2), (0.5, 1.2), (2.0, 3.3), (0.3, 0.7), (0.25, 0.1), (5.0, 1.0)],
        lambda difference, s: math.ceil((2.8 * s / difference) ** 2),
        {
            "That is for unpaired networks; s is already the deviation of the difference.": lambda diff, s: math.ceil(
                2 * (2.8 * s / diff) ** 2
            ),
            "Square it: the standard error falls with the root of n.": lambda diff, s: math.ceil(2.8 * s / diff),
            "Round up; one seed fewer is not enough.": lambda diff, s: math.floor((2.8 * s / diff) ** 2),
            "Not rounded: seeds are whole numbers.": lambda diff, s: (2.8 * s / diff) ** 2,
            "Difference and deviation have changed places.": lambda diff, s: math.ceil((2.8 * diff / s) ** 2),
            "With 1.96 an experiment finds it in every other case only; take 2.8.": (
                lambda diff, s: math.ceil((1.96 * s / diff) ** 2)
            ),
            "2.8 is squared, too.": lambda diff, s: math.ceil(2.8 * (s / diff) ** 2),
        },
        "And half the difference takes four times as many.",
    )


@checker()
def sign_flips(function: Callable[[list[float]], float]) -> Verdict:
    """Exercise 12.6: function(differences) is the share of sign patterns at least as extreme as the one found."""
    cases = [([1.0, 2.0, 0.5],), ([1.0, -2.0, 0.5, 3.0],), ([0.1, 0.2, 0.3, 0.4, -0.5],), ([2.0, 2.0, -2.0, 2.0, 2.0],)]

    def share(differences: list[float], as_extreme: Callable[[float, float], bool]) -> float:
        patterns = list(itertools.product([1, -1], repeat=len(differences)))
        sums = [sum(s * x for s, x in zip(signs, differences, strict=True)) for signs in patterns]
        return sum(as_extreme(one, sum(differences)) for one in sums) / len(sums)

    def right(values: list[float]) -> float:
        return share(values, lambda one, found: abs(one) >= abs(found) - 1e-12)

    mistakes: dict[str, Callable[[list[float]], float]] = {
        "Both directions count: compare absolute values.": lambda x: share(x, lambda a, b: a >= b - 1e-12),
        "At least as extreme: the pattern that was found counts, too.": (
            lambda x: share(x, lambda a, b: abs(a) > abs(b) + 1e-12)
        ),
        "That is the share of the less extreme ones; take one minus it.": lambda x: 1 - right(x),
        "That is the smallest that is possible; it depends on the differences, too.": lambda x: 2 / 2 ** len(x),
        "That is a number of patterns; divide by all there are.": lambda x: right(x) * 2 ** len(x),
    }
    return compare_formula(function, cases, right, "Now: what is the smallest that three seeds can give?", mistakes)


@checker()
def message(answer: Any) -> Verdict:
    """Exercise 12.7: (keys, values) of two tokens, so that attention with a query q gives 1 / (1 + exp(-q))."""
    keys, values = answer if isinstance(answer, tuple | list) and len(answer) == 2 else (None, None)
    if keys is None or values is None:
        return not_yet("Put two numbers into each list, then run it again.")
    k, v = (
        torch.tensor(numbers(one, None, "Give two lists of numbers"), dtype=torch.float64) for one in (keys, values)
    )
    if k.shape != (2,) or v.shape != (2,):
        return not_yet(f"Two tokens have two keys and two values, not {k.numel()} and {v.numel()}.")
    q = torch.linspace(-3, 3, 13, dtype=torch.float64)
    found = (q[:, None] * k).softmax(-1) @ v
    if found.allclose(torch.sigmoid(q), atol=1e-6):
        return Verdict(True, "The query's number has arrived. What would arrive if the two tokens were alike?")
    if found.allclose(found[:1].expand_as(found), atol=1e-9):
        alike = "keys" if k[0] == k[1] else "values"
        return not_yet(f"The output is {found[0]:.2f} whatever the query says: the two {alike} are alike.")
    if found.allclose(torch.sigmoid(-q), atol=1e-6):
        return not_yet("That falls where it should rise: swap the keys, or the values.")
    if abs(k[0] - k[1]).item() != 1 and set(v.tolist()) == {0.0, 1.0}:
        return not_yet("The values are right; by how much must the keys differ?")
    return not_yet(f"For the query 1 the output is {(k.softmax(-1) @ v).item():.3f}, and 0.731 was expected.")
