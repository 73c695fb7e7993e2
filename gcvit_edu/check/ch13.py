"""Checkers of chapter 13, ImageNet on GPUs."""

import math
from collections.abc import Callable
from typing import Any

from gcvit_edu.check.verdict import Verdict, checker, compare_cases, compare_formula

Formula = Callable[..., Any]


@checker()
def steps_of_a_run(function: Callable[[int, int, int, float], tuple[int, int, int]]) -> Verdict:
    """Exercise 13.1: function(pictures, batch, epochs, warmup) -> steps of an epoch, of the run, of the warm-up."""
    cases = [(1_281_167, 1024, 300, 20.0), (1000, 64, 10, 2.5), (640, 64, 7, 0.0), (5000, 128, 90, 0.3)]

    def right(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
        steps = pictures // batch
        return steps, epochs * steps, round(warmup * steps)

    def rounded_up(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
        steps = -(-pictures // batch)
        return steps, epochs * steps, round(warmup * steps)

    mistakes: dict[str, Formula] = {
        "An incomplete batch is left out, so round down.": rounded_up,
        "The warm-up is part of the run; it adds no steps.": lambda *case: (
            right(*case)[0],
            right(*case)[1] + right(*case)[2],
            right(*case)[2],
        ),
        "The warm-up is given in epochs; return it in steps.": lambda *case: (*right(*case)[:2], round(case[3])),
        "Round the steps of the warm-up, not its epochs.": lambda n, b, e, w: (n // b, e * (n // b), int(w) * (n // b)),
        "Leave out the incomplete batch of each epoch, not only of the run.": lambda n, b, e, w: (
            n // b,
            e * n // b,
            round(w * (n // b)),
        ),
    }
    praise = "An epoch of ImageNet in batches of 1024 has 1,251 steps."
    return compare_cases(function, cases, right, mistakes, praise)


@checker()
def share_seen(function: Callable[[int, int, int, float], float]) -> Verdict:
    """Exercise 13.2: function(width, height, size, ratio) is the share of the area that validation sees."""
    return compare_formula(
        function,
        [
            (500, 375, 224, 0.875),
            (300, 400, 224, 1.0),
            (256, 256, 192, 0.9),
            (300, 500, 224, 0.8),
            (640, 480, 288, 0.95),
        ],
        lambda w, h, size, ratio: (ratio * min(w, h)) ** 2 / (w * h),
        "That much is seen, and nothing of the rest.",
        {
            "The shorter side is resized, not the longer one.": lambda w, h, s, r: (r * max(w, h)) ** 2 / (w * h),
            # Also what comes of comparing sides in place of areas, as min**2 / (w * h) is min / max.
            "The crop ratio counts for both sides: areas go with the square of the side.": (
                lambda w, h, s, r: r * min(w, h) ** 2 / (w * h)
            ),
            "The crop ratio is missing.": lambda w, h, s, r: min(w, h) ** 2 / (w * h),
            "That holds for square pictures; what lies left and right of the square is lost, too.": (
                lambda w, h, s, r: r**2
            ),
            "Compare areas at one scale: the picture was resized before the cut.": lambda w, h, s, r: s**2 / (w * h),
        },
    )


@checker()
def utilisation(function: Callable[[float, float, float, bool], float]) -> Verdict:
    """Exercise 13.3: function(rate, multiply_adds, peak, training) is the share of the peak."""
    return compare_formula(
        function,
        [
            (1200.0, 4.76e9, 989e12, True),
            (3800.0, 4.76e9, 989e12, False),
            (500.0, 1.5e10, 312e12, True),
            (90.0, 2e9, 8e12, False),
        ],
        lambda rate, adds, peak, training: rate * 2 * (3 if training else 1) * adds / peak,
        "Now you can read the table.",
        {
            "A multiply-add is two operations.": lambda r, a, p, t: r * (3 if t else 1) * a / p,
            "Training is worth three passes: one forward, about two backward.": lambda r, a, p, t: r * 2 * a / p,
            "Inference has no backward pass.": lambda r, a, p, t: r * 6 * a / p,
            "The backward pass comes on top of the forward pass: three in all.": lambda r, a, p, t: (
                r * 2 * (2 if t else 1) * a / p
            ),
            "It is a share: from 0 to 1, not in per cent.": lambda r, a, p, t: 100 * r * 2 * (3 if t else 1) * a / p,
        },
    )


@checker()
def carbon(function: Callable[[float, int, float, float, float], float]) -> Verdict:
    """Exercise 13.4: function(hours, cards, watts, pue, grams) is in kilograms."""

    def right(hours: float, cards: int, watts: float, pue: float, grams: float) -> float:
        return hours * cards * watts * pue * grams / 1e6

    return compare_formula(
        function,
        [(12.0, 8, 500.0, 1.2, 429.0), (50.0, 1, 700.0, 1.6, 50.0), (3.0, 4, 300.0, 1.1, 700.0)],
        right,
        "Look up your own grid.",
        {
            "That is in grams.": lambda *case: 1000 * right(*case),
            "A kilowatt-hour is a thousand watts for an hour.": lambda *case: 1e6 * right(*case),
            "The PUE is missing.": lambda *case: right(*case) / case[3],
            "The building needs more than the machines: multiply by the PUE.": lambda *case: (
                right(*case) / case[3] ** 2
            ),
            "That is one card's.": lambda *case: right(*case) / case[1],
            "That is the energy in kWh; the grid is missing.": lambda *case: 1000 * right(*case) / case[4],
        },
    )


@checker()
def rate_factor(function: Callable[[float, float, int, int], float]) -> Verdict:
    """Exercise 13.5: function(u, c, small, large) keeps the way per picture."""

    def right(u: float, c: float, small: int, large: int) -> float:
        return large / small * math.sqrt((u**2 + c**2 / large) / (u**2 + c**2 / small))

    return compare_formula(
        function,
        [
            (1.0, 0.0, 256, 1024),
            (1e-6, 1.0, 256, 1024),
            (0.1, 1.0, 64, 256),
            (0.05, 1.0, 1024, 128),
            (0.3, 2.0, 96, 160),
        ],
        right,
        "Now the two limits: which rule is it where?",
        {
            "That is the rule for plain SGD; Adam divides by the root of v.": lambda u, c, n, k: k / n,
            "That is the limit of pure noise.": lambda u, c, n, k: math.sqrt(k / n),
            "That keeps the way per step; a large batch makes fewer steps.": lambda *case: (
                right(*case) * case[2] / case[3]
            ),
            "That is the factor the other way round.": lambda *case: 1 / right(*case),
            "The two roots are exchanged: a larger batch has the smaller v.": lambda u, c, n, k: (
                k / n * math.sqrt((u**2 + c**2 / n) / (u**2 + c**2 / k))
            ),
            "The variance of a mean falls with the number of pictures.": lambda u, c, n, k: (
                k / n * math.sqrt((u**2 + c**2 / k**2) / (u**2 + c**2 / n**2))
            ),
            "Adam divides by the root of v, not by v.": lambda u, c, n, k: (
                k / n * (u**2 + c**2 / k) / (u**2 + c**2 / n)
            ),
        },
    )


@checker()
def saving_interval(function: Callable[[float, float], float]) -> Verdict:
    """Exercise 13.6: function(save, between) is the best time between two checkpoints."""
    return compare_formula(
        function,
        [(5.0, 86400.0), (60.0, 2700.0), (1.0, 50.0), (7.0, 7.0)],
        lambda save, between: math.sqrt(2 * save * between),
        "Half of the loss is saving, half is work done twice.",
        {
            "On average half of an interval is lost, not a whole one.": lambda s, b: math.sqrt(s * b),
            "The root is missing.": lambda s, b: 2 * s * b,
            "That is half of it: the lost half interval stands in the denominator.": lambda s, b: math.sqrt(s * b / 2),
            "That is the share of the time that is lost.": lambda s, b: math.sqrt(2 * s / b),
        },
    )
