"""Openly licensed photographs; data/photos/photos.json has their authors and licences."""

import json
from dataclasses import dataclass
from functools import cache

from PIL import Image
from torch.utils.data import Dataset

from gcvit_edu.files import data_folder


@dataclass(frozen=True)
class Photo:
    """The facts about a photograph: what its licence wants you to name when you show it, and where it comes from.

    Attributes:
        name: its name for load_photo, such as "cat".
        title: what it shows.
        author: the photographer.
        licence: "public domain", or the SPDX name of a licence, such as "CC-BY-2.0".
        origin: address of the page where the author, or a library that ships it, published it.
        source: the file, package and version that data/photos/make.py took it from.
        size: (height, width), in pixels.
        sha256: checksum of the file that is stored here. It is not compared when a photograph is loaded.
    """

    name: str
    title: str
    author: str
    licence: str
    origin: str
    source: str
    size: tuple[int, int]
    sha256: str


@cache
def _photos() -> dict[str, Photo]:
    """data/photos/photos.json by name, read once."""
    manifest = json.loads((data_folder("photos") / "photos.json").read_text(encoding="utf-8"))
    return {name: Photo(name, **{**entry, "size": tuple(entry["size"])}) for name, entry in manifest.items()}


def photo_names() -> list[str]:
    """The names that load_photo knows."""
    return list(_photos())


def load_photo(name: str) -> Image.Image:
    """A photograph by name, in RGB and as large as it is stored (300 to 512 pixels high).

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _photos():
        raise ValueError(f"no photograph is called {name!r}; there are {', '.join(photo_names())}")
    with Image.open(data_folder("photos") / f"{name}.jpg") as image:
        return image.convert("RGB")


class Photos(Dataset[tuple[Image.Image, Photo]]):
    """The photographs that come with the book -> (RGB picture as large as it is stored, its Photo).

    They are pictures to look at, each of its own size and without a class: five are too few to train on, or to measure
    anything with.

    Attributes:
        photos: the Photo at each index, in the order of photo_names().
    """

    def __init__(self) -> None:
        self.photos = list(_photos().values())

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Image.Image, Photo]:
        photo = self.photos[index]
        return load_photo(photo.name), photo
