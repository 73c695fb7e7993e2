"""Right and wrong answers to the exercises of chapter 7, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gcvit_edu.check import Verdict, ch07


def zeroed(branch: Tensor, kept: Tensor) -> Tensor:
    return branch * kept[:, None, None, None]


def rates(depths: list[int], last: float, first: int = 0, steps: int = -1) -> list[list[float]]:
    number = iter(range(first, sum(depths) + first))
    return [[last * next(number) / (sum(depths) + steps) for _ in range(depth)] for depth in depths]


def cost(h: int, w: int, c: int, s: int, r: int, g: bool, linear: int = 0, products: int = 2, mlp: int = 2) -> int:
    return h * w * c * ((4 - g + linear) * c + products * s**2 + mlp * r * c)


def block(x: Tensor, attn: Callable, mlp: Callable, norm1: Callable, norm2: Callable) -> Tensor:
    x = x + attn(norm1(x))
    return x + mlp(norm2(x))


def post_norm(x: Tensor, attn: Callable, mlp: Callable, norm1: Callable, norm2: Callable) -> Tensor:
    x = norm1(x + attn(x))
    return norm2(x + mlp(x))


def without_first(x: Tensor, attn: Callable, mlp: Callable, norm1: Callable, norm2: Callable) -> Tensor:
    x = attn(norm1(x))
    return x + mlp(norm2(x))


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch07.drop_path, lambda b, k, p: zeroed(b, k) / (1 - p)),
    (ch07.drop_path_rates, rates),
    (ch07.block_cost, cost),
    (ch07.block, block),
    (ch07.mean_branches, lambda d, p: sum(2 * (1 - rate) for stage in rates(d, p) for rate in stage)),
    (ch07.orders_that_reach_everything, 6),
    (ch07.fewest_cells, 1),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch07.drop_path, lambda b, k, p: zeroed(b, k), "not scaled up"),
    (ch07.drop_path, lambda b, k, p: zeroed(b, k) / p, "divided by the rate"),
    (ch07.drop_path, lambda b, k, p: zeroed(b, k) * (1 - p), "multiplied by 1 - rate"),
    (ch07.drop_path, lambda b, k, p: zeroed(b, ~k) / (1 - p), "were to stay"),
    (ch07.drop_path, lambda b, k, p: b[k] / (1 - p), "as zeros"),
    (ch07.drop_path, lambda b, k, p: b / (1 - p), "dropped none"),
    (ch07.drop_path_rates, lambda d, p: rates(d, p, steps=0), "n - 1 steps"),
    (ch07.drop_path_rates, lambda d, p: rates(d, p, 1, 0), "first block must have"),
    (ch07.drop_path_rates, lambda d, p: [rates([n], p, steps=-1 if n > 1 else 0)[0] for n in d], "started again"),
    (ch07.drop_path_rates, lambda d, p: [[p] * n for n in d], "the same rate"),
    (ch07.drop_path_rates, lambda d, p: [[p * i / (len(d) - 1)] * n for i, n in enumerate(d)], "stage to stage"),
    (ch07.drop_path_rates, lambda d, p: [rate for stage in rates(d, p) for rate in stage], "a list for each stage"),
    (ch07.drop_path_rates, lambda d, p: [[p / 7] * n for n in d], "block 0 (counted from 0)"),
    (ch07.block_cost, lambda *a: cost(*a, linear=int(a[-1])), "computes no queries"),
    (ch07.block_cost, lambda *a: cost(*a, linear=int(a[-1]) - 1), "four linear layers"),
    (ch07.block_cost, lambda *a: cost(*a, linear=-1), "projection"),
    (ch07.block_cost, lambda *a: cost(*a, mlp=1), "there and back"),
    (ch07.block_cost, lambda *a: cost(*a, mlp=0), "left the MLP out"),
    (ch07.block_cost, lambda *a: cost(*a, products=1), "two products"),
    (ch07.block_cost, lambda *a: cost(*a, products=0) + 2 * a[0] * a[1] * a[2] * a[3], "w * w tokens"),
    (ch07.block_cost, lambda *a: cost(*a, products=0) + 2 * (a[0] * a[1]) ** 2 * a[2], "own window"),
    (ch07.block_cost, lambda *a: 2 * cost(*a), "floating-point"),
    (ch07.block, post_norm, "post-norm"),
    (ch07.block, lambda x, a, m, n1, n2: x + a(n1(x)) + m(n2(x)), "start from the input"),
    (ch07.block, lambda x, a, m, n1, n2: m(n2(a(n1(x)))), "residual connections are missing"),
    (ch07.block, lambda x, a, m, n1, n2: m(n2(x + a(n1(x)))), "of the MLP is missing"),
    (ch07.block, without_first, "of attention is missing"),
    (ch07.block, lambda x, a, m, n1, n2: block(x, a, m, n1, n1), "norm1 twice"),
    (ch07.block, lambda x, a, m, n1, n2: block(x, m, a, n2, n1), "Attention comes first"),
    (ch07.block, lambda x, a, m, n1, n2: (x + a(x)) + m(x + a(x)), "norms are missing"),
    (ch07.block, lambda x, a, m, n1, n2: (x + n1(a(x))) + n2(m(x + n1(a(x)))), "not after them"),
    (ch07.block, lambda x, a, m, n1, n2: x + m(n2(a(n1(x)))), "its own addition"),
    (ch07.block, lambda x, a, m, n1, n2: n1(x) + a(n1(x)) + m(n2(n1(x) + a(n1(x)))), "normalised input"),
    (ch07.mean_branches, lambda d, p: sum(d) * (1 - p / 2), "two branches"),
    (ch07.mean_branches, lambda d, p: 2 * sum(d) * (1 - p), "grows from 0"),
    (ch07.mean_branches, lambda d, p: sum(d) * p, "that are dropped"),
    (ch07.mean_branches, lambda d, p: 2 * sum(d), "some are dropped"),
    (ch07.orders_that_reach_everything, 4, "There are more"),
    (ch07.orders_that_reach_everything, 7, "nothing comes after"),
    (ch07.orders_that_reach_everything, 8, "LLL cannot"),
    (ch07.orders_that_reach_everything, 1, "is not right"),
    (ch07.orders_that_reach_everything, None, "Measure it"),
    (ch07.fewest_cells, 4, "upper left corner"),
    (ch07.fewest_cells, 2, "both axes"),
    (ch07.fewest_cells, 0, "Every token is seen"),
    (ch07.fewest_cells, 16, "in the middle"),
    (ch07.fewest_cells, 25, "is not right"),
    (ch07.fewest_cells, None, "Count them"),
]
