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


@dataclass(frozen=True)
class EncodedImage:
    """A picture's file.

    Args:
        name: for messages.
        content: of the file, JPEG as a rule.
    """

    name: str
    content: bytes

    def open(self) -> Image.Image:
        """The picture, its header read and nothing decoded yet; close it."""
        return Image.open(io.BytesIO(self.content))

    def decode(self) -> Image.Image:
        """The picture in RGB.

        Raises:
            BadImage: if it cannot be read; the message names it.
        """
        try:
            with self.open() as image:
                return image.convert("RGB")
        except DECODER_ERRORS as error:
            raise self.bad(error) from error

    def bad(self, error: Exception) -> BadImage:
        """The error to raise where decoding this picture failed."""
        return BadImage(f"the picture {self.name} cannot be read ({error}); repair it, or use bad_images=skip")


class StoredPictures(Protocol):
    """What a folder, an archive and shards have in common: (RGB picture, number of the class), by index.

    Attributes:
        classes: names, in the order of their numbers.
        labels: (pictures,), the number of the class of each.
    """

    classes: list[str]

    @property
    def labels(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image.Image, int]: ...

    def name(self, index: int) -> str:
        """What a picture is called in messages, <class>/<file> where that is known."""
        ...

    def encoded(self, index: int) -> EncodedImage:
        """A picture's file, not decoded."""
        ...


class FolderPictures(Folder):
    """The pictures of root/<class>/: a Folder that also gives its files as they are."""

    @property
    def labels(self) -> np.ndarray:
        """(pictures,), the number of the class of each."""
        return np.array([label for _, label in self.files], dtype=np.int64)

    def name(self, index: int) -> str:
        """<class>/<file>."""
        path, _ = self.files[index]
        return f"{path.parent.name}/{path.name}"

    def encoded(self, index: int) -> EncodedImage:
        """A picture's file, not decoded.

        Raises:
            BadImage: if the file is gone or cannot be opened.
        """
        path, _ = self.files[index]
        try:
            return EncodedImage(self.name(index), path.read_bytes())
        except OSError as error:
            raise BadImage(
                f"the picture {path} cannot be read ({error.strerror}); put it back, or use bad_images=skip"
            ) from error


class PackedPictures(Dataset[tuple[Image.Image, int]]):
    """Pictures that lie one behind the other in a few large files, such as tar archives; each read is one seek.

    Nothing stays open between two reads, so workers and copies of this object do not disturb each other.

    Args:
        classes: names, in the order of their numbers.
        files: the large files.
        places: (pictures, 4) whole numbers: index of the file, first byte, bytes, number of the class.
        names: of the pictures, for messages; without them, they are called by file and first byte.
    """

    def __init__(
        self, classes: Sequence[str], files: Sequence[Path], places: np.ndarray, names: Sequence[str] = ()
    ) -> None:
        self.classes, self.files, self.names = list(classes), list(files), list(names)
        self.places = places.astype(np.int64).reshape(-1, 4)

    @property
    def labels(self) -> np.ndarray:
        """(pictures,), the number of the class of each."""
        return self.places[:, 3]

    def __len__(self) -> int:
        return len(self.places)

    def identity(self) -> Iterator[tuple[str, int]]:
        """The name and the label of each picture, in order: what a copy of the files has, too."""
        return ((self.name(index), label) for index, label in enumerate(self.labels.tolist()))

    def name(self, index: int) -> str:
        """<class>/<file>, or the large file's name and the first byte."""
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
        return EncodedImage(name, content)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.encoded(index).decode(), int(self.places[index, 3])


class Encoded(Dataset[tuple[EncodedImage, int]]):
    """A data set's pictures not yet decoded -> (EncodedImage, number of the class), for a transform such as JpegCrop.

    Args:
        dataset: a folder, an archive or shards.
    """

    def __init__(self, dataset: StoredPictures) -> None:
        self.dataset, self.classes, self._labels = dataset, dataset.classes, dataset.labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[EncodedImage, int]:
        return self.dataset.encoded(index), int(self._labels[index])
