"""Make the emoji of this folder from three packages of the npm registry.

    pip install pillow==13.0.0 numpy        # Pillow 13.0.0 brings libwebp 1.6.0
    python data/emoji/make.py               # calls `npm pack`
    python data/emoji/make.py --packages DIR    # takes packages that are in DIR already

Each package is checked against its SHA-256 first. With the Pillow above the shards come out byte for byte as they
are here; another libwebp may write other bytes of the same pictures.

Every drawing becomes 64x64 pixels with transparency, as lossless WebP. So that all fit in 12 MB, colours are first
rounded to multiples of 5: no value moves by more than 2 of 255. Colours under full transparency become black.
"""

import argparse
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SIZE = 64
STEP = 5
EMOJI_PER_SHARD = 360
MOST_BYTES = 12_000_000

PACKAGES = {
    "google": {
        "package": "emoji-datasource-google@16.0.0",
        "sha256": "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        "folder": "package/img/google/64",
        "licence": "Apache-2.0",
        "author": "Google (Noto Emoji)",
    },
    "twitter": {
        "package": "emoji-datasource-twitter@16.0.0",
        "sha256": "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        "folder": "package/img/twitter/64",
        "licence": "CC-BY-4.0",
        "author": "Twitter, Inc. and other contributors (Twemoji)",
    },
    "fluent": {
        "package": "@lobehub/fluent-emoji-3d@1.1.0",
        "sha256": "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "folder": "package/assets",
        "licence": "MIT",
        "author": "Microsoft Corporation (Fluent Emoji)",
    },
}
VENDORS = tuple(PACKAGES)
# (class, category or None for any, beginnings of subcategories). The first row that fits gives the class.
CLASSES = (
    ("face", "Smileys & Emotion", ("face-",)),
    ("animal", None, ("animal-",)),
    ("plant", None, ("plant-",)),
    ("food", "Food & Drink", ("",)),
    ("vehicle", "Travel & Places", ("transport-",)),
    ("place", None, ("place-building", "place-religious", "place-other")),
    ("clothing", None, ("clothing",)),
    ("flag", None, ("country-flag",)),
    ("hand", None, ("hand",)),
    ("object", "Objects", ("musical-instrument", "tool", "household", "office", "computer", "light & video")),
    ("person", "People & Body", ("person-role", "person-activity", "person-gesture", "person-sport")),
    ("play", "Activities", ("sport", "game")),
    ("clock", None, ("time",)),
)
CLASS_NAMES = tuple(name for name, _, _ in CLASSES)
# Microsoft draws no country flags. Those of the package are someone else's, and it does not say whose.
NOT_OF_THE_VENDOR = {("fluent", "flag")}


def class_of(category: str, subcategory: str) -> str | None:
    """The class of an emoji, or None for one that is left out."""
    if (category, subcategory) == ("People & Body", "person"):
        return "person"
    for name, wanted, beginnings in CLASSES:
        if wanted in (None, category) and subcategory.startswith(beginnings):
            return name
    return None


def fetch(package: str, sha256: str, folder: Path) -> Path:
    """The package's file in a folder, downloaded by `npm pack` when it is not there, and checked.

    Raises:
        SystemExit: if its SHA-256 is another.
    """
    name, version = package.rsplit("@", 1)
    path = folder / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", package, "--silent", "--pack-destination", str(folder)], check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{path.name} has SHA-256 {found}, not {sha256}; delete it and start again")
    return path


def read_package(path: Path, folder: str) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """({picture's name without its ending: file}, the entries of emoji.json), from one package."""
    pictures, entries = {}, []
    with tarfile.open(path) as archive:
        for member in archive:
            place = Path(member.name)
            if place.parent.as_posix() == folder and place.suffix in {".png", ".webp"}:
                pictures[place.stem] = archive.extractfile(member).read()
            elif member.name == "package/emoji.json":
                entries = json.load(archive.extractfile(member))
    return pictures, entries


def pixels(file: bytes) -> np.ndarray:
    """An image file -> (64, 64, 4) of uint8, colours rounded to multiples of STEP, black where nothing is seen."""
    image = Image.open(io.BytesIO(file)).convert("RGBA")
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    values = np.array(image)
    colours = (values[..., :3].astype(int) + STEP // 2) // STEP * STEP
    values[..., :3] = colours * (values[..., 3:] > 0)
    return values


def encode(values: np.ndarray) -> bytes:
    """(64, 64, 4) -> the smallest lossless WebP that Pillow writes."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return buffer.getvalue()


def thumbnail(values: np.ndarray) -> np.ndarray:
    """(64, 64, 4) -> (16, 16, 3) of whole numbers: the mean colour of 4x4 pixels on grey."""
    alpha = values[..., 3:].astype(int)
    on_grey = (values[..., :3] * alpha + 128 * (255 - alpha)) // 255
    return on_grey.reshape(16, 4, 16, 4, 3).sum((1, 3)) // 16


def same_drawing(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two thumbnails show the same drawing, or one that is turned left to right (mean difference below 1)."""
    return min(np.abs(one - other).sum(), np.abs(one - other[:, ::-1]).sum()) < one.size


def groups_of(drawings: list[dict[str, np.ndarray]]) -> list[list[int]]:
    """Emoji of one class, each {vendor: thumbnail} -> their numbers, those with a drawing in common together."""
    group = list(range(len(drawings)))
    for i, one in enumerate(drawings):
        for j in range(i):
            shared = one.keys() & drawings[j].keys()
            if group[i] != group[j] and any(same_drawing(one[vendor], drawings[j][vendor]) for vendor in shared):
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if number == old else number for number in group]
    return [[i for i, number in enumerate(group) if number == first] for first in sorted(set(group))]


def held_out(groups: list[list[str]]) -> set[str]:
    """One fifth of the codes of a class, whole groups only, in the order of a hash of each group's first code."""
    ordered = sorted(groups, key=lambda codes: hashlib.sha256(min(codes).encode()).hexdigest())
    places, chosen = round(sum(map(len, groups)) / 5), set()
    for codes in ordered:
        if len(chosen) + len(codes) <= places:
            chosen |= set(codes)
    return chosen


def collect(packages: Path) -> tuple[list[dict[str, Any]], dict[tuple[str, str], np.ndarray]]:
    """(emoji of the 13 classes, {(code, vendor): (64, 64, 4)}) from the packages, checked and read."""
    read = {v: read_package(fetch(p["package"], p["sha256"], packages), p["folder"]) for v, p in PACKAGES.items()}
    emoji, drawings = [], {}
    for entry in read["google"][1]:
        kind, code = class_of(entry["category"], entry["subcategory"]), entry["image"].removesuffix(".png")
        if kind is None:
            continue
        vendors = [v for v in VENDORS if code in read[v][0] and (v, kind) not in NOT_OF_THE_VENDOR]
        drawings |= {(code, v): pixels(read[v][0][code]) for v in vendors}
        emoji.append({"code": code, "name": entry["short_name"], "class": kind, "vendors": vendors})
    return sorted(emoji, key=lambda one: (CLASS_NAMES.index(one["class"]), one["code"])), drawings


def split(emoji: list[dict[str, Any]], drawings: dict[tuple[str, str], np.ndarray]) -> None:
    """Give each emoji its "split", "train" or "test"."""
    for kind in CLASS_NAMES:
        own = [one for one in emoji if one["class"] == kind]
        groups = groups_of([{v: thumbnail(drawings[one["code"], v]) for v in one["vendors"]} for one in own])
        test = held_out([[own[i]["code"] for i in group] for group in groups])
        for one in own:
            one["split"] = "test" if one["code"] in test else "train"


def write_shard(path: Path, emoji: list[dict[str, Any]], files: dict[tuple[str, str], bytes]) -> str:
    """Write one tar of WebDataset samples CLASS/CODE.VENDOR.webp; the same bytes every time. Returns its SHA-256."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for one in emoji:
            for vendor in one["vendors"]:
                data = files[one["code"], vendor]
                member = tarfile.TarInfo(f"{one['class']}/{one['code']}.{vendor}.webp")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_all(folder: Path, emoji: list[dict[str, Any]], drawings: dict[tuple[str, str], np.ndarray]) -> None:
    """Write the shards and emoji.json.

    Raises:
        SystemExit: if they are larger than MOST_BYTES.
    """
    with ThreadPoolExecutor() as pool:
        files = dict(zip(drawings, pool.map(encode, drawings.values()), strict=True))
    shards = {}
    for name in ("train", "test"):
        chosen = sorted((one for one in emoji if one["split"] == name), key=lambda one: one["code"])
        for first in range(0, len(chosen), EMOJI_PER_SHARD):
            path = folder / f"{name}-{first // EMOJI_PER_SHARD:06d}.tar"
            shards[path.name] = write_shard(path, chosen[first : first + EMOJI_PER_SHARD], files)
    head = {"classes": CLASS_NAMES, "vendors": PACKAGES, "shards": shards}
    rows = ",\n".join("    " + json.dumps(one) for one in emoji)
    text = json.dumps(head, indent=2).removesuffix("\n}") + f',\n  "emoji": [\n{rows}\n  ]\n}}\n'
    (folder / "emoji.json").write_text(text, encoding="utf-8")
    total = sum((folder / name).stat().st_size for name in (*shards, "emoji.json"))
    if total > MOST_BYTES:
        raise SystemExit(f"the shards and emoji.json weigh {total:,} bytes, more than {MOST_BYTES:,}; raise STEP")


def summary(emoji: list[dict[str, Any]]) -> str:
    """A table: emoji per class, drawings per vendor, emoji held out."""
    lines = [f"{'class':10}" + "".join(f"{name:>11}" for name in ("emoji", *VENDORS, "all three", "test"))]
    for kind in (*CLASS_NAMES, "all"):
        own = [one for one in emoji if kind in ("all", one["class"])]
        numbers = [len(own), *(sum(v in one["vendors"] for one in own) for v in VENDORS)]
        numbers += [sum(len(one["vendors"]) == 3 for one in own), sum(one["split"] == "test" for one in own)]
        lines.append(f"{kind:10}" + "".join(f"{number:11}" for number in numbers))
    return "\n".join(lines)


def main() -> None:
    """Write the shards and emoji.json beside this script."""
    parser = argparse.ArgumentParser(description="Make the emoji of this folder.")
    parser.add_argument("--packages", type=Path, help="a folder with the three packages; else they are downloaded")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write; default: beside this script")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        emoji, drawings = collect(options.packages or Path(temporary))
    split(emoji, drawings)
    write_all(options.out, emoji, drawings)
    print(summary(emoji))


if __name__ == "__main__":
    main()
