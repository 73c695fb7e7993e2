"""Emoji of three vendors in 13 classes; data/emoji/README.md has their authors and licences."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from PIL import Image
from torch.utils.data import Dataset

from gcvit_edu.files import data_folder


@dataclass(frozen=True)
class Drawing:
    """One vendor's drawing of one emoji.

    Attributes:
        code: the emoji's code points, such as "1f400".
        name: its short name, such as "rat".
        label: number of its class.
        vendor: the company that drew it.
    """

    code: str
    name: str
    label: int
    vendor: str


@cache
def _manifest() -> dict[str, Any]:
    """data/emoji/emoji.json, read once."""
    return json.loads((data_folder("emoji") / "emoji.json").read_text(encoding="utf-8"))


@cache
def _files() -> dict[tuple[str, str], bytes]:
    """{(code, vendor): WebP file} of all shards, read once in each process."""
    files = {}
    for shard in _manifest()["shards"]:
        with tarfile.open(data_folder("emoji") / shard) as archive:
            for member in archive:
                code, vendor, _ = member.name.rsplit("/", 1)[1].split(".")
                files[code, vendor] = archive.extractfile(member).read()
    return files


def emoji_classes() -> list[str]:
    """The names of the 13 classes; a class's place in the list is its label."""
    return list(_manifest()["classes"])


def emoji_vendors() -> list[str]:
    """The vendors of the emoji: google, twitter, fluent."""
    return list(_manifest()["vendors"])


class Emoji(Dataset[tuple[Image.Image, int]]):
    """Drawings of emoji -> (RGBA picture of 64x64 pixels, label).

    There are two kinds of split, the same on every machine. holdout="emoji" tests on one fifth of the emoji, in all
    their drawings, so that no tested emoji was seen in another style. A vendor's name tests on all drawings of that
    vendor and trains on the others', of the same emoji, so that every tested style is new, but no tested emoji is.
    If both must be new, hold out emoji and choose vendors: train on the training emoji of some, test on the held-out
    emoji of another.

    Args:
        split: "train" or "test".
        holdout: "emoji", or one of emoji_vendors().
        vendors: whose drawings to take; None for all.

    Attributes:
        classes: names of the classes, in the order of the labels.
        drawings: the drawing at each index.

    Raises:
        ValueError: for another split, holdout or vendor, and if no drawing is left.
    """

    def __init__(
        self, split: Literal["train", "test"], *, holdout: str = "emoji", vendors: Sequence[str] | None = None
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"there is no split {split!r} of the emoji; take 'train' or 'test'")
        if holdout not in ("emoji", *emoji_vendors()):
            known = ", ".join(emoji_vendors())
            raise ValueError(f"{holdout!r} cannot be held out; take 'emoji' or the name of a vendor: {known}")
        for vendor in vendors or ():
            if vendor not in emoji_vendors():
                raise ValueError(f"no vendor is called {vendor!r}; there are {', '.join(emoji_vendors())}")
        self.classes = emoji_classes()
        self.drawings = [
            Drawing(entry["code"], entry["name"], self.classes.index(entry["class"]), vendor)
            for entry in _manifest()["emoji"]
            for vendor in entry["vendors"]
            if (entry["split"] == "test" if holdout == "emoji" else vendor == holdout) == (split == "test")
            and (vendors is None or vendor in vendors)
        ]
        if not self.drawings:
            raise ValueError(
                f"vendors={list(vendors or ())} has no drawing in the split {split!r} of holdout={holdout!r}; "
                "name other vendors, or None for all"
            )

    @property
    def about(self) -> str:
        """The numbers of drawings, emoji and classes, as a line."""
        emoji = len({drawing.code for drawing in self.drawings})
        return f"{len(self)} drawings of {emoji} emoji in {len(self.classes)} classes"

    def __len__(self) -> int:
        return len(self.drawings)

    def identity(self) -> Iterator[tuple[str, int]]:
        """Emoji and vendor, and the label, of each drawing, in order."""
        return ((f"{drawing.code}.{drawing.vendor}", drawing.label) for drawing in self.drawings)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        drawing = self.drawings[index]
        with Image.open(io.BytesIO(_files()[drawing.code, drawing.vendor])) as image:
            return image.convert("RGBA"), drawing.label


def on_colour(image: Image.Image, colour: Sequence[int] = (255, 255, 255)) -> Image.Image:
    """A picture with transparency -> the same in RGB, on a plain background.

    Args:
        image: a drawing of 8 bits a channel; for any other picture, on white, there is upright_rgb.
        colour: red, green and blue of the background, from 0 to 255.
    """
    background = Image.new("RGBA", image.size, (*colour, 255))
    background.alpha_composite(image.convert("RGBA"))
    return background.convert("RGB")
