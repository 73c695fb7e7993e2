"""Making shards; a killed run can go on, and the same pictures give the same bytes."""

import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from gcvit_edu.console import printable
from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet.encoded import EncodedImage, StoredPictures
from gcvit_edu.data.imagenet.shards import LABEL, MANIFEST, NAME, PICTURE, SPLITS, describe, read_record, record_path
from gcvit_edu.files import HALF, whole_file

PLAN = "plan.json"  # the settings, written before the first shard
BAD_IMAGES = ("raise", "skip")


@dataclass(frozen=True)
class Settings:
    """The settings that, with the pictures, decide every byte of the shards.

    Attributes:
        split: "train", whose pictures are mixed, or "val", which stays sorted by class and name.
        shard_size: pictures in a shard.
        short_side: larger pictures are made smaller until their short side has this many pixels; 0 for never.
        quality: of the JPEG files that are made smaller; 0 where none is.
        bad_images: "raise" at the first picture that cannot be read, or "skip" and list them.

    Raises:
        ValueError: for a value out of its range.
    """

    split: str
    shard_size: int = 10_000
    short_side: int = 0
    quality: int = 0
    bad_images: str = "raise"

    def __post_init__(self) -> None:
        for name, known in (("split", SPLITS), ("bad_images", BAD_IMAGES)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name}={value!r} must be {' or '.join(map(repr, known))}")
        if self.shard_size < 1:
            raise ValueError(f"shard_size={self.shard_size} must be at least 1 picture")
        if self.short_side < 0:
            raise ValueError(f"short_side={self.short_side} must be a number of pixels")
        if self.quality and not self.short_side:
            raise ValueError(
                f"quality={self.quality} changes nothing without short_side: pictures stay as they are; "
                "give both, or neither"
            )
        if self.short_side and not 1 <= self.quality <= 95:
            raise ValueError(f"quality={self.quality} must be from 1 to 95")


# ----------------------------------------------------------------------------------------------------- one picture


def shrunk(image: EncodedImage, short_side: int, quality: int) -> bytes:
    """A picture's file, made smaller if its short side is longer than short_side; otherwise the file as it is.

    No picture loses its EXIF orientation: it is turned if it must be upright, and otherwise keeps the tag.

    Args:
        image: as stored.
        short_side: in pixels; 0 for any.
        quality: of the JPEG file, if a new one is made.

    Raises:
        BadImage: if it cannot be read; smaller pictures are decoded, too, to check that.
    """
    picture = image.decode()
    if not short_side or min(picture.size) <= short_side:
        return image.content
    width, height = (max(1, round(side * short_side / min(picture.size))) for side in picture.size)
    file = io.BytesIO()
    picture.resize((width, height), Image.Resampling.LANCZOS).save(file, "JPEG", quality=quality, **image.tag())
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------- one shard


@dataclass(frozen=True)
class Job:
    """The plan of all shards: everything that making one needs.

    Attributes:
        source: where the pictures are.
        order: index of each picture in the source, in the order of the shards.
        folder: for the shards.
        settings: of the preparation.
    """

    source: StoredPictures
    order: list[int]
    folder: Path
    settings: Settings

    def shards(self) -> int:
        """The number of shards that there will be."""
        return -(-len(self.order) // self.settings.shard_size)

    def shard(self, number: int) -> Path:
        """The path of a shard."""
        return self.folder / f"{self.settings.split}-{number:06d}.tar"

    def pictures(self, number: int) -> list[int]:
        """The indices in the source of one shard's pictures."""
        return self.order[number * self.settings.shard_size :][: self.settings.shard_size]

    def stamp(self, number: int) -> str:
        """A digest of the stamps of one shard's pictures: another one means that a picture has changed."""
        stamps = "\n".join(map(self.source.stamp, self.pictures(number)))
        return hashlib.sha256(os.fsencode(stamps)).hexdigest()

    def state(self, number: int) -> str:
        """The state of a shard: "done"; "changed" if its pictures have changed since; or "missing"."""
        shard = self.shard(number)
        try:
            record = read_record(shard)
            if record["bytes"] == shard.stat().st_size:
                return "done" if record["source"] in (None, self.stamp(number)) else "changed"
        except (OSError, ValueError):
            pass
        return "missing"

    def make(self, number: int) -> int:
        """Write one shard, then its index. Returns its number."""
        from webdataset import TarWriter

        shard, settings, skipped = self.shard(number), self.settings, []
        record_path(shard).unlink(missing_ok=True)
        first, labels = number * settings.shard_size, self.source.labels  # a folder makes them anew each time
        stamp = self.stamp(number)  # before they are read, so that a later change is noticed
        with whole_file(shard) as file, TarWriter(file, user="", group="", mtime=0, mode=0o644, encoder=False) as tar:
            for place, index in enumerate(self.pictures(number), first):
                try:
                    image = self.source.encoded(index)
                    content = shrunk(image, settings.short_side, settings.quality)
                except BadImage as error:
                    if settings.bad_images == "raise":
                        raise
                    skipped.append(str(error))
                    continue
                label = str(int(labels[index]))
                members = {PICTURE: content, LABEL: label.encode(), NAME: printable(image.name).encode()}
                tar.write({"__key__": f"{place:08d}", **{end.lstrip("."): value for end, value in members.items()}})
        _write_json(record_path(shard), {**describe(shard), "skipped": skipped, "source": stamp})
        return number


def _write_json(path: Path, content: Any) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(content, indent=None if "pictures" in content else 1).encode())


_job: Job  # of a worker process


def _start_worker(job: Job) -> None:
    global _job
    _job = job


def _work(number: int) -> int:
    return _job.make(number)


# ------------------------------------------------------------------------------------------------------ all shards


def prepare(
    source: StoredPictures,
    folder: Path,
    settings: Settings,
    *,
    workers: int = 1,
    info: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write the shards that are missing, and at the end the manifest.

    The same pictures and settings give the same bytes, with any number of workers and interruptions. (With short_side,
    this needs the same version of Pillow; a resume with another one is refused.) Shards are made again if the size or
    the time of change of one of their pictures is no longer the same.

    Args:
        source: the pictures.
        folder: for shards, indices and manifest; made where it is missing.
        settings: the same as for the shards that are there already, if there are any.
        workers: processes that make shards.
        info: called with a line for each shard.

    Returns:
        The manifest: settings, classes, counts, messages about skipped pictures, and size and SHA-256 of each shard.

    Raises:
        ValueError: if the folder has shards of other settings, a damaged plan.json, or other files, or if no picture
            can be read.
        BadImage: at the first picture that cannot be read, unless settings.bad_images is "skip".
        OSError: if something cannot be written; run it again when there is room.
    """
    names = [source.name(index) for index in range(len(source))]
    order = list(range(len(source)))
    if settings.split == "train":  # mixed by a hash of the names, which needs no generator of random numbers
        order.sort(key=lambda index: hashlib.sha256(os.fsencode(names[index])).digest())
    digest = hashlib.sha256(json.dumps([source.classes, names, source.labels.tolist()]).encode()).hexdigest()
    pillow = PIL.__version__ if settings.short_side else None
    plan = {**asdict(settings), "source": digest, "pillow": pillow, "upright": source.upright}
    _begin(folder, plan)
    job = Job(source, order, folder, settings)
    states = [job.state(number) for number in range(job.shards())]
    missing = [number for number, state in enumerate(states) if state != "done"]
    info(f"{len(source)} pictures, {job.shards()} shards, {job.shards() - len(missing)} of them there already")
    if "changed" in states:
        info(f"{states.count('changed')} of the shards are made again: some of their pictures have changed since")
    for number in _made(job, missing, workers):
        info(printable(job.shard(number)))
    return _finish(job, plan)


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN
    if path.is_file():
        before = _read_plan(path)
        changes = [
            f"{key} was {before.get(key)} and is {value}" for key, value in plan.items() if before.get(key) != value
        ]
        if changes:
            raise ValueError(
                f"{folder} has shards of another preparation: {'; '.join(changes)}. Set it as it was, or choose "
                "another --out"
            )
    elif {other.name for other in folder.iterdir()} - {PLAN + HALF}:  # a run may be killed while it writes the plan
        raise ValueError(f"{folder} has other files already; choose another --out")
    else:
        _write_json(path, plan)


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(plan, dict):
            return {"upright": False, **plan}  # older plans have no such key
        raise ValueError("it holds no settings")
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}); it names the settings of the shards beside it. Put the file back, or "
            "choose another --out"
        ) from error


def _made(job: Job, missing: list[int], workers: int) -> Iterator[int]:
    if workers <= 1:
        yield from map(job.make, missing)
        return
    methods = multiprocessing.get_all_start_methods()  # never "fork", which copies PyTorch's locks without its threads
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job,)) as pool:
        tasks = [pool.submit(_work, number) for number in missing]
        try:
            for task in as_completed(tasks):
                yield task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _finish(job: Job, plan: dict[str, Any]) -> dict[str, Any]:
    shards = [job.shard(number) for number in range(job.shards())]
    records = {shard: read_record(shard) for shard in shards}
    labels = [label for record in records.values() for _, _, label in record["pictures"]]
    skipped = [message for record in records.values() for message in record["skipped"]]
    if not labels:
        raise ValueError(f"none of the {len(skipped)} pictures can be read; the first: {skipped[0]}")
    manifest = {
        "settings": plan,
        "classes": job.source.classes,
        "count": len(labels),
        "count_per_class": np.bincount(labels, minlength=len(job.source.classes)).tolist(),
        "skipped": skipped,
        "shards": [
            {"name": shard.name, "count": len(record["pictures"]), "bytes": record["bytes"], "sha256": record["sha256"]}
            for shard, record in records.items()
        ],
    }
    _write_json(job.folder / MANIFEST, manifest)
    return manifest
