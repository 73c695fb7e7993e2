"""Checkers of chapter 7, Blocks and stages."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from gcvit_edu.check.answers import call, number, plain, returned_number
from gcvit_edu.check.verdict import (
    Verdict,
    all_right,
    checker,
    compare,
    compare_cases,
    compare_formula,
    compare_numbers,
    not_yet,
)


@checker()
def drop_path(function: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Exercise 7.1: function(branch, kept, rate) drops whole images and scales up the rest."""
    generator = torch.Generator().manual_seed(7)

    def tried(branch: Tensor, kept: Tensor, rate: float) -> Verdict:
        zeroed = branch * kept[:, None, None, None]
        mistakes = {
            "The images that stay are not scaled up, so the mean is too small.": zeroed,
            "You divided by the rate; divide by the probability of staying, 1 - rate.": zeroed / rate,
            "You multiplied by 1 - rate; divide by it.": zeroed * (1 - rate),
            "You dropped the images that were to stay.": (branch - zeroed) / (1 - rate),
            "Dropped images keep their place in the batch, as zeros.": branch[kept] / (1 - rate),
            "You scaled all images and dropped none. Is kept used?": branch / (1 - rate),
        }
        return compare(
            call(function, branch, kept, rate), zeroed / (1 - rate), "On average the branch is what it was.", mistakes
        )

    cases = (
        ((4, 2, 3, 5), [True, False, True, True], 0.2),
        ((3, 4, 2, 1), [False, True, False], 0.5),
        ((1, 1, 2, 3), [True], 0.75),
        ((2, 2, 2, 2), [False, False], 0.1),
        ((2, 1, 3, 2), [True, True], 0.0),
    )
    return all_right(
        tried(torch.randn(shape, generator=generator), torch.tensor(kept), rate) for shape, kept, rate in cases
    )


@checker()
def drop_path_rates(function: Callable[[list[int], float], list[list[float]]]) -> Verdict:
    """Exercise 7.2: function(depths, last) gives every block's rate, stage by stage."""
    cases = [([3, 4, 19, 5], 0.2), ([2, 2], 0.3), ([1, 1, 2], 0.5), ([2, 3, 1, 4, 2], 0.1), ([5, 1], 0.05)]

    def rates(depths: list[int], last: float, *, first: int = 0, steps: int = -1) -> list[list[float]]:
        total, block = sum(depths) + steps, first
        out = []
        for depth in depths:
            out.append([last * number / total for number in range(block, block + depth)])
            block += depth
        return out

    mistakes = {
        "The last block must have the last rate: n blocks have n - 1 steps between them.": lambda d, p: rates(
            d, p, steps=0
        ),
        "The first block must have the rate 0.": lambda d, p: rates(d, p, first=1, steps=0),
        "You started again in every stage; the rate grows over all blocks.": lambda d, p: [
            [p * block / max(1, depth - 1) for block in range(depth)] for depth in d
        ],
        "All blocks have the same rate; it grows from 0.": lambda d, p: [[p] * depth for depth in d],
        "The rate grows from block to block, not from stage to stage.": lambda d, p: [
            [p * stage / (len(d) - 1)] * depth for stage, depth in enumerate(d)
        ],
    }

    def tried(depths: list[int], last: float) -> Verdict:
        answer = plain(call(function, depths, last), "a list of rates for each stage")
        stages = answer if isinstance(answer, tuple) else ()
        if [len(stage) if isinstance(stage, tuple) else 0 for stage in stages] != depths:
            return not_yet(f"For depths {depths} return a list for each stage, with a rate for each of its blocks.")

        def flat(nested: Iterable[Iterable[float]]) -> list[float]:
            return [returned_number(rate, "Rates are numbers") for stage in nested for rate in stage]

        found, right = flat(stages), flat(rates(depths, last))
        others = {diagnosis: flat(wrong(depths, last)) for diagnosis, wrong in mistakes.items()}
        number = next((block for block, rate in enumerate(right) if abs(found[block] - rate) > 1e-6), 0)
        otherwise = (
            f"For depths {depths} and {last}, block {number} (counted from 0) gets the rate {found[number]:.4f}, "
            f"and {right[number]:.4f} was expected."
        )
        return compare_numbers(found, right, "The early blocks are the ones that all others use.", others, otherwise)

    return all_right(tried(*case) for case in cases)


@checker()
def block_cost(function: Callable[[int, int, int, int, int, bool], int]) -> Verdict:
    """Exercise 7.3: function(height, width, dim, window, ratio, use_global) counts the multiply-adds of a block."""

    def cost(
        h: int, w: int, c: int, s: int, r: int, g: bool, *, linear: int | None = None, products: int = 2, mlp: int = 2
    ) -> int:
        layers = (3 if g else 4) if linear is None else linear
        return layers * h * w * c**2 + products * h * w * s**2 * c + mlp * r * h * w * c**2

    mistakes = {
        "A global block computes no queries: three linear layers, not four.": lambda *case: cost(*case, linear=4),
        "A local block computes its queries too: four linear layers, not three.": lambda *case: cost(*case, linear=3),
        "You left the projection out.": lambda *case: cost(*case, linear=2 if case[-1] else 3),
        "The MLP has two layers, there and back.": lambda *case: cost(*case, mlp=1),
        "You left the MLP out.": lambda *case: cost(*case, mlp=0),
        "A window of side w has w * w tokens.": lambda h, w, c, s, r, g: (
            cost(h, w, c, s, r, g, products=0) + 2 * h * w * s * c
        ),
        "A token meets the keys of its own window, not of the whole map.": lambda h, w, c, s, r, g: (
            cost(h, w, c, s, r, g, products=0) + 2 * (h * w) ** 2 * c
        ),
        "There are two products: queries with keys, and weights with values.": lambda *case: cost(*case, products=1),
        "You counted floating-point operations; a multiply-add is two of them.": lambda *case: 2 * cost(*case),
    }
    cases = [(56, 56, 64, 7, 3, False), (56, 56, 64, 7, 3, True), (14, 28, 96, 14, 2, False)]
    cases += [(28, 14, 128, 7, 4, True), (12, 8, 16, 4, 1, False), (6, 9, 24, 3, 2, True)]
    return compare_cases(function, cases, cost, mistakes, "At these widths the MLP is about half of it.")


@checker()
def block(function: Callable[..., Tensor]) -> Verdict:
    """Exercise 7.4: function(x, attn, mlp, norm1, norm2) puts a block together."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        maps = [torch.randn(2, 3, 4, 6), torch.randn(1, 5, 2, 6)]
        attn, mlp = (nn.Linear(6, 6).requires_grad_(False) for _ in range(2))
        norm1, norm2 = (nn.LayerNorm(6).requires_grad_(False) for _ in range(2))
        for norm in (norm1, norm2):
            nn.init.normal_(norm.weight)

    def tried(x: Tensor) -> Verdict:
        y = x + attn(norm1(x))
        post = norm1(x + attn(x))
        mistakes = {
            "That is post-norm; here the norm comes first, inside the branch.": norm2(post + mlp(post)),
            "Both branches start from the input; the second starts from the result of the first.": (
                x + attn(norm1(x)) + mlp(norm2(x))
            ),
            "The residual connections are missing.": mlp(norm2(attn(norm1(x)))),
            "The residual connection of the MLP is missing.": mlp(norm2(y)),
            "The residual connection of attention is missing.": attn(norm1(x)) + mlp(norm2(attn(norm1(x)))),
            "You used norm1 twice; each branch has its own.": y + mlp(norm1(y)),
            "Attention comes first, then the MLP.": (x + mlp(norm2(x))) + attn(norm1(x + mlp(norm2(x)))),
            "The norms are missing.": (x + attn(x)) + mlp(x + attn(x)),
            "The norm comes before attention and before the MLP, not after them.": (x + norm1(attn(x)))
            + norm2(mlp(x + norm1(attn(x)))),
            "Each of the two branches has its own addition.": x + mlp(norm2(attn(norm1(x)))),
            "You added the normalised input; the residual path has no norm.": norm1(x)
            + attn(norm1(x))
            + mlp(norm2(norm1(x) + attn(norm1(x)))),
        }
        return compare(
            call(function, x, attn, mlp, norm1, norm2),
            y + mlp(norm2(y)),
            "Two branches beside a path of additions.",
            mistakes,
        )

    return all_right(map(tried, maps))


@checker()
def mean_branches(function: Callable[[list[int], float], float]) -> Verdict:
    """Exercise 7.5: function(depths, last) is the mean number of branches that an image takes."""
    cases = [([3, 4, 19, 5], 0.5), ([3, 4, 19, 5], 0.2), ([2, 2], 0.3), ([1, 2, 3], 0.9), ([2, 2, 6, 2], 0.0)]

    def mean(share: Callable[[float], float], branches: int = 2) -> Callable[[list[int], float], float]:
        return lambda depths, last: branches * sum(depths) * share(last)

    right = mean(lambda last: 1 - last / 2)
    mistakes = {
        "A block has two branches, attention and the MLP.": mean(lambda last: 1 - last / 2, branches=1),
        "The rate grows from 0; its mean is half of the last one.": mean(lambda last: 1 - last),
        "That is the number of branches that are dropped.": mean(lambda last: last / 2),
        "That is how many there are; some are dropped.": mean(lambda last: 1.0),
    }
    praise = "46.5 of 62 in base. Now answer the questions: does it save time, and could it?"
    return compare_formula(function, cases, right, praise, mistakes)


@checker()
def orders_that_reach_everything(answer: int) -> Verdict:
    """Exercise 7.6: the number of the eight orders of three blocks that reach all tokens."""
    answer = number(answer)
    if answer == 6:
        return Verdict(True, "Now answer the questions: what do they have in common, and which order is better?")
    if answer == 4:
        return not_yet("Four have a global block before a local one, and four do it in two blocks. There are more.")
    if answer == 7:
        return not_yet("Seven have a global block; in LLG nothing comes after it.")
    if answer == 8:
        return not_yet("LLL cannot: nothing leaves the window. Count those that reach 3136 after the third block.")
    return not_yet(f"{answer} is not right. Which orders reach 56 * 56 tokens after the third block?")


@checker()
def fewest_cells(answer: int) -> Verdict:
    """Exercise 7.7: the smallest number of query cells that can see a token of stage 1."""
    answer = number(answer, "Count them")
    if answer == 1:
        return Verdict(True, "Now answer the questions: which token, and what of a thing that lies there?")
    if answer == 4:
        return not_yet("That is the upper left corner: two cells along each axis. Look at the other border.")
    if answer == 2:
        return not_yet("Count both axes and multiply. And look at the very last row and column.")
    if answer == 0:
        return not_yet("Every token is seen: follow the pooling, which lets token t reach all i with |t - 2i| <= 1.")
    if answer in (9, 16):
        return not_yet("That is a token in the middle; look at the borders.")
    return not_yet(f"{answer} is not right. Count along one axis for all 56 tokens, and square the smallest.")
