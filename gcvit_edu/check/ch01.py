"""Checkers of chapter 1, A first look."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil

from gcvit_edu.check.answers import call, number, plain, short
from gcvit_edu.check.verdict import Verdict, checker, not_yet
from gcvit_edu.config import GCViTConfig


@checker()
def map_sizes(function: Callable[[int, int], Sequence[tuple[int, int]]]) -> Verdict:
    """Exercise 1.1: function(height, width) gives (rows, columns) of the four maps."""
    cases = [(224, 224), (300, 451), (33, 64), (1, 31), (640, 97)]
    for height, width in cases:
        answer = call(function, height, width)
        answer = plain(answer, "four pairs of numbers")
        if not isinstance(answer, tuple):
            return not_yet(f"Expected four pairs (rows, columns), got {short(answer)}.")
        answer = list(answer)
        right = [(ceil(height / stride), ceil(width / stride)) for stride in (4, 8, 16, 32)]
        if answer == right:
            continue
        asked = f"For an image of {height}x{width} pixels: "
        if answer == [(columns, rows) for rows, columns in right]:
            return not_yet(asked + "rows and columns are swapped; the height comes first.")
        if answer == [(height // stride, width // stride) for stride in (4, 8, 16, 32)]:
            return not_yet(asked + "the network rounds up where a side is no multiple, you round down.")
        if answer == [(round(height / stride), round(width / stride)) for stride in (4, 8, 16, 32)]:
            return not_yet(asked + "round up also below one half; what is left of a token is a token.")
        if answer == [(ceil(height / stride), ceil(width / stride)) for stride in (2, 4, 8, 16)]:
            return not_yet(asked + "the stem halves the image twice before the first stage.")
        return not_yet(
            asked + f"{short(answer)} is not right; expected four pairs, each half as large as the one before."
        )
    return Verdict(True, "Four maps at strides 4, 8, 16 and 32, rounded up.")


@checker()
def windows_per_map(answer: Mapping[int, int]) -> Verdict:
    """Exercise 1.2: answer says how many windows each stage of tiny has at 448 pixels."""
    config = GCViTConfig()
    right = {
        stage: ceil(448 / stride / window) ** 2
        for stage, (stride, window) in enumerate(zip(config.strides, config.window_sizes, strict=True), start=1)
    }
    if not isinstance(answer, Mapping) or set(answer) != set(right):
        return not_yet("Give a dictionary with the stages 1, 2, 3 and 4 as keys.")
    if any(count is None for count in answer.values()):
        return not_yet("Fill in the four numbers first.")
    answer = {stage: number(count) for stage, count in answer.items()}
    if answer == right:
        return Verdict(True, "At twice the side there are four times as many windows, and no stage has only one.")
    if answer == {stage: count // 4 for stage, count in right.items()}:
        return not_yet("These are the counts at 224 pixels; the image is now 448 pixels wide and high.")
    if answer == {stage: round(count**0.5) for stage, count in right.items()}:
        return not_yet("You counted the windows of one row; there are as many rows as columns.")
    if answer == {stage: (448 // stride) ** 2 for stage, stride in enumerate(config.strides, start=1)}:
        return not_yet("You counted tokens; a window holds 49 of them, in stage 3 it holds 196.")
    if answer == {**right, 3: 16}:
        return not_yet("The windows of stage 3 are 14 tokens wide, not 7.")
    wrong = next(stage for stage in right if answer[stage] != right[stage])
    return not_yet(
        f"Stage {wrong}: {answer[wrong]} is not right. How many tokens wide is its map, "
        "and how many windows fit side by side?"
    )


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
