"""The archives in which ImageNet is distributed, read without extracting anything.

The names and MD5 checksums are torchvision's. Computing one takes minutes for the training pictures' 138 GB, so the
result is written beside the archive (see checked_archive).
"""

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np
from torchvision.datasets.imagenet import ARCHIVE_META

from gcvit_edu.data.imagenet.encoded import PackedPictures
from gcvit_edu.files import whole_file

ARCHIVES: dict[str, tuple[str, str]] = dict(ARCHIVE_META)  # {train, val, devkit: (file, MD5)}
CHECKED = ".checked"  # suffix of the file with an archive's MD5, and the state of the archive at that time
SETTLED = 2.0  # seconds after a change in which another one may leave the same times
_AGAIN = "give the official archives of the 1,000 classes, from image-net.org"


def archive_of(root: Path, part: str) -> Path:
    """The path for the archive of a part: "train", "val" or "devkit"."""
    return root / ARCHIVES[part][0]


def checked_archive(root: Path, part: str) -> Path:
    """The archive of a part, after a check of its MD5.

    The MD5 is kept in <archive>.checked, and trusted for as long as the archive's size and its times of change stay the
    same. Only damage that does not change them, such as a failing disk's, is not noticed then: delete that file, and
    the archive is read again. If the folder cannot be written, each process computes the MD5.

    Raises:
        ValueError: if it is missing, or another file than the official one.
    """
    path, expected = archive_of(root, part), ARCHIVES[part][1]
    if not path.is_file():
        raise ValueError(f"{path} is missing; download it from image-net.org, where you accept its licence first")
    found = _md5(path)
    if found != expected:
        raise ValueError(
            f"{path} has MD5 {found}, and the official archive {expected}; the download is cut short or another file: "
            "download it again"
        )
    return path


def _md5(path: Path) -> str:
    """The MD5 of a file; it is read from the file beside it if the state of the file is still the same."""
    beside = path.with_name(path.name + CHECKED)
    with path.open("rb") as file:
        state = _state(file.fileno())
        with suppress(OSError, ValueError, KeyError, TypeError):  # none, or nothing that we wrote
            kept = json.loads(beside.read_text(encoding="utf-8"))
            if kept["state"] == state:
                return kept["md5"]
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        settled = time.time() - max(state[1:]) / 1e9 > SETTLED
        if settled and _state(file.fileno()) == state:
            with suppress(OSError), whole_file(beside) as record:
                record.write(json.dumps({"md5": found, "state": state}).encode())
    return found


def _state(descriptor: int) -> list[int]:
    """The size, and the times of the last change of content and of entry, in nanoseconds."""
    found = os.fstat(descriptor)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def regular_members(archive: tarfile.TarFile, where: str) -> Iterator[tarfile.TarInfo]:
    """The files of an archive, without folders; anything else than a plain file with a plain name is refused.

    Args:
        archive: open for reading.
        where: its name, for messages.

    Raises:
        ValueError: for a link, a device, a sparse file, a name that is absolute or leads upwards, and one twice.
    """
    seen: set[str] = set()
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
            raise ValueError(
                f"{where} has a member called {member.name!r}, which leads out of it; do not use this file"
            )
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise ValueError(f"{where} has a member {member.name!r} that is no plain file; do not use this archive")
        if member.name in seen:
            raise ValueError(f"{where} has two members called {member.name!r}; do not use this archive")
        seen.add(member.name)
        yield member


def training_archive(root: Path, classes: list[str]) -> PackedPictures:
    """The pictures of ILSVRC2012_img_train.tar, an archive of one archive per class, sorted by class and name.

    Args:
        root: folder with the archive.
        classes: wnids in the order of their numbers; the archive must have exactly these.

    Raises:
        ValueError: if the archive is missing, is not the official one or has other classes.
    """
    path = checked_archive(root, "train")
    rows: list[tuple[str, int, int, int]] = []
    numbers = {f"{wnid}.tar": label for label, wnid in enumerate(classes)}
    found = set()
    with tarfile.open(path, "r:") as outer:
        for part in regular_members(outer, str(path)):
            if part.name not in numbers:
                raise ValueError(
                    f"{path} has a member {part.name!r}, which is none of the {len(classes)} classes; {_AGAIN}"
                )
            found.add(part.name)
            with tarfile.open(fileobj=outer.extractfile(part), mode="r:") as inner:
                for member in regular_members(inner, f"{path}/{part.name}"):
                    name = f"{part.name.removesuffix('.tar')}/{member.name}"
                    rows.append((name, part.offset_data + member.offset_data, member.size, numbers[part.name]))
    if missing := sorted(numbers.keys() - found):
        raise ValueError(f"{path} lacks {missing[0]} and {len(missing) - 1} more of {len(classes)} classes; {_AGAIN}")
    return _packed(path, classes, rows)


def validation_archive(root: Path, classes: list[str]) -> PackedPictures:
    """The pictures of ILSVRC2012_img_val.tar with the labels of the development kit, sorted by class and name.

    Args:
        root: folder with both archives.
        classes: wnids in the order of their numbers.

    Raises:
        ValueError: if an archive is missing or not the official one, or the two do not fit together.
        ImportError: without scipy (pip install "gcvit-edu[train]"), which reads the kit's MATLAB file.
    """
    truth = validation_wnids(root)
    path = checked_archive(root, "val")
    with tarfile.open(path, "r:") as archive:
        members = sorted(regular_members(archive, str(path)), key=lambda member: member.name)
    if len(members) != len(truth):
        raise ValueError(f"{path} has {len(members)} pictures and the development kit {len(truth)} labels; {_AGAIN}")
    numbers = {wnid: label for label, wnid in enumerate(classes)}
    if strange := sorted(set(truth) - numbers.keys()):
        raise ValueError(
            f"{archive_of(root, 'devkit')} has class {strange[0]}, none of the {len(classes)} classes; {_AGAIN}"
        )
    rows = [
        (f"{wnid}/{member.name}", member.offset_data, member.size, numbers[wnid])
        for member, wnid in zip(members, truth, strict=True)
    ]
    return _packed(path, classes, rows)


def validation_wnids(root: Path) -> list[str]:
    """The wnid of each validation picture, in the order of their file names, from the development kit.

    The kit numbers the classes in an order of its own, which is not that of the sorted wnids.

    Raises:
        ValueError: if the kit is missing, not the official one or incomplete.
    """
    from scipy.io import loadmat

    path = checked_archive(root, "devkit")
    content = {}
    with tarfile.open(path, "r:gz") as kit:
        for member in regular_members(kit, str(path)):
            if member.name.endswith(("/data/meta.mat", "/data/ILSVRC2012_validation_ground_truth.txt")):
                content[PurePosixPath(member.name).suffix] = kit.extractfile(member).read()
    if len(content) < 2:
        raise ValueError(f"{path} lacks data/meta.mat or data/ILSVRC2012_validation_ground_truth.txt; {_AGAIN}")
    synsets = np.atleast_1d(loadmat(io.BytesIO(content[".mat"]), squeeze_me=True)["synsets"])
    wnid_of = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
    return [wnid_of[int(line)] for line in content[".txt"].split()]


def _packed(path: Path, classes: list[str], rows: list[tuple[str, int, int, int]]) -> PackedPictures:
    rows = sorted(rows, key=lambda row: (row[3], row[0]))  # the order of a folder with the same files
    places = np.array([(0, *row[1:]) for row in rows], dtype=np.int64)
    return PackedPictures(classes, [path], places, [row[0] for row in rows])
