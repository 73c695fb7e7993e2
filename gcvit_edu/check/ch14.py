"""Checkers of chapter 14, Fine-tuning."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gcvit_edu.check.verdict import Verdict, call, call_all, compare, not_yet


def factor_for(function: Callable[[tuple[int, ...], float], float]) -> Verdict:
    """Exercise 14.1: function(depths, share) is the factor that leaves the stem this share of the rate."""
    cases = [((2, 2, 4, 2), 0.01), ((3, 4, 19, 5), 0.01), ((2, 2, 6, 2), 0.2), ((1, 1, 1, 1), 1.0)]
    answers, failed = call_all(function, cases)
    if failed:
        return failed
    if not all(isinstance(answer, int | float) for answer in answers):
        return not_yet("Return a Python number.")

    def fits(formula: Callable[[tuple[int, ...], float], float]) -> bool:
        return all(abs(answer - formula(*case)) < 1e-9 for answer, case in zip(answers, cases, strict=True))

    if fits(lambda depths, share: share ** (1 / (sum(depths) + 1))):
        return Verdict(True, "A factor for a depth: the deeper the network, the nearer to 1.")
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
    for diagnosis, wrong in mistakes.items():
        if fits(wrong):
            return not_yet(diagnosis)
    return not_yet(f"For depths {cases[0][0]} and a share of {cases[0][1]} your function gives {answers[0]:.4g}.")


def kept_rows(function: Callable[[Tensor, Tensor, list[str], list[str]], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 14.2: function(weight, bias, old, new) is a head that keeps the rows of classes it knows."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(shape, generator=generator) for shape in ((4, 6), (4,)))
    old, new = ["cat", "cup", "dog", "tree"], ["bird", "dog", "cat"]
    answer, failed = call(function, weight, bias, old, new)
    if failed:
        return failed
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(isinstance(part, Tensor) for part in answer):
        return not_yet("Return two tensors, the new weight and the new bias.")

    def head(places: list[int | None], biases: list[int | None]) -> Tensor:
        rows = [torch.zeros(6) if at is None else weight[at] for at in places]
        ends = [torch.zeros(()) if at is None else bias[at] for at in biases]
        return torch.cat([torch.stack(rows), torch.stack(ends)[:, None]], 1)

    if answer[0].shape != (3, 6) or answer[1].shape != (3,):
        shapes = f"{tuple(answer[0].shape)} and {tuple(answer[1].shape)}"
        return not_yet(
            f"Expected a weight of shape (3, 6) and a bias of shape (3,), one row for each new class; got {shapes}."
        )
    found = torch.cat([answer[0].detach(), answer[1].detach()[:, None]], 1)
    right = [None, 2, 0]
    mistakes = {
        "Rows are matched by place; match them by name.": head([0, 1, 2], [0, 1, 2]),
        "The weights are right, but a class that is known keeps its bias, too.": head(right, [None] * 3),
        "The kept rows are in the old order; the new head has the order of the new classes.": head(
            [0, 2, None], [0, 2, None]
        ),
        "Nothing was kept: two of the three new classes are known.": head([None] * 3, [None] * 3),
        "A class that is not known has no row to take: it begins with zeros.": head([3, 2, 0], [3, 2, 0]),
    }
    return compare(found, head(right, right), "What is known stays known.", mistakes)


class _Layers(nn.Module):
    """A body with batch norm and dropout, and a head with a dropout of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def quiet(function: Callable[[nn.Module], nn.Module]) -> Verdict:
    """Exercise 14.3: function(model) freezes all but the head, and switches the frozen layers to evaluation."""
    answer, failed = call(function, _Layers().train())
    if failed:
        return failed
    if not isinstance(answer, _Layers):
        return not_yet(f"Return the model, not {type(answer).__name__}.")
    if any(value.requires_grad for value in answer.body.parameters()):
        return not_yet("The body's parameters still ask for gradients.")
    if not all(value.requires_grad for value in answer.head.parameters()):
        return not_yet("The head is frozen, too: nothing would learn.")
    modes = {name: [layer.training for layer in part.modules()] for name, part in answer.named_children()}
    if all(modes["body"]):
        return not_yet("The body is in training mode: its dropout makes noise and its batch norm goes on counting.")
    if any(modes["body"]):
        return not_yet("Some layers of the body are in training mode still; eval() of a module reaches all within it.")
    if not any(modes["head"]):
        return not_yet("The head is in evaluation mode: it is the part that learns, and its dropout should work.")
    if not all(modes["head"]):
        return not_yet("Some layers of the head are in evaluation mode; train() of the head reaches all of them.")
    return Verdict(True, "Frozen and quiet. Call it at the start of every epoch: evaluation and train() change modes.")


def difference(function: Callable[[list[float], list[float]], tuple[float, float]]) -> Verdict:
    """Exercise 14.4: function(a, b) is the 95 % interval of the mean difference b - a over three seeds."""
    a, b = [0.520, 0.561, 0.534], [0.561, 0.583, 0.570]
    answer, failed = call(function, list(a), list(b))
    if failed:
        return failed
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return not_yet("Return two numbers, the ends of the interval.")
    low, high = float(answer[0]), float(answer[1])

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

    def fits(middle: float, half: float) -> bool:
        return abs(low - middle + half) < 1e-6 and abs(high - middle - half) < 1e-6

    if fits(mean, half_width):
        return Verdict(True, "Does your interval hold zero? Then three seeds have not shown a difference.")
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
    for diagnosis, (middle, half) in mistakes.items():
        if fits(middle, half):
            return not_yet(diagnosis)
    return not_yet(f"For a small example your interval is {low:.4f} to {high:.4f}, which is not right.")


def probe(function: Callable[[Tensor, Tensor, int, float], Tensor]) -> Verdict:
    """Exercise 14.5: function(features, labels, classes, ridge) is a head by least squares, (width + 1, classes)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 4, dtype=torch.float64, generator=generator)
    labels, ridge = torch.arange(12) % 3, 0.7
    answer, failed = call(function, x, labels, 3, ridge)
    if failed:
        return failed
    ones = torch.cat([x, torch.ones(12, 1, dtype=torch.float64)], 1)
    targets = nn.functional.one_hot(labels, 3).double()

    def solved(rows: Tensor, share: float, wanted: Tensor = targets) -> Tensor:
        return torch.linalg.solve(rows.T @ rows + share * torch.eye(rows.shape[1]).double(), rows.T @ wanted)

    first = torch.cat([ones[:, -1:], x], 1)
    mistakes = {
        "The ridge is missing.": solved(ones, 0.0),
        "The column of ones is missing, so that no class has a bias.": solved(x, ridge),
        "The column of ones comes last, so that the biases are the last row.": solved(first, ridge),
        "The ridge is added once, not once for each picture.": solved(ones, 12 * ridge),
        "The ridge is added as it is, not squared.": solved(ones, ridge**2),
        "The targets are 1 for the right class and 0 for the others.": solved(ones, ridge, 2 * targets - 1),
        "Turn it round: a row for each feature, a column for each class.": solved(ones, ridge).T,
    }
    return compare(
        answer, solved(ones, ridge), "A head without a single step. Now the question.", mistakes, tolerance=1e-6
    )


def blend(function: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], float], dict[str, Tensor]]) -> Verdict:
    """Exercise 14.6: function(before, after, share) is a point on the line between two sets of weights."""
    before = {"body.weight": torch.tensor([1.0, 2.0]), "head.weight": torch.tensor([[4.0]])}
    after = {"body.weight": torch.tensor([3.0, -2.0]), "head.weight": torch.tensor([[8.0], [0.0]])}
    kept = {name: value.clone() for name, value in {**before}.items()}
    answer, failed = call(function, before, after, 0.25)
    if failed:
        return failed
    if not isinstance(answer, dict):
        return not_yet(f"Return a dictionary of tensors, not {type(answer).__name__}.")
    if any(not value.equal(kept[name]) for name, value in before.items()):
        return not_yet("Your function changes the weights it is given; make new tensors.")
    if answer.keys() != after.keys():
        return not_yet("Return all names of the fine-tuned weights, and no others.")
    if answer["head.weight"].shape != (2, 1) or not answer["head.weight"].equal(after["head.weight"]):
        return not_yet("The two heads have other classes: take the fine-tuned one as it is.")
    mistakes = {
        "Share 0 should be the old weights and 1 the new ones; yours is turned round.": torch.tensor([2.5, -1.0]),
        "The body is still the fine-tuned one.": after["body.weight"],
        "The body is still the old one.": before["body.weight"],
        "The two shares should sum to one.": torch.tensor([1.75, 1.5]),
    }
    return compare(answer["body.weight"], torch.tensor([1.5, 1.0]), "Now walk along the line.", mistakes)
