"""Right and wrong answers to the exercises of chapter 11, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from gcvit_edu import create_model
from gcvit_edu.check import Verdict, ch11
from gcvit_edu.data import load_photo, normalize
from gcvit_edu.data.transforms import crop_to
from gcvit_edu.maps.faithfulness import energy, pointing, rank_correlation, untrained
from gcvit_edu.model import GCViT

MakeMap = Callable[[GCViT, Tensor], Tensor]


def column_means(weights: Tensor) -> Tensor:
    return torch.stack([sum(head.mean(1) for head in image.unbind(1)) / image.shape[1] for image in weights])


def put(values: Tensor, window: int, height: int, width: int) -> Tensor:
    rows, columns = -(-height // window), -(-width // window)
    pattern = "b (r c) (y x) -> b (r y) (c x)"
    return rearrange(values, pattern, r=rows, c=columns, y=window, x=window)[:, :height, :width]


def put_as(pattern: str, top: int = 0, left: int = 0, crop: bool = True) -> Callable[..., Tensor]:
    def answer(values: Tensor, window: int, height: int, width: int) -> Tensor:
        sizes = {"r": -(-height // window), "c": -(-width // window), "y": window, "x": window}
        whole = rearrange(values, pattern, **sizes)
        return whole[:, top : top + height, left : left + width] if crop else whole

    return answer


def walk(matrices: list[Tensor], stay: float) -> Tensor:
    at = torch.full((len(matrices[0]),), 1 / len(matrices[0]), dtype=torch.float64)
    for matrix in reversed(matrices):
        at = stay * at + (1 - stay) * at @ matrix
    return at


def product(matrices: list[Tensor], stay: float, rest: float | None = None) -> Tensor:
    reached = torch.eye(len(matrices[0]), dtype=torch.float64)
    for matrix in matrices:
        reached = stay * reached + (1 - stay if rest is None else rest) * matrix @ reached
    return reached


@cache
def network() -> GCViT:
    return create_model("nano", pretrained=True).eval()


@cache
def photo(name: str) -> Tensor:
    return normalize(crop_to(load_photo(name), 64))


def changes(make_map: MakeMap, limit: float, *, weights: bool = True, image: bool = True) -> bool:
    whole = make_map(network(), photo("cat"))
    fresh = rank_correlation(whole, make_map(untrained(network()), photo("cat")))
    other = rank_correlation(whole, make_map(network(), photo("coffee")))
    return (not weights or fresh < limit) and (not image or other < limit)


def differs(make_map: MakeMap) -> bool:
    whole, fresh = (make_map(model, photo("cat")) for model in (network(), untrained(network())))
    other = make_map(network(), photo("coffee"))
    return not torch.equal(whole, fresh) and not torch.equal(whole, other)


def differs_much(make_map: MakeMap) -> bool:
    whole, fresh = (make_map(model, photo("cat")) for model in (network(), untrained(network())))
    return bool((whole - fresh).abs().max() > 1e-3)


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch11.mean_of_columns, lambda weights: weights.mean((2, 3))),
    (ch11.put_together, put),
    (ch11.one_of_many, lambda within, sums: within * sums.softmax(0)[:, None]),
    (ch11.rolled_out, walk),
    (ch11.rolled_out, lambda matrices, stay: product(matrices, stay).mean(0)),
    (ch11.points_at, pointing),
    (ch11.points_at, lambda values, mask: mask[values == values.max()].double().mean()),
    (ch11.sees_through, lambda make_map: changes(make_map, 0.9)),
    (ch11.chance_of_likeness, 1 / 6),
    (ch11.chance_of_likeness, 0.17),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch11.mean_of_columns, column_means, "used a loop"),
    (ch11.mean_of_columns, lambda w: column_means(w), "used column_means"),
    (ch11.mean_of_columns, lambda w: w.mean((2, 4)), "1/T for every query"),
    (ch11.mean_of_columns, lambda w: w.mean(2).sum(2), "sum over the queries"),
    (ch11.mean_of_columns, lambda w: w.sum(2).mean(2), "sum over the heads"),
    (ch11.mean_of_columns, lambda w: w.mean(2).amax(2), "largest share"),
    (ch11.mean_of_columns, lambda w: w.mean(3), "over the heads is missing"),
    (ch11.mean_of_columns, lambda w: w.mean(2), "over the queries is missing"),
    (ch11.mean_of_columns, lambda w: w.mean((1, 2, 3)), "Keep the windows apart"),
    (ch11.put_together, put_as("b (r c) (y x) -> b (r y) (c x)", crop=False), "still there"),
    (ch11.put_together, put_as("b (r c) (y x) -> b (r y) (c x)", 1, 1), "not at the upper"),
    (ch11.put_together, lambda values, window, height, width: values[:, :height, :width], "reshape alone"),
    (ch11.put_together, put_as("b (c r) (y x) -> b (r y) (c x)"), "numbered row by row, not column by column"),
    (ch11.put_together, put_as("b (r c) (x y) -> b (r y) (c x)"), "Within a window"),
    (ch11.put_together, put_as("b (r c) (y x) -> b (y r) (x c)"), "stay together"),
    (ch11.one_of_many, lambda within, sums: within, "Nothing was changed"),
    (ch11.one_of_many, lambda within, sums: within / len(within), "count alike"),
    (ch11.one_of_many, lambda within, sums: within * sums[:, None], "are not shares"),
    (ch11.one_of_many, lambda within, sums: within * sums.exp()[:, None], "sums to one"),
    (ch11.one_of_many, lambda within, sums: within / sums.softmax(0)[:, None], "do not divide"),
    (ch11.one_of_many, lambda w, sums: (w * sums[:, None]).flatten().softmax(0).view_as(w), "too many"),
    (ch11.one_of_many, lambda within, sums: within * (sums.exp() / sums.exp().sum())[:, None], "large logits"),
    (ch11.rolled_out, lambda matrices, stay: walk(matrices[::-1], stay), "order is reversed"),
    (ch11.rolled_out, lambda matrices, stay: walk(matrices, 1 - stay), "mixed up"),
    (ch11.rolled_out, lambda matrices, stay: walk(matrices, 0.5), "one half"),
    (ch11.rolled_out, lambda matrices, stay: walk(matrices, 0.0), "residual path is missing"),
    (ch11.rolled_out, lambda matrices, stay: product(matrices, stay, 1.0).mean(0), "sum to one"),
    (ch11.rolled_out, lambda matrices, stay: product(matrices, stay).mean(1), "the rows"),
    (ch11.rolled_out, lambda matrices, stay: product(matrices, stay).sum(0), "not the sum"),
    (ch11.rolled_out, product, "whole matrix"),
    (ch11.points_at, lambda values, mask: float(mask.flatten()[values.argmax()]), "Several numbers are largest"),
    (ch11.points_at, lambda values, mask: float(mask[values == values.max()].all()), "unless all"),
    (ch11.points_at, energy, "the energy"),
    (ch11.points_at, lambda values, mask: ((values == values.max()) & mask).sum() / mask.sum(), "object's pixels"),
    (ch11.points_at, lambda values, mask: (mask & (values == values.max())).sum(), "Divide by how many"),
    (ch11.points_at, lambda values, mask: 2 / 3, "the same everywhere"),
    (ch11.points_at, lambda values, mask: "yes", "not str"),
    (ch11.points_at, lambda values, mask: 0.3, "not right"),
    (ch11.sees_through, lambda make_map: True, "hill in the middle"),
    (ch11.sees_through, lambda make_map: False, "un-windowed attention, failed"),
    (ch11.sees_through, lambda make_map: changes(make_map, 0.1), "rollout, failed"),
    (ch11.sees_through, differs_much, "very small numbers"),
    (ch11.sees_through, lambda make_map: changes(make_map, 0.9, weights=False), "looks at no network"),
    (ch11.sees_through, lambda make_map: changes(make_map, 0.9, image=False), "position bias alone"),
    (ch11.sees_through, differs, "trace of attention"),
    (ch11.sees_through, lambda make_map: 1, "True or False"),
    (ch11.chance_of_likeness, None, "Measure it"),
    (ch11.chance_of_likeness, 1 / 24, "very same order"),
    (ch11.chance_of_likeness, 3 / 24, "counts, too"),
    (ch11.chance_of_likeness, 8 / 24, "-0.8 and below"),
    (ch11.chance_of_likeness, 20 / 24, "below 0.8"),
    (ch11.chance_of_likeness, 4, "Divide by the number of orders"),
    (ch11.chance_of_likeness, 0.5, "not right"),
]
