"""Networks trained side by side: the same batches for all, the same results for one alone, and lines that are kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from _support import images as some_images
from _support import small_model
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from gcvit_edu.experiments import query_ablations
from gcvit_edu.interventions import QUERY_CHANGES, changed_query
from gcvit_edu.mixers import MIXERS, with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.mixup import apply_mixup
from gcvit_edu.train.optim import learning_rate
from gcvit_edu.train.recipe import load_recipe

CPU = Place(0, 1, torch.device("cpu"))


def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    for step in range(2):
        yield some_images(4, 64, seed=2 * epoch + step), torch.eye(5)[:4]


def made(mixer: str) -> GCViT:
    torch.manual_seed(0)  # of the parts that are exchanged
    return with_mixer(small_model(), mixer)


def test_together_is_as_alone() -> None:
    together = {mixer: made(mixer) for mixer in ("global query", "local only")}
    losses = query_ablations.train_together(together, batches, epochs=2, steps=2)
    alone = {"local only": made("local only")}
    assert query_ablations.train_together(alone, batches, epochs=2, steps=2) == {"local only": losses["local only"]}
    for one, other in zip(alone["local only"].parameters(), together["local only"].parameters(), strict=True):
        assert torch.equal(one, other)
    assert losses["global query"] != losses["local only"]
    assert not any(net.training for net in together.values())


def test_the_loss_of_the_last_epoch_falls() -> None:
    first = query_ablations.train_together({0: small_model()}, batches, epochs=1, steps=2)
    last = query_ablations.train_together({0: small_model()}, lambda _: batches(0), epochs=8, steps=2)
    assert last[0] < first[0]


def test_rates_decays_and_the_smoothed_loss_are_those_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    decays: list[float] = []

    class Optimizer(torch.optim.AdamW):
        def step(self) -> None:
            (rate,) = {group["lr"] for group in self.param_groups}
            rates.append(rate)
            decays[:] = [group["weight_decay"] for group in self.param_groups]
            super().step()

    monkeypatch.setattr(query_ablations, "AdamW", Optimizer)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    some, targets = torch.randn(4, 3, 2, 2), torch.eye(5)[:4]
    with torch.no_grad():
        before = F.cross_entropy(net(some), targets, label_smoothing=0.1).item()
    assert query_ablations.train_together({0: net}, lambda _: [(some, targets)], epochs=1, steps=1) == {
        0: pytest.approx(before)
    }
    rates.clear()
    query_ablations.train_together({0: net}, lambda _: 5 * [(some, targets)], epochs=4, steps=5)
    plan = {"total": 20, "warmup": 2, "first": 1e-6, "peak": 1e-3, "last": 1e-6}
    assert rates == [learning_rate(step, **plan) for step in range(20)]
    assert decays == [0.05, 0.0]


@pytest.mark.parametrize("steps", [1, 3])
def test_batches_must_be_as_many_as_steps(steps: int) -> None:
    """Else means and rates would be wrong without a word."""
    with pytest.raises(ValueError, match="zip"):
        query_ablations.train_together({0: small_model()}, batches, epochs=1, steps=steps)


def test_a_loss_that_is_not_finite_stops() -> None:
    def broken(_: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.full((2, 3, 64, 64), float("nan")), torch.eye(5)[:2]

    with pytest.raises(ArithmeticError, match="the loss of x is nan in epoch 1; lower PEAK"):
        query_ablations.train_together({"x": small_model()}, broken, epochs=2, steps=1)


def test_networks_of_one_seed_differ_only_where_they_must() -> None:
    one, same, other = (query_ablations.network(*what, classes=13, seed=0) for what in (
        ("global query", query_ablations.OWN), ("global query", query_ablations.OWN),
        ("local only", query_ablations.NARROW),
    ))  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert torch.equal(one.stem.conv.weight, other.stem.conv.weight)
    assert [stage.blocks[0].attn.window for stage in other.stages] == [4, 4, 2, 2]
    assert one.config.drop_path_rate == 0


def test_scores_of_changed_queries() -> None:
    net, pictures = small_model(), some_images(12, 64)
    with torch.no_grad():
        labels = net(pictures).argmax(1)
    scores = query_ablations.query_scores(net, pictures, labels, CPU)
    assert list(scores) == list(QUERY_CHANGES)
    assert scores["unchanged"] == 1
    assert scores["zero"] < 1
    for none in ([], ()):
        assert query_ablations.query_scores(net, pictures, labels, CPU, stages=none) == {"unchanged": 1}
    assert query_ablations.query_scores(with_mixer(small_model(), "shifted"), pictures, labels, CPU).keys() == {
        "unchanged"
    }


def test_each_change_is_applied_to_pictures_whose_neighbours_have_any_class(monkeypatch: pytest.MonkeyPatch) -> None:
    net, pictures = small_model(), some_images(12, 64)
    labels = torch.arange(12)  # each is another, so that they tell the order; judged as of 5 classes nowhere
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def judge(model: GCViT, parts: Any, classes: int, place: Place) -> SimpleNamespace:
        (batch,) = parts
        with torch.no_grad():
            seen.append((*batch, model(batch[0])))
        return SimpleNamespace(top1=len(seen) / 100)

    monkeypatch.setattr(query_ablations, "evaluate", judge)
    scores = query_ablations.query_scores(net, pictures, labels, CPU, stages=(0, 2))
    assert scores == {name: number / 100 for number, name in enumerate(QUERY_CHANGES, start=1)}
    order = seen[0][1]
    assert order.sort().values.equal(labels)
    assert (order.diff() == 1).sum() < 4  # neighbours before are hardly neighbours now
    for (images, own, logits), change in zip(seen, QUERY_CHANGES.values(), strict=True):
        assert torch.equal(own, order)
        assert torch.equal(images, pictures[order])
        with torch.no_grad(), changed_query(net, lambda query, change=change: change(query, 0), (0, 2)):
            assert torch.equal(logits, net(pictures[order]))
    unchanged, *others = [logits for _, _, logits in seen]
    assert not any(torch.equal(logits, unchanged) for logits in others)


# ------------------------------------------------------------------------------------------------- the whole command


class Few(Dataset):
    """The first pictures of a data set."""

    def __init__(self, dataset: Any, length: int) -> None:
        self.dataset, self.length = dataset, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> Few:
    """Nine pictures to train on, in batches of four, and small networks; gives the training set."""
    recipe = load_recipe("emoji_nano")
    training, validation = recipe.make_data(recipe.config)
    few = Few(training, 9)
    object.__setattr__(recipe, "make_data", lambda config: (few, Few(validation, 6)))
    monkeypatch.setattr(query_ablations, "load_recipe", lambda name: recipe)
    monkeypatch.setattr(query_ablations, "BATCH", 4)
    monkeypatch.setattr(query_ablations, "network", lambda mixer, windows, *, classes, seed: with_mixer(
        small_model(seed, window_sizes=windows, num_classes=classes), mixer
    ))  # fmt: skip
    return few


def test_chance_follows_from_seed_epoch_and_step(little: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed: list[tuple[int, ...]] = []
    epochs: list[int] = []

    def watched_mix(images: Tensor, labels: Tensor, config: Any, *key: int) -> tuple[Tensor, Tensor]:
        mixed.append((config.seed, *key))
        return apply_mixup(images, labels, config, *key)

    def only_load(networks: dict, batches: Any, epochs: int, steps: int) -> dict:
        for epoch in range(epochs):
            found = list(batches(epoch))
            assert [(images.shape, targets.shape) for images, targets in found] == steps * [((4, 3, 64, 64), (4, 13))]
            for _, targets in found:
                torch.testing.assert_close(targets.sum(1), torch.ones(4))
        return dict.fromkeys(networks, 0.0)

    monkeypatch.setattr(query_ablations, "apply_mixup", watched_mix)
    monkeypatch.setattr(query_ablations, "train_together", only_load)
    monkeypatch.setattr(little, "set_epoch", epochs.append)
    next(query_ablations.ablate(3, 2, CPU))
    assert epochs == [6, 7]  # no epoch of one seed is one of another
    assert mixed == [(3, epoch, step) for epoch in range(2) for step in range(2)]


@pytest.mark.usefixtures("little")
def test_the_command_writes_a_line_for_each_network_and_runs_no_seed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lines.jsonl"
    query_ablations.main(["--out", str(file), "--epochs", "1", "--seeds", "3", "--device", "cpu"])
    lines = query_ablations.read_ablations(file)
    assert [(tuple(line["windows"]), line["mixer"]) for line in lines] == [
        (windows, mixer) for windows in (query_ablations.OWN, query_ablations.NARROW) for mixer in MIXERS
    ]
    for line in lines:
        assert (line["seed"], line["epochs"]) == (3, 1)
        assert 0 <= line["top1"] <= 1
        assert set(line["changed"]) == (
            set() if line["mixer"] in ("local only", "shifted") else set(QUERY_CHANGES) - {"unchanged"}
        )
    monkeypatch.setattr(query_ablations, "ablate", lambda seed, epochs, *_: [{"seed": seed, "epochs": epochs}])
    query_ablations.main(["--out", str(file), "--epochs", "1", "--seeds", "3", "4", "--device", "cpu"])
    assert query_ablations.read_ablations(file) == [*lines, {"seed": 4, "epochs": 1}]
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[-1])["seed"] == 4
    query_ablations.main(["--out", str(file), "--epochs", "2", "--seeds", "3", "--device", "cpu"])
    assert query_ablations.read_ablations(file)[len(lines) + 1 :] == [{"seed": 3, "epochs": 2}]


def test_the_stored_lines_are_of_all_networks_with_three_seeds() -> None:
    lines = query_ablations.read_ablations()
    assert {(tuple(line["windows"]), line["mixer"], line["seed"]) for line in lines} == {
        (windows, mixer, seed)
        for windows in (query_ablations.OWN, query_ablations.NARROW)
        for mixer in MIXERS
        for seed in range(3)
    }
    for line in lines:
        net = query_ablations.network(line["mixer"], tuple(line["windows"]), classes=13, seed=0)
        assert line["parameters"] == sum(weight.numel() for weight in net.parameters())
