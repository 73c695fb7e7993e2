"""Right and wrong answers to the exercises of chapter 1, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from math import ceil
from typing import Any

from gcvit_edu.check import Verdict, ch01


def map_sizes(height: int, width: int, strides: tuple[int, ...] = (4, 8, 16, 32)) -> list[tuple[int, int]]:
    return [(ceil(height / stride), ceil(width / stride)) for stride in strides]


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch01.map_sizes, map_sizes),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 4, 4: 4}),
    (ch01.blocks_that_see_everything, 8),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch01.map_sizes, lambda h, w: map_sizes(w, h), "swapped"),
    (ch01.map_sizes, lambda h, w: [(h // s, w // s) for s in (4, 8, 16, 32)], "you round down"),
    (ch01.map_sizes, lambda h, w: map_sizes(h, w, (2, 4, 8, 16)), "The stem halves the image twice"),
    (ch01.map_sizes, lambda h, w: [(round(h / s), round(w / s)) for s in (4, 8, 16, 32)], "below one half"),
    (ch01.map_sizes, lambda h, w: 3, "Return four pairs of numbers"),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 16, 4: 4}, "14 tokens wide, not 7"),
    (ch01.blocks_that_see_everything, 10, "no block there sees"),
    (ch01.windows_per_map, {1: 64, 2: 16, 3: 1, 4: 1}, "counts at 224"),
    (ch01.windows_per_map, {1: 16, 2: 8, 3: 2, 4: 2}, "one row"),
    (ch01.windows_per_map, {1: 112**2, 2: 56**2, 3: 28**2, 4: 14**2}, "counted tokens"),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 4, 4: 5}, "Stage 4"),
    (ch01.windows_per_map, {1: None, 2: None, 3: None, 4: None}, "Fill in"),
    (ch01.blocks_that_see_everything, 6, "These are the global blocks"),
    (ch01.blocks_that_see_everything, 4, "only the global blocks of stages 3 and 4"),
    (ch01.blocks_that_see_everything, 24, "count for tiny"),
]
