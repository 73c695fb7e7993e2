"""Throughput beside timm's model: the twin computes the same, and what is printed is what was measured."""

import shlex

import pytest
import torch
from _support import error_of

from gcvit_edu.train import TrainConfig
from gcvit_edu.train.cost import main as cost_main
from gcvit_edu.train.recipe import make_model
from gcvit_edu.train.throughput import Throughput, main, timm_twin
from gcvit_edu.weights import convert_state_dict


def test_the_twin_computes_the_same() -> None:
    config = TrainConfig(num_classes=13)
    ours, theirs = make_model(config).eval(), timm_twin(config).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert error_of(ours(images), theirs(images)) < 1e-4


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["batch_size=4", "accumulate=2", "num_classes=13", "device=cpu", "ema_decay=0.9"]
    found = main(["--rounds", "1", "--set", *settings])
    assert Throughput(30.0, 20.0).ratio == 1.5
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "GC ViT nano at 64 pixels, batches of 4, a whole training step"
    assert printed[1] == f"ours {found.ours:.1f} images/s, timm {found.timm:.1f} images/s, ratio {found.ratio:.2f}"


def test_our_model_alone_leads_to_a_cost(capsys: pytest.CaptureFixture[str]) -> None:
    found = main(["--alone", "--rounds", "1", "--set", "batch_size=2", "num_classes=13", "device=cpu", "amp=true"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith(f"{found:.1f} images/s on this CPU, ")
    command = shlex.split(printed[2].partition("python -m gcvit_edu.train.cost ")[2])
    command[0] = "tiny"  # nano is not for ImageNet
    command[-1] = f"{max(1, round(found))}"
    assert cost_main(command) == 0
    assert "measured by you" in capsys.readouterr().out


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
