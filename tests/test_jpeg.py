"""Random parts of JPEG files: the same parts as torchvision's, the same pixels within a small tolerance."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet import jpeg
from gcvit_edu.data.imagenet.encoded import EncodedImage
from gcvit_edu.data.imagenet.jpeg import JpegCrop, ToNormalized, cropped
from gcvit_edu.data.photos import load_photo
from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD

BICUBIC = v2.InterpolationMode.BICUBIC


def encoded(picture: Image.Image, form: str = "JPEG") -> EncodedImage:
    file = io.BytesIO()
    picture.save(file, form, **({"quality": 90} if form == "JPEG" else {}))
    return EncodedImage("it", file.getvalue())


def photo(width: int = 500, height: int = 375, mode: str = "RGB") -> Image.Image:
    return load_photo("china").resize((width, height)).convert(mode)


def both(image: EncodedImage, size: int, seed: int, scale: tuple[float, float] = (0.08, 1.0)) -> tuple[Tensor, Tensor]:
    """Ours, and what torchvision makes of the decoded picture from the same state of the generator."""
    theirs = v2.Compose([v2.RandomResizedCrop(size, scale, interpolation=BICUBIC), v2.PILToTensor()])
    torch.manual_seed(seed)
    ours = JpegCrop(size, scale)(image)
    drawn = torch.rand(())
    torch.manual_seed(seed)
    expected = theirs(image.decode())
    assert drawn == torch.rand(())  # what follows, a flip above all, is the same as well
    return ours, expected


def root_mean_square(one: Tensor, other: Tensor) -> float:
    return (one.float() - other.float()).square().mean().sqrt().item()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_torchvisions_within_rounding(mode: str, seed: int) -> None:
    ours, expected = both(encoded(photo(mode=mode)), 224, seed)
    assert (ours.shape, ours.dtype) == ((3, 224, 224), torch.uint8)
    assert (ours.int() - expected.int()).abs().max() <= 2


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_file_that_is_no_jpeg_is_read_too(form: str) -> None:
    for size in (224, 40):
        ours, expected = both(encoded(photo(), form), size, seed=1, scale=(0.8, 1.0))
        assert (ours.int() - expected.int()).abs().max() <= 2


@pytest.mark.parametrize(("size", "by"), [(187, 2), (90, 4), (45, 8), (20, 8)])
def test_a_large_part_is_decoded_smaller_and_looks_the_same(size: int, by: int) -> None:
    """Sides that are no multiples of 8, a part at odd places: a shift by one pixel would be seen."""
    image, box = encoded(photo(501, 379)), (3, 2, 498, 377)
    with image.open() as lazy:
        ours = cropped(image, lazy, box, size)
        assert lazy.size == (math.ceil(501 / by), math.ceil(379 / by))
    exact = image.decode().resize((size, size), Image.Resampling.BICUBIC, box=box)
    expected = torch.from_numpy(np.array(exact)).permute(2, 0, 1)
    shifted = image.decode().resize((size, size), Image.Resampling.BICUBIC, box=(0, 0, 495, 375))
    error = root_mean_square(ours, expected)
    assert error < 5
    assert root_mean_square(torch.from_numpy(np.array(shifted)).permute(2, 0, 1), expected) > 1.5 * error


def test_a_part_of_less_than_twice_the_size_is_decoded_in_full() -> None:
    image = encoded(photo())
    with image.open() as lazy:
        whole = cropped(image, lazy, (0, 0, 447, 375), 224)
        assert lazy.size == (500, 375)
    expected = image.decode().crop((0, 0, 447, 375)).resize((224, 224), Image.Resampling.BICUBIC)
    assert (whole.int() - torch.from_numpy(np.array(expected)).permute(2, 0, 1).int()).abs().max() <= 2


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_without_simplejpeg_or_where_it_refuses_pillow_reads_the_same(
    mode: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, box, calls = encoded(photo(mode=mode)), (7, 5, 231, 229), []
    with image.open() as lazy:
        ours = cropped(image, lazy, box, 224)

    def refuse(content: bytes) -> None:
        calls.append(len(content))
        raise ValueError("refused")

    monkeypatch.setattr(jpeg, "simplejpeg", SimpleNamespace(decode_jpeg=refuse) if installed else None)
    with image.open() as lazy:
        assert torch.equal(cropped(image, lazy, box, 224), ours)
    assert len(calls) == (installed and mode != "CMYK")


def boxes(monkeypatch: pytest.MonkeyPatch, image: EncodedImage, draws: int) -> list[tuple[int, int, int, int]]:
    found: list[tuple[int, int, int, int]] = []

    def remember(_image: EncodedImage, _lazy: Image.Image, box: tuple[int, int, int, int], size: int) -> Tensor:
        found.append(box)
        return torch.zeros(3, size, size, dtype=torch.uint8)

    monkeypatch.setattr("gcvit_edu.data.imagenet.jpeg.cropped", remember)
    torch.manual_seed(0)
    crop = JpegCrop(224)
    for _ in range(draws):
        crop(image)
    return found


def distance(one: list[float], other: list[float]) -> float:
    """Kolmogorov and Smirnov's: the largest difference between two empirical distributions."""
    values = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def test_parts_have_the_distribution_of_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Areas, shapes and places, drawn independently of ours; and a crop from 0.3 of the area would be found."""
    image, draws = encoded(photo()), 2000
    ours = boxes(monkeypatch, image, draws)
    torch.manual_seed(12345)

    def theirs(smallest: float) -> list[tuple[int, int, int, int]]:
        crop, picture = v2.RandomResizedCrop(224, (smallest, 1.0)), photo()
        found = [crop.make_params([picture]) for _ in range(draws)]
        return [(p["left"], p["top"], p["left"] + p["width"], p["top"] + p["height"]) for p in found]

    measures = {
        "area": lambda b: (b[2] - b[0]) * (b[3] - b[1]),
        "shape": lambda b: (b[2] - b[0]) / (b[3] - b[1]),
        "left": lambda b: b[0],
        "top": lambda b: b[1],
    }
    right, wrong = theirs(0.08), theirs(0.3)
    critical = 1.95 * math.sqrt(2 / draws)  # exceeded by chance once in a thousand times
    for name, measure in measures.items():
        assert distance([measure(b) for b in ours], [measure(b) for b in right]) < critical, name
    area = measures["area"]
    assert distance([area(b) for b in ours], [area(b) for b in wrong]) > critical


def test_a_broken_picture_is_named() -> None:
    whole = encoded(photo()).content
    for content in (whole[: len(whole) // 2], b"spoilt", b""):
        for size in (224, 40):
            with pytest.raises(BadImage, match="the picture it cannot be read"):
                JpegCrop(size, (0.9, 1.0))(EncodedImage("it", content))


def test_labels_pass_and_values_are_normalised() -> None:
    crop, label = JpegCrop(32)(encoded(photo()), 7)
    values, again = ToNormalized()(crop, label)
    expected = v2.functional.normalize(crop.float() / 255, list(IMAGENET_MEAN), list(IMAGENET_STD))
    torch.testing.assert_close(values, expected)
    assert (label, again) == (7, 7)
    assert values.is_contiguous()
    torch.testing.assert_close(ToNormalized()(crop), expected)
