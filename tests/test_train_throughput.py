"""Throughput beside timm's model: the twin computes the same, and what is printed is what was measured."""

import itertools
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from _support import error_of
from _train import with_set
from torch import nn

import gcvit_edu.bench.device as alone_module
from gcvit_edu.bench.cost import main as cost_main
from gcvit_edu.bench.device import MODES, configs_of, device_throughput
from gcvit_edu.bench.device import main as device_main
from gcvit_edu.bench.training import Throughput, main, timm_twin
from gcvit_edu.hardware import versions
from gcvit_edu.train import TrainConfig
from gcvit_edu.train.recipe import load_recipe, make_model, recipe_names
from gcvit_edu.variants import VARIANTS
from gcvit_edu.weight_keys import convert_state_dict


def test_the_twin_computes_the_same() -> None:
    config = TrainConfig(num_classes=13)
    ours, theirs = make_model(config).eval(), timm_twin(config).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert error_of(ours(images), theirs(images)) < 1e-4


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["batch_size=4", "accumulate=2", "num_classes=13", "device=cpu", "ema_decay=0.9"]
    assert main(["--rounds", "1", *with_set(settings)]) == 0
    assert Throughput(30.0, 20.0).ratio == 1.5
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "GC ViT nano at 64 pixels, batches of 4, a whole training step"
    numbers = re.fullmatch(r"ours ([\d.]+) images/s, timm ([\d.]+) images/s, ratio ([\d.]+)", printed[1])
    assert float(numbers[1]) / float(numbers[2]) == pytest.approx(float(numbers[3]), rel=0.05)


def test_our_model_alone_leads_to_a_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert device_main(["--rounds", "1", *with_set(["batch_size=2", "num_classes=13", "device=cpu", "amp=true"])]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"nano at 64, train, eager, amp, batch 2: [\d.]+ images/s \([\d.]+ to [\d.]+\), [\d.]+ MB at most; CPU",
        printed[0],
    )
    command = shlex.split(printed[1].partition("python -m gcvit_edu.bench cost ")[2])
    command[0] = "tiny"  # nano is not for ImageNet
    command[-1] = f"{max(1, int(command[-1]))}"
    assert cost_main(command) == 0
    assert "measured by you" in capsys.readouterr().out


def test_every_mode_and_graph_is_a_line_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(99))
    file = tmp_path / "speed.jsonl"
    settings = ["image_size=8", "batch_size=4", "num_classes=13", "device=cpu"]
    options = ["--modes", "train", "eval", "--compile", "--rounds", "1", "--json", str(file)]
    assert device_main(["imagenet", *options, *with_set(settings)]) == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    graphs = [(line["mode"], line["config"]["compile"]) for line in lines]
    assert graphs == [("train", False), ("train", True), ("eval", False), ("eval", True)]
    assert len(compiled) == 2
    for line in lines:
        assert line["slowest"] <= line["images_per_second"] <= line["fastest"]
        assert line["mfu"] is None
        assert (line["card"], line["versions"]) == ("CPU", versions())
        assert (line["config"]["batch_size"], line["config"]["ema_decay"], line["config"]["mixup"]) == (4, 0.9998, 0.8)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("imagenet")])
def test_every_recipe_has_a_batch_for_one_device(name: str) -> None:
    (config,) = configs_of([name], ["seed=3"])
    assert (config.batch_size, config.accumulate, config.seed) == (256, 1, 3)
    assert config.model == load_recipe(name).config.model
    assert config.image_size == VARIANTS[config.model].image_size
    assert config.amp
    assert config.channels_last


def test_every_size_of_a_recipe_is_measured_as_the_settings_say() -> None:
    found = configs_of(["imagenet", "imagenette"], ["batch_size=8", "accumulate=2"], ["tiny", "base"])
    assert [(one.model, one.num_classes) for one in found] == [
        ("tiny", 1000),
        ("base", 1000),
        ("tiny", 10),
        ("base", 10),
    ]
    assert {(one.batch_size, one.accumulate) for one in found} == {(8, 2)}
    alone = configs_of([], [], ["nano", "tiny"])
    assert [(one.model, one.image_size) for one in alone] == [("nano", 64), ("tiny", 224)]
    assert configs_of(["imagenet_finetune"], ["weights="], ["large_512"])[0].image_size == 512
    with pytest.raises(ValueError, match="contradict"):
        configs_of(["imagenet"], ["model=base"], ["tiny"])
    with pytest.raises(ValueError, match=r"model='tinny' is no variant"):
        configs_of([], [], ["tinny"])


class Hungry(nn.Module):
    """Out of memory with more than `room` pictures."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.layer, self.modes = room, nn.Linear(3, 13), set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes.add("train" if self.training else "eval")
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. And more")
        return self.layer(x.mean((2, 3)))


@pytest.mark.parametrize(("room", "accumulate", "fitting"), [(99, 1, 32), (9, 1, 8), (2, 1, 2), (9, 4, 32), (2, 4, 8)])
def test_the_largest_batch_that_fits_is_measured(
    room: int, accumulate: int, fitting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(room))
    found = device_throughput(
        TrainConfig(batch_size=32, accumulate=accumulate, num_classes=13, device="cpu", mixup=0.8), rounds=1
    )
    assert found.config.batch_size == fitting


@pytest.mark.parametrize(("batch", "accumulate", "room", "fitting"), [(12, 1, 4, 2), (40, 4, 2, 8)])
def test_halves_of_a_batch_are_equal_parts_that_can_be_paired(
    batch: int, accumulate: int, room: int, fitting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 the half of the half is 3, which mixing refuses; and 10 would be run as four parts of 2."""
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(room))
    config = TrainConfig(batch_size=batch, accumulate=accumulate, num_classes=13, device="cpu", mixup=0.8)
    assert device_throughput(config, rounds=1).config.batch_size == fitting


def test_a_model_that_never_fits_is_a_line_and_not_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(0 if config.model == "large" else 99))
    settings = ["image_size=8", "batch_size=4", "num_classes=13", "device=cpu", "amp=false"]
    assert device_main(["imagenet", "--models", "large", "tiny", "--rounds", "1", *with_set(settings)]) == 2
    printed = capsys.readouterr()
    assert "failed: large at 8, train, eager: large at 8 pixels does not fit with batch_size=2: CUDA" in printed.err
    assert "set grad_checkpointing=True" in printed.err
    assert printed.out.startswith("tiny at 8, train")


def test_a_share_of_the_peak_is_three_times_as_much_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pictures per second are worth three times the operations when a backward pass belongs to them."""
    monkeypatch.setattr(alone_module, "peak_of", lambda device, amp: 1e12)
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(99))
    config = TrainConfig(batch_size=4, num_classes=13, device="cpu")
    shares = {mode: device_throughput(config, mode, 1) for mode in MODES}
    per_image = {mode: found.mfu * 1e12 / found.images_per_second for mode, found in shares.items()}
    assert per_image == {"train": pytest.approx(6 * 3 * 13), "eval": pytest.approx(2 * 3 * 13)}
    assert " MFU " in str(shares["train"])


@pytest.mark.parametrize("mode", MODES)
def test_a_rate_is_pictures_over_seconds(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seconds = Hungry(99), itertools.count()
    monkeypatch.setattr(alone_module, "make_model", lambda config: model)
    monkeypatch.setattr(alone_module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    config = TrainConfig(batch_size=4, accumulate=2, num_classes=13, device="cpu")
    found = device_throughput(config, mode, rounds=3)
    assert (found.images_per_second, found.first_seconds) == (12.0, 1.0)
    assert "train" in model.modes if mode == "train" else model.modes == {"eval"}


@pytest.mark.parametrize(("mode", "rounds", "message"), [("test", 1, "use train or eval"), ("eval", 0, "at least 1")])
def test_alone_refuses(mode: str, rounds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_throughput(TrainConfig(), mode, rounds)


@pytest.mark.parametrize("mode", MODES)
def test_parts_that_are_not_equal_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="batch_size=10 must be a multiple of accumulate=4"):
        device_throughput(TrainConfig(batch_size=10, accumulate=4, device="cpu"), mode)


@pytest.mark.parametrize(
    ("settings", "message"),
    [("image_size=80", "cannot run at image_size=80; use a multiple of 32"), ("modell=tiny", "nearest keys are model")],
)
def test_refusals(settings: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--set", settings])
    assert message in capsys.readouterr().err


def test_no_round_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "--rounds 0 must be at least 1" in capsys.readouterr().err


def test_no_cost_is_printed_for_another_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost is of pictures of the variant's own size."""
    monkeypatch.setattr(alone_module, "make_model", lambda config: Hungry(99))
    settings = with_set(["batch_size=2", "num_classes=13", "device=cpu", "amp=false", "image_size=8"])
    assert device_main(["imagenet", "--rounds", "1", *settings]) == 0
    assert "cost with eight" not in capsys.readouterr().out
