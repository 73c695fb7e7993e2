"""Leaving pictures out that cannot be read."""

from collections.abc import Sequence
from typing import Any, Protocol

from gcvit_edu.data.encoded import EncodedImage
from gcvit_edu.data.folder import BadImage
from gcvit_edu.train.dist import gather, place_in_world


class Pictures(Protocol):
    """A data set of pictures, or of their files, with labels; it raises BadImage for those that it cannot read."""

    classes: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, int]: ...


class Readable:
    """A data set without the pictures that cannot be read: each is tried once, at the start.

    So the number of pictures is known before the first step, the same on every process and after a resume. The
    processes of a run share the work.

    Args:
        pictures: the whole data set.

    Attributes:
        classes: of the whole data set.
        skipped: for each picture left out, a message that names it.

    Raises:
        ValueError: if no picture can be read.
    """

    def __init__(self, pictures: Pictures) -> None:
        self.dataset, self.classes = pictures, pictures.classes
        rank, world = place_in_world()
        own = [
            (index, message) for index in range(rank, len(pictures), world) if (message := _problem(pictures, index))
        ]
        bad = dict(sorted(found for part in gather(own) for found in part))
        self.skipped = list(bad.values())
        self.kept = [index for index in range(len(pictures)) if index not in bad]
        if not self.kept:
            raise ValueError(f"none of the {len(pictures)} pictures can be read; the first: {self.skipped[0]}")

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.dataset[self.kept[index]]


def _problem(pictures: Pictures, index: int) -> str | None:
    try:
        picture, _ = pictures[index]
        if isinstance(picture, EncodedImage):
            picture.decode()
    except BadImage as error:
        return str(error)
    return None


def readable(pictures: Pictures, bad_images: str) -> Pictures:
    """The data set as it is for "raise", or without its unreadable pictures for "skip"."""
    return Readable(pictures) if bad_images == "skip" else pictures
