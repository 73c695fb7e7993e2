"""Networks trained side by side: the same batches for all, the same results for one alone, and lines that are kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from _support import images as some_images
from _support import small_model
from torch import Tensor
from torch.utils.data import Dataset

from gcvit_edu.ablation import MIXERS, QUERY_CHANGES, with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.train import ablations
from gcvit_edu.train.dist import Place
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
    losses = ablations.train_together(together, batches, epochs=2, steps=2)
    alone = {"local only": made("local only")}
    assert ablations.train_together(alone, batches, epochs=2, steps=2) == {"local only": losses["local only"]}
    for one, other in zip(alone["local only"].parameters(), together["local only"].parameters(), strict=True):
        assert torch.equal(one, other)
    assert losses["global query"] != losses["local only"]
    assert not any(net.training for net in together.values())


def test_the_loss_of_the_last_epoch_falls() -> None:
    first = ablations.train_together({0: small_model()}, batches, epochs=1, steps=2)
    last = ablations.train_together({0: small_model()}, lambda _: batches(0), epochs=8, steps=2)
    assert last[0] < first[0]


def test_a_loss_that_is_not_finite_stops() -> None:
    def broken(_: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.full((2, 3, 64, 64), float("nan")), torch.eye(5)[:2]

    with pytest.raises(ArithmeticError, match="the loss of x is nan in epoch 1; lower PEAK"):
        ablations.train_together({"x": small_model()}, broken, epochs=2, steps=1)


def test_networks_of_one_seed_differ_only_where_they_must() -> None:
    one, same, other = (ablations.network(*what, classes=13, seed=0) for what in (
        ("global query", ablations.OWN), ("global query", ablations.OWN), ("local only", ablations.NARROW)
    ))  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert torch.equal(one.stem.conv.weight, other.stem.conv.weight)
    assert [stage.blocks[0].attn.window for stage in other.stages] == [4, 4, 2, 2]
    assert one.config.drop_path_rate == 0


def test_scores_of_changed_queries() -> None:
    net, pictures = small_model(), some_images(12, 64)
    with torch.no_grad():
        labels = net(pictures).argmax(1)
    scores = ablations.query_scores(net, pictures, labels, CPU)
    assert list(scores) == list(QUERY_CHANGES)
    assert scores["unchanged"] == 1
    assert scores["zero"] < 1
    assert ablations.query_scores(net, pictures, labels, CPU, stages=[]) == {"unchanged": 1}
    assert ablations.query_scores(with_mixer(small_model(), "shifted"), pictures, labels, CPU).keys() == {"unchanged"}


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


def test_the_command_writes_a_line_for_each_network_and_runs_no_seed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("emoji_nano")
    training, validation = recipe.make_data(recipe.config)
    object.__setattr__(recipe, "make_data", lambda config: (Few(training, 9), Few(validation, 6)))
    monkeypatch.setattr(ablations, "load_recipe", lambda name: recipe)
    monkeypatch.setattr(ablations, "BATCH", 4)
    monkeypatch.setattr(ablations, "network", lambda mixer, windows, *, classes, seed: with_mixer(
        small_model(seed, window_sizes=windows, num_classes=classes), mixer
    ))  # fmt: skip
    file = tmp_path / "lines.jsonl"
    ablations.main(["--out", str(file), "--epochs", "1", "--seeds", "3", "--device", "cpu"])
    lines = ablations.read_ablations(file)
    assert [(tuple(line["windows"]), line["mixer"]) for line in lines] == [
        (windows, mixer) for windows in (ablations.OWN, ablations.NARROW) for mixer in MIXERS
    ]
    for line in lines:
        assert (line["seed"], line["epochs"]) == (3, 1)
        assert 0 <= line["top1"] <= 1
        assert set(line["changed"]) == (
            set() if line["mixer"] in ("local only", "shifted") else set(QUERY_CHANGES) - {"unchanged"}
        )
    monkeypatch.setattr(ablations, "ablate", lambda seed, *_: [{"seed": seed, "epochs": 1}])
    ablations.main(["--out", str(file), "--epochs", "1", "--seeds", "3", "4", "--device", "cpu"])
    assert ablations.read_ablations(file) == [*lines, {"seed": 4, "epochs": 1}]
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[-1])["seed"] == 4


def test_the_stored_lines_are_of_all_networks_with_three_seeds() -> None:
    lines = ablations.read_ablations()
    assert {(tuple(line["windows"]), line["mixer"], line["seed"]) for line in lines} == {
        (windows, mixer, seed) for windows in (ablations.OWN, ablations.NARROW) for mixer in MIXERS for seed in range(3)
    }
    for line in lines:
        net = ablations.network(line["mixer"], tuple(line["windows"]), classes=13, seed=0)
        assert line["parameters"] == sum(weight.numel() for weight in net.parameters())
