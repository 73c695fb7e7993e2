"""What runs are given of people's own pictures: the same pixels, however the same drawings are stored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _pictures import (
    SHAPES,
    STORED,
    alpha_only,
    arrow,
    as_stored,
    exif,
    file_of,
    opened,
    shape,
    sixteen_bits,
    write,
)
from PIL import Image, ImageOps
from torchvision.transforms import v2

from gcvit_edu.data.folder import Folder
from gcvit_edu.data.imagenet.classes import imagenet_classes, open_pictures
from gcvit_edu.data.imagenet.encoded import Encoded, EncodedImage, FolderPictures
from gcvit_edu.data.imagenet.jpeg import JpegCrop
from gcvit_edu.data.imagenet.packing import shrunk
from gcvit_edu.data.imagenet.prepare import main as prepare
from gcvit_edu.data.imagenet.shards import Shards
from gcvit_edu.explorer import __main__
from gcvit_edu.train import load_recipe
from gcvit_edu.train.transforms import validation_transform

Storing = Callable[[Image.Image], tuple[str, bytes]]  # an upright drawing -> suffix and content of a file
STORINGS: dict[str, Storing] = {
    "16 bits": lambda grey: (".png", file_of(sixteen_bits(grey))),
    "16 bits, TIFF": lambda grey: (".tif", file_of(sixteen_bits(grey), "TIFF")),
    "alpha only": lambda grey: (".png", file_of(alpha_only(grey))),
    "turned": lambda grey: (".png", file_of(as_stored(grey, 6), exif=exif(6))),
    "transparent palette": lambda grey: (".gif", file_of(_palette(grey), "GIF", transparency=255)),
}


def _palette(grey: Image.Image) -> Image.Image:
    """White is the transparent colour, and what lies under it is red."""
    picture = Image.frombytes("P", grey.size, grey.tobytes())
    picture.putpalette([value for level in range(255) for value in (level,) * 3] + [255, 0, 0])
    return picture


def drawings(root: Path, store: Storing) -> Path:
    """root/{train,val}/<shape>/, each of three drawings in another place."""
    for part in ("train", "val"):
        for name in SHAPES:
            for shift in range(3):
                suffix, content = store(shape(name, shift=4 * shift))
                write(root / part / name / f"{shift}{suffix}", content)
    return root


def plain(grey: Image.Image) -> tuple[str, bytes]:
    return ".png", file_of(grey)


def config_for(recipe: str, folder: Path) -> object:
    loaded = load_recipe(recipe)
    key = "data" if hasattr(loaded.config, "data") else "root"
    changes = {key: str(folder), "num_classes": 3, "image_size": 32, "flip": 0.0, "randaugment_ops": 0, "erasing": 0.0}
    return loaded.complete(replace(loaded.config, **changes))


@pytest.mark.parametrize("how", STORINGS)
def test_a_run_is_given_what_plain_files_would_give_it(how: str, tmp_path: Path) -> None:
    sets = []
    for name, store in (("plain", plain), ("stored", STORINGS[how])):
        config = config_for("folder", drawings(tmp_path / name, store))
        sets.append(load_recipe("folder").make_data(config))
    for expected, found in zip(*sets, strict=True):
        assert len(found) == len(expected) == 9
        for index in range(9):
            assert found[index][1] == expected[index][1]
            assert torch.equal(found[index][0], expected[index][0]), (how, index)


@pytest.mark.parametrize("how", STORINGS)
def test_the_explorer_shows_what_was_trained_on(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    suffix, content = STORINGS[how](shape("cross"))
    path = write(tmp_path / "root" / "cross" / f"1{suffix}", content)
    monkeypatch.setattr(__main__, "explore", lambda _model, picture, **_options: seen.append(picture))
    with pytest.raises(AttributeError):  # there is no page to save
        __main__.main([str(path), "--out", str(tmp_path / "page.html")])
    assert np.array_equal(np.asarray(seen[0]), np.asarray(Folder(tmp_path / "root")[0][0]))


def test_a_file_without_a_range_is_named_by_all_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "train" / "floats" / "scan.tif", file_of(Image.new("F", (40, 30), 0.5), "TIFF"))
    for folder in (Folder(tmp_path / "train"), FolderPictures(tmp_path / "train")):
        with pytest.raises(ValueError, match=r"scan\.tif cannot be read \(mode F, floats.*8 or 16 bits"):
            folder[0]
    assert __main__.main([str(path), "--out", str(tmp_path / "page.html")]) == 2
    assert "mode F, floats" in capsys.readouterr().err
    assert prepare([str(tmp_path), "--out", str(tmp_path / "out"), "--classes", "0"]) == 2
    assert "mode F, floats" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ stored files, shards


def arrows(root: Path, classes: tuple[str, ...], size: tuple[int, int] = (64, 48)) -> Path:
    """root/train/<class>/ with the same arrow, stored in all eight ways."""
    for name in classes:
        for orientation in STORED:
            content = file_of(as_stored(arrow(size), orientation), "JPEG", quality=95, exif=exif(orientation))
            write(root / "train" / name / f"{orientation}.jpg", content)
    return root


def error(found: Image.Image, expected: Image.Image) -> float:
    assert found.size == expected.size
    return float(np.abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int)).mean())


@pytest.mark.parametrize("short_side", [0, 24])
def test_shards_of_own_pictures_are_upright(short_side: int, tmp_path: Path) -> None:
    arrows(tmp_path, ("arrows", "others"))
    smaller = ["--short-side", str(short_side), "--quality", "95"] if short_side else []
    assert prepare([str(tmp_path), "--out", str(tmp_path / "out"), "--classes", "0", *smaller]) == 0
    found = open_pictures(tmp_path / "out", "train", num_classes=0)
    assert isinstance(found, Shards)
    expected = arrow() if not short_side else arrow().resize((32, 24), Image.Resampling.LANCZOS)
    for index in range(len(found)):
        assert error(found[index][0], expected) < 8
        with opened(found.encoded(index).content) as file:  # as others read it, by its tag or, if smaller, without
            assert error(ImageOps.exif_transpose(file) if not short_side else file, expected) < 8


@pytest.mark.parametrize("short_side", [0, 24])
def test_imagenets_readers_leave_pictures_as_stored(short_side: int, tmp_path: Path) -> None:
    """Those of the folder, of shards, and of shards with smaller pictures, whose tag is kept."""
    arrows(tmp_path, tuple(imagenet_classes()[:2]))
    smaller = ["--short-side", str(short_side), "--quality", "95"] if short_side else []
    assert prepare([str(tmp_path), "--out", str(tmp_path / "out"), "--classes", "2", *smaller]) == 0
    for root in (tmp_path, tmp_path / "out"):
        found = open_pictures(root, "train", num_classes=2)
        assert not found.upright
        for index in range(len(found)):
            with found.encoded(index).open() as stored:
                orientation = stored.getexif().get(274, 1)
            expected = as_stored(arrow(), orientation)
            if root != tmp_path and short_side:
                expected = expected.resize([side // 2 for side in expected.size], Image.Resampling.LANCZOS)
            assert error(found[index][0], expected) < 8


def test_pictures_without_a_tag_shrink_to_the_bytes_of_before() -> None:
    content = file_of(arrow(), "JPEG", quality=95)
    for upright in (True, False):
        again = file_of(opened(content).convert("RGB").resize((32, 24), Image.Resampling.LANCZOS), "JPEG", quality=90)
        assert shrunk(EncodedImage("it", content, upright), 24, 90) == again


@pytest.mark.parametrize("size", [16, 40])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_random_part_of_a_turned_file_is_that_of_the_upright_picture(form: str, size: int) -> None:
    """Decoded in full and at a fraction of the size, from any place, with the same chance."""
    upright = arrow((200, 150))
    theirs = v2.Compose(
        [v2.RandomResizedCrop(size, (0.3, 1.0), interpolation=v2.InterpolationMode.BICUBIC), v2.PILToTensor()]
    )
    for orientation in STORED:
        content = file_of(as_stored(upright, orientation), form, exif=exif(orientation))
        for seed in range(4):
            torch.manual_seed(seed)
            found, drawn = JpegCrop(size, (0.3, 1.0))(EncodedImage("it", content)), torch.rand(())
            torch.manual_seed(seed)
            expected = theirs(upright)
            assert torch.rand(()) == drawn
            assert (found.int() - expected.int()).abs().float().mean() < 6, orientation
            torch.manual_seed(seed)
            as_it_is = JpegCrop(size, (0.3, 1.0))(EncodedImage("it", content, upright=False))
            torch.manual_seed(seed)
            stored = theirs(as_stored(upright, orientation))
            assert (as_it_is.int() - stored.int()).abs().float().mean() < 6, orientation


def test_stored_pictures_are_trained_on_as_folders_are(tmp_path: Path) -> None:
    arrows(tmp_path, ("arrows",))
    config = config_for("folder", tmp_path)
    folder, stored = Folder(tmp_path / "train"), Encoded(FolderPictures(tmp_path / "train"))
    for index in range(8):
        one = validation_transform(config)(*folder[index])
        other = validation_transform(config, stored=True)(*stored[index])
        assert torch.equal(one[0], other[0])
