"""Pictures put together from parts in whole numbers only, so that every machine makes the same ones."""

from functools import cache

import numpy as np
from PIL import Image

from gcvit_edu.data.photos import load_photo, photo_names


class Draws:
    """Random whole numbers that are a function of a few others, such as (seed, index).

    They come from the raw stream of PCG64, which NumPy keeps unchanged between versions and machines.

    Args:
        key: whole numbers, none negative.
    """

    def __init__(self, *key: int) -> None:
        self._stream = np.random.PCG64(np.random.SeedSequence(key))

    def below(self, number: int) -> int:
        """A whole number from 0 to number - 1, each as likely as any other (to within 1e-15)."""
        return int(self._stream.random_raw()) % number

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def colour(self) -> np.ndarray:
        """(3,): red, green and blue, from 0 to 255."""
        return np.array([self.below(256) for _ in range(3)])


@cache
def _photo(name: str) -> Image.Image:
    return load_photo(name)


def background(draws: Draws, size: int) -> np.ndarray:
    """(size, size, 3) of uint8: part of a photograph, a gradient between two colours, or a plain colour."""
    kind = draws.below(3)
    if kind == 0:
        photo = _photo(photo_names()[draws.below(len(photo_names()))])
        side = draws.between(min(photo.size) // 3, min(photo.size))
        left, top = draws.between(0, photo.width - side), draws.between(0, photo.height - side)
        part = photo.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
        return np.array(part)
    colours = np.broadcast_to(draws.colour(), (size, size, 3))
    if kind == 1:
        along = np.arange(size)[:, None, None]
        along = along.swapaxes(0, 1) if draws.below(2) else along
        colours = (colours * (size - 1 - along) + draws.colour() * along) // (size - 1)
    return colours.astype(np.uint8)


def paste(canvas: np.ndarray, image: Image.Image, top: int, left: int, side: int) -> np.ndarray:
    """Put a picture on a canvas, resized to a square of side pixels.

    Args:
        canvas: (H, W, 3) of uint8; changed in place.
        image: RGBA.
        top: row of the square's first pixel; the square lies within the canvas.
        left: its column.
        side: its sides, in pixels.

    Returns:
        (H, W) of bool: the pixels that show more of the picture than of the old canvas.
    """
    values = np.array(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
    place = canvas[top : top + side, left : left + side]
    alpha = values[..., 3:]
    place[:] = (values[..., :3] * alpha + place * (255 - alpha) + 127) // 255
    mask = np.zeros(canvas.shape[:2], bool)
    mask[top : top + side, left : left + side] = alpha[..., 0] > 127
    return mask
