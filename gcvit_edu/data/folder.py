"""Your own pictures: one folder for each class."""

import copy
import hashlib
import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from gcvit_edu.console import printable
from gcvit_edu.data.transforms import upright_rgb
from gcvit_edu.data.words import counted, state_of

_WANTED = ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .avif .gif .bmp .dib .tif .tiff .jp2 .j2k .ppm .pgm .pbm .pnm"
SUFFIXES = tuple(suffix for suffix in _WANTED.split() if suffix in Image.registered_extensions())  # AVIF is new
# Errors of Pillow's decoders on bad files, above all AVIF's and TIFF's; not MemoryError, which is no fault of a file.
DECODER_ERRORS = (
    *(OSError, SyntaxError, ValueError, RuntimeError, TypeError, LookupError, ArithmeticError, EOFError, struct.error),
    Image.DecompressionBombError,
)
MADE_BY_SYSTEMS = ("__MACOSX", "@eaDir", "lost+found")  # folders
MOST_KINDS = 5  # suffixes that a line names
# Common names of the two parts of a data set; the first is ours.
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test", "testing", "dev", "eval")}


class BadImage(ValueError):
    """A picture that is missing or cannot be read; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Folder:
    """The pictures of root/<class>/, as (upright RGB picture, number of the class), classes and files sorted by name.

    upright_rgb (gcvit_edu.data.transforms) explains the treatment of EXIF orientations, transparency and 16 bits.

    Args:
        root: a folder with one folder for each class; folders and files whose names begin with a dot are ignored.
        upright: False leaves pictures as they are stored, whatever their EXIF orientation, for ImageNet's.

    Attributes:
        classes: names, in the order of their numbers.
        files: (path, number of the class) for each picture.
        left_alone: the other content, as phrases such as "2 files of other kinds (.heic 2)".

    Raises:
        ValueError: if there is no class, or a class has no picture.
        BadImage: at the access to a picture that is missing or cannot be read.
    """

    def __init__(self, root: Path | str, *, upright: bool = True) -> None:
        self.root, self.upright = Path(root), upright
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is no folder; name one that has a folder for each class")
        top = _Content(self.root)
        if not top.folders:
            above = f", such as {self.root.absolute().parent}" if top.pictures else ""
            raise ValueError(
                f"{self.root} has no folders; put the pictures of each class into a folder of their own, and name the "
                f"folder that has these{above}"
            )
        self.classes = top.folders
        self.files: list[tuple[Path, int]] = []
        others, hidden, inner, deeper = top.others, top.hidden, 0, 0
        for label, name in enumerate(self.classes):
            folder = self.root / name
            content = _Content(folder)
            below = sum(_pictures_below(folder / inside) for inside in content.folders)
            if not content.pictures:
                raise ValueError(_without_pictures(self.root, folder, content, below))
            self.files += [(folder / picture, label) for picture in content.pictures]
            others, hidden = others + content.others, hidden + content.hidden
            inner, deeper = inner + len(content.folders), deeper + below
        phrases = {
            f"{counted(others.total(), 'file')} of other kinds ({_kinds(others)})": others.total(),
            counted(hidden, "hidden picture"): hidden,
            f"{counted(inner, 'folder')} inside classes with {counted(deeper, 'picture')}": inner,
            f"{counted(len(top.pictures), 'picture')} beside the classes": len(top.pictures),
        }
        self.left_alone = [phrase for phrase, number in phrases.items() if number]
        self._whole = len(self.files)

    @property
    def about(self) -> str:
        """The numbers of pictures and classes, and the ignored content, as a line."""
        found = counted(len(self), "picture") if len(self) == self._whole else f"{len(self)} of {self._whole} pictures"
        left = f"; left alone: {', '.join(self.left_alone)}" if self.left_alone else ""
        return printable(f"{found} in {counted(len(self.classes), 'class')}{left}")

    @property
    def labels(self) -> np.ndarray:
        """The number of the class of each picture, (pictures,)."""
        return np.array([label for _, label in self.files], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def identity(self) -> Iterator[tuple[str, int]]:
        """<class>/<file> and the label of each picture, in order; a copy of the folder has the same ones."""
        return ((f"{path.parent.name}/{path.name}", label) for path, label in self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as image:
                return upright_rgb(image, turn=self.upright), label
        except FileNotFoundError as error:
            raise BadImage(f"the picture {path} is missing; put it back, or use bad_images=skip") from error
        except DECODER_ERRORS as error:
            why = "it has 0 bytes" if state_of(path).startswith("0 ") else error
            raise BadImage(f"the picture {path} cannot be read ({why}); repair it, or use bad_images=skip") from error

    def stamp(self, index: int) -> str:
        """A picture's class, name, bytes and time of change: another stamp means another picture."""
        path, _ = self.files[index]
        return f"{path.parent.name}/{path.name} {state_of(path)}"

    def parted(self, share: float) -> tuple[Self, Self]:
        """The pictures in two parts, the second with a share of each class, for folders without train/ and val/.

        A picture's part follows from a hash of its file name: the same on every machine. Pictures that belong
        together, such as frames of one film, may come into different parts, and then the second part is no fair test:
        put such pictures into train/ and val/ yourself.

        Args:
            share: of each class's pictures, above 0 and below 1; rounded, but each part has one picture at least.

        Raises:
            ValueError: for another share, and for a class with one picture.
        """
        if not 0 < share < 1:
            raise ValueError(f"share={share} must be above 0 and below 1, such as 0.2 for one picture in five")
        second: set[tuple[Path, int]] = set()
        by_class: list[list[tuple[Path, int]]] = [[] for _ in self.classes]
        for file in self.files:
            by_class[file[1]].append(file)
        for name, files in zip(self.classes, by_class, strict=True):
            own = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file[0].name)).digest())
            if len(own) == 1:
                raise ValueError(f"the class {name} has one picture ({own[0][0]}), which cannot be parted; add another")
            second |= set(own[: min(len(own) - 1, max(1, round(share * len(own))))])
        parts = copy.copy(self), copy.copy(self)
        parts[0].files = [file for file in self.files if file not in second]
        parts[1].files = [file for file in self.files if file in second]
        return parts


def train_and_val(root: Path | str, val_share: float | None = None) -> tuple[Folder, Folder]:
    """The pictures of root/train/<class>/ and root/val/<class>/; or those of root/<class>/, parted.

    Args:
        root: the folder.
        val_share: share of each class to hold out where root has the classes themselves; None refuses such a folder.

    Raises:
        ValueError: for anything else; it names the folder that is missing, has another name or is one level deeper.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; name one that has a folder for each class")
    train, val = (root / part for part in PARTS)
    if train.is_dir() and val.is_dir():
        training, validation = Folder(train), Folder(val)
        beside = [f"{name}/" for name in _Content(root).folders if name not in PARTS]
        training.left_alone += [f"{', '.join(beside)} beside train/ and val/"] if beside else []
        return training, validation
    if problem := split_problem(root):
        held_out = f", or name {train}: then a share of it is held out" if val_share and _has_classes(train) else ""
        raise ValueError(problem + held_out)
    if val_share is None:
        above = root.absolute().parent
        near = f"name {above}, which has both" if all((above / part).is_dir() for part in PARTS) else "make these two"
        raise ValueError(
            f"{root} has neither train/ nor val/ with a folder for each class; {near}, or give a val_share, "
            "which is held out of each class"
        )
    return Folder(root).parted(val_share)


def split_problem(root: Path) -> str:
    """The reason why root/train and root/val are missing, and the remedy; empty if nothing looks like them.

    Args:
        root: a folder.
    """
    folders = [name for name in _Content(root).folders if _has_classes(root / name)]
    called = {
        part: [name for word in words for name in folders if name.lower() == word] for part, words in PARTS.items()
    }
    if not any(called.values()):
        inside = _where_unzipped(root)
        return f"{root} has its pictures deeper than expected, in {inside}; name that folder instead" if inside else ""
    to_do = []
    for part, names in called.items():
        if part not in names:
            to_do.append(f"rename {names[0]}/ to {part}/" if names else f"add {root / part} with the same classes")
    here = ", ".join(f"{name}/" for names in called.values() for name in names)
    missing = " and ".join(f"{part}/" for part, names in called.items() if part not in names)
    return f"{root} has {here} but no {missing}; {', '.join(to_do)}"


# ------------------------------------------------------------------------------------------- content of a folder


class _Content:
    """The content of one folder: names of pictures and folders, sorted, and the numbers of other files."""

    def __init__(self, folder: Path) -> None:
        self.pictures: list[str] = []
        self.folders: list[str] = []
        self.others: Counter[str] = Counter()  # by suffix
        self.hidden = 0  # pictures
        with os.scandir(folder) as entries:
            for entry in entries:
                is_link = entry.is_symlink()
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()  # a link may lead to itself
                suffix = os.path.splitext(entry.name)[1].lower()
                is_picture = not is_folder and suffix in SUFFIXES and (is_link or entry.is_file())
                if entry.name.startswith("."):  # as macOS's ._1.jpg
                    self.hidden += is_picture
                elif is_folder:
                    self.folders += [entry.name] if entry.name not in MADE_BY_SYSTEMS else []
                elif is_picture:
                    self.pictures.append(entry.name)
                else:
                    self.others[suffix or "without a suffix"] += 1
        self.pictures.sort()
        self.folders.sort()


def _pictures_below(folder: Path) -> int:
    """The number of pictures in a folder and in those inside it. Links are not followed: they may lead in a circle."""
    if folder.is_symlink():
        return 0
    content = _Content(folder)
    return len(content.pictures) + sum(_pictures_below(folder / name) for name in content.folders)


def _has_classes(folder: Path) -> bool:
    """Whether there are pictures one level down, and none in the folder itself."""
    content = _Content(folder) if folder.is_dir() else None
    return bool(content) and not content.pictures and any(_Content(folder / name).pictures for name in content.folders)


def _where_unzipped(root: Path) -> Path | None:
    """The folder of classes or of parts at the end of a chain of single folders, as unzip leaves them; or None."""
    inside = root
    while True:
        content = _Content(inside)
        if len(content.folders) != 1 or content.pictures or (inside / content.folders[0]).is_symlink():
            return None
        inside = inside / content.folders[0]
        if _has_classes(inside) or any(_has_classes(inside / name) for name in _Content(inside).folders):
            return inside


def _without_pictures(root: Path, folder: Path, content: _Content, below: int) -> str:
    """The message for a class folder without pictures, with the remedy."""
    if below:
        # A folder of one folder would give one class, and parts such as train/ are no classes.
        parts = {word for words in PARTS.values() for word in words}
        alone = len(content.folders) < 2 or parts & {name.lower() for name in content.folders}
        classes = _where_unzipped(root) or (None if alone else folder)
        return (
            f"the class folder {folder} has no pictures itself, and {counted(below, 'picture')} in folders inside it; "
            f"move them up{f', or name the folder that has the classes, such as {classes}' if classes else ''}"
        )
    there = f"; it has files of other kinds: {_kinds(content.others)}; convert pictures among them to JPEG or PNG"
    return (
        f"the class folder {folder} has no pictures ({', '.join(SUFFIXES)})"
        f"{there if content.others else ''}; add some, or delete it"
    )


def _kinds(others: Counter[str]) -> str:
    more = ["..."] if len(others) > MOST_KINDS else []
    first = sorted(others.items(), key=lambda item: (-item[1], item[0]))[:MOST_KINDS]
    return ", ".join([*(f"{suffix} {number}" for suffix, number in first), *more])
