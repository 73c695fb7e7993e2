"""Right and wrong answers to the exercises of chapter 14, with the diagnosis each wrong one must get."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.check import Verdict, ch14
from gcvit_edu.zoo import freeze_all_but_head


def factor(depths: tuple[int, ...], share: float) -> float:
    return share ** (1 / (sum(depths) + 1))


def rows(weight: Tensor, bias: Tensor, places: Sequence[int | None]) -> tuple[Tensor, Tensor]:
    kept = [weight[0] * 0 if at is None else weight[at] for at in places]
    return torch.stack(kept), torch.stack([bias[0] * 0 if at is None else bias[at] for at in places])


def head(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> tuple[Tensor, Tensor]:
    return rows(weight, bias, [old.index(name) if name in old else None for name in new])


def in_old_order(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> tuple[Tensor, Tensor]:
    kept: list[int | None] = [at for at, name in enumerate(old) if name in new]
    return rows(weight, bias, kept + [None] * (len(new) - len(kept)))


def last_for_unknown(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> tuple[Tensor, Tensor]:
    return rows(weight, bias, [old.index(name) if name in old else -1 for name in new])


def quiet(model: nn.Module) -> nn.Module:
    freeze_all_but_head(model).eval()
    model.get_classifier().train()
    return model


def then(*steps: Callable[[Any], object]) -> Callable[[nn.Module], nn.Module]:
    """The right answer, and then something that spoils it."""

    def function(model: nn.Module) -> nn.Module:
        quiet(model)
        for step in steps:
            step(model)
        return model

    return function


def deviation(values: Sequence[float], less: int = 1) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - less))


def changes(a: list[float], b: list[float]) -> list[float]:
    return [y - x for x, y in zip(a, b, strict=True)]


def around(middle: float, half: float) -> tuple[float, float]:
    return middle - half, middle + half


def with_half(width: Callable[[list[float]], float]) -> Callable[[list[float], list[float]], tuple[float, float]]:
    """An interval of the mean change with another half width."""
    return lambda a, b: around(sum(changes(a, b)) / 3, width(changes(a, b)))


difference = with_half(lambda c: 4.303 * deviation(c) / math.sqrt(3))


def as_independent(a: list[float], b: list[float]) -> tuple[float, float]:
    both = math.sqrt(deviation(a) ** 2 + deviation(b) ** 2)
    return around(sum(changes(a, b)) / 3, 4.303 * both / math.sqrt(3))


def with_ones(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def solved(x: Tensor, labels: Tensor, classes: int, ridge: float) -> Tensor:
    y = F.one_hot(labels, classes).to(x)
    return torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]).to(x), x.T @ y)


def probe(x: Tensor, labels: Tensor, classes: int, ridge: float) -> Tensor:
    return solved(with_ones(x), labels, classes, ridge)


def signs(x: Tensor, labels: Tensor, classes: int, ridge: float) -> Tensor:
    ones = with_ones(x)
    y = 2 * F.one_hot(labels, classes).to(x) - 1
    return torch.linalg.solve(ones.T @ ones + ridge * torch.eye(ones.shape[1]).to(x), ones.T @ y)


Weights = Mapping[str, Tensor]


def blend_with(body: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[Weights, Weights, float], dict]:
    """A blend whose body is made in another way."""
    return lambda before, after, share: {
        name: value if name.startswith("head.") else body(before[name], value, share) for name, value in after.items()
    }


blend = blend_with(torch.lerp)


def in_place(before: Weights, after: Weights, share: float) -> dict[str, Tensor]:
    return {
        name: value if name.startswith("head.") else before[name].lerp_(value, share) for name, value in after.items()
    }


def old_head(before: Weights, after: Weights, share: float) -> dict[str, Tensor]:
    return {**blend(before, after, share), "head.weight": before["head.weight"]}


RIGHT: list[tuple[Callable[..., Verdict], Any]] = [
    (ch14.factor_for, factor),
    (ch14.factor_for, lambda d, s: math.exp(math.log(s) / (1 + sum(d)))),
    (ch14.kept_rows, head),
    (ch14.kept_rows, lambda w, b, old, new: list(head(w, b, old, new))),
    (ch14.quiet, quiet),
    (ch14.difference, difference),
    (ch14.probe, probe),
    (ch14.probe, lambda x, y, n, r: probe(x.double(), y, n, r)),
    (ch14.blend, blend),
    (ch14.blend, blend_with(lambda x, y, s: (1 - s) * x + s * y)),
]

WRONG: list[tuple[Callable[..., Verdict], Any, str]] = [
    (ch14.factor_for, lambda d, s: s ** (1 / sum(d)), "one layer beyond the first block"),
    (ch14.factor_for, lambda d, s: s ** (1 / (sum(d) + 2)), "not + 2"),
    (ch14.factor_for, lambda d, s: s ** (1 / 5), "You count stages"),
    (ch14.factor_for, lambda d, s: s ** (1 / len(d)), "and the stem lies beyond them"),
    (ch14.factor_for, lambda d, s: 1 - (1 - s) / (sum(d) + 1), "is no root"),
    (ch14.factor_for, lambda d, s: s ** (sum(d) + 1), "solve for the factor"),
    (ch14.factor_for, lambda d, s: 0.75, "your function gives 0.75"),
    (ch14.factor_for, lambda d, s: "0.75", "Return a Python number"),
    (ch14.kept_rows, lambda w, b, old, new: rows(w, b, [0, 1, 2]), "matched by place"),
    (ch14.kept_rows, lambda w, b, old, new: (head(w, b, old, new)[0], b[:3] * 0), "keeps its bias"),
    (ch14.kept_rows, in_old_order, "in the old order"),
    (ch14.kept_rows, lambda w, b, old, new: rows(w, b, [None] * 3), "Nothing was kept"),
    (ch14.kept_rows, last_for_unknown, "begins with zeros"),
    (ch14.kept_rows, lambda w, b, old, new: (w, b), "one row for each new class"),
    (ch14.kept_rows, lambda w, b, old, new: w, "Return two tensors"),
    (ch14.kept_rows, lambda w, b, old, new: rows(2 * w, b, [None, 2, 0]), "the values are not"),
    (ch14.quiet, lambda model: None, "returned None"),
    (ch14.quiet, lambda model: 7, "Return the model, not int"),
    (ch14.quiet, lambda model: model.eval(), "still require gradients"),
    (ch14.quiet, then(lambda model: model.requires_grad_(False)), "The head is frozen, too"),
    (ch14.quiet, then(lambda model: model.train()), "The body is in training mode"),
    (ch14.quiet, then(lambda model: model.body[2].train()), "Some layers of the body"),
    (ch14.quiet, then(lambda model: model.eval()), "The head is in evaluation mode"),
    (ch14.quiet, then(lambda model: model.head[0].eval()), "Some layers of the head"),
    (ch14.difference, lambda a, b: difference(b, a), "what changed from a to b"),
    (ch14.difference, with_half(lambda c: 1.96 * deviation(c) / math.sqrt(3)), "1.96 is for many runs"),
    (ch14.difference, with_half(lambda c: 4.303 * deviation(c)), "interval for one run"),
    (ch14.difference, with_half(lambda c: 4.303 * deviation(c, 0) / math.sqrt(3)), "by 2, not by 3"),
    (ch14.difference, as_independent, "as independent"),
    (ch14.difference, with_half(lambda c: 4.303 * deviation(c) * math.sqrt(3)), "the wrong way"),
    (ch14.difference, with_half(lambda c: 0.0), "the mean alone"),
    (ch14.difference, with_half(lambda c: -1.0), "The lower end comes first"),
    (ch14.difference, with_half(lambda c: 0.5), "which is not right"),
    (
        ch14.difference,
        lambda a, b: (
            sum(b) / 3 - sum(a) / 3,
            4.303 * deviation([y - x for x, y in zip(a, b, strict=True)]) / math.sqrt(3),
        ),
        "mean and the half width",
    ),
    (
        ch14.difference,
        lambda a, b: with_half(lambda c: 4.303 * (deviation(a) + deviation(b)) / math.sqrt(3))(a, b),
        "added the half widths",
    ),
    (ch14.difference, lambda a, b: 0.04, "Return two numbers"),
    (ch14.probe, lambda x, y, n, r: probe(x, y, n, 0.0), "The ridge is missing"),
    (ch14.probe, solved, "column of ones is missing"),
    (ch14.probe, lambda x, y, n, r: probe(x, y, n, r).roll(1, 0), "column of ones comes last"),
    (ch14.probe, lambda x, y, n, r: probe(x, y, n, len(x) * r), "added once"),
    (ch14.probe, lambda x, y, n, r: probe(x, y, n, r * r), "not squared"),
    (ch14.probe, signs, "0 for the others"),
    (ch14.probe, lambda x, y, n, r: probe(x, y, n, r).T, "Transpose it"),
    (ch14.blend, blend_with(lambda x, y, s: torch.lerp(y, x, s)), "wrong way round"),
    (ch14.blend, blend_with(lambda x, y, s: y), "still the fine-tuned one"),
    (ch14.blend, blend_with(lambda x, y, s: x), "still the old one"),
    (ch14.blend, blend_with(lambda x, y, s: x + s * y), "should sum to one"),
    (ch14.blend, in_place, "make new tensors"),
    (ch14.blend, old_head, "take the fine-tuned one as it is"),
    (ch14.blend, lambda x, y, s: {"body.weight": x["body.weight"]}, "Return all names"),
    (ch14.blend, lambda x, y, s: [x, y], "not list"),
]
