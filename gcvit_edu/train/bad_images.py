"""Leaving pictures out that cannot be read, and remembering which can."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import PIL

from gcvit_edu.console import printable
from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet.encoded import EncodedImage
from gcvit_edu.data.words import counted
from gcvit_edu.files import whole_file
from gcvit_edu.train.distributed import gather, on_rank0_then_broadcast, rank_and_world_size

MEMORY = ".gcvit_edu_readable.json"  # in the folder of the pictures; unreadable ones are tried again each time
RULES = {"pillow": PIL.__version__, "rules": 1}  # a result is valid for these versions only
AT_A_TIME = 100_000  # pictures between two writes of the results


class Pictures(Protocol):
    """A data set of pictures, or of their files, with labels; it raises BadImage for those that it cannot read.

    If it has a folder `root` and a method stamp(index) -> str, which names a picture in its present state, the results
    are remembered. If it has `labels`, an array of the numbers of the classes, a class without pictures is noticed.
    """

    classes: Sequence[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, int]: ...


class Readable:
    """A data set without the pictures that cannot be read: each is tried once, before the first step.

    So the number of pictures is known before the first step, and is the same on every process and after a resume. The
    processes of a run share the work. Pictures that could be read are remembered in a file in their folder, or, where
    nothing can be written there, in the user's cache; a picture that has changed since is tried again.

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
        rank, world_size = rank_and_world_size()
        memory = _Memory(pictures)
        unknown: list[int] = on_rank0_then_broadcast(memory.unknown)
        if unknown and rank == 0:
            few = f" of {len(pictures)}; the others were read before and have not changed"
            more = few if len(unknown) < len(pictures) else ""
            print(f"bad_images=skip: trying to read {counted(len(unknown), 'picture')}{more}", flush=True)
        bad: dict[int, str] = {}
        for start in range(0, len(unknown), AT_A_TIME):
            part = unknown[start : start + AT_A_TIME]
            own = [(index, message) for index in part[rank::world_size] if (message := _problem(pictures, index))]
            bad |= dict(found for each in gather(own) for found in each)
            if rank == 0:
                memory.add([each for each in part if each not in bad])
        self.skipped = [bad[index] for index in sorted(bad)]
        self.kept = [index for index in range(len(pictures)) if index not in bad]
        if not self.kept:
            raise ValueError(f"none of the {len(pictures)} pictures can be read; the first: {self.skipped[0]}")
        if unknown and rank == 0:
            print(f"bad_images=skip: {self._found()}", flush=True)

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.dataset[self.kept[index]]

    @property
    def about(self) -> str:
        """The whole data set's own description and the number of its pictures that cannot be read, as a line."""
        return "; ".join(filter(None, (getattr(self.dataset, "about", ""), self._found())))

    def _found(self) -> str:
        if not self.skipped:
            return "all can be read"
        left = set(self.dataset.labels[self.kept].tolist()) if hasattr(self.dataset, "labels") else None
        empty = [name for label, name in enumerate(self.classes) if left is not None and label not in left]
        nothing = f", and nothing of {', '.join(empty)}" if empty else ""
        found = f"{len(self.skipped)} of {len(self.dataset)} pictures cannot be read and are left out"
        return printable(f"{found}: {len(self)} remain{nothing}")


class _Memory:
    """The readable pictures of a folder: digests of their stamps, in a file that any run may add to."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.known: set[str] = set()
        self.digests: dict[int, str] = {}  # of the unknown pictures, from before they are tried
        self.files: list[Path] = []  # the first that can be written is
        if hasattr(pictures, "stamp"):
            root = Path(pictures.root).absolute()
            name = f"readable-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
            cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
            self.files = [root / MEMORY, Path(cache, "gcvit_edu", name)]

    def unknown(self) -> list[int]:
        """The indices of the pictures that have to be tried."""
        for path in self.files:
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # none, or nothing that we wrote
                found = json.loads(path.read_text(encoding="utf-8"))
                if found["for"] == RULES:
                    self.known |= set(found["read"])
        for index in range(len(self.pictures)):
            stamp = os.fsencode(self.pictures.stamp(index)) if self.files else b""
            digest = hashlib.sha256(stamp).hexdigest()[:16]
            if digest not in self.known:
                self.digests[index] = digest
        return list(self.digests)

    def add(self, indices: list[int]) -> None:
        """Remember pictures that could be read, if there is a place where this can be written."""
        if not indices:
            return
        self.known |= {self.digests[index] for index in indices}
        content = json.dumps({"for": RULES, "read": sorted(self.known)}).encode()
        for path in self.files:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                own = path.with_name(f"{path.name}.{os.getpid()}")  # two runs may write at once
                with whole_file(own) as file:
                    file.write(content)
                os.replace(own, path)
                return


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
