"""timm's own loader loads our weights: every way to name them, other heads, channels and sizes, as timm's GC ViT."""

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from _support import enlarge_weights, error_of, images
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_model_data_config
from timm.models import load_checkpoint, load_pretrained
from timm.models._hub import save_for_hf
from torch import Tensor, nn

from gcvit_edu import shipped_weights
from gcvit_edu.data import normalize
from gcvit_edu.files import data_folder
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.weights import NVIDIA_LICENCE
from gcvit_edu.zoo import create_model

ENTRY = "gcvit_edu_nano"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def mine() -> nn.Module:
    """Somebody's own nano, of five classes."""
    model = create_model("nano", num_classes=5).eval()
    enlarge_weights(model)
    return model


@pytest.fixture
def file(mine: nn.Module, tmp_path: Path) -> Path:
    torch.save(mine.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def shipped(name: str) -> dict[str, Tensor]:
    return {key: value.float() for key, value in load_file(data_folder("weights") / f"{name}.safetensors").items()}


def equal(model: nn.Module, weights: dict[str, Tensor], *, but: str = "-") -> bool:
    found = model.state_dict()
    return all(torch.equal(found[key], value) for key, value in weights.items() if not key.startswith(but))


# ------------------------------------------------------------------------------------------------- shipped weights


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        (ENTRY, {}, "emoji_nano"),
        (f"{ENTRY}.emoji_nano", {}, "emoji_nano"),
        (f"{ENTRY}.scenes_nano", {}, "scenes_nano"),
        (ENTRY, {"pretrained_cfg": "scenes_nano"}, "scenes_nano"),
        (ENTRY, {"pretrained": "scenes_nano"}, "scenes_nano"),
    ],
)
def test_shipped_weights_by_name(name: str, options: dict[str, Any], weights: str) -> None:
    model = timm.create_model(name, **{"pretrained": True, **options})
    assert equal(model, shipped(weights))
    cfg = model.pretrained_cfg
    assert (cfg["architecture"], cfg["tag"]) == (ENTRY, weights)
    assert cfg["label_names"] == tuple(shipped_weights()[weights]["classes"])
    assert cfg["num_classes"] == model.num_classes == 13
    assert cfg["license"] == "cc-by-4.0"
    assert "state_dict" not in cfg


def test_timm_lists_what_can_be_loaded() -> None:
    assert timm.list_pretrained("gcvit_edu*") == [
        "gcvit_edu_base",
        "gcvit_edu_nano.emoji_nano",
        "gcvit_edu_nano.scenes_nano",
        "gcvit_edu_small",
        "gcvit_edu_tiny",
        "gcvit_edu_xtiny",
        "gcvit_edu_xxtiny",
    ]
    assert timm.get_pretrained_cfg("gcvit_edu_tiny").url == timm.get_pretrained_cfg("gcvit_tiny").url


@pytest.mark.parametrize(("options", "said"), [({"pretrained": "emoji_nana"}, "emoji_nana.*there are emoji_nano")])
def test_an_unknown_name_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        timm.create_model(ENTRY, **options)
    with pytest.raises(RuntimeError, match=r"Invalid pretrained tag \(emoji_nana\)"):  # timm's own words
        timm.create_model(f"{ENTRY}.emoji_nana", pretrained=True)


def test_pictures_are_prepared_as_the_weights_were_measured() -> None:
    model = create_model("nano", pretrained=True)
    config = resolve_model_data_config(model)
    assert config["input_size"] == (3, 64, 64)
    assert config["crop_pct"] == 1.0
    picture = Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 90).convert("RGB")
    torch.testing.assert_close(create_transform(**config)(picture), normalize(picture)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "size"), [("nano", 64), ("large_384", 384)])
def test_every_model_of_ours_says_how_pictures_are_prepared(name: str, size: int) -> None:
    with torch.device("meta"):
        for model in (create_model(name), timm.create_model(f"gcvit_edu_{name}")):
            assert resolve_model_data_config(model)["input_size"] == (3, size, size)
        for model in (create_model(name, image_size=96), timm.create_model(f"gcvit_edu_{name}", img_size=96)):
            assert resolve_model_data_config(model)["input_size"] == (3, 96, 96)
            assert model.default_cfg["pool_size"] == (3, 3)


def test_weights_from_an_address_have_no_labels_of_the_shipped_ones(tmp_path: Path) -> None:
    mine = create_model("nano", num_classes=5)
    torch.save(mine.state_dict(), tmp_path / "mine_of_an_address.pth")
    address = {"url": (tmp_path / "mine_of_an_address.pth").as_uri(), "num_classes": 5}
    model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay=address, cache_dir=tmp_path / "cache")
    assert model.head.weight.equal(mine.head.weight)
    assert not {"label_names", "license", "tag"} & model.pretrained_cfg.keys()


def test_an_untrained_model_has_no_labels_of_other_weights() -> None:
    cfg = create_model("nano", num_classes=13).pretrained_cfg
    assert not {"label_names", "license"} & cfg.keys()


# ----------------------------------------------------------------------------------------------- somebody's own


def test_a_file_in_the_overlay_counts(file: Path, mine: nn.Module) -> None:
    model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    assert equal(model, mine.state_dict())
    cfg = model.pretrained_cfg
    assert (cfg["file"], cfg["num_classes"]) == (str(file), 5)
    assert not {"label_names", "license", "tag", "state_dict"} & cfg.keys()  # those of the emoji


@pytest.mark.parametrize(
    "way", ["overlay", "cfg", "object", "nested", "checkpoint_path", "load_checkpoint", "load_pretrained"]
)
def test_every_way_of_naming_weights(way: str, file: Path, mine: nn.Module) -> None:
    weights = mine.state_dict()
    if way == "overlay":
        model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay={"state_dict": weights})
    elif way == "cfg":
        model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg={"file": str(file)})
    elif way == "object":
        cfg = dataclasses.replace(
            timm.get_pretrained_cfg(ENTRY), file=str(file), num_classes=5, label_names=tuple("abcde")
        )
        model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg=cfg)
        assert model.pretrained_cfg["label_names"] == tuple("abcde")
    elif way == "nested":
        average = {"model": shipped("emoji_nano"), "model_ema": {f"module.{key}": v for key, v in weights.items()}}
        model = timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay={"state_dict": average})
    elif way == "checkpoint_path":
        model = timm.create_model(ENTRY, num_classes=5, checkpoint_path=file)
    else:
        model = create_model("nano", num_classes=5)
        if way == "load_checkpoint":
            load_checkpoint(model, str(file))
        else:
            load_pretrained(model, {**model.pretrained_cfg, "file": str(file), "num_classes": 5}, num_classes=5)
    assert equal(model, weights)
    assert model(images(1, 64)).shape == (1, 5)


def test_an_address_in_the_overlay_counts_more_than_the_shipped_file(
    mine: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", lambda *_, **__: mine.state_dict())
    overlay = {"url": "https://example.org/mine.pth", "num_classes": 5}
    assert equal(timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay=overlay), mine.state_dict())


def test_a_head_that_fits_is_kept_and_another_is_new(file: Path, mine: nn.Module) -> None:
    overlay = {"file": file}
    kept = timm.create_model(ENTRY, pretrained=True, num_classes=5, pretrained_cfg_overlay=overlay)
    assert torch.equal(kept.head.weight, mine.head.weight)
    for num_classes in (7, 0):
        new = timm.create_model(ENTRY, pretrained=True, num_classes=num_classes, pretrained_cfg_overlay=overlay)
        assert equal(new, mine.state_dict(), but="head.")
        assert new.num_classes == num_classes
    assert timm.create_model(ENTRY, pretrained=True, num_classes=7).head.weight.std() < 0.1


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("gcvit_edu_xxtiny", {}, "do not belong to this model; missing"),
        (ENTRY, {"file": "gone.pth"}, "no weights at gone.pth"),
        (ENTRY, {"file": None}, "no pretrained weights for nano.*overlay"),
        (ENTRY, {"num_classes": 13}, "size mismatch for head.weight"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, changes: dict[str, Any], said: str, file: Path) -> None:
    overlay = {"file": str(file), **changes}
    with pytest.raises((ValueError, RuntimeError, FileNotFoundError), match=said):
        timm.create_model(name, pretrained=True, num_classes=overlay.get("num_classes"), pretrained_cfg_overlay=overlay)


def test_another_window_size(file: Path, mine: nn.Module, tmp_path: Path) -> None:
    grown = timm.create_model(ENTRY, pretrained=True, img_size=96, pretrained_cfg_overlay={"file": file}).eval()
    assert grown.config.window_sizes == (6, 6, 6, 3)
    expected = create_model("nano", num_classes=5, image_size=96).eval()
    expected.load_state_dict(convert_state_dict(mine.state_dict(), expected))
    assert equal(grown, expected.state_dict())
    torch.save(grown.state_dict(), tmp_path / "grown.pth")
    overlay = {"file": tmp_path / "grown.pth", "input_size": (3, 96, 96)}  # as timm's own reads a size
    assert equal(timm.create_model(ENTRY, pretrained=True, pretrained_cfg_overlay=overlay), grown.state_dict())


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_classes": 4, "in_chans": 2, "img_size": 96, "global_pool": "catavgmax"}])
@pytest.mark.filterwarnings("ignore:Pretrained")
def test_a_folder_that_save_for_hf_wrote(options: dict[str, Any], safe: bool, tmp_path: Path) -> None:
    model = timm.create_model(ENTRY, pretrained=not options, **options).eval()
    save_for_hf(model, str(tmp_path / "saved"), safe_serialization=safe)
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert ("label_names" in config["pretrained_cfg"]) == (not options)
    again = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).eval()
    assert equal(again, model.state_dict())
    x = images(2, 64, chans=model.in_chans)
    assert torch.equal(again(x), model(x))


# --------------------------------------------------------------------------------------- beside timm's own GC ViT


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of timm's gcvit_xxtiny."""
    model = timm.create_model("gcvit_xxtiny")
    enlarge_weights(model)
    path = tmp_path_factory.mktemp("theirs") / "gcvit_xxtiny.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"in_chans": 1},
        {"in_chans": 4, "num_classes": 0},
        {"num_classes": 0, "global_pool": ""},
        {"num_classes": 0, "global_pool": "catavgmax", "drop_rate": 0.5},
        {"global_pool": "max", "drop_path_rate": 0.1},
        {"global_pool": "avgmax", "drop_rate": 0.3},
        {"features_only": True},
        {"features_only": True, "out_indices": (0, 2), "in_chans": 2},
    ],
    ids=str,
)
@torch.no_grad()
def test_the_same_as_timms_own(options: dict[str, Any], theirs: Path) -> None:
    given = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(theirs)}, **options}
    ours, expected = (timm.create_model(name, **given).eval() for name in ("gcvit_edu_xxtiny", "gcvit_xxtiny"))
    x = images(1, 224, chans=options.get("in_chans", 3))
    if not options.get("features_only"):
        assert error_of(ours(x), expected(x)) < 1e-5
        pre = [model.forward_head(model.forward_features(x), pre_logits=True) for model in (ours, expected)]
        assert error_of(*pre) < 1e-5
        assert ours.head_hidden_size == expected.head_hidden_size
        return
    assert ours.feature_info.channels() == expected.feature_info.channels()
    for found, wanted in zip(ours(x), expected(x), strict=True):
        assert error_of(found, wanted) < 1e-5


def test_dropout_before_the_head() -> None:
    model = timm.create_model(ENTRY, drop_rate=0.5, drop_path_rate=0.0)
    x = images(2, 64)
    pooled = model.forward_head(model.forward_features(x), pre_logits=True)
    assert 0.3 < (pooled == 0).float().mean() < 0.7
    assert torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize("feature_cls", ["hook", "list", "dict", "fx"])
def test_other_ways_to_cut_out_features_are_refused(feature_cls: str) -> None:
    # Each would give (B, H, W, C) without a word.
    with pytest.raises(ValueError, match=rf"feature_cls='{feature_cls}' would give maps \(B, H, W, C\).*leave it out"):
        timm.create_model(ENTRY, features_only=True, feature_cls=feature_cls)


def test_device_and_type() -> None:
    assert timm.create_model(ENTRY, device="meta").head.weight.is_meta
    assert timm.create_model(ENTRY, pretrained=True, dtype=torch.bfloat16).head.weight.dtype == torch.bfloat16


def test_other_channels_in_our_own_zoo() -> None:
    colour = shipped("emoji_nano")["stem.conv.weight"]
    grey = create_model("nano", pretrained=True, in_chans=1).stem.conv.weight
    torch.testing.assert_close(grey, colour.sum(1, keepdim=True))
    assert create_model("nano", pretrained="scenes_nano", in_chans=4, num_classes=2).in_chans == 4


def test_nvidias_licence_is_printed_wherever_their_weights_are_loaded(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = torch.load(theirs)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", lambda *_, **__: dict(weights))
    named = tmp_path / "gcvit_xxtiny_224_nvidia.pth"
    torch.save(weights, named)
    for options in ({}, {"pretrained_cfg_overlay": {"file": str(named)}}):
        monkeypatch.setattr("gcvit_edu.weights._licence_printed", False)
        model = timm.create_model("gcvit_edu_xxtiny", pretrained=True, **options)
        assert capsys.readouterr().out.strip() == NVIDIA_LICENCE
        assert equal(model, convert_state_dict(weights))
    with pytest.raises(RuntimeError, match=r"size mismatch for head.weight"):  # as timm's, and no ConnectionError
        timm.create_model("gcvit_edu_xxtiny", pretrained=True, global_pool="catavgmax")
    monkeypatch.setattr("gcvit_edu.weights._licence_printed", False)
    timm.create_model("gcvit_edu_xxtiny", pretrained=True, pretrained_cfg_overlay={"file": str(theirs)})
    assert capsys.readouterr().out == ""
