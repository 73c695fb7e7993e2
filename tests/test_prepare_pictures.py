"""Which pictures shards get: smaller ones, and what becomes of those that cannot be read."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from _imagenet import make_tree
from PIL import Image

from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet.encoded import EncodedImage, FolderPictures
from gcvit_edu.data.imagenet.packing import Settings, prepare, shrunk
from gcvit_edu.data.imagenet.photo_crops import cut_photos
from gcvit_edu.data.imagenet.prepare import main
from gcvit_edu.data.imagenet.shards import Shards, read_manifest, verify


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("small"), classes=10)


def test_the_short_side_shrinks_and_smaller_pictures_stay(tmp_path: Path) -> None:
    cut_photos(tmp_path / "root", ["cats"], 4, sizes=((100, 75), (60, 90), (70, 50), (40, 60)))
    source = FolderPictures(tmp_path / "root")
    manifest = prepare(source, tmp_path / "out", Settings("val", short_side=50, quality=80))
    found = Shards(tmp_path / "out")
    assert [image.size for image, _ in found] == [(67, 50), (50, 75), (70, 50), (40, 60)]
    for index in range(4):
        assert (found.encoded(index).content == source.encoded(index).content) == (index >= 2)
    assert manifest["settings"]["pillow"] is not None
    for index in range(2):
        exact = source[index][0].resize(found[index][0].size, Image.Resampling.LANCZOS)
        file = io.BytesIO()
        exact.save(file, "JPEG", quality=80)
        assert found.encoded(index).content == file.getvalue()
    coarse = shrunk(source.encoded(0), 50, 20)
    assert len(coarse) < len(found.encoded(0).content)


def test_other_kinds_of_pictures_are_shrunk_to_jpeg() -> None:
    for mode, form in (("CMYK", "JPEG"), ("L", "JPEG"), ("RGBA", "PNG")):
        file = io.BytesIO()
        Image.new(mode, (90, 60)).save(file, form)
        with Image.open(io.BytesIO(shrunk(EncodedImage("it", file.getvalue()), 30, 90))) as found:
            assert (found.size, found.mode, found.format) == ((45, 30), "RGB", "JPEG")


def test_a_corrupt_picture_stops_or_is_listed(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    bad = sorted((tmp_path / "tree" / "train").glob("*/*"))[3]
    bad.write_bytes(bad.read_bytes()[:400])
    command = [str(tmp_path / "tree"), "--classes", "10"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert f"the picture {bad.parent.name}/{bad.name} cannot be read" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "skip"), "--bad-images", "skip"]) == 0
    assert f"left out: the picture {bad.parent.name}/{bad.name}" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "skip" / "train")
    assert (manifest["count"], len(manifest["skipped"])) == (19, 1)
    assert manifest["count_per_class"] == [2, 1, *[2] * 8]
    assert len(Shards(tmp_path / "skip" / "train")) == 19
    assert verify(tmp_path / "skip" / "train") == []


def test_a_picture_that_cannot_be_opened_stops_or_is_listed(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    (tmp_path / "train" / "n01440764" / "z.JPEG").symlink_to(tmp_path / "nowhere")
    source = FolderPictures(tmp_path / "train")
    with pytest.raises(BadImage, match=r"z\.JPEG cannot be read \(No such file.*\); put it back, or use bad_images=sk"):
        prepare(source, tmp_path / "raise", Settings("train"))
    manifest = prepare(source, tmp_path / "skip", Settings("train", shard_size=8, bad_images="skip"))
    assert manifest["count"] == 20
    assert [message.split()[2] for message in manifest["skipped"]] == [str(tmp_path / "train/n01440764/z.JPEG")]


def test_nothing_but_bad_pictures_is_refused(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    for path in (tmp_path / "tree" / "train").glob("*/*"):
        path.write_bytes(b"spoilt")
    command = [str(tmp_path / "tree"), "--classes", "10", "--out", str(tmp_path / "out"), "--bad-images", "skip"]
    for _ in range(2):
        assert main(command) == 2
        said = capsys.readouterr()
        assert "none of the 20 pictures can be read; the first: the picture n01" in said.err
        assert "pictures of 10 classes in" not in said.out
    assert not (tmp_path / "out" / "train" / "manifest.json").exists()


def test_a_class_of_which_nothing_is_left_is_named(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    for path in (tmp_path / "tree" / "train" / "n01443537").iterdir():
        path.write_bytes(b"spoilt")
    command = [str(tmp_path / "tree"), "--classes", "10", "--out", str(tmp_path / "out"), "--bad-images", "skip"]
    assert main(command) == 0
    assert "no picture is left of n01443537" in capsys.readouterr().out


def test_pictures_that_changed_since_are_noticed_and_packed_again(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the same names: by their bytes, or, with as many, by their time."""
    shutil.copytree(tree, tmp_path / "tree")
    command = [str(tmp_path / "tree"), "--classes", "10", "--shard-size", "8", "--out"]
    out = tmp_path / "out" / "train"
    assert main([*command, str(tmp_path / "out")]) == 0
    paths = sorted((tmp_path / "tree" / "train").glob("*/*"))
    content = bytearray(paths[0].read_bytes())
    content[-1] ^= 1
    for change in (paths[0].read_bytes() + b"x", bytes(content)):
        (out / "manifest.json").unlink()
        paths[0].write_bytes(change)
        capsys.readouterr()
        assert main([*command, str(tmp_path / "out")]) == 0
        said = capsys.readouterr().out
        assert "2 of them there already\n1 of the shards are made again: some of their pictures have changed" in said
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        assert main([*command, str(tmp_path / "fresh")]) == 0
        for path in (tmp_path / "fresh" / "train").iterdir():
            assert path.read_bytes() == (out / path.name).read_bytes()
    capsys.readouterr()
    assert main([*command, str(tmp_path / "out")]) == 0
    assert "3 of them there already" in capsys.readouterr().out


def test_a_preparation_of_before_goes_on(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its plan and its indices do not say all that they say now."""
    command = [str(tree), "--classes", "10", "--shard-size", "8", "--out", str(tmp_path)]
    assert main(command) == 0
    for name, key in (("plan.json", "upright"), ("train-000000.json", "source")):
        path = tmp_path / "train" / name
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    capsys.readouterr()
    assert main(command) == 0
    assert "3 of them there already" in capsys.readouterr().out
    assert main([*command[:2], "0", *command[3:]]) == 2
    assert "upright was False and is True" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "test"}, "split='test' must be 'train' or 'val'"),
        ({"bad_images": "ignore"}, "bad_images='ignore' must be 'raise' or 'skip'"),
        ({"shard_size": 0}, "shard_size=0 must be at least 1 picture"),
        ({"short_side": -1}, "short_side=-1 must be a number of pixels"),
        ({"quality": 90}, "quality=90 changes nothing without short_side"),
        ({"short_side": 256, "quality": 96}, "quality=96 must be from 1 to 95"),
        ({"short_side": 256}, "quality=0 must be from 1 to 95"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**{"split": "train"} | values)
