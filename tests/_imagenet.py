"""ImageNet in miniature: its folders and its archives, with small pictures cut from the book's photographs."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gcvit_edu.data import archives
from gcvit_edu.data.cuttings import cut_photos
from gcvit_edu.data.imagenet import imagenet_classes

SMALL = ((48, 36), (36, 48), (48, 32))


def make_tree(root: Path, *, classes: int = 1000, train: int = 2, val: int = 1) -> Path:
    """root/train/<wnid>/*.JPEG and root/val/<wnid>/*.JPEG, with the first wnids of ImageNet."""
    names = imagenet_classes()[:classes]
    cut_photos(root / "train", names, train, sizes=SMALL)
    cut_photos(root / "val", names, val, sizes=SMALL, seed=1)
    return root


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar_of(files: Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files:
            add(archive, name, content)
    return buffer.getvalue()


def make_archives(tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The three official archives with the pictures of a tree; their checksums take the place of the official ones.

    Classes come in another order than by name, pictures of a class too, and the kit numbers the classes backwards.
    """
    root.mkdir()
    classes = imagenet_classes()
    parts = [
        (f"{folder.name}.tar", tar_of((path.name, path.read_bytes()) for path in sorted(folder.iterdir())[::-1]))
        for folder in sorted((tree / "train").iterdir())[::-1]
    ]
    pictures = sorted((tree / "val").glob("*/*"), key=lambda path: hashlib.md5(path.name.encode()).digest())
    numbers = {wnid: 1000 - label for label, wnid in enumerate(classes)}
    val = [(f"ILSVRC2012_val_{number:08d}.JPEG", path.read_bytes()) for number, path in enumerate(pictures, 1)]
    truth = "\n".join(str(numbers[path.parent.name]) for path in pictures)
    rows = [(number, wnid, "words", 0) for wnid, number in numbers.items()] + [(1001, "n00001740", "entity", 7)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    matlab = io.BytesIO()
    savemat(matlab, {"synsets": np.array(rows, dtype=kinds)})
    kit = {"data/meta.mat": matlab.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": truth.encode()}
    contents = {
        "train": tar_of(parts),
        "val": tar_of(val[::-1]),
        "devkit": tar_of(((f"ILSVRC2012_devkit_t12/{name}", content) for name, content in kit.items()), "w:gz"),
    }
    for part, content in contents.items():
        put_archive(root, part, content, monkeypatch)
    return root


def put_archive(root: Path, part: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one archive and make its checksum the right one."""
    name = archives.ARCHIVES[part][0]
    (root / name).write_bytes(content)
    monkeypatch.setitem(archives.ARCHIVES, part, (name, hashlib.md5(content).hexdigest()))
