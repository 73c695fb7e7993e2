"""Checkers of chapter 2, Why global context?"""

from collections.abc import Callable
from math import ceil, log

from gcvit_edu.check.answers import number
from gcvit_edu.check.verdict import Verdict, checker, compare_cases, compare_measured, not_yet
from gcvit_edu.config import GCViTConfig


@checker()
def attention_cost(function: Callable[[int, int, int, int | None], int]) -> Verdict:
    """Exercise 2.1: function(height, width, dim, window) counts the multiply-adds of an attention layer."""
    cases = [(56, 56, 64, 7), (28, 14, 128, 7), (14, 14, 256, None), (8, 6, 32, None), (28, 42, 96, 14), (9, 6, 8, 3)]

    def cost(height: int, width: int, dim: int, window: int | None, linear: int = 4, products: int = 2) -> int:
        keys = window**2 if window else height * width
        return linear * height * width * dim**2 + products * height * width * keys * dim

    mistakes = {
        "You left the projection out: the linear layers are C -> 3C and C -> C.": lambda *case: cost(*case, linear=3),
        "You counted one product; there are two, queries with keys and weights with values.": lambda *case: cost(
            *case, products=1
        ),
        "You left the linear layers out.": lambda *case: cost(*case, linear=0),
        "You counted floating-point operations; a multiply-add is two of them.": lambda *case: 2 * cost(*case),
        "A window has window**2 tokens, not window.": lambda height, width, dim, window: (
            4 * height * width * dim**2 + 2 * height * width * (window or height * width) * dim
        ),
        "With windows, each token meets window**2 keys, not all of the map's.": lambda height, width, dim, window: cost(
            height, width, dim, None
        ),
        "With window=None the keys are all tokens of the map.": lambda height, width, dim, window: cost(
            height, width, dim, window or 7
        ),
    }
    return compare_cases(function, cases, cost, mistakes, "Only the number of keys tells the two apart.")


@checker()
def square_takes_over(answer: int) -> Verdict:
    """Exercise 2.2: the smallest side at which full attention's products cost more than its linear layers."""
    answer = number(answer, "Count")
    if answer == 23:
        return Verdict(True, "From 23 x 23 tokens on the square rules.")
    if answer == 22:
        return not_yet("22 x 22 = 484 is still below 2C = 512.")
    if answer in (512, 513):
        return not_yet("That is the number of tokens, H times W; the question is about the side.")
    if answer in (16, 17):
        return not_yet("You compared HW with C; the factors 2 and 4 leave HW > 2C.")
    if 22 < answer < 23:
        return not_yet("That is where the two are equal; round up to a whole number of tokens.")
    if answer > 23:
        return not_yet(f"At a side of {answer} the products already cost more; the question is where that begins.")
    return not_yet(f"At a side of {answer} the linear layers still cost more.")


@checker()
def field_of_stack(function: Callable[[list[tuple[int, int]]], int]) -> Verdict:
    """Exercise 2.3: function(layers) is the width of the receptive field of a stack of convolutions."""
    cases = [
        ([(3, 1)],),
        ([(3, 1)] * 4,),
        ([(3, 2), (3, 2)],),
        ([(7, 2), (3, 2), (3, 1), (3, 1)],),
        ([(1, 1), (5, 3)],),
        ([(3, 2), (5, 3), (3, 2), (2, 1)],),
        ([(4, 4), (2, 2), (2, 2), (2, 2)],),
    ]

    def field(layers: list[tuple[int, int]], *, early: bool = False, strides: bool = True, extra: int = 1) -> int:
        width, distance = 1, 1
        for kernel, stride in layers:
            if early:
                distance *= stride
            width += (kernel - extra) * distance
            if not early and strides:
                distance *= stride
        return width

    mistakes = {
        "You multiplied by a layer's own stride; only the strides before it count.": lambda layers: field(
            layers, early=True
        ),
        "You left the strides out: after a stride of 2, neighbours are two pixels apart.": lambda layers: field(
            layers, strides=False
        ),
        "A kernel of k adds k - 1, not k: the middle is there already.": lambda layers: field(layers, extra=0),
    }
    return compare_cases(function, cases, field, mistakes, "It adds up, each layer in its own step width.")


@checker()
def blocks_with_one_window(function: Callable[[int], int]) -> Verdict:
    """Exercise 2.4: function(image_size) counts the blocks of tiny whose only window is the whole map."""
    config = GCViTConfig()
    stages = list(zip(config.depths, config.strides, config.window_sizes, strict=True))
    cases = [(224,), (225,), (32,), (56,), (448,), (112,), (230,), (28,), (29,), (57,), (1,)]

    def blocks(size: int, *, up: bool = True, halved: int = 1, whole: bool = True) -> int:
        total = 0
        for depth, stride, window in stages:
            side = ceil(size / stride) if up else size // stride
            if side <= window and (whole or side == window):
                total += depth // halved
        return total

    mistakes = {
        "The maps' sides are rounded up, not down.": lambda size: blocks(size, up=False),
        "You counted the global blocks; local ones have the same windows.": lambda size: blocks(size, halved=2),
        "A map as wide as its window is one window too.": lambda size: blocks(size) - blocks(size, whole=False),
        "A map smaller than its window is padded, and is one window too.": lambda size: blocks(size, whole=False),
        "That is right at 224 pixels only; the number depends on the image's size.": lambda size: 24,
    }
    return compare_cases(function, cases, blocks, mistakes, "The larger the image, the more there is to bridge.")


@checker()
def growth_of_sight(answer: float) -> Verdict:
    """Exercise 2.5: the power of the depth with which the radius that holds half of the gradient grows."""
    answer = number(answer)
    mistakes = {
        "That is the growth of the whole field, 2n + 1. Half of the gradient lies much closer.": (1.0, 0.1),
        "You have it the wrong way round: n grows with the square of the radius.": (2.0, 0.2),
        "That is how much the radius grows; the power is its logarithm over the logarithm of 64/4.": (4.0, 0.6),
        "That is the logarithm of the radii's ratio; divide it by the logarithm of 64/4.": (log(4), 0.1),
    }
    otherwise = f"{answer:.2g} is not right. Is the picture large enough, so that nothing reaches its border?"
    praise = "Now answer the question: what follows for the depth of a convolutional network?"
    return compare_measured(answer, (0.5, 0.08), praise, mistakes, otherwise)


@checker()
def tokens_that_see_the_corner(answer: int) -> Verdict:
    """Exercise 2.6: the number of tokens of a window that see the picture's corner after the global block."""
    answer = number(answer)
    if answer == 4:
        return Verdict(True, "Now answer the questions: why these, and why more than one?")
    if answer == 49:
        return not_yet("All of them: did you freeze the gates? Or is this after the third block?")
    if answer == 1:
        return not_yet("By the cells alone it would be one. Measure it: the generator's convolutions have margins.")
    if answer == 0:
        return not_yet("None: is this the second block, counted from one?")
    return not_yet(
        f"{answer} is not right. Look at rows and columns 28 to 34 of the map, at the pixel in row 0, column 0."
    )
