"""Sick runs: each differs from the healthy one in what its name says, and what was run is not run again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gcvit_edu import create_model
from gcvit_edu.train import sick
from gcvit_edu.train.epoch import NonFiniteLoss


def rates_of(case: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of a short run's steps."""
    rates: list[float] = []

    def step(run: Any, network: Any, parts: Any, rate: float, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        rates.append(rate)
        run.step += 1
        return torch.tensor(1.0), torch.tensor(2.0)

    with monkeypatch.context() as patch:
        patch.setattr(sick, "train_step", step)
        patch.setattr(sick, "share_right", lambda *_: 0.5)
        line = sick.fall_ill(case, seed=0, epochs=2, pictures=128)
    assert line["loss"] == [1.0] * len(line["norm"])
    assert line["norm"] == [2.0] * 8  # four steps in an epoch: less than eight points
    assert line["top1"] == [0.5, 0.5]
    return rates


def test_cases_differ_in_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = rates_of("healthy", monkeypatch)
    assert healthy[0] == pytest.approx(1e-6)
    assert max(healthy) == healthy[4] == pytest.approx(1e-3)  # after an epoch of warm-up
    assert rates_of("wrong query", monkeypatch) == healthy
    assert max(rates_of("30 times the rate", monkeypatch)) == pytest.approx(3e-2)
    assert rates_of("no warm-up", monkeypatch)[0] == pytest.approx(1e-3)
    assert rates_of("5 times, no warm-up", monkeypatch)[0] == pytest.approx(5e-3)


def test_a_wrong_query_shows_in_batches_only_and_can_be_repaired() -> None:
    model = create_model("nano", pretrained=True).eval()
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        right = model(images)
        sick.with_queries_tiled(model)
        wrong, alone = model(images), model(images[1:2])
        repaired = sick.repaired(model)(images)
    assert (wrong - right).abs().max() > 0.1
    assert torch.allclose(alone, right[1:2], atol=1e-4)
    assert torch.equal(repaired, right)


def test_a_run_is_real_and_the_same_again() -> None:
    line = sick.fall_ill("wrong query", seed=0, epochs=1, pictures=64)
    assert len(line["loss"]) == 2
    assert 0 <= line["repaired"] <= 1
    assert line == sick.fall_ill("wrong query", seed=0, epochs=1, pictures=64)


def test_a_run_that_dies_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any) -> None:
        raise NonFiniteLoss("no number")

    monkeypatch.setattr(sick, "train_step", step)
    line = sick.fall_ill("30 times the rate", seed=0, epochs=1, pictures=64)
    assert line["died"] == 1
    assert "repaired" not in line


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(ValueError, match="no case 'flu'; there are healthy, 30 times"):
        sick.fall_ill("flu", seed=0, epochs=1)


def test_a_file_is_continued_and_the_stored_one_has_all_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []

    def fall_ill(case: str, *, seed: int, epochs: int) -> dict[str, object]:
        run.append(case)
        return {"case": case, "seed": seed, "epochs": epochs}

    monkeypatch.setattr(sick, "fall_ill", fall_ill)
    file = tmp_path / "sick.jsonl"
    file.write_text(json.dumps({"case": "healthy", "seed": 0, "epochs": 3}) + "\n", encoding="utf-8")
    sick.main(["--out", str(file)])
    assert run == [case for case in sick.CASES if case != "healthy"]
    assert [line["case"] for line in sick.read_sick()] == list(sick.CASES)
