"""Your own pictures: one folder for each class."""

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
DECODER_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what decoders raise on bad files


class BadImage(ValueError):
    """A picture that is missing or cannot be read; the message names it."""


class Folder:
    """The pictures of root/<class>/, as (RGB picture, number of the class), classes and files sorted by name.

    Args:
        root: a folder with one folder for each class; folders and files whose names begin with a dot are left alone.

    Attributes:
        classes: names, in the order of their numbers.
        files: (path, number of the class) for each picture.

    Raises:
        ValueError: if there is no class, or a class has no picture.
        BadImage: when a picture is asked for that is missing or cannot be read.
    """

    def __init__(self, root: Path | str) -> None:
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"{root} is no folder; name one that has a folder for each class")
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not folders:
            raise ValueError(f"{root} has no folders; put the pictures of each class into a folder of their own")
        self.classes = [folder.name for folder in folders]
        self.files: list[tuple[Path, int]] = []
        for label, folder in enumerate(folders):
            pictures = sorted(
                path
                for path in folder.iterdir()
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")  # as macOS's ._1.jpg
            )
            if not pictures:
                raise ValueError(
                    f"the class folder {folder} has no pictures ({', '.join(SUFFIXES)}); add some, or delete it"
                )
            self.files += [(path, label) for path in pictures]

    def __len__(self) -> int:
        return len(self.files)

    def identity(self) -> Iterator[tuple[str, int]]:
        """<class>/<file> and the label of each picture, in order: what a copy of the folder has, too."""
        return ((f"{path.parent.name}/{path.name}", label) for path, label in self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as image:
                return image.convert("RGB"), label
        except FileNotFoundError as error:
            raise BadImage(f"the picture {path} is missing; put it back, or use bad_images=skip") from error
        except DECODER_ERRORS as error:
            raise BadImage(f"the picture {path} cannot be read ({error}); repair it, or use bad_images=skip") from error

    def parted(self, share: float) -> tuple[Self, Self]:
        """The pictures in two parts, the second with a share of each class, for folders that nobody has split.

        A picture's part follows from a hash of its file name: the same on every machine. Pictures that belong
        together, such as frames of one film, may be parted, and then the second part is no test of the first: put
        such pictures into train/ and val/ yourself.

        Args:
            share: of each class's pictures, above 0 and below 1; rounded, but each part has one picture at least.

        Raises:
            ValueError: for another share, and for a class with one picture.
        """
        if not 0 < share < 1:
            raise ValueError(f"share={share} must be above 0 and below 1, such as 0.2 for one picture in five")
        second: set[tuple[Path, int]] = set()
        for label, name in enumerate(self.classes):
            own = sorted(
                (file for file in self.files if file[1] == label),
                key=lambda file: hashlib.sha256(file[0].name.encode()).digest(),
            )
            if len(own) == 1:
                raise ValueError(f"the class {name} has one picture ({own[0][0]}), which cannot be parted; add another")
            second |= set(own[: min(len(own) - 1, max(1, round(share * len(own))))])
        parts = copy.copy(self), copy.copy(self)
        parts[0].files = [file for file in self.files if file not in second]
        parts[1].files = [file for file in self.files if file in second]
        return parts
