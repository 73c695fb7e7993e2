"""Chapter 1's online cell, with the download stubbed."""

import re
from pathlib import Path

import nbformat
import pytest
import timm
import torch

from gcvit_edu import weights

CHAPTER = Path(__file__).parents[1] / "book" / "01_first_look.ipynb"


@pytest.fixture
def stubbed_download(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """timm downloads a state dict made here, whose head names class 281 whatever the picture."""
    state_dict = timm.create_model("gcvit_tiny").state_dict()
    state_dict["head.fc.weight"].zero_()
    state_dict["head.fc.bias"].zero_()[281] = 5.0
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", lambda *_, **__: dict(state_dict))
    monkeypatch.setattr(weights, "_licence_printed", False)
    return state_dict


def online_cell() -> str:
    cells = nbformat.read(CHAPTER, as_version=4).cells
    return next(cell.source for cell in cells if "PRETRAINED = False" in cell.source)


def test_pretrained_weights_name_what_is_in_the_picture(
    stubbed_download: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {"image": torch.zeros(1, 3, 224, 224)}
    exec("import torch\nfrom torch import Tensor\nfrom gcvit_edu import create_model", names)
    exec(online_cell().replace("PRETRAINED = False", "PRETRAINED = True"), names)
    out = capsys.readouterr().out
    assert "CC-BY-NC-SA-4.0" in out
    best = re.search(r"^ *([\d.]+)%  (.*)$", out, re.MULTILINE)
    assert best is not None
    assert best[2].startswith("tabby")
    assert len(re.findall(r"%  ", out)) == 5


def test_without_the_switch_nothing_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", refuse)
    exec("import torch\nfrom torch import Tensor\n" + online_cell(), {})
    assert "not downloaded" in capsys.readouterr().out
