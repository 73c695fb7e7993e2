"""Fine-tuning: what is loaded, what is new, what is frozen, what each layer learns with, and how refusals are said."""

import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _project import CHAPTERS, read_notebook
from _train import differing, final_state, finish, history, signal_at, with_set
from PIL import Image
from safetensors.torch import load_file, save_file

from gcvit_edu import create_model, shipped_weights, weights
from gcvit_edu.files import read_log
from gcvit_edu.position import resize_bias_table
from gcvit_edu.train import changed, load_recipe, train
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.batches import attribute_of
from gcvit_edu.weights import read_weights, variant_of
from gcvit_edu.zoo import freeze_all_but_head

RECIPE = load_recipe("folder")


def pictures_in(folder: Path, classes: int = 2, number: int = 10) -> Path:
    """Noise of another colour for each class, in folders of their own."""
    generator = np.random.default_rng(0)
    for label in range(classes):
        place = folder / f"class_{label}"
        place.mkdir(parents=True)
        for index in range(number):
            noise = generator.integers(0, 120, (40, 44, 3)).astype(np.uint8)
            noise[..., label % 3] += 120
            Image.fromarray(noise).save(place / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_in(tmp_path_factory.mktemp("pictures"))


def settings_for(folder: Path, **changes: Any) -> list[str]:
    """32 pixels, 2 epochs of 4 steps, on the CPU."""
    values = {"data": folder, "epochs": 2, "batch_size": 4, "warmup_epochs": 0, "image_size": 32, "device": "cpu"}
    return [f"{key}={value}" for key, value in {**values, **changes}.items()]


# -------------------------------------------------------------------------------------------------------- weights


def test_weights_keep_their_body_and_get_a_new_head() -> None:
    whole = read_weights("emoji_nano")
    model = create_model("nano", pretrained="emoji_nano", num_classes=3)
    found = model.state_dict()
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        if not name.startswith("head."):
            assert torch.equal(found[name], value.float()), name
    assert found["head.weight"].shape == (3, 256)
    assert not torch.equal(found["head.weight"], whole["head.weight"].float()[:3])
    assert not found["head.bias"].any()


def test_without_a_number_of_classes_the_head_is_the_weights() -> None:
    model, known = create_model("nano", pretrained="emoji_nano"), create_model("nano", pretrained=True)
    assert model.num_classes == len(shipped_weights()["emoji_nano"]["classes"])
    assert all(torch.equal(value, known.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_larger_image_grows_windows_and_resizes_tables() -> None:
    model = create_model("nano", pretrained="emoji_nano", num_classes=3, image_size=96)
    assert model.config.window_sizes == (6, 6, 6, 3)
    name = "stages.0.blocks.0.attn.bias.table"
    table = model.state_dict()[name]
    assert torch.equal(table, resize_bias_table(read_weights("emoji_nano")[name], 6).float())
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_files_need_their_variant_named(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    save_file(create_model("nano", num_classes=7).state_dict(), file)
    assert create_model("nano", pretrained=file, num_classes=2).num_classes == 2
    headless = tmp_path / "headless.safetensors"
    save_file(create_model("nano", num_classes=0).state_dict(), headless)
    assert create_model("nano", pretrained=headless, num_classes=2).num_classes == 2
    names = "emoji_nano, scenes_nano, xxtiny"
    with pytest.raises(ValueError, match=rf"own.safetensors' is none of the names {names}.* such as model=n"):
        variant_of(file)
    with pytest.raises(ValueError, match=rf"gone.pt' is none of the names {names}.* there is no such file; correct"):
        variant_of(tmp_path / "gone.pt")
    assert (variant_of("emoji_nano"), variant_of("tiny")) == ("nano", "tiny")


def test_a_variant_that_timm_publishes_is_downloaded_with_its_licence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = create_model("xxtiny").state_dict()
    monkeypatch.setattr(weights, "_download", {"xxtiny": published}.__getitem__)
    monkeypatch.setattr(weights, "_licence_printed", False)
    model = create_model("xxtiny", pretrained="xxtiny", num_classes=2)
    assert torch.equal(model.state_dict()["stem.conv.weight"], published["stem.conv.weight"])
    assert weights.NVIDIA_LICENCE in capsys.readouterr().out


def test_weights_of_another_variant_are_refused(pictures: Path, tmp_path: Path) -> None:
    config = completed(pictures, model="xxtiny", image_size=64)
    with pytest.raises(ValueError, match=r"weights='emoji_nano', model='xxtiny'.* set model to it"):
        RECIPE.make_model(config)
    with pytest.raises(ValueError, match=r"model='nanno' is no variant of GC ViT.* there are nano, xxtiny"):
        completed(pictures, model="nanno")
    save_file(create_model("xxtiny", num_classes=3).state_dict(), tmp_path / "xxtiny.safetensors")
    with pytest.raises(ValueError, match=r"do not belong to this model"):
        create_model("nano", pretrained=tmp_path / "xxtiny.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no weights at .*gone.pth; give a file, or one of the names emoji_n"):
        create_model("nano", pretrained=tmp_path / "gone.pth")


# ----------------------------------------------------------------------------------------------------- the recipe


def completed(folder: Path, **changes: Any) -> Any:
    return RECIPE.complete(replace(RECIPE.config, data=str(folder), **changes))


def test_what_is_left_open_follows_from_weights_and_pictures(pictures: Path) -> None:
    config = completed(pictures)
    assert (config.model, config.image_size, config.num_classes) == ("nano", 64, 2)
    assert RECIPE.complete(config) == config
    large = completed(pictures, weights="tiny")
    assert (large.model, large.image_size) == ("tiny", 224)
    given = completed(pictures, image_size=96, num_classes=5, weights="own.pth", model="nano")
    assert (given.model, given.image_size, given.num_classes) == ("nano", 96, 5)


def test_a_folder_of_classes_is_parted_and_one_with_two_parts_is_taken_as_it_is(pictures: Path, tmp_path: Path) -> None:
    training, validation = RECIPE.make_data(completed(pictures, val_share=0.3))
    assert (len(training), len(validation)) == (14, 6)
    files = [set(attribute_of(samples, "files")) for samples in (training, validation)]
    assert files[0].isdisjoint(files[1])
    assert training[0][0].shape == validation[0][0].shape == (3, 64, 64)
    pictures_in(tmp_path / "train", classes=3)
    assert len(RECIPE.make_data(completed(tmp_path / "train"))[0]) == 24
    pictures_in(tmp_path / "val", classes=3, number=2)
    training, validation = RECIPE.make_data(completed(tmp_path))
    assert (len(training), len(validation)) == (30, 6)


def test_bad_pictures_can_be_left_out(tmp_path: Path) -> None:
    pictures_in(tmp_path)
    (tmp_path / "class_1" / "3.png").write_bytes(b"spoilt")
    sets = RECIPE.make_data(completed(tmp_path, bad_images="skip"))
    assert sum(len(samples) for samples in sets) == 19
    with pytest.raises(ValueError, match=r"class_1/3\.png cannot be read"):
        [samples[at] for samples in RECIPE.make_data(completed(tmp_path)) for at in range(len(samples))]


def test_a_new_head_also_for_as_many_classes(pictures: Path) -> None:
    """Thirteen of one's own are not the emoji's thirteen."""
    whole = read_weights("emoji_nano")
    model = RECIPE.make_model(completed(pictures, num_classes=13))
    assert not torch.equal(model.head.weight, whole["head.weight"].float())
    assert torch.equal(model.stem.conv.weight, whole["stem.conv.weight"].float())


def test_without_weights_a_model_is_untrained_and_must_be_named(pictures: Path) -> None:
    config = completed(pictures, weights="", model="nano")
    assert (config.image_size, config.num_classes, config.layer_decay) == (64, 2, 1.0)
    assert completed(pictures).layer_decay == 0.75
    assert completed(pictures, weights="", model="nano", layer_decay=0.5).layer_decay == 0.5
    known = read_weights("emoji_nano")["stem.conv.weight"].float()
    assert not torch.equal(RECIPE.make_model(config).stem.conv.weight, known)
    with pytest.raises(ValueError, match=r"weights='' and model=None .* name a model"):
        completed(pictures, weights="")
    with pytest.raises(ValueError, match=r"layers='head' must be 'all' where weights=''"):
        completed(pictures, weights="", model="nano", layers="head")


def test_head_only_freezes_the_rest_and_drops_no_paths(pictures: Path) -> None:
    model = RECIPE.make_model(completed(pictures, layers="head")).train()
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert trained == ["head.weight", "head.bias"]
    image = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(image), model(image))
    model(image).sum().backward()
    assert all((value.grad is not None) == (name in trained) for name, value in model.named_parameters())
    every = RECIPE.make_model(completed(pictures)).train()
    assert all(value.requires_grad for value in every.parameters())
    assert not torch.equal(every(image), every(image))  # drop path


def test_any_model_with_a_classifier_can_be_frozen() -> None:
    import timm

    model = freeze_all_but_head(timm.create_model("resnet10t", num_classes=2))
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": "last"}, r"layers='last' must be 'all' or 'head'"),
        ({"layers": "head", "drop_path_rate": 0.1}, r"drop_path_rate=0.1 must be 0 or None where layers='head'"),
        ({"val_share": 1.0}, r"val_share=1.0 must be above 0 and below 1"),
        ({"layer_decay": 0.0}, r"layer_decay=0.0 must be above 0 and at most 1"),
        ({"layer_decay": 1.1}, r"layer_decay=1.1 must be above 0 and at most 1"),
        ({"num_classes": 0}, r"num_classes=0 must be at least 1"),
    ],
)
def test_configs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECIPE.config, **changes)


# ---------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize("layers", ["all", "head"])
def test_the_command_fine_tunes_a_folder(layers: str, pictures: Path, tmp_path: Path) -> None:
    out, changes = tmp_path / "out", {"image_size": 64, "epochs": 4, "val_share": 0.5, "ema_decay": 0.8}
    if layers == "head":
        changes["lr"] = 0.02  # as in the README: a new head alone learns with a larger rate
    _, *settings = settings_for(pictures, layers=layers, **changes)
    assert main(["folder", "--data", str(pictures), "--out", str(out), *with_set(settings)]) == 0
    begun, *_, last = read_log(out)
    assert (begun["config"]["num_classes"], begun["config"]["model"]) == (2, "nano")
    assert begun["config"]["data"] == str(pictures)
    assert (last["samples"], last["ema_top1"] >= 0.8) == (10, True)  # one class is red, the other green
    before, after = read_weights("emoji_nano"), load_file(out / "final.safetensors")
    body = [name for name in before if not name.startswith("head.")]
    changed = [name for name in body if not torch.equal(after[name], before[name].float())]
    assert changed == (body if layers == "all" else [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folder"], "data='' names no folder; add --data FOLDER, one with a folder of pictures for each class"),
        (["folder", "--data", "gone"], "gone is no folder; name one that has a folder for each class"),
        (["folder", "--data", "gone"], "gone"),
    ],
)
def test_a_missing_folder_is_said(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_the_commands_of_the_chapter_name_keys_that_there_are() -> None:
    """The chapter runs two of them in short; none of them may rot."""
    chapter = read_notebook(next(path for path in CHAPTERS if path.stem == "14_fine_tuning"))
    text = "\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
    commands = [
        shlex.split(line)
        for line in text.replace("\\\n", "").splitlines()
        if line.startswith("python -m gcvit_edu.train ")
    ]
    assert len(commands) >= 4
    for _, _, _, recipe, *words in commands:
        settings = [word for before, word in pairwise(words) if before == "--set"]
        changed(load_recipe(recipe).config, settings)
    with pytest.raises(ValueError, match="has no key 'layer'"):
        changed(RECIPE.config, ["layer=head"])


@pytest.mark.parametrize("changes", [{"layer_decay": 0.7}, {"layers": "head"}], ids=["layer_decay", "head"])
def test_killed_and_resumed_equals_never_killed(changes: dict[str, Any], pictures: Path, tmp_path: Path) -> None:
    whole, broken, printed = (tmp_path / name for name in ("whole", "broken", "printed"))
    settings = settings_for(pictures, epochs=4, save_every=3, log_every=1, **changes)
    finish(["folder", "--out", str(whole), *with_set(settings)], printed)
    assert signal_at(5, broken, ["folder", "--out", str(broken), *with_set(settings)], printed) == [-9]
    finish(["folder", "--out", str(broken), "--resume", *with_set(settings)], printed)
    assert differing(final_state(whole), final_state(broken)) == []
    assert differing(history(whole), history(broken)) == []


def test_layer_decay_leaves_early_layers_near_their_weights(pictures: Path, tmp_path: Path) -> None:
    before = read_weights("emoji_nano")
    moved: dict[float, list[float]] = {}
    for decay in (1.0, 0.5):
        config = replace(
            RECIPE.config,
            data=str(pictures),
            layer_decay=decay,
            epochs=1,
            batch_size=8,
            warmup_epochs=0.0,
            device="cpu",
        )
        assert train(RECIPE, config, tmp_path / str(decay))
        after = load_file(tmp_path / str(decay) / "final.safetensors")
        names = "stem.conv.weight", "stages.1.blocks.0.mlp.fc1.weight", "stages.3.blocks.1.mlp.fc1.weight"
        moved[decay] = [(after[name] - before[name].float()).abs().mean().item() for name in names]
    shares = [small / large for small, large in zip(moved[0.5], moved[1.0], strict=True)]
    assert shares == sorted(shares)
    # Adam's first steps have the length of the rate, whatever the gradient: 0.5**11, 0.5**8 and 0.5 of it.
    assert shares == pytest.approx([0.5**11, 0.5**8, 0.5], rel=0.5)
