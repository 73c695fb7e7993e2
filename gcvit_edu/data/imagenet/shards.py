"""Shards: a data set in a few hundred tar files in WebDataset's layout, instead of a million small files.

Beside each shard there is an index of its pictures, so a picture is one read at a known place. With `Shards` the
training loop works as with a folder: the order of an epoch is one shuffle of all pictures, the same for any number of
processes and workers, a resume goes on in the middle of an epoch, and validation has each picture once.
`gcvit_edu.data.imagenet.stream` reads the same files from front to back, where reads at random places are slow.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gcvit_edu.data.imagenet.encoded import PackedPictures

SPLITS = ("train", "val")
MANIFEST = "manifest.json"
PICTURE, LABEL, NAME = ".jpg", ".cls", ".txt"  # members of a sample: its file, number of its class, where it came from
_REMEDY = "run python -m gcvit_edu.data.imagenet.prepare with the same settings again, or copy the file again"
_DELETE = f"delete it and {_REMEDY}"  # for files that the preparation would take for whole ones


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the shards in a folder, which the command that prepares ImageNet writes.

    Raises:
        ValueError: if there is none, or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest, dict) and manifest.keys() >= {"classes", "shards"}:
            return manifest
        raise ValueError("it has no classes and shards")
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} is missing; python -m gcvit_edu.data.imagenet.prepare writes it when all shards are"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}); run python -m gcvit_edu.data.imagenet.prepare again"
        ) from error


def record_path(shard: Path) -> Path:
    """The path of a shard's index: train-000000.tar -> train-000000.json."""
    return shard.with_suffix(".json")


def read_record(shard: Path) -> dict[str, Any]:
    """The index of a shard: the result of describe() when it was made, and a digest of its source.

    "skipped" has messages about pictures that were left out, "source" a digest of the pictures' stamps, None in an old
    index.

    Raises:
        ValueError: if it is missing or damaged; the message names it.
    """
    path = record_path(shard)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {
            "bytes": int(record["bytes"]),
            "sha256": str(record["sha256"]),
            "pictures": np.array(record["pictures"], dtype=np.int64).reshape(-1, 3).tolist(),
            "skipped": list(record["skipped"]),
            "source": record.get("source"),
        }
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} is no index of {shard.name} ({error!r}); {_REMEDY}") from error


def describe(shard: Path) -> dict[str, Any]:
    """Read a shard from front to back: its bytes and SHA-256, and [first byte, bytes, label] of each picture.

    Raises:
        ValueError: if it is cut short or not a shard of pictures and labels.
    """
    pictures, labels = [], []
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.name.endswith(PICTURE):
                    pictures.append([member.offset_data, member.size])
                elif member.name.endswith(LABEL):
                    labels.append(int(archive.extractfile(member).read()))
    except (tarfile.TarError, ValueError) as error:
        raise ValueError(f"{shard} cannot be read ({error}); {_DELETE}") from error
    if len(pictures) != len(labels):
        raise ValueError(f"{shard} has {len(pictures)} pictures and {len(labels)} labels; {_DELETE}")
    with shard.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    index = [[*place, label] for place, label in zip(pictures, labels, strict=True)]
    return {"bytes": shard.stat().st_size, "sha256": digest, "pictures": index}


def verify(folder: Path) -> list[str]:
    """Read every shard of a folder and compare it with the manifest.

    Returns:
        A message with the remedy for each shard or index that is missing, cut short or changed; empty if all are
        good.

    Raises:
        ValueError: if there is no manifest.
    """
    problems = []
    for entry in read_manifest(folder)["shards"]:
        shard = folder / entry["name"]
        try:
            found = describe(shard)
            if found["bytes"] != entry["bytes"]:
                problems.append(
                    f"{shard} is not what was written: {found['bytes']} bytes, {entry['bytes']} expected; {_DELETE}"
                )
            elif found["sha256"] != entry["sha256"]:
                problems.append(
                    f"{shard} is not what was written: as many bytes, {found['bytes']}, but their checksum (SHA-256) "
                    f"is {found['sha256'][:12]}..., {entry['sha256'][:12]}... expected; {_DELETE}"
                )
            elif read_record(shard)["pictures"] != found["pictures"]:
                problems.append(f"{record_path(shard)} does not fit {shard.name}; {_DELETE}")
        except ValueError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{shard} cannot be read ({error.strerror}); {_REMEDY}")
    return problems


class Shards(PackedPictures):
    """Shards made by python -m gcvit_edu.data.imagenet.prepare -> (RGB picture, number of the class), by index.

    Opening them compares each shard's size with the manifest; only `--verify` checks the content.

    Args:
        folder: with manifest.json, the shards and their indices.

    Attributes:
        counts: pictures in each shard.

    Raises:
        ValueError: if a shard or its index is missing, cut short or of another preparation.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        manifest = read_manifest(folder)
        shards = [folder / entry["name"] for entry in manifest["shards"]]
        parts = []
        for number, (shard, entry) in enumerate(zip(shards, manifest["shards"], strict=True)):
            if not shard.is_file() or not record_path(shard).is_file():
                raise ValueError(f"{shard} or {record_path(shard).name} is missing; {_REMEDY}")
            if (size := shard.stat().st_size) != entry["bytes"]:
                raise ValueError(f"{shard} has {size} bytes, not {entry['bytes']}; {_REMEDY}")
            record = read_record(shard)
            if record["sha256"] != entry["sha256"]:
                raise ValueError(f"{record_path(shard)} belongs to another shard; {_DELETE}")
            rows = np.array(record["pictures"], dtype=np.int64).reshape(-1, 3)
            parts.append(np.insert(rows, 0, number, axis=1))
        upright = bool(manifest.get("settings", {}).get("upright", False))
        left_out = len(manifest.get("skipped", ()))
        super().__init__(manifest["classes"], shards, np.concatenate(parts), upright=upright, left_out=left_out)
        self.counts = [len(part) for part in parts]
        self._digests = [entry["sha256"] for entry in manifest["shards"]]

    def identity(self) -> Iterator[tuple[str, int]]:
        """The SHA-256 of its shard and the label of each picture, in order."""
        shards = self.places[:, 0].tolist()
        return ((self._digests[shard], label) for shard, label in zip(shards, self.labels.tolist(), strict=True))
