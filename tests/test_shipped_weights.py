"""The weights that come with the package: small, whole, found without a network, and as good as their card says."""

import hashlib
import socket
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import gcvit_edu
from gcvit_edu.files import data_folder, read_log
from gcvit_edu.train import evaluate, load_recipe
from gcvit_edu.train.batches import validation_batches
from gcvit_edu.train.config import replaced
from gcvit_edu.train.distributed import start

NAMES = list(gcvit_edu.shipped_weights())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def right(model: nn.Module, name: str) -> tuple[int, int]:
    """How many validation pictures of its recipe a model names rightly, and how many there are."""
    recipe = load_recipe(name)
    config = recipe.config
    validation, place = recipe.make_data(config)[1], start("cpu")
    scores = evaluate(model, validation_batches(validation, config, place), config.num_classes, place)
    return round(scores.top1 * scores.samples), scores.samples


def loaded(name: str) -> nn.Module:
    known = gcvit_edu.shipped_weights()[name]
    return gcvit_edu.create_model(known["variant"], image_size=known["image_size"], pretrained=name).eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_whole_and_small(name: str) -> None:
    content = (data_folder("weights") / f"{name}.safetensors").read_bytes()
    assert len(content) <= 6e6
    assert hashlib.sha256(content).hexdigest() == gcvit_edu.shipped_weights()[name]["sha256"]
    assert sum(value.numel() for value in loaded(name).parameters()) <= 3e6


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_good_as_it_says(name: str) -> None:
    known = gcvit_edu.shipped_weights()[name]
    model = loaded(name)
    count, pictures = right(model, name)
    assert pictures == known["pictures"]
    # Another processor rounds otherwise, and two logits may be that close.
    assert abs(count - known["top1"] * pictures) <= 1.01
    confusion = torch.tensor(known["confusion"])
    assert (confusion.sum(), confusion.trace()) == (pictures, round(known["top1"] * pictures))
    with torch.no_grad():
        model.head.weight.copy_(model.head.weight.roll(1, 0))
    assert right(model, name)[0] < 0.5 * count, "another order of the classes would have been seen"


@pytest.mark.parametrize("name", NAMES)
def test_its_log_is_there_and_agrees(name: str) -> None:
    known = gcvit_edu.shipped_weights()[name]
    begun, *_, last = read_log(data_folder("runs") / f"{name}.jsonl")
    recipe = load_recipe(known["recipe"])
    assert replaced(recipe.config, begun["config"]) == recipe.config, "the recipe is what was run"
    assert last["epoch"] == known["epochs"] == recipe.config.epochs
    # Half precision moves a picture or two.
    assert abs(last["ema_top1"] - known["top1"]) * known["pictures"] <= 3


@pytest.mark.parametrize("name", NAMES)
def test_the_card_and_the_recipe_state_what_was_found(name: str) -> None:
    known = gcvit_edu.shipped_weights()[name]
    figure = f"{100 * known['top1']:.1f} %"
    card = (data_folder("weights") / "README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in card
    assert figure in card
    assert figure in load_recipe(known["recipe"]).text


def test_nano_comes_with_the_emoji() -> None:
    model = gcvit_edu.create_model("nano", pretrained=True)
    assert model.num_classes == 13 == len(gcvit_edu.shipped_weights()["emoji_nano"]["classes"])
    named = gcvit_edu.create_model("nano", num_classes=13)
    gcvit_edu.load_weights(named, "emoji_nano")
    assert all(torch.equal(value, named.state_dict()[key]) for key, value in model.state_dict().items())
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


def test_nano_with_another_head() -> None:
    model = gcvit_edu.create_model("nano", pretrained=True, num_classes=5)
    assert model.head.weight.shape == (5, 256)
    assert torch.equal(model.norm.weight, gcvit_edu.create_model("nano", pretrained=True).norm.weight)
    assert gcvit_edu.create_model("nano").num_classes == 1000


def test_nano_through_timm() -> None:
    ours = gcvit_edu.create_model("nano", pretrained=True)
    assert torch.equal(timm.create_model("gcvit_edu_nano", pretrained=True).head.weight, ours.head.weight)
    assert timm.create_model("gcvit_edu_nano").num_classes == 1000
    features = timm.create_model("gcvit_edu_nano", pretrained=True, features_only=True)
    assert torch.equal(features.model.stem.conv.weight, ours.stem.conv.weight)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("tiny", {"pretrained": "emoji_nano"}, "called 'emoji_nano' for tiny"),
        ("tiny2", {"pretrained": True}, "for tiny2"),
    ],
)
def test_weights_that_do_not_exist(name: str, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=f"no pretrained weights {said}.*; there are emoji_nano.*xxtiny"):
        gcvit_edu.create_model(name, **options)


def test_a_name_that_is_none_of_weights_is_taken_for_a_file() -> None:
    with pytest.raises(FileNotFoundError, match="no weights at emoji_nana; give a file, or one of the names emoji"):
        gcvit_edu.create_model("nano", pretrained="emoji_nana")
    with pytest.raises(ValueError, match=r"\. is a folder without model\.safetensors"):
        gcvit_edu.create_model("tiny", pretrained="")


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (data_folder("weights") / "emoji_nano.safetensors").read_bytes()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "weights.json").write_bytes((data_folder("weights") / "weights.json").read_bytes())
    (tmp_path / "weights" / "emoji_nano.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr("gcvit_edu.weights.data_folder", lambda name: tmp_path / name)
    with pytest.raises(ValueError, match=r"emoji_nano.safetensors has SHA-256 .*, not "):
        gcvit_edu.create_model("nano", pretrained=True)
