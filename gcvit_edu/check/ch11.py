"""Checkers of chapter 11, Seeing attention."""

from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from torch import Tensor

from gcvit_edu.check.answers import boolean, call, number, returned_number
from gcvit_edu.check.forbidden import LOOP
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_measured, compare_number, not_yet
from gcvit_edu.maps import attention_map, windows_to_map
from gcvit_edu.maps.faithfulness.baselines import centre_prior, contrast_map
from gcvit_edu.model import GCViT


@checker(without=("column_means", LOOP))
def mean_of_columns(function: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 11.1: function(weights) is the mean share of each key, (B, N, h, T, T) -> (B, N, T)."""
    generator = torch.Generator().manual_seed(0)

    def tried(weights: Tensor) -> Verdict:
        mistakes = {
            "That is the mean of each row, which is 1/T for every query: take the mean over the queries.": weights.mean(
                (2, 4)
            ),
            "That is the sum over the queries; divide by how many there are.": weights.mean(2).sum(2),
            "That is the sum over the heads; divide by how many there are.": weights.sum(2).mean(2),
            "That is the largest share that a key gets; take the mean over the queries.": weights.mean(2).amax(2),
            "The mean over the heads is missing.": weights.mean(3),
            "The mean over the queries is missing.": weights.mean(2),
            "Keep the windows apart: each is a separate part of the map.": weights.mean((1, 2, 3)),
        }
        answer = call(function, weights)
        return compare(answer, weights.mean((2, 3)), "Each window sums to one.", mistakes)

    shapes = ((2, 3, 4, 5, 5), (1, 1, 2, 3, 3), (2, 6, 1, 4, 4), (3, 2, 2, 1, 1))
    return all_right(
        tried(torch.randn(shape, dtype=torch.float64, generator=generator).mul(2).softmax(-1)) for shape in shapes
    )


@checker()
def put_together(function: Callable[[Tensor, int, int, int], Tensor]) -> Verdict:
    """Exercise 11.2: function(values, window, height, width) puts windows back, (B, N, T) -> (B, H, W)."""

    def tried(images: int, rows: int, columns: int, window: int, height: int, width: int) -> Verdict:
        values = torch.arange(images * rows * columns * window**2, dtype=torch.float64)
        values = values.view(images, rows * columns, window**2)
        whole = windows_to_map(values, window, (rows * window, columns * window))

        def other(pattern: str) -> Tensor:
            return rearrange(values, pattern, r=rows, c=columns, y=window, x=window)

        mistakes = {
            "The padding is still there: it lies at the lower and at the right edge.": whole,
            "The padding lies at the lower and at the right edge, not at the upper and the left one.": whole[:, 1:, 1:],
            "A reshape alone puts a window into one row; its rows belong below each other.": values.view(whole.shape)[
                :, :height, :width
            ],
            "The windows are numbered row by row, not column by column.": other("b (c r) (y x) -> b (r y) (c x)")[
                :, :height, :width
            ],
            "Within a window the tokens are numbered row by row, not column by column.": other(
                "b (r c) (x y) -> b (r y) (c x)"
            )[:, :height, :width],
            "Windows and their tokens changed places: the tokens of a window stay together.": other(
                "b (r c) (y x) -> b (y r) (x c)"
            )[:, :height, :width],
        }
        answer = call(function, values, window, height, width)
        return compare(answer, whole[:, :height, :width], "The inverse of cutting, padding and all.", mistakes)

    cases = ((2, 2, 3, 3, 5, 8), (1, 2, 3, 2, 4, 6), (3, 3, 1, 4, 9, 3), (1, 3, 2, 2, 5, 3), (2, 1, 1, 5, 2, 4))
    return all_right(tried(*case) for case in cases)


@checker()
def one_of_many(function: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 11.3: function(within, log_sums) makes one softmax out of several, (N, T) and (N,) -> (N, T)."""
    generator = torch.Generator().manual_seed(0)

    def tried(logits: Tensor) -> Verdict:
        within, sums = logits.softmax(-1), logits.logsumexp(-1)
        answer = call(function, within, sums)
        right = logits.flatten().softmax(0).view_as(logits)
        mistakes = {
            "Nothing was changed: each window still sums to one.": within,
            "All windows still count alike.": within / len(within),
            "The logarithms of the sums are not shares; take their exp.": within * sums[:, None],
            "Divide by the sum over all windows, so that the result sums to one.": within * sums.exp()[:, None],
            "Multiply by a window's share; do not divide by it.": within / sums.softmax(0)[:, None],
            "One softmax too many: the shares within windows are not logits.": (within * sums[:, None])
            .flatten()
            .softmax(0)
            .view_as(within),
        }
        verdict = compare(answer, right, "Each window's share, times the shares within it.", mistakes)
        large = call(function, within, sums + 1000)
        if verdict.right and not compare(large, right, "", {}).right:
            return not_yet("It fails for large logits, whose exp is infinite. softmax takes the largest off first.")
        return verdict

    offsets = (torch.tensor([[1.0], [0.0], [-1.0], [0.5]]), torch.zeros(1, 1), torch.tensor([[3.0], [-2.0]]))
    shapes = ((4, 6), (1, 3), (2, 5))
    return all_right(
        tried(2 * torch.randn(shape, dtype=torch.float64, generator=generator) + offset)
        for shape, offset in zip(shapes, offsets, strict=True)
    )


@checker()
def rolled_out(function: Callable[[list[Tensor], float], Tensor]) -> Verdict:
    """Exercise 11.4: function(matrices, stay) is the share of each first token in the mean of the last ones."""
    generator = torch.Generator().manual_seed(0)

    def tried(matrices: list[Tensor], stay: float) -> Verdict:
        eye = torch.eye(len(matrices[0]), dtype=torch.float64)

        def product(share: float, order: list[Tensor], other: float | None = None) -> Tensor:
            reached = eye
            for matrix in order:
                reached = (share * eye + (1 - share if other is None else other) * matrix) @ reached
            return reached

        mistakes = {
            "The order is reversed: the last block's matrix stands on the left.": product(stay, matrices[::-1]).mean(0),
            "What stays and what is replaced are mixed up.": product(1 - stay, matrices).mean(0),
            "That takes one half for what stays; it is an argument here.": product(0.5, matrices).mean(0),
            "Nothing stays: the residual path is missing.": product(0.0, matrices).mean(0),
            "What is replaced is 1 - stay; the shares should sum to one.": product(stay, matrices, 1.0).mean(0),
            "Take the mean over the last tokens, the rows; that is the mean over the first ones.": product(
                stay, matrices
            ).mean(1),
            "Take the mean over the last tokens, not the sum.": product(stay, matrices).sum(0),
            "That is the whole matrix; take the mean over the last tokens.": product(stay, matrices),
        }
        answer = call(function, matrices, stay)
        return compare(answer, product(stay, matrices).mean(0), "A random walk that rests now and then.", mistakes)

    cases = ((3, 5, 0.7), (1, 3, 0.2), (4, 2, 0.5), (2, 6, 0.9))
    return all_right(
        tried(list(torch.randn(n, t, t, dtype=torch.float64, generator=generator).mul(3).softmax(-1)), stay)
        for n, t, stay in cases
    )


@checker()
def points_at(function: Callable[[Tensor, Tensor], float]) -> Verdict:
    """Exercise 11.5: function(values, mask) is the share of the largest pixels that lie on the object."""
    values = torch.tensor([[0.1, 0.4, 0.2], [0.4, 0.3, 0.4]])
    mask = torch.tensor([[False, True, True], [False, True, True]])
    mistakes = {
        "Several numbers are largest. You looked at one of them; count the share of those that lie on the object.": 1.0,
        "That is 0 unless all of the largest are on the object; count their share.": 0.0,
        "That is the energy: the share of the map's sum.": (values[mask].sum() / values.sum()).item(),
        "That is the share of the object's pixels; take the share of the largest numbers.": 2 / 4,
        "Divide by how many largest numbers there are.": 2.0,
    }

    def tried(values: Tensor, mask: Tensor, right: float, mistakes: Mapping[str, float]) -> Verdict:
        answer = returned_number(call(function, values, mask), "Return a number", tensors=True)
        praise = "A map that is the same everywhere scores what a guess does."
        otherwise = f"Your answer is {answer:.3f}, which is not right."
        return compare_number(answer, right, praise, mistakes, otherwise)

    corner = torch.tensor([[True, False], [False, False]])
    flat = {"A map that is the same everywhere should score the object's share of the picture.": 2 / 3}
    cases = (
        (values, mask, 2 / 3, mistakes),
        (torch.ones(2, 2), corner, 0.25, flat),
        (-values, mask, 0.0, {}),
        (torch.tensor([[-1.0, -2.0], [-1.0, -3.0]]), corner, 0.5, {}),
        (torch.tensor([[9.0, 1.0], [2.0, 3.0]]), corner, 1.0, {}),
    )
    return all_right(tried(*case) for case in cases)


@checker()
def sees_through(function: Callable[[Callable[[GCViT, Tensor], Tensor]], bool]) -> Verdict:
    """Exercise 11.6: function(make_map) is True for a map that depends on the weights and on the picture."""
    answers = {name: boolean(call(function, make_map)) for name, make_map in _MAPS.items()}
    for name in ("attention", "rollout", "small"):
        if not answers[name]:
            return not_yet(
                {
                    "attention": "An honest map, un-windowed attention, failed your test.",
                    "rollout": "An honest map, rollout, failed your test. Is it too strict?",
                    "small": "An honest map with very small numbers failed your test. Compare orders, not sizes.",
                }[name]
            )
    passed = {
        "centre": "A hill in the middle of every picture passed your test.",
        "contrast": "The contrast of the picture passed, which looks at no network. Change the weights.",
        "bias": "A map of the position bias alone passed, which does not look at the picture. Change the picture.",
        "edges": "The contrast with a trace of attention passed. Ask how much a map changes, not whether it does.",
    }
    for name, diagnosis in passed.items():
        if answers[name]:
            return not_yet(diagnosis)
    return Verdict(True, "A map that passes can still be wrong; one that fails is wrong.")


@checker()
def chance_of_likeness(answer: float | None) -> Verdict:
    """Exercise 11.7: the probability that two unrelated maps of four tokens have a rank correlation of 0.8 or more."""
    answer = number(answer)
    mistakes = {
        "That counts maps in the very same order only; 0.8 is reached by others, too. "
        "With >= 0.8 rounding may hide them.": (1 / 24, 0.004),
        "The same order has the correlation 1, and counts, too.": (3 / 24, 0.012),
        "That counts -0.8 and below, too; only the positive ones were asked for.": (8 / 24, 0.03),
        "Those are the maps below 0.8.": (20 / 24, 0.08),
        "Four of how many? Divide by the number of orders.": (4.0, 0.4),
    }
    otherwise = f"{answer:.3g} is not right. How many of the 24 orders have a correlation of 0.8 or more?"
    praise = "Four of 24 orders: a likeness of four tokens is no finding."
    return compare_measured(answer, (4 / 24, 0.016), praise, mistakes, otherwise)


def _attention(model: GCViT, image: Tensor) -> Tensor:
    return attention_map(model, image, method="unwindowed", stage=1).values[0]


def _bias(model: GCViT, image: Tensor) -> Tensor:
    return model.stages[2].blocks[1].attn.bias().detach().softmax(-1).mean((0, 1)).view(4, 4)


def _edges(model: GCViT, image: Tensor) -> Tensor:
    values = attention_map(model, image, method="unwindowed", stage=1).to_pixels()[0]
    return contrast_map(image)[0] + 1e-3 * values


_MAPS: dict[str, Callable[[GCViT, Tensor], Tensor]] = {
    "attention": _attention,
    "rollout": lambda model, image: attention_map(model, image, method="rollout", stage=0).values[0],
    "small": lambda model, image: 1e-6 * _attention(model, image),
    "centre": lambda model, image: centre_prior(image)[0],
    "contrast": lambda model, image: contrast_map(image)[0],
    "bias": _bias,
    "edges": _edges,
}
