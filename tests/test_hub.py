"""torch.hub finds the variants in hubconf.py."""

import importlib.util
import socket
from types import ModuleType
from typing import Any

import pytest
import torch
from _project import ROOT

from gcvit_edu.variants import list_models
from gcvit_edu.zoo import create_model


@pytest.fixture(scope="module")
def hubconf() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_entries_are_the_variants_and_nothing_else(hubconf: ModuleType) -> None:
    assert [name for name, value in vars(hubconf).items() if callable(value) and name[0] != "_"] == list_models()
    assert all(importlib.util.find_spec(name) for name in hubconf.dependencies)
    assert "image_size: grow or shrink the windows" in hubconf.nano.__doc__


@pytest.mark.parametrize(
    "options", [{}, {"pretrained": "scenes_nano"}, {"pretrained": True, "num_classes": 4, "in_chans": 1}]
)
def test_a_folder_is_a_hub(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = torch.hub.load(str(ROOT), "nano", source="local", **options)
    expected = create_model("nano", **options)
    assert model.config == expected.config
    if options:
        assert torch.equal(model.stem.conv.weight, expected.stem.conv.weight)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="act_layer"):
        torch.hub.load(str(ROOT), "nano", source="local", act_layer="relu")
