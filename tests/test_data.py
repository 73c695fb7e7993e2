"""Photographs and transforms."""

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from gcvit_edu.data import Photos, crop_to, load_photo, normalize, photo_names, published_figures
from gcvit_edu.files import data_folder
from gcvit_edu.variants import VARIANTS

PHOTOS = Path(__file__).parents[1] / "data" / "photos"


def test_every_photo_is_the_one_that_the_manifest_describes() -> None:
    manifest = json.loads((PHOTOS / "photos.json").read_text(encoding="utf-8"))
    assert {path.stem for path in PHOTOS.glob("*.jpg")} == set(manifest) == set(photo_names())
    for name, entry in manifest.items():
        data = (PHOTOS / f"{name}.jpg").read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], name
        assert [load_photo(name).height, load_photo(name).width] == entry["size"]
        assert entry["title"]
        assert entry["author"]
        assert re.fullmatch(r"\w+\.(png|jpg) of [\w-]+==[\d.]+", entry["source"])
        assert entry["origin"].startswith("https://")
        assert entry["licence"] in {"public domain", "CC0-1.0", "CC-BY-2.0"}


def test_readme_names_every_author() -> None:
    readme = (PHOTOS / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((PHOTOS / "photos.json").read_text(encoding="utf-8"))
    for name, entry in manifest.items():
        author = entry["author"].split(" (")[0]
        assert f"| {name} | {author} | {entry['licence']} |" in readme


def test_photos_are_those_of_load_photo_with_what_the_manifest_says() -> None:
    manifest = json.loads((PHOTOS / "photos.json").read_text(encoding="utf-8"))
    photos = Photos()
    assert len(photos) == 5
    assert [photo.name for photo in photos.photos] == photo_names() == list(manifest)
    for picture, photo in photos:  # ends, as a list does
        assert (picture.mode, picture.height, picture.width) == ("RGB", *photo.size)
        assert picture.tobytes() == load_photo(photo.name).tobytes()
        assert {**asdict(photo), "size": list(photo.size)} == {"name": photo.name, **manifest[photo.name]}
    assert photos[-1][1].name == "flower"
    with pytest.raises(IndexError):
        photos[5]
    again = DataLoader(photos, batch_size=None, num_workers=1)
    assert [(picture.tobytes(), photo) for picture, photo in again] == [(one.tobytes(), photo) for one, photo in photos]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no photograph is called 'dog'; there are .*cat"):
        load_photo("dog")
    with pytest.raises(FileNotFoundError, match="data/nothing is missing"):
        data_folder("nothing")


@pytest.mark.parametrize(("size", "expected"), [(224, (224, 224)), ((64, 96), (96, 64))])
def test_crop_to_gives_the_size_and_keeps_the_middle(size: int | tuple[int, int], expected: tuple[int, int]) -> None:
    picture = Image.new("RGB", (300, 200), "blue")
    picture.paste("red", (100, 50, 200, 150))
    cropped = crop_to(picture, size)
    assert cropped.size == expected
    assert cropped.getpixel((expected[0] // 2, expected[1] // 2)) == (255, 0, 0)


def test_crop_to_keeps_the_shape_of_things() -> None:
    picture = Image.new("RGB", (400, 200), "white")
    picture.paste("black", (150, 50, 250, 150))  # a square stays a square
    cropped = crop_to(picture, 100).convert("L").point(lambda value: 255 * (value < 128))
    left, top, right, bottom = cropped.getbbox()
    assert abs((right - left) - (bottom - top)) <= 1


def test_crop_to_resizes_with_bicubic_interpolation() -> None:
    picture = crop_to(load_photo("cat"), 256)
    expected = picture.resize((100, 100), Image.Resampling.BICUBIC)
    assert crop_to(picture, 100).tobytes() == expected.tobytes()


def test_normalize() -> None:
    x = normalize(Image.new("RGB", (5, 4), (255, 0, 128)))
    assert x.shape == (1, 3, 4, 5)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225]
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor(expected))
    with pytest.raises(ValueError, match="mode is L, not RGB"):
        normalize(Image.new("L", (5, 4)))


def test_published_figures_are_complete_and_an_unknown_subject_is_refused() -> None:
    sizes = published_figures("sizes")
    assert sizes.keys() == VARIANTS.keys() - {"nano"}
    assert all(entry.keys() == {"parameters_m", "gmacs", "top_1"} for entry in sizes.values())
    speeds = published_figures("images_per_second")
    assert {len(values) for values in speeds.values()} == {7}
    assert {row["backbone"] for row in published_figures("detection")} <= VARIANTS.keys()
    with pytest.raises(ValueError, match="'accuracy'; there are sizes, detection"):
        published_figures("accuracy")
