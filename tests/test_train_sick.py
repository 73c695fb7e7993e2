"""Sick runs: each differs from the healthy one in what its name says, and what was run is not run again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu import create_model
from gcvit_edu.attention import GlobalWindowAttention
from gcvit_edu.experiments import failure_modes
from gcvit_edu.train.run import NonFiniteLoss


def watched(case: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[bool], list[bool]]:
    """The learning rates of a short run's steps; whether the bug was there in each step, and when each score came."""
    rates: list[float] = []
    trained_ill: list[bool] = []
    judged_ill: list[bool] = []

    def ill(model: nn.Module) -> bool:
        (found,) = {
            module.attend is failure_modes.attend_to_the_wrong_query
            for module in model.modules()
            if isinstance(module, GlobalWindowAttention)
        }
        return found

    def step(run: Any, network: Any, parts: Any, rate: float, *rest: Any) -> tuple[Tensor, Tensor]:
        rates.append(rate)
        trained_ill.append(ill(network))
        run.step += 1
        return torch.tensor(1.0), torch.tensor(2.0)

    def judge(model: nn.Module, images: Tensor, labels: Tensor) -> float:
        judged_ill.append(ill(model))
        return 0.5

    with monkeypatch.context() as patch:
        patch.setattr(failure_modes, "train_step", step)
        patch.setattr(failure_modes, "held_out_top1", judge)
        line = failure_modes.run_case(case, seed=0, epochs=2, pictures=128)
    assert line["loss"] == [1.0] * len(line["norm"])
    assert line["norm"] == [2.0] * 8  # four steps in an epoch: less than eight points
    assert line["top1"] == [0.5, 0.5]
    return rates, trained_ill, judged_ill


def rates_of(case: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return watched(case, monkeypatch)[0]


@pytest.mark.parametrize("case", failure_modes.CASES)
def test_one_case_has_the_bug_until_it_is_repaired(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, trained, judged = watched(case, monkeypatch)
    assert trained == [case == "wrong query"] * 8
    assert judged == [case == "wrong query"] * 2 + [False]


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
        failure_modes.with_queries_tiled(model)
        wrong, alone = model(images), model(images[1:2])
        repaired = failure_modes.repaired(model)(images)
    assert (wrong - right).abs().max() > 0.1
    assert torch.allclose(alone, right[1:2], atol=1e-4)
    assert torch.equal(repaired, right)


class Oracle(nn.Module):
    """Says the class that a picture's first pixel names; with `shift`, that of another picture of its batch."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return F.one_hot(images[:, 0, 0, 0].roll(self.shift).long(), 13).float()


def test_the_accuracy_is_the_share_that_is_right_in_batches_of_any_classes() -> None:
    labels = torch.arange(13).repeat_interleave(10)  # sorted, as the emoji are; 130 are not whole batches
    images = labels[:, None, None, None].expand(-1, 3, 4, 4).float().clone()
    assert failure_modes.held_out_top1(Oracle(shift=1).train(), images, labels) < 0.3  # sorted, 9 of 10 would be right
    images[::10] = (images[::10] + 1) % 13
    model = Oracle().train()
    assert failure_modes.held_out_top1(model, images, labels) == pytest.approx(0.9)
    assert model.training


def test_a_run_is_real_and_the_same_again() -> None:
    line = failure_modes.run_case("wrong query", seed=0, epochs=1, pictures=64)
    assert len(line["loss"]) == 2
    assert 0 <= line["repaired"] <= 1
    assert line == failure_modes.run_case("wrong query", seed=0, epochs=1, pictures=64)
    assert line["loss"] != failure_modes.run_case("wrong query", seed=1, epochs=1, pictures=64)["loss"]


def test_a_run_that_dies_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any) -> None:
        raise NonFiniteLoss("no number")

    monkeypatch.setattr(failure_modes, "train_step", step)
    line = failure_modes.run_case("30 times the rate", seed=0, epochs=1, pictures=64)
    assert line["died"] == 1
    assert "repaired" not in line


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(ValueError, match="no case 'flu'; there are healthy, 30 times"):
        failure_modes.run_case("flu", seed=0, epochs=1)


def test_a_file_is_continued_and_the_stored_one_has_all_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []

    def run_case(case: str, *, seed: int, epochs: int) -> dict[str, object]:
        run.append(case)
        return {"case": case, "seed": seed, "epochs": epochs}

    monkeypatch.setattr(failure_modes, "run_case", run_case)
    file = tmp_path / "sick.jsonl"
    known = [{"case": "healthy", "seed": 0, "epochs": 3}, {"case": "wrong query", "seed": 0, "epochs": 2}]
    file.write_text("".join(json.dumps(line) + "\n" for line in known), encoding="utf-8")
    failure_modes.main(["--out", str(file)])
    assert run == [case for case in failure_modes.CASES if case != "healthy"]
    assert [line["case"] for line in failure_modes.read_failure_modes()] == list(failure_modes.CASES)
