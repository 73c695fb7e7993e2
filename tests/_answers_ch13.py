"""Right and wrong answers to the exercises of chapter 13, with the diagnosis each wrong one must get."""

import math
from collections.abc import Callable
from typing import Any

from gcvit_edu.check import Verdict, ch13


def plan(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
    steps = len(range(batch, pictures + 1, batch))
    return steps, epochs * steps, round(warmup * steps)


def rounded_up(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
    return plan(batch * math.ceil(pictures / batch), batch, epochs, warmup)


def longer(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
    steps, total, warm = plan(pictures, batch, epochs, warmup)
    return steps, total + warm, warm


def in_epochs(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
    return *plan(pictures, batch, epochs, warmup)[:2], round(warmup)


def of_the_run(pictures: int, batch: int, epochs: int, warmup: float) -> tuple[int, int, int]:
    steps, _, warm = plan(pictures, batch, epochs, warmup)
    return steps, pictures * epochs // batch, warm


def seen(width: int, height: int, size: int, ratio: float) -> float:
    scale = size / ratio / min(width, height)
    return size**2 / (width * scale * height * scale)


def mfu(rate: float, adds: float, peak: float, training: bool) -> float:
    return rate * adds * (6 if training else 2) / peak


def kilograms(hours: float, cards: int, watts: float, pue: float, grams: float) -> float:
    return hours * cards * (watts / 1000) * pue * (grams / 1000)


def factor(u: float, c: float, small: int, large: int) -> float:
    def way(batch: int) -> float:
        return 1 / (batch * math.hypot(u, c / math.sqrt(batch)))

    return way(small) / way(large)


def noise_by_square(u: float, c: float, small: int, large: int) -> float:
    return large * math.hypot(u, c / large) / (small * math.hypot(u, c / small))


def by_v(u: float, c: float, small: int, large: int) -> float:
    return factor(u, c, small, large) ** 2 * small / large


def best(save: float, between: float) -> float:
    return (2 * save * between) ** 0.5


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch13.steps_of_a_run, plan),
    (ch13.steps_of_a_run, lambda *case: list(plan(*case))),
    (ch13.share_seen, seen),
    (ch13.utilisation, mfu),
    (ch13.carbon, kilograms),
    (ch13.rate_factor, factor),
    (ch13.saving_interval, best),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch13.steps_of_a_run, rounded_up, "round down"),
    (ch13.steps_of_a_run, longer, "adds no steps"),
    (ch13.steps_of_a_run, in_epochs, "return it in steps"),
    (ch13.steps_of_a_run, of_the_run, "of each epoch"),
    (ch13.steps_of_a_run, lambda n, b, e, w: (n // b, e * (n // b), int(w) * (n // b)), "not its epochs"),
    (ch13.steps_of_a_run, lambda *case: 5, "Return three numbers"),
    (ch13.steps_of_a_run, lambda *case: (1, 2, 3), "your function gives (1, 2, 3)"),
    (ch13.share_seen, lambda w, h, s, r: seen(w, h, s, r) * (max(w, h) / min(w, h)) ** 2, "not the longer one"),
    (ch13.share_seen, lambda w, h, s, r: r * min(w, h) / max(w, h), "square of the side"),
    (ch13.share_seen, lambda w, h, s, r: seen(w, h, s, r) / r, "both sides"),
    (ch13.share_seen, lambda w, h, s, r: seen(w, h, s, 1.0), "ratio is missing"),
    (ch13.share_seen, lambda w, h, s, r: r * r, "for square pictures"),
    (ch13.share_seen, lambda w, h, s, r: s * s / w / h, "at one scale"),
    (ch13.share_seen, lambda w, h, s, r: 0.5, "gives 0.5"),
    (ch13.share_seen, lambda w, h, s, r: "half", "Return a Python number"),
    (ch13.utilisation, lambda *case: mfu(*case) / 2, "two operations"),
    (ch13.utilisation, lambda r, a, p, t: mfu(r, a, p, False), "worth three passes"),
    (ch13.utilisation, lambda r, a, p, t: mfu(r, a, p, True), "no backward pass"),
    (ch13.utilisation, lambda r, a, p, t: mfu(r, a, p, False) * (1 + t), "three in all"),
    (ch13.utilisation, lambda *case: 100 * mfu(*case), "not in per cent"),
    (ch13.utilisation, lambda *case: True, "Return a Python number"),
    (ch13.carbon, lambda *case: 1e3 * kilograms(*case), "in grams"),
    (ch13.carbon, lambda *case: 1e6 * kilograms(*case), "thousand watts"),
    (ch13.carbon, lambda *case: kilograms(*case) / case[3], "PUE is missing"),
    (ch13.carbon, lambda *case: kilograms(*case) / case[3] ** 2, "multiply by the PUE"),
    (ch13.carbon, lambda *case: kilograms(*case) / case[1], "one card's"),
    (ch13.carbon, lambda *case: 1e3 * kilograms(*case) / case[4], "the grid is missing"),
    (ch13.rate_factor, lambda u, c, n, k: k / n, "plain SGD"),
    (ch13.rate_factor, lambda u, c, n, k: (k / n) ** 0.5, "pure noise"),
    (ch13.rate_factor, lambda u, c, n, k: factor(u, c, n, k) * n / k, "fewer steps"),
    (ch13.rate_factor, lambda *case: 1 / factor(*case), "other way round"),
    (
        ch13.rate_factor,
        lambda u, c, n, k: k / n * ((u**2 + c**2 / n) / (u**2 + c**2 / k)) ** 0.5,
        "larger batch has the smaller v",
    ),
    (ch13.rate_factor, noise_by_square, "variance of a mean"),
    (ch13.rate_factor, by_v, "not by v"),
    (ch13.saving_interval, lambda s, b: math.sqrt(s * b), "not a whole one"),
    (ch13.saving_interval, lambda s, b: 2 * s * b, "root is missing"),
    (ch13.saving_interval, lambda s, b: best(s, b) / 2, "half of it"),
    (ch13.saving_interval, lambda s, b: math.sqrt(2 * s / b), "share of the time"),
]
