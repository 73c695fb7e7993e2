"""Right and wrong answers to the exercises of chapter 2, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from math import ceil
from typing import Any

from gcvit_edu.check import Verdict, ch02


def cost(height: int, width: int, dim: int, window: float | None, products: int = 2) -> float:
    tokens = height * width
    return 4 * tokens * dim**2 + products * tokens * (tokens if window is None else round(window**2)) * dim


def field(layers: list[tuple[int, int]]) -> int:
    width, distance = 1, 1
    for kernel, stride in layers:
        width, distance = width + (kernel - 1) * distance, distance * stride
    return width


def own_stride(layers: list[tuple[int, int]]) -> int:
    width, distance = 1, 1
    for kernel, stride in layers:
        distance *= stride
        width += (kernel - 1) * distance
    return width


def single(size: int, depths: tuple[int, ...] = (3, 4, 19, 5)) -> int:
    stages = zip(depths, (4, 8, 16, 32), (7, 7, 14, 7), strict=True)
    return sum(depth for depth, stride, window in stages if ceil(size / stride) <= window)


def exactly_filled(size: int) -> int:
    stages = zip((3, 4, 19, 5), (4, 8, 16, 32), (7, 7, 14, 7), strict=True)
    return sum(depth for depth, stride, window in stages if ceil(size / stride) == window)


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch02.attention_cost, cost),
    (ch02.square_takes_over, 23),
    (ch02.field_of_stack, field),
    (ch02.blocks_with_one_window, single),
    (ch02.growth_of_sight, 0.52),
    (ch02.tokens_that_see_the_corner, 4),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch02.attention_cost, lambda *a: cost(*a) - a[0] * a[1] * a[2] ** 2, "left the projection out"),
    (ch02.attention_cost, lambda *a: cost(*a, products=1), "counted one product"),
    (ch02.attention_cost, lambda *a: cost(*a) - 4 * a[0] * a[1] * a[2] ** 2, "left the linear layers out"),
    (ch02.attention_cost, lambda *a: 2 * cost(*a), "a multiply-add is two"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, s and s**0.5), "window**2 tokens"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, s or 7), "window=None"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, None), "not all of the map's"),
    (ch02.attention_cost, lambda *a: 1, "gives 1, which is not right"),
    (ch02.square_takes_over, 22, "still below"),
    (ch02.square_takes_over, 512, "number of tokens"),
    (ch02.square_takes_over, 17, "compared HW with C"),
    (ch02.square_takes_over, 99, "already cost more"),
    (ch02.square_takes_over, 5, "linear layers still cost more"),
    (ch02.square_takes_over, 22.6, "round up"),
    (ch02.square_takes_over, None, "put your number"),
    (ch02.field_of_stack, lambda layers: 1 + sum(k - 1 for k, _ in layers), "left the strides out"),
    (ch02.field_of_stack, lambda layers: field([(k + 1, s) for k, s in layers]), "adds k - 1, not k"),
    (ch02.field_of_stack, own_stride, "own stride"),
    (ch02.blocks_with_one_window, lambda size: single(size - size % 32), "rounded up"),
    (ch02.blocks_with_one_window, lambda size: single(size, (1, 2, 9, 2)), "counted the global blocks"),
    (ch02.blocks_with_one_window, lambda size: 24, "right at 224 pixels only"),
    (ch02.blocks_with_one_window, lambda size: single(size) - exactly_filled(size), "as wide as its window"),
    (ch02.blocks_with_one_window, exactly_filled, "A map smaller than its window"),
    (ch02.growth_of_sight, 1.0, "growth of the whole field"),
    (ch02.growth_of_sight, 2.0, "wrong way round"),
    (ch02.growth_of_sight, 1.386, "divide it by the logarithm"),
    (ch02.growth_of_sight, 3.9, "the power is its logarithm"),
    (ch02.growth_of_sight, "1/2", "Give a number"),
    (ch02.growth_of_sight, None, "Measure it"),
    (ch02.tokens_that_see_the_corner, 49, "freeze the gates"),
    (ch02.tokens_that_see_the_corner, 1, "margins"),
    (ch02.tokens_that_see_the_corner, 0, "second block"),
    (ch02.tokens_that_see_the_corner, 7, "7 is not right"),
    (ch02.tokens_that_see_the_corner, None, "Measure it"),
]
