"""Openly licensed photographs; data/photos/photos.json has their authors and licences."""

import json

from PIL import Image

from gcvit_edu.files import data_folder


def photo_names() -> list[str]:
    """The names that load_photo knows."""
    return list(json.loads((data_folder("photos") / "photos.json").read_text(encoding="utf-8")))


def load_photo(name: str) -> Image.Image:
    """A photograph by name, in RGB and as large as it is stored (300 to 512 pixels high).

    Raises:
        ValueError: for an unknown name.
    """
    if name not in photo_names():
        raise ValueError(f"no photograph is called {name!r}; there are {', '.join(photo_names())}")
    with Image.open(data_folder("photos") / f"{name}.jpg") as image:
        return image.convert("RGB")
