"""ImageNet in miniature: its folders and its archives, with small pictures cut from the book's photographs."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gcvit_edu.data.imagenet import archives
from gcvit_edu.data.imagenet.classes import imagenet_classes
from gcvit_edu.data.imagenet.photo_crops import cut_photos

WNIDS = imagenet_classes()
DISTINCT = 24


@cache
def _small_pictures() -> list[bytes]:
    """JPEG files of parts of the photographs."""
    with tempfile.TemporaryDirectory() as folder:
        cut_photos(Path(folder), ["any"], DISTINCT, sizes=((48, 36), (36, 48), (48, 32)))
        return [path.read_bytes() for path in sorted(Path(folder).glob("any/*"))]


def make_tree(root: Path, *, classes: int = 1000, train: int = 2, val: int = 1) -> Path:
    """root/train/<wnid>/*.JPEG and root/val/<wnid>/*.JPEG, with the first wnids of ImageNet.

    Real JPEG files, each different from all others: behind its end stands its name, which decoders pass over.
    """
    for split, count in {"train": train, "val": val}.items():
        for label, wnid in enumerate(WNIDS[:classes]):
            folder = root / split / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                content = _small_pictures()[(label + number) % DISTINCT]
                (folder / f"{wnid}_{number}.JPEG").write_bytes(content + f"{split}/{wnid}_{number}".encode())
    return root


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """A file, or a folder if the name ends in a slash."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
    archive.addfile(member, io.BytesIO(content))


def tar_of(files: Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files:
            add(archive, name, content)
    return buffer.getvalue()


def archives_of(tree: Path) -> dict[str, bytes]:
    """The three official archives, {train, val, devkit: content}, with the pictures of a tree.

    Classes come in another order than by name, pictures of a class too, and the kit numbers the classes backwards.
    """
    parts = [
        (f"{folder.name}.tar", tar_of((path.name, path.read_bytes()) for path in sorted(folder.iterdir())[::-1]))
        for folder in sorted((tree / "train").iterdir())[::-1]
    ]
    pictures = sorted((tree / "val").glob("*/*"), key=lambda path: hashlib.md5(path.name.encode()).digest())
    numbers = {wnid: 1000 - label for label, wnid in enumerate(WNIDS)}
    val = [(f"ILSVRC2012_val_{number:08d}.JPEG", path.read_bytes()) for number, path in enumerate(pictures, 1)]
    truth = "\n".join(str(numbers[path.parent.name]) for path in pictures)
    rows = [(number, wnid, "words", 0) for wnid, number in numbers.items()] + [(1001, "n00001740", "entity", 7)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    matlab = io.BytesIO()
    savemat(matlab, {"synsets": np.array(rows, dtype=kinds)})
    kit = {
        "": b"",
        "data/": b"",
        "data/meta.mat": matlab.getvalue(),
        "data/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }
    return {
        "train": tar_of(parts),
        "val": tar_of(val[::-1]),
        "devkit": tar_of(((f"ILSVRC2012_devkit_t12/{name}", content) for name, content in kit.items()), "w:gz"),
    }


def put_archive(root: Path, part: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one archive and make its checksum the right one."""
    name = archives.ARCHIVES[part][0]
    (root / name).write_bytes(content)
    monkeypatch.setitem(archives.ARCHIVES, part, (name, hashlib.md5(content).hexdigest()))
