"""Checkers of chapter 10, Training on a laptop."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from gcvit_edu.check.answers import call, numbers, returned_number
from gcvit_edu.check.verdict import (
    Verdict,
    all_right,
    checker,
    compare,
    compare_formula,
    compare_number,
    compare_numbers,
    not_yet,
)


@checker(without=("torch.cross_entropy", "torch.cross_entropy_loss"))
def smoothed_loss(function: Callable[[Tensor, int, float], Tensor]) -> Verdict:
    """Exercise 10.1: function(logits, label, smoothing) is the cross-entropy with label smoothing."""

    def tried(z: Tensor, label: int, smoothing: float) -> Verdict:
        n = len(z)
        logarithms = z.log_softmax(0)

        def loss(right: float, other: float, logs: Tensor = logarithms) -> Tensor:
            target = torch.full_like(z, other)
            target[label] = right
            return -(target * logs).sum()

        def smooth(share: float, logs: Tensor = logarithms) -> Tensor:
            return loss(1 - share + share / n, share / n, logs)

        mistakes = {
            "The target is not smoothed.": loss(1.0, 0.0),
            "The share is spread over all classes; the right one gets its part of it, too.": loss(
                1 - smoothing, smoothing / (n - 1)
            ),
            "The right class is to get 1 - smoothing and its part of what is spread.": loss(
                1 - smoothing, smoothing / n
            ),
            "The right class has too much: it keeps 1 - smoothing, not 1.": loss(1 + smoothing / n, smoothing / n),
            "The logarithm of the probabilities is missing.": smooth(smoothing, z.softmax(0)),
            "The softmax is missing.": smooth(smoothing, z),
            "The sign is wrong: a loss is minus the logarithm.": -smooth(smoothing),
            "Sum over the classes; do not take the mean.": smooth(smoothing) / n,
            "PyTorch's cross-entropy uses the natural logarithm.": smooth(smoothing) / math.log(2),
        }
        answer = call(function, z, label, smoothing)
        if isinstance(answer, int | float):
            return not_yet("Return a tensor: a Python number has no gradient.")
        return compare(answer, smooth(smoothing), "The loss of the recipe, by hand.", mistakes)

    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(7, dtype=torch.float64, generator=generator)
    verdict = tried(z, 2, 0.3)
    if verdict and not compare(call(function, z, 2, 0.0), -z.log_softmax(0)[2], "", {}):
        return not_yet("With smoothing 0 it should be the plain cross-entropy.")
    others = ((5, 0, 0.1), (10, 9, 0.45))
    rest = (tried(torch.randn(n, dtype=torch.float64, generator=generator), label, k) for n, label, k in others)
    return all_right(itertools.chain([verdict], rest))


@checker()
def plateau(function: Callable[[int, int, int, int, float], float]) -> Verdict:
    """Exercise 10.2: function(step, total, warmup, cooldown, peak) climbs, stays and falls to 0."""

    def tried(total: int, warmup: int, cooldown: int, peak: float) -> Verdict:
        def rates(up: Callable[[int], float], down: Callable[[int], float]) -> list[float]:
            return [peak * max(0.0, min(up(step), 1.0, down(step))) for step in range(total)]

        def climb(step: int) -> float:
            return step / warmup

        def fall(step: int) -> float:
            return (total - 1 - step) / cooldown

        mistakes = {
            "Step 0 should have the rate 0, and step number warmup the peak.": rates(lambda s: (s + 1) / warmup, fall),
            "The last step, number total - 1, should have the rate 0.": rates(climb, lambda s: (total - s) / cooldown),
            "The warm-up is missing.": rates(lambda s: 1.0, fall),
            "The rate never falls.": rates(climb, lambda s: 1.0),
            "The rate should fall in the last cooldown steps only, not from the warm-up on.": rates(
                climb, lambda s: (total - 1 - s) / (total - 1 - warmup)
            ),
            "The fall begins a step late: number total - 1 - cooldown is the last at the peak.": rates(
                climb, lambda s: (total - 1 - s) / (cooldown - 1)
            ),
            "Multiply by the peak.": [rate / peak for rate in rates(climb, fall)],
        }
        answers = [
            returned_number(call(function, step, total, warmup, cooldown, peak), "Return a number for each step")
            for step in range(total)
        ]
        right = rates(climb, fall)
        step = max(range(total), key=lambda step: abs(answers[step] - right[step]) > 1e-6 * peak)
        otherwise = (
            f"For total={total}, warmup={warmup}, cooldown={cooldown}, peak={peak}, "
            f"step {step} gets {answers[step]:.3g}, and {right[step]:.3g} was expected."
        )
        return compare_numbers(answers, right, "A plateau can be prolonged; a cosine cannot.", mistakes, otherwise)

    return all_right(tried(*case) for case in ((50, 8, 12, 0.02), (30, 5, 10, 1.0), (12, 1, 2, 0.3), (16, 7, 8, 0.5)))


@checker()
def half_life(function: Callable[[int], float]) -> Verdict:
    """Exercise 10.3: function(steps) is the decay with which the last so many steps have half of the say."""
    return compare_formula(
        function,
        [(1,), (5,), (22,), (346,)],
        lambda steps: 0.5 ** (1 / steps),
        "Decays can be read as half-lives now.",
        {
            "That is the decay whose horizon is so many steps; what is older has about a third of the say, not half.": (
                lambda steps: 1 - 1 / steps
            ),
            "What is older is to have half of the say, not exp(-1) of it.": lambda steps: math.exp(-1 / steps),
            "That is 1 - decay.": lambda steps: 1 - 0.5 ** (1 / steps),
            "That is what is left of the old for a decay of 1/2; solve for the decay.": lambda steps: 0.5**steps,
            "Half of the say after twice as many steps.": lambda steps: 0.5 ** (1 / (2 * steps)),
        },
    )


@checker()
def part_factors(function: Callable[[list[int]], list[float]]) -> Verdict:
    """Exercise 10.4: function(sizes) is a factor for each part's mean loss, size / sum of sizes."""

    def tried(sizes: list[int]) -> Verdict:
        right = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        mistakes = {
            "One over the number of parts is right for equal parts only.": torch.full_like(right, 1 / len(sizes)),
            "A mean over 16 pictures counts half as much as one over 32; yours counts for more.": (1 / right)
            / (1 / right).sum(),
            "The factors should sum to one; divide by all pictures of the batch.": right * sum(sizes),
            "That would be right if each part's loss were a sum; it is a mean.": torch.full_like(right, 1 / sum(sizes)),
        }
        found = numbers(call(function, sizes), None, "Return a list of numbers, one for each part")
        factors = torch.tensor(found, dtype=torch.float64)
        return compare(factors, right, "Now a batch in parts equals the whole batch.", mistakes, tolerance=1e-6)

    return all_right(map(tried, ([32, 32, 16, 4], [8], [5, 3], [7, 7, 7], [1, 2, 3, 4, 5])))


@checker()
def counted_once(function: Callable[[list[list[bool]], int], float]) -> Verdict:
    """Exercise 10.5: function(found, pictures) is the accuracy without the repeated pictures."""

    def tried(processes: int, truth: list[bool]) -> Verdict:
        pictures = len(truth)
        each = -(-pictures // processes)
        filled = truth + truth[: each * processes - pictures]
        found = [filled[rank::processes] for rank in range(processes)]
        share = "Return a share, a number from 0 to 1"
        answer = returned_number(call(function, found, pictures), share)
        one_after_another = [right for part in found for right in part][:pictures]
        mistakes: dict[str, float] = {
            "The repeated pictures are counted, too.": sum(filled) / len(filled),
            "All right answers, repeated ones included, over the real pictures: that could even exceed 1.": sum(filled)
            / pictures,
            "You dropped the last answers of the last process; the repeated pictures are the last of several.": sum(
                one_after_another
            )
            / pictures,
            "That is the number of right answers; divide it by the pictures.": float(sum(truth)),
            "That is the share of wrong answers.": 1 - sum(truth) / pictures,
        }
        otherwise = f"For {processes} processes and {pictures} pictures your function gives {answer:.4f}."
        if len(filled) == pictures:
            mistakes, otherwise = {}, "Where nothing is repeated, nothing should be left out."
        praise = "Each picture once, with any number of processes."
        return compare_number(answer, sum(truth) / pictures, praise, mistakes, otherwise)

    truth = [True] * 7 + [False, True, False, True]
    return all_right(
        tried(*case) for case in ((5, truth), (2, truth[:8]), (3, truth[3:10]), (1, truth), (4, truth[5:]))
    )


@checker()
def deviation_by_group(function: Callable[[Tensor, Tensor], float]) -> Verdict:
    """Exercise 10.6: function(right, group) is the deviation of a share when whole groups are drawn."""

    def tried(right: Tensor, group: Tensor) -> Verdict:
        n, q = len(right), right.double().mean().item()
        emoji = len(group.unique())
        off = right.double() - q

        def summed(values: Tensor) -> Tensor:
            return torch.zeros(emoji, dtype=torch.float64).index_add(0, group, values)

        def length(values: Tensor) -> float:
            return values.square().sum().sqrt().item()

        hits, drawings = summed(right.double()), summed(torch.ones(n, dtype=torch.float64))
        wanted, means = length(summed(off)) / n, hits / drawings
        mistakes = {
            "That is the simple formula, as if all drawings were independent.": math.sqrt(q * (1 - q) / n),
            "The simple formula has the number of drawings, not that of emoji.": math.sqrt(q * (1 - q) / emoji),
            "The root is missing: that is the variance.": wanted**2,
            "Divide by the number of drawings, outside the root.": wanted * n,
            "Divide by the number of drawings, not by that of the emoji.": wanted * n / emoji,
            "Divide by n outside the root, not inside.": wanted * math.sqrt(n),
            "Subtract the accuracy first: a group is off by its right answers minus q times its drawings.": length(hits)
            / n,
            "That takes each emoji's mean; emoji with fewer drawings count less.": means.std(correction=0).item()
            / math.sqrt(emoji),
        }
        answer = returned_number(call(function, right, group), "Return a number", tensors=True)
        otherwise = f"For a small example your function gives {answer:.4f}, and {wanted:.4f} was expected."
        praise = "Now apply it to the shipped network."
        return compare_number(answer, wanted, praise, mistakes, otherwise, relative=1e-4)

    generator = torch.Generator().manual_seed(0)
    return all_right(tried(*_drawings(counts, generator)) for counts in ([3, 3, 2, 3] * 10, [1, 4, 2] * 5))


def _drawings(counts: list[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For so many drawings of each emoji: whether each is right, and the number of its emoji."""
    group = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    right = (torch.rand(len(counts), generator=generator) < 0.7)[group]
    right = right ^ (torch.rand(len(right), generator=generator) < 0.15)
    order = torch.randperm(len(right), generator=generator)  # drawings of one emoji need not stand side by side
    return right[order], group[order]


@checker()
def quieter(function: Callable[[float], float]) -> Verdict:
    """Exercise 10.7: function(decay) is the variance of an average of independent numbers, (1 - b) / (1 + b)."""
    return compare_formula(
        function,
        [(0.0,), (0.5,), (0.9,), (0.99,), (0.998,)],
        lambda b: (1 - b) / (1 + b),
        "Now the question about weights that are not independent.",
        {
            "That is the weight of the newest number; add up the squares of all weights.": lambda b: 1 - b,
            "The weights are to be squared before they are added.": lambda b: 1.0,
            "That is the square of the newest weight alone.": lambda b: (1 - b) ** 2,
            "That is the deviation; the variance is its square.": lambda b: math.sqrt((1 - b) / (1 + b)),
            "The geometric series of b**2 sums to 1 / (1 - b**2); the factor (1 - b)**2 is missing.": (
                lambda b: 1 / (1 - b**2)
            ),
            "How often quieter it is would be one over this.": lambda b: (1 + b) / (1 - b),
        },
    )
