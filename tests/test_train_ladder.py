"""The ladder of additions: each run is of one rung and one seed, and what was run is not run again."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from gcvit_edu.experiments import training_ladder
from gcvit_edu.train.mixup import apply_mixup


@dataclass
class Seen:
    """What a climb did."""

    rates: list[float] = field(default_factory=list)
    decays: list[float] = field(default_factory=list)
    augmented: bool = False
    mixed: int = 0


def watched_climb(monkeypatch: pytest.MonkeyPatch, rung: str) -> tuple[Seen, dict[str, Any]]:
    seen = Seen()

    class Optimizer(torch.optim.AdamW):
        def step(self) -> None:
            seen.rates.append(self.param_groups[0]["lr"])
            seen.decays = [group["weight_decay"] for group in self.param_groups]
            super().step()

    def loader(samples: Subset, *arguments: object, **options: object) -> DataLoader:
        if options.get("shuffle"):
            first = samples[0][0]
            samples.dataset.set_epoch(7)
            seen.augmented |= not torch.equal(samples[0][0], first)
        return DataLoader(samples, *arguments, **options)

    def mixed(*arguments: object) -> Any:
        seen.mixed += 1
        return apply_mixup(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training_ladder, "AdamW", Optimizer)
        patch.setattr(training_ladder, "DataLoader", loader)
        patch.setattr(training_ladder, "apply_mixup", mixed)
        patch.setattr(training_ladder, "BATCH", 8)
        return seen, training_ladder.train_rung(rung, seed=0, epochs=2, pictures=40)


def test_each_rung_adds_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {rung: watched_climb(monkeypatch, rung)[0] for rung in training_ladder.RUNGS}
    assert {rung: len(set(of.rates)) > 1 for rung, of in seen.items()} == dict.fromkeys(training_ladder.RUNGS, True) | {
        "naked": False
    }
    assert [of.decays for of in seen.values()] == [[0.05], [0.05], [0.05, 0.0], [0.05, 0.0], [0.05, 0.0]]
    assert [of.mixed for of in seen.values()] == [0, 0, 0, 0, 10]
    assert [of.augmented for of in seen.values()] == [False, False, False, True, True]


def test_a_climb_gives_its_scores_and_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = watched_climb(monkeypatch, "mixing")[1]
    assert (line["rung"], line["seed"], line["epochs"]) == ("mixing", 0, 2)
    assert 0 <= line["top1"] <= 1
    assert 0 <= line["average_top1"] <= 1
    assert watched_climb(monkeypatch, "mixing")[1] == line


def test_an_unknown_rung_is_refused() -> None:
    with pytest.raises(ValueError, match="no rung 'warmup'; there are naked, schedule"):
        training_ladder.train_rung("warmup", seed=0, epochs=1)


def test_a_file_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    run = []

    def train_rung(rung: str, *, seed: int, epochs: int) -> dict[str, object]:
        run.append((rung, seed, epochs))
        return {"rung": rung, "seed": seed, "epochs": epochs}

    monkeypatch.setattr(training_ladder, "train_rung", train_rung)
    file = tmp_path / "ladder.jsonl"
    file.write_text(json.dumps({"rung": "naked", "seed": 1, "epochs": 3}) + "\n", encoding="utf-8")
    training_ladder.main(["--out", str(file), "--epochs", "3", "--seeds", "2"])
    assert len(run) == 9
    assert ("naked", 1, 3) not in run
    assert training_ladder.read_ladder(file) == [
        json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert len(training_ladder.read_ladder(file)) == 10
    training_ladder.main(["--out", str(file), "--epochs", "3", "--seeds", "2"])
    assert len(run) == 9
    assert len(capsys.readouterr().out.splitlines()) == 9
