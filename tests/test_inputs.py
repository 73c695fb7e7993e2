"""What check_image takes for a picture that nobody normalised, and what it lets pass."""

import pytest
import torch
from _support import images, small_config, small_model
from torch import Tensor

from gcvit_edu.data import crop_to, load_photo, normalize
from gcvit_edu.inputs import check_image

CONFIG = small_config()
MEAN = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]


def photo() -> Tensor:
    """(1, 3, 64, 64), from 0 to 1."""
    return normalize(crop_to(load_photo("cat"), 64)) * DEVIATION + MEAN


def a_dark_picture() -> Tensor:
    """Black, with a few white points."""
    dark = torch.zeros(1, 3, 64, 64)
    dark[..., ::16, ::16] = 255
    return dark


FORGOTTEN = {
    "from 0 to 255": lambda: 255 * photo(),
    "rounded": lambda: (255 * photo()).round(),
    "less its mean": lambda: 255 * (photo() - MEAN),
    "less the mean of pictures from 0 to 1": lambda: 255 * photo() - MEAN,
    "normalised as if it were from 0 to 1": lambda: (255 * photo() - MEAN) / DEVIATION,
    "divided by its deviation alone": lambda: 255 * photo() / DEVIATION,
    "from 0 to 65535": lambda: 65535 * photo(),
    "dark": a_dark_picture,
    "in half precision": lambda: (255 * photo()).half(),
    "in double precision": lambda: (255 * photo()).double(),
    "one of a batch": lambda: torch.cat([(photo() - MEAN) / DEVIATION, 255 * photo()]),
    "with a missing pixel": lambda: torch.where(torch.arange(64) == 3, float("nan"), 255 * photo()),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_picture_that_nobody_normalised_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"not normalised; divide by 255.*subtract the mean"):
        check_image(FORGOTTEN[name](), CONFIG)


def memory(seed: int) -> Tensor:
    """What torch.empty may give: any bits, huge numbers, infinities and NaN among them."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(-(2**31), 2**31, (1, 3, 64, 64), generator=generator)
    return bits.to(torch.int32).view(torch.float32)


def changed(value: float) -> Tensor:
    image = images(1, 64)
    image[0, 1, 2, 3] = value
    return image


UNFILLED = {
    "1e30": lambda: torch.full((1, 3, 64, 64), 1e30),
    "some 1e30": lambda: changed(1e30),
    "any bits": lambda: memory(0),
    "any other bits": lambda: memory(1),
    "any bits and an infinity": lambda: torch.where(torch.arange(64) == 3, float("inf"), memory(0)),
    "left by another layer": lambda: changed(300.7),
    "NaN": lambda: torch.full((1, 3, 64, 64), float("nan")),
    "some NaN": lambda: changed(float("nan")),
    "denormal": lambda: torch.full((1, 3, 64, 64), 1e-40),
}


@pytest.mark.parametrize("name", UNFILLED)
def test_memory_that_nobody_filled_is_let_pass(name: str) -> None:
    """Counters of operations run a network on it, and would fail by chance."""
    check_image(UNFILLED[name](), CONFIG)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinity_among_small_numbers_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="infinite values; look for a division by zero"):
        check_image(changed(value), CONFIG)


def test_a_counter_may_warm_up_with_anything() -> None:
    with torch.no_grad():
        assert small_model()(memory(2)).shape == (1, 5)


def test_what_is_no_tensor_is_refused_in_words() -> None:
    model = small_model()
    for image in (images(1, 64).numpy(), [images(1, 64)[0]], None):
        with pytest.raises(ValueError, match=f"{type(image).__name__} is no batch of images; give a tensor"):
            model(image)


def test_sixteen_bits_are_told_their_range() -> None:
    with pytest.raises(ValueError, match=r"torch\.uint16 is not normalised; divide by 255 \(one of 16 bits by 65535\)"):
        check_image(torch.zeros(1, 3, 64, 64, dtype=torch.uint16), small_config())
