"""Checkers of chapter 14, Fine-tuning."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gcvit_edu.check.answers import call, kind, numbers, tensors
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_formula, compare_numbers, not_yet


@checker()
def factor_for(function: Callable[[tuple[int, ...], float], float]) -> Verdict:
    """Exercise 14.1: function(depths, share) is the factor that leaves the stem this share of the rate."""
    cases = [
        ((2, 2, 4, 2), 0.01),
        ((3, 4, 19, 5), 0.01),
        ((2, 2, 6, 2), 0.2),
        ((1, 1, 1, 1), 1.0),
        ((2, 5), 0.5),
        ((3, 3, 27, 3, 2), 0.001),
    ]
    mistakes = {
        "The stem lies one layer beyond the first block.": lambda depths, share: share ** (1 / sum(depths)),
        "The head is layer 0, so the stem is layer number blocks + 1, not + 2.": (
            lambda depths, share: share ** (1 / (sum(depths) + 2))
        ),
        "You count stages; in this chapter each block is a layer.": lambda depths, share: share ** (1 / 5),
        "You count stages, and the stem lies beyond them; in this chapter each block is a layer.": (
            lambda depths, share: share ** (1 / len(depths))
        ),
        "The factor is multiplied by itself, once for each layer; a share of the way is no root.": (
            lambda depths, share: 1 - (1 - share) / (sum(depths) + 1)
        ),
        "That is the share of the stem for a factor that is given; solve for the factor.": (
            lambda depths, share: share ** (sum(depths) + 1)
        ),
    }
    praise = "A factor for a depth: the deeper the network, the nearer to 1."
    return compare_formula(function, cases, lambda depths, share: share ** (1 / (sum(depths) + 1)), praise, mistakes)


@checker()
def kept_rows(function: Callable[[Tensor, Tensor, list[str], list[str]], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 14.2: function(weight, bias, old, new) is a head that keeps the rows of classes it knows."""

    def tried(weight: Tensor, bias: Tensor, old: list[str], new: list[str]) -> Verdict:
        def head(places: list[int | None], biases: list[int | None]) -> Tensor:
            rows = [torch.zeros(weight.shape[1]) if at is None else weight[at] for at in places]
            ends = [torch.zeros(()) if at is None else bias[at] for at in biases]
            return torch.cat([torch.stack(rows), torch.stack(ends)[:, None]], 1)

        sentence = "Return two tensors, the new weight and the new bias"
        new_weight, new_bias = tensors(call(function, weight, bias, old, new), 2, sentence)
        count, width = len(new), weight.shape[1]
        if new_weight.shape != (count, width) or new_bias.shape != (count,):
            return not_yet(
                f"Expected a weight of shape {(count, width)} and a bias of shape {(count,)}, "
                f"one row for each new class; got {tuple(new_weight.shape)} and {tuple(new_bias.shape)}."
            )
        found = torch.cat([new_weight, new_bias[:, None]], 1)
        right = [old.index(name) if name in old else None for name in new]
        known = [at for at in range(len(old)) if old[at] in new]
        in_old_order = known + [None] * (count - len(known))
        by_place = [at if at < len(old) else None for at in range(count)]
        last = [len(old) - 1 if at is None else at for at in right]
        mistakes = {
            "Rows are matched by place; match them by name.": head(by_place, by_place),
            "The weights are right, but a class that is known keeps its bias, too.": head(right, [None] * count),
            "The kept rows are in the old order; the new head has the order of the new classes.": head(
                in_old_order, in_old_order
            ),
            "Nothing was kept: some of the new classes are known.": head([None] * count, [None] * count),
            "A class that is not known has no row to take: it begins with zeros.": head(last, last),
        }
        return compare(found, head(right, right), "What is known stays known.", mistakes)

    generator = torch.Generator().manual_seed(0)
    cases = (
        (6, ["cat", "cup", "dog", "tree"], ["bird", "dog", "cat"]),
        (3, ["cat", "dog"], ["dog", "fox", "ant", "cat", "cup"]),
        (2, ["a", "b", "c"], ["x", "y"]),
        (4, ["a", "b", "c"], ["c", "b", "a"]),
    )
    return all_right(
        tried(torch.randn(len(old), width, generator=generator), torch.randn(len(old), generator=generator), old, new)
        for width, old, new in cases
    )


class _Layers(nn.Module):
    """A body with batch norm and dropout, and a head with a dropout of its own."""

    def __init__(self, body: str = "body", head: str = "head") -> None:
        super().__init__()
        self.names = body, head
        self.add_module(body, nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)))
        self.add_module(head, nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3)))

    def get_classifier(self) -> nn.Module:
        return self.get_submodule(self.names[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.get_classifier()(self.get_submodule(self.names[0])(x))


@checker()
def quiet(function: Callable[[nn.Module], nn.Module]) -> Verdict:
    """Exercise 14.3: function(model) freezes all but the head, and switches the frozen layers to evaluation."""

    def tried(model: _Layers) -> Verdict:
        answer = call(function, model.train())
        if not isinstance(answer, _Layers):
            return not_yet(f"Return the model, not {kind(answer)}.")
        head = answer.get_classifier()
        inside = set(head.modules())
        body = [layer for layer in answer.modules() if layer not in inside and layer is not answer]
        if any(value.requires_grad for layer in body for value in layer.parameters(recurse=False)):
            return not_yet("The body's parameters still require gradients.")
        if not all(value.requires_grad for value in head.parameters()):
            return not_yet("The head is frozen, too: nothing would learn.")
        modes = {
            "body": [layer.training for layer in body if not inside & set(layer.modules())],
            "head": [layer.training for layer in inside],
        }
        if all(modes["body"]):
            return not_yet("The body is in training mode: its dropout makes noise and its batch norm keeps counting.")
        if any(modes["body"]):
            return not_yet(
                "Some layers of the body are still in training mode; eval() of a module reaches all within it."
            )
        if not any(modes["head"]):
            return not_yet("The head is in evaluation mode: it is the part that learns, and its dropout should work.")
        if not all(modes["head"]):
            return not_yet("Some layers of the head are in evaluation mode; train() of the head reaches all of them.")
        return Verdict(
            True, "Frozen and quiet. Call it at the start of every epoch: evaluation and train() change modes."
        )

    return all_right(map(tried, (_Layers(), _Layers("trunk", "fc"))))


@checker()
def difference(function: Callable[[list[float], list[float]], tuple[float, float]]) -> Verdict:
    """Exercise 14.4: function(a, b) is the 95 % interval of the mean difference b - a over three seeds."""

    def tried(a: list[float], b: list[float]) -> Verdict:
        sentence = "Return two numbers, the ends of the interval"
        low, high = numbers(call(function, a, b), 2, sentence)

        def deviation(values: list[float], less: int = 1) -> float:
            mean = sum(values) / len(values)
            return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - less))

        changes = [y - x for x, y in zip(a, b, strict=True)]
        mean, spread = sum(changes) / 3, deviation(changes)
        apart = math.sqrt(deviation(a) ** 2 + deviation(b) ** 2)
        half_width = 4.303 * spread / math.sqrt(3)
        if abs(low - mean) < 1e-6 and abs(high - half_width) < 1e-6:
            return not_yet("That is the mean and the half width; return the two ends.")
        if low > high:
            return not_yet("The lower end comes first.")

        mistakes = {
            "That is a - b; the question is what changed from a to b.": (-mean, half_width),
            "You added the half widths of the two methods; take the differences first, seed by seed.": (
                mean,
                4.303 * (deviation(a) + deviation(b)) / math.sqrt(3),
            ),
            "1.96 is for many runs; with three the factor is 4.303.": (mean, 1.96 * spread / math.sqrt(3)),
            "That is the interval for one run; the mean of three has a smaller deviation, by the root of 3.": (
                mean,
                4.303 * spread,
            ),
            "Divide the squares by 2, not by 3: the mean was taken from the same three numbers.": (
                mean,
                4.303 * deviation(changes, 0) / math.sqrt(3),
            ),
            "Take the differences first, seed by seed; you took the two methods as independent.": (
                mean,
                4.303 * apart / math.sqrt(3),
            ),
            "That is the root of 3 the wrong way: divide by it.": (mean, 4.303 * spread * math.sqrt(3)),
            "That is the mean alone; add and take off the half width.": (mean, 0.0),
        }
        otherwise = f"For a small example your interval is {low:.4f} to {high:.4f}, which is not right."
        praise = "Does your interval hold zero? Then three seeds have not shown a difference."
        others = {diagnosis: (middle - half, middle + half) for diagnosis, (middle, half) in mistakes.items()}
        right = (mean - half_width, mean + half_width)
        # The tolerance lets 4.30 and 4.302653 pass for 4.303.
        return compare_numbers((low, high), right, praise, others, otherwise, relative=3e-3)

    return all_right(
        tried(a, b)
        for a, b in (
            ([0.520, 0.561, 0.534], [0.561, 0.583, 0.570]),
            ([71.0, 70.5, 72.0], [70.0, 71.5, 72.25]),
        )
    )


@checker()
def probe(function: Callable[[Tensor, Tensor, int, float], Tensor]) -> Verdict:
    """Exercise 14.5: function(features, labels, classes, ridge) is a head by least squares, (width + 1, classes)."""

    def tried(n: int, width: int, classes: int, ridge: float) -> Verdict:
        x = torch.randn(n, width, dtype=torch.float64, generator=generator)
        labels = torch.arange(n) % 3
        ones = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1)
        targets = nn.functional.one_hot(labels, classes).double()

        def solved(rows: Tensor, share: float, wanted: Tensor = targets) -> Tensor:
            return torch.linalg.solve(rows.T @ rows + share * torch.eye(rows.shape[1]).double(), rows.T @ wanted)

        first = torch.cat([ones[:, -1:], x], 1)
        mistakes = {
            "The ridge is missing.": solved(ones, 0.0),
            "The column of ones is missing, so that no class has a bias.": solved(x, ridge),
            "The column of ones comes last, so that the biases are the last row.": solved(first, ridge),
            "The ridge is added once, not once for each picture.": solved(ones, len(x) * ridge),
            "The ridge is added as it is, not squared.": solved(ones, ridge**2),
            "The targets are 1 for the right class and 0 for the others.": solved(ones, ridge, 2 * targets - 1),
            "Transpose it: a row for each feature, a column for each class.": solved(ones, ridge).T,
        }
        answer = call(function, x, labels, classes, ridge)
        praise = "A head without a single step. Now the question."
        return compare(answer, solved(ones, ridge), praise, mistakes, tolerance=1e-6)

    generator = torch.Generator().manual_seed(0)
    return all_right(tried(*case) for case in ((12, 4, 3, 0.7), (5, 7, 4, 2.0), (9, 2, 5, 0.01)))


@checker()
def blend(function: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], float], dict[str, Tensor]]) -> Verdict:
    """Exercise 14.6: function(before, after, share) is a point on the line between two sets of weights."""
    before = {"body.weight": torch.tensor([1.0, 2.0]), "head.weight": torch.tensor([[4.0]])}
    after = {"body.weight": torch.tensor([3.0, -2.0]), "head.weight": torch.tensor([[8.0], [0.0]])}

    def numbers_of(weights: Mapping[str, Tensor]) -> dict[str, list]:
        return {name: value.tolist() for name, value in weights.items()}

    kept, wanted = numbers_of(before), numbers_of(after)
    answer = call(function, before, after, 0.25, copies=False)
    if not isinstance(answer, Mapping):
        return not_yet(f"Return a dictionary of tensors, not {kind(answer)}.")
    if numbers_of(before) != kept or numbers_of(after) != wanted:
        return not_yet("Your function changes the weights it is given; make new tensors.")
    if answer.keys() != wanted.keys():
        return not_yet("Return all names of the fine-tuned weights, and no others.")
    if not compare(answer["head.weight"], torch.tensor(wanted["head.weight"]), "", {}):
        return not_yet("The two heads have different classes: take the fine-tuned one as it is.")
    mistakes = {
        "Share 0 should be the old weights and 1 the new ones; yours is the wrong way round.": torch.tensor(
            [2.5, -1.0]
        ),
        "The body is still the fine-tuned one.": torch.tensor([3.0, -2.0]),
        "The body is still the old one.": torch.tensor([1.0, 2.0]),
        "The two shares should sum to one.": torch.tensor([1.75, 1.5]),
    }
    verdict = compare(answer["body.weight"], torch.tensor([1.5, 1.0]), "Now walk along the line.", mistakes)
    return all_right(itertools.chain([verdict], (_blended(function, share) for share in (0.0, 0.5, 1.0))))


def _blended(function: Callable[..., Any], share: float) -> Verdict:
    """Check that names which hold "head" and do not begin with "head." are taken as the body's."""
    names = ("stem.weight", "overhead.weight", "head_norm.bias", "head.weight", "head.bias")
    before = {name: torch.full((2,), 1.0 + place) for place, name in enumerate(names)}
    after = {name: torch.full((2,), 10.0 * (1 + place)) for place, name in enumerate(names)}
    answer = call(function, before, after, share)
    if not isinstance(answer, Mapping) or answer.keys() != after.keys():
        return not_yet("Return all names of the fine-tuned weights, and no others.")
    for name in names:
        right = after[name] if name.startswith("head.") else torch.lerp(before[name], after[name], share)
        if not compare(answer[name], right, "", {}):
            return not_yet(
                f'{name} is wrong for share {share}; only names that begin with "head." are taken as they are.'
            )
    return Verdict(True, "Now walk along the line.")
