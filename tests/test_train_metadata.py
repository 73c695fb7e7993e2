"""What a training writes into its weights, and who reads it: the explorer and the next fine-tuning."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _train import command, with_set
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gcvit_edu import create_model
from gcvit_edu.explorer.__main__ import main as explore
from gcvit_edu.metadata import weights_metadata
from gcvit_edu.train import changed, load_recipe
from gcvit_edu.train.__main__ import main
from gcvit_edu.train.run import weights_as_bytes
from gcvit_edu.weights import variant_of

NAMES = ["1", "10", "2"]


def make_pictures(root: Path) -> Path:
    for part in ("train", "val"):
        for label, name in enumerate(NAMES):
            (root / part / name).mkdir(parents=True)
            for number in range(4):
                colour = tuple(200 if channel == label else 10 * number for channel in range(3))
                Image.new("RGB", (40, 40), colour).save(root / part / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run at 96 pixels, on classes whose names are numbers."""
    folder = tmp_path_factory.mktemp("trained")
    make_pictures(folder / "pictures")
    arguments = ["folder", "--data", str(folder / "pictures"), "--out", str(folder / "out")]
    settings = [
        "epochs=1",
        "batch_size=4",
        "warmup_epochs=0",
        "image_size=96",
        "snapshot_epochs=(0,)",
        "layers=head",
        "device=cpu",
    ]
    assert main([*arguments, *with_set(settings)]) == 0
    return folder / "out"


def test_every_file_of_weights_says_what_it_is_of(trained: Path) -> None:
    expected = {"model": "nano", "image_size": 96, "num_classes": 3, "classes": NAMES}
    for name in ("final.safetensors", "epoch_0000.safetensors", "best.pt", "step_00000003.pt"):
        assert weights_metadata(trained / name) == expected, name
    with safe_open(trained / "final.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "model": "nano",
            "image_size": "96",
            "num_classes": "3",
            "classes": json.dumps(NAMES),
        }
    assert load_file(trained / "final.safetensors")["head.weight"].shape == (3, 256)


def test_files_of_others_say_what_they_can(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "pt", "num_classes": "many"})
    save_file({"a": torch.zeros(1)}, tmp_path / "broken.safetensors", {"model": "nano", "classes": "[1"})
    save_file({"a": torch.zeros(1)}, tmp_path / "part.safetensors", {"model": "nano"})
    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pth")
    (tmp_path / "damaged.safetensors").write_bytes(b"no weights")
    (tmp_path / "damaged.pt").write_bytes(b"no weights")
    assert weights_metadata(tmp_path / "part.safetensors") == {"model": "nano"}
    for path in ("none.safetensors", "other.safetensors", "broken.safetensors", "plain.pth", "damaged.pt"):
        assert weights_metadata(tmp_path / path) == {}, path
    assert weights_metadata(tmp_path / "damaged.safetensors") == weights_metadata("emoji_nano") == {}


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"config": {"model": "gcvit", "image_size": [224, 224], "num_classes": 10}},
        {"config": {"model": {"depth": 4}, "image_size": 224, "num_classes": 10}},
        {"config": {"model": "nano", "image_size": 64, "num_classes": "ten"}},
        {"config": {"model": "nano", "image_size": 64, "num_classes": 2}, "identity": {"classes": "ab"}},
    ],
    ids=str,
)
def test_checkpoints_of_others_with_keys_of_the_same_names_say_nothing(
    checkpoint: dict[str, object], tmp_path: Path
) -> None:
    torch.save(checkpoint, tmp_path / "theirs.pt")
    assert weights_metadata(tmp_path / "theirs.pt") == {}


def test_equal_weights_are_equal_files_in_every_process(tmp_path: Path) -> None:
    """The library alone writes metadata in another order each time."""
    source = """
        import hashlib, torch
        from gcvit_edu.train.config import TrainConfig
        from gcvit_edu.train.run import weights_as_bytes
        model = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(model.weight), torch.nn.init.ones_(model.bias)
        print(hashlib.sha256(weights_as_bytes(model, TrainConfig(), ["a", "b"])).hexdigest())
    """
    code = "\n".join(line.strip() for line in source.splitlines())
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(4)]
    assert len({run.stdout for run in runs}) == 1


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    names = [os.fsdecode(b"ch\xe2ts"), "hiboux", "é"]
    config = replace(load_recipe("emoji_nano").config, num_classes=3)
    (tmp_path / "own.safetensors").write_bytes(weights_as_bytes(torch.nn.Linear(2, 3), config, names))
    assert weights_metadata(tmp_path / "own.safetensors")["classes"] == names
    assert set(load_file(tmp_path / "own.safetensors")) == {"weight", "bias"}


# ------------------------------------------------------------------------------------------------------- its readers


def page_of(tmp_path: Path, *options: str) -> str:
    """The page of a picture that the command line makes."""
    picture, page = tmp_path / "picture.png", tmp_path / "page.html"
    Image.new("RGB", (96, 96), (200, 10, 10)).save(picture)
    assert explore([str(picture), "--out", str(page), *options]) == 0
    return page.read_text(encoding="utf-8")


def test_the_explorer_reads_model_number_and_names(trained: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path, "--weights", str(trained / "final.safetensors"))
    assert "Where nano looks on picture.png" in page
    assert '"size":[96,96]' in page.replace(" ", "")  # the size that it was trained at
    assert any(f'"{name}"' in page for name in NAMES)
    named = page_of(tmp_path, "--weights", str(trained / "final.safetensors"), "--classes", "ant", "bee", "cow")
    assert any(f'"{name}"' in named for name in ("ant", "bee", "cow"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "xxtiny"], "--model xxtiny, but {} is of model=nano; leave --model out"),
        (["--num-classes", "5"], "--num-classes 5, but {} is of num_classes=3; leave --num-classes out"),
        (["--classes", "ant", "bee"], "3"),
    ],
)
def test_options_that_contradict_the_weights_are_refused(
    options: list[str], message: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, picture = trained / "final.safetensors", tmp_path / "picture.png"
    Image.new("RGB", (96, 96)).save(picture)
    assert explore([str(picture), "--out", str(tmp_path / "page.html"), "--weights", str(weights), *options]) == 2
    assert message.format(weights) in capsys.readouterr().err


def test_weights_of_no_gc_vit_are_refused_by_the_explorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "out", ["epochs=1", "warmup_epochs=0"])) == 0
    weights, picture = tmp_path / "out" / "final.safetensors", tmp_path / "picture.png"
    Image.new("RGB", (96, 96)).save(picture)
    assert explore([str(picture), "--out", str(tmp_path / "page.html"), "--weights", str(weights)]) == 2
    assert "is of the model 'two small stages', which is no variant of GC ViT" in capsys.readouterr().err


def test_the_next_fine_tuning_reads_variant_and_size(trained: Path, tmp_path: Path) -> None:
    recipe = load_recipe("folder")
    settings = [f"data={trained.parent / 'pictures'}", f"weights={trained / 'final.safetensors'}"]
    config = recipe.complete(changed(recipe.config, settings))
    assert (config.model, config.image_size, config.num_classes) == ("nano", 96, 3)
    assert recipe.make_model(config).config.window_sizes == (6, 6, 6, 3)
    smaller = recipe.complete(changed(recipe.config, [*settings, "image_size=64"]))
    assert smaller.image_size == 64
    assert variant_of(trained / "best.pt") == "nano"
    silent = tmp_path / "silent.safetensors"
    save_file(create_model("nano", num_classes=3).state_dict(), silent)
    with pytest.raises(ValueError, match=r"silent\.safetensors' is none of the names .* such as model=nano"):
        variant_of(silent)
