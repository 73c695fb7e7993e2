"""Pictures as the files that they are stored in: read now, decoded later."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from gcvit_edu.data.folder import DECODER_ERRORS, BadImage, Folder
from gcvit_edu.data.transforms import ORIENTATION, orientation_of, upright_rgb
from gcvit_edu.data.words import counted, state_of


@dataclass(frozen=True)
class EncodedImage:
    """The file of a picture, with its name.

    Attributes:
        name: for messages.
        content: of the file, JPEG as a rule.
        upright: whether to turn it by its EXIF orientation, which is right for people's own pictures. ImageNet's stay
            as they are stored, which is the usual way to read them.
    """

    name: str
    content: bytes
    upright: bool = True

    def open(self) -> Image.Image:
        """The picture, of which only the header is read yet; the caller must close it."""
        return Image.open(io.BytesIO(self.content))

    def decode(self) -> Image.Image:
        """The picture in RGB, by upright_rgb; it is turned only if upright is True.

        Raises:
            BadImage: if it cannot be read; the message names it.
        """
        try:
            with self.open() as image:
                return upright_rgb(image, turn=self.upright)
        except DECODER_ERRORS as error:
            raise self.bad(error) from error

    def tag(self) -> dict[str, Image.Exif]:
        """The EXIF to save the decoded picture with: it keeps the turn that the picture still needs, if any."""
        exif = Image.Exif()
        with self.open() as image:
            image.load()
            exif[ORIENTATION] = 1 if self.upright else orientation_of(image)
        return {"exif": exif} if exif[ORIENTATION] != 1 else {}

    def bad(self, error: Exception) -> BadImage:
        """The error to raise if this picture cannot be decoded."""
        why = error if self.content else "it has 0 bytes"
        return BadImage(f"the picture {self.name} cannot be read ({why}); repair it, or use bad_images=skip")


class StoredPictures(Protocol):
    """The common interface of a folder, an archive and shards: (RGB picture, number of the class), by index.

    Attributes:
        classes: names, in the order of their numbers.
        labels: (pictures,), the number of the class of each.
        upright: whether pictures are turned by their EXIF orientation; False for ImageNet's.
        about: the numbers of pictures and classes, and the ignored content, as a line.
        root: the folder.
    """

    classes: list[str]
    upright: bool
    root: Path

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def about(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image.Image, int]: ...

    def name(self, index: int) -> str:
        """The name of a picture in messages, <class>/<file> where that is known."""
        ...

    def encoded(self, index: int) -> EncodedImage:
        """A picture's file, not decoded."""
        ...

    def stamp(self, index: int) -> str:
        """A picture's name, bytes and time of change: another stamp means another picture."""
        ...


class FolderPictures(Folder):
    """The pictures of root/<class>/: a Folder that also gives its files as they are; its arguments are a Folder's."""

    def name(self, index: int) -> str:
        """The name of a picture, <class>/<file>."""
        path, _ = self.files[index]
        return f"{path.parent.name}/{path.name}"

    def encoded(self, index: int) -> EncodedImage:
        """A picture's file, not decoded.

        Raises:
            BadImage: if the file is gone or cannot be opened.
        """
        path, _ = self.files[index]
        try:
            return EncodedImage(self.name(index), path.read_bytes(), self.upright)
        except OSError as error:
            raise BadImage(
                f"the picture {path} cannot be read ({error.strerror}); put it back, or use bad_images=skip"
            ) from error


class PackedPictures(Dataset[tuple[Image.Image, int]]):
    """Pictures that are stored one after another in a few large files, such as tar archives; each read is one seek.

    Nothing stays open between two reads, so workers and copies of this object do not disturb each other.

    Args:
        classes: names, in the order of their numbers.
        files: the large files.
        places: (pictures, 4) whole numbers: index of the file, first byte, bytes, number of the class.
        names: of the pictures, for messages; without them, they are called by file and first byte.
        upright: whether to turn pictures by their EXIF orientation; False, for ImageNet's, leaves them as stored.
        left_out: pictures that are missing on purpose, for `about`.

    Attributes:
        root: the folder of the first file.
    """

    def __init__(
        self,
        classes: Sequence[str],
        files: Sequence[Path],
        places: np.ndarray,
        names: Sequence[str] = (),
        *,
        upright: bool = False,
        left_out: int = 0,
    ) -> None:
        self.classes, self.files, self.names = list(classes), list(files), list(names)
        self.places = places.astype(np.int64).reshape(-1, 4)
        self.upright, self.left_out = upright, left_out
        self.root = self.files[0].parent

    @property
    def labels(self) -> np.ndarray:
        """The number of the class of each picture, (pictures,)."""
        return self.places[:, 3]

    @property
    def about(self) -> str:
        """The numbers of pictures and classes, as a line."""
        found = f"{counted(len(self), 'picture')} in {counted(len(self.classes), 'class')}"
        return found + (f"; {self.left_out} that could not be read are not in the shards" if self.left_out else "")

    def __len__(self) -> int:
        return len(self.places)

    def identity(self) -> Iterator[tuple[str, int]]:
        """The name and the label of each picture, in order; a copy of the files has the same ones."""
        return ((self.name(index), label) for index, label in enumerate(self.labels.tolist()))

    def stamp(self, index: int) -> str:
        """The place of a picture in a large file, with that file's size and time of change."""
        number, offset, size, label = self.places[index].tolist()
        return f"{self.files[number].name} {offset} {size} {label} {state_of(self.files[number])}"

    def name(self, index: int) -> str:
        """The name of a picture, <class>/<file>, or the large file's name and the first byte."""
        if self.names:
            return self.names[index]
        return f"{self.files[self.places[index, 0]].name}, byte {self.places[index, 1]}"

    def encoded(self, index: int) -> EncodedImage:
        """A picture's file, not decoded.

        Raises:
            BadImage: if its bytes are not there.
        """
        number, offset, size, _ = self.places[index].tolist()
        path, name = self.files[number], self.name(index)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                content = file.read(size)
        except OSError as error:
            raise BadImage(f"the picture {name} cannot be read: {path}: {error.strerror}; put the file back") from error
        if len(content) < size:
            raise BadImage(f"the picture {name} cannot be read: {path} is cut short; make or copy that file again")
        return EncodedImage(name, content, self.upright)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.encoded(index).decode(), int(self.places[index, 3])


class Encoded(Dataset[tuple[EncodedImage, int]]):
    """A data set's pictures not yet decoded -> (EncodedImage, number of the class), for a transform such as JpegCrop.

    Args:
        dataset: a folder, an archive or shards.
    """

    def __init__(self, dataset: StoredPictures) -> None:
        self.dataset, self.classes, self.labels = dataset, dataset.classes, dataset.labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[EncodedImage, int]:
        return self.dataset.encoded(index), int(self.labels[index])

    @property
    def root(self) -> Path:
        """The folder of the pictures."""
        return self.dataset.root

    @property
    def about(self) -> str:
        """The pictures' own description, as a line."""
        return self.dataset.about

    def stamp(self, index: int) -> str:
        """The stored picture's stamp."""
        return self.dataset.stamp(index)
