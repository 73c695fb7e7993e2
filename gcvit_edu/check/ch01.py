"""Checkers of chapter 1, A first look."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor
from typing import Any

from gcvit_edu.check.answers import number
from gcvit_edu.check.verdict import Verdict, checker, compare_cases, compare_numbers, not_yet
from gcvit_edu.config import GCViTConfig


@checker()
def map_sizes(function: Callable[[int, int], Sequence[tuple[int, int]]]) -> Verdict:
    """Exercise 1.1: function(height, width) gives (rows, columns) of the four maps."""
    cases = [(224, 224), (300, 451), (33, 64), (1, 31), (640, 97)]

    def sizes(
        height: int,
        width: int,
        rounded: Callable[[float], int] = ceil,
        strides: tuple[int, ...] = (4, 8, 16, 32),
    ) -> tuple[tuple[int, int], ...]:
        return tuple((rounded(height / stride), rounded(width / stride)) for stride in strides)

    mistakes: dict[str, Callable[[int, int], Any]] = {
        "Rows and columns are swapped; the height comes first.": lambda height, width: sizes(width, height),
        "The network rounds up where a side is not a multiple of the stride; you round down.": lambda *case: sizes(
            *case, floor
        ),
        "Round up below one half, too: what is left over becomes a token.": lambda *case: sizes(*case, round),
        "The stem halves the image twice before the first stage.": lambda *case: sizes(*case, strides=(2, 4, 8, 16)),
    }
    return compare_cases(function, cases, sizes, mistakes, "Four maps at strides 4, 8, 16 and 32, rounded up.")


@checker()
def windows_per_map(answer: Mapping[int, int]) -> Verdict:
    """Exercise 1.2: answer says how many windows each stage of tiny has at 448 pixels."""
    config = GCViTConfig()
    stages = (1, 2, 3, 4)
    if not isinstance(answer, Mapping) or set(answer) != set(stages):
        return not_yet("Give a dictionary with the stages 1, 2, 3 and 4 as keys.")
    if any(count is None for count in answer.values()):
        return not_yet("Fill in the four numbers first.")
    counts = [number(answer[stage]) for stage in stages]
    tokens = [448 // stride for stride in config.strides]  # along one side of each map
    side = [ceil(width / window) for width, window in zip(tokens, config.window_sizes, strict=True)]
    right = [windows**2 for windows in side]
    mistakes = {
        "These are the counts at 224 pixels; the image is now 448 pixels wide and high.": [n // 4 for n in right],
        "You counted the windows of one row; there are as many rows as columns.": side,
        "You counted tokens; a window holds 49 of them, in stage 3 it holds 196.": [n**2 for n in tokens],
        "The windows of stage 3 are 14 tokens wide, not 7.": [*right[:2], 16, right[3]],
    }
    wrong = next((place for place in range(4) if counts[place] != right[place]), 0)
    otherwise = (
        f"Stage {stages[wrong]}: {counts[wrong]} is not right. How many tokens wide is its map, "
        "and how many windows fit side by side?"
    )
    praise = "At twice the side there are four times as many windows, and no stage has only one."
    return compare_numbers(counts, right, praise, mistakes, otherwise)


@checker()
def blocks_that_see_everything(answer: int) -> Verdict:
    """Exercise 1.3: how many of xxtiny's blocks let every token look at the whole map, at 224 pixels."""
    right, total = 8, 12
    answer = number(answer, "Count")
    if answer == right:
        return Verdict(True, "Every block of stages 3 and 4, local or global: their one window is the map.")
    if answer == total // 2:
        return not_yet("These are the global blocks. Which windows are as large as their map?")
    if answer == right // 2:
        return not_yet("You counted only the global blocks of stages 3 and 4; the local ones have one window too.")
    if answer in (total, total - 2):
        return not_yet("Stage 1 has 8 x 8 windows and stage 2 has 4 x 4: no block there sees the whole map.")
    if answer == 24:
        return not_yet("That is the count for tiny; the question is about xxtiny, with depths 2, 2, 6, 2.")
    return not_yet("Look at the list of blocks above: in which stages is there a single window?")
