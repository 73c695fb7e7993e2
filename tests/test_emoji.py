"""The emoji: what is there, how it is split, and the script that made it."""

import hashlib
import importlib.util
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageOps
from torch.utils.data import DataLoader
from webdataset import tariterators

from gcvit_edu.data import Emoji, emoji_classes, emoji_vendors, on_colour

FOLDER = Path(__file__).parents[1] / "data" / "emoji"
MANIFEST = json.loads((FOLDER / "emoji.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_emoji", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawings() -> dict[tuple[str, str], np.ndarray]:
    """{(code, vendor): (64, 64, 4)} of all."""
    both = [Emoji("train"), Emoji("test")]
    return {(one.code, one.vendor): np.array(emoji[i][0]) for emoji in both for i, one in enumerate(emoji.drawings)}


# ---------------------------------------------------------------------------------------------------- the data


def test_thirteen_classes_of_three_vendors() -> None:
    assert emoji_classes() == [
        *("face", "animal", "plant", "food", "vehicle", "place", "clothing"),
        *("flag", "hand", "object", "person", "play", "clock"),
    ]
    assert emoji_vendors() == ["google", "twitter", "fluent"]
    assert len(MANIFEST["emoji"]) == len({entry["code"] for entry in MANIFEST["emoji"]}) == 1318
    drawn = Counter(vendor for entry in MANIFEST["emoji"] for vendor in entry["vendors"])
    assert drawn == {"google": 1318, "twitter": 1318, "fluent": 1030}


def test_shards_are_those_of_the_manifest_and_weigh_at_most_12_mb() -> None:
    assert {path.name for path in FOLDER.glob("*.tar")} == MANIFEST["shards"].keys()
    for name, expected in MANIFEST["shards"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected, name
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 12_000_000


def test_every_drawing_can_be_read(drawings: dict[tuple[str, str], np.ndarray]) -> None:
    assert len(drawings) == 3666
    for key, values in drawings.items():
        assert values.shape == (64, 64, 4), key
        seen = values[..., 3] > 0
        assert seen.mean() > 0.02, key
        assert not values[~seen].any(), key


def test_webdataset_reads_the_shards() -> None:
    with (FOLDER / "test-000000.tar").open("rb") as shard:  # its own reader of files leaves them open
        files = tariterators.tar_file_expander([{"url": shard.name, "stream": shard}])
        samples = list(tariterators.group_by_keys(files))
    expected = {entry["code"]: entry for entry in MANIFEST["emoji"] if entry["split"] == "test"}
    assert len(samples) == len(expected)
    for sample in samples:
        kind, code = sample["__key__"].split("/")
        assert kind == expected[code]["class"]
        assert {key for key in sample if key.endswith(".webp")} == {f"{v}.webp" for v in expected[code]["vendors"]}


def test_members_of_the_shards_carry_no_time_and_no_owner() -> None:
    for name in MANIFEST["shards"]:
        with tarfile.open(FOLDER / name) as archive:
            members = archive.getmembers()
        codes = [member.name.split("/")[1].split(".")[0] for member in members]
        assert codes == sorted(codes)
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_readme_and_licences_name_every_vendor_and_class() -> None:
    readme, licences = ((FOLDER / name).read_text(encoding="utf-8") for name in ("README.md", "LICENCES.txt"))
    for vendor, source in MANIFEST["vendors"].items():
        number = sum(vendor in entry["vendors"] for entry in MANIFEST["emoji"])
        row = f"| {vendor} | {number:,} | `{source['package']}` | {source['licence']} | {source['author']} |"
        assert row in readme
        assert f"\n{vendor}: " in licences
    for kind in emoji_classes():
        own = [entry for entry in MANIFEST["emoji"] if entry["class"] == kind]
        numbers = len(own), sum(len(e["vendors"]) == 3 for e in own), sum(e["split"] == "test" for e in own)
        assert f"| {kind} | {numbers[0]} | {numbers[1]} | {numbers[2]} |" in readme


# -------------------------------------------------------------------------------------------------- the splits


def digests(emoji: Emoji, drawings: dict[tuple[str, str], np.ndarray]) -> set[bytes]:
    """Of the drawings, each as it is and turned left to right."""
    found = set()
    for one in emoji.drawings:
        image = Image.fromarray(drawings[one.code, one.vendor])
        found |= {hashlib.sha256(side.tobytes()).digest() for side in (image, ImageOps.mirror(image))}
    return found


def test_no_emoji_and_no_drawing_is_on_both_sides(drawings: dict[tuple[str, str], np.ndarray]) -> None:
    train, test = Emoji("train"), Emoji("test")
    assert len(train) + len(test) == 3666
    assert {one.code for one in train.drawings}.isdisjoint(one.code for one in test.drawings)
    held_out = {entry["code"] for entry in MANIFEST["emoji"] if entry["split"] == "test"}
    assert {one.code for one in test.drawings} == held_out
    assert digests(train, drawings).isdisjoint(digests(test, drawings))
    # A split by code alone would part Australia's flag from the same flag of Heard Island.
    every = train.drawings + test.drawings
    train.drawings = [one for one in every if one.name == "flag-au"]
    test.drawings = [one for one in every if one.name == "flag-hm"]
    assert not digests(train, drawings).isdisjoint(digests(test, drawings))


def test_one_fifth_of_each_class_is_held_out() -> None:
    for kind in emoji_classes():
        own = [entry["split"] for entry in MANIFEST["emoji"] if entry["class"] == kind]
        assert own.count("test") == round(len(own) / 5), kind
        assert own.count("train") + own.count("test") == len(own)


@pytest.mark.parametrize("vendor", ["google", "twitter", "fluent"])
def test_a_vendor_can_be_held_out(vendor: str) -> None:
    train, test = Emoji("train", holdout=vendor), Emoji("test", holdout=vendor)
    assert {one.vendor for one in test.drawings} == {vendor}
    assert {one.vendor for one in train.drawings} == {"google", "twitter", "fluent"} - {vendor}
    assert len(train) + len(test) == 3666


def test_vendors_can_be_chosen() -> None:
    for split in ("train", "test"):
        every = Emoji(split).drawings
        for vendors in (["google", "twitter"], ["fluent"]):
            assert Emoji(split, vendors=vendors).drawings == [one for one in every if one.vendor in vendors]
    assert {one.vendor for one in Emoji("train", holdout="google", vendors=["fluent"]).drawings} == {"fluent"}


def test_other_vendors_are_refused() -> None:
    with pytest.raises(ValueError, match="no vendor is called 'apple'; there are google, twitter, fluent"):
        Emoji("train", vendors=["google", "apple"])
    for vendors in ([], ["google"]):
        with pytest.raises(ValueError, match=r"has no drawing in the split 'train' of holdout='google'; name other"):
            Emoji("train", holdout="google", vendors=vendors)


def test_other_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="no split 'val' of the emoji; take 'train' or 'test'"):
        Emoji("val")
    with pytest.raises(ValueError, match=r"'apple' cannot be held out; take 'emoji' .* google, twitter, fluent"):
        Emoji("train", holdout="apple")


def test_items_are_pictures_with_their_labels() -> None:
    emoji = Emoji("test")
    index = next(i for i, one in enumerate(emoji.drawings) if one.vendor == "twitter")
    image, label = emoji[index]
    assert (image.mode, image.size) == ("RGBA", (64, 64))
    assert label == emoji.drawings[index].label
    entry = next(entry for entry in MANIFEST["emoji"] if entry["code"] == emoji.drawings[index].code)
    assert emoji.classes[label] == entry["class"]
    assert emoji.drawings[index].name == entry["name"]


def test_workers_read_the_same() -> None:
    emoji = Emoji("test")
    loader = DataLoader(emoji, batch_size=None, num_workers=2)
    for index, (image, label) in zip(range(50), loader, strict=False):
        expected, expected_label = emoji[index]
        assert image.tobytes() == expected.tobytes()
        assert label == expected_label


def test_on_colour() -> None:
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (200, 100, 0, 255))
    assert list(on_colour(picture).tobytes()) == [255, 255, 255, 200, 100, 0]
    assert list(on_colour(picture, (1, 2, 3)).tobytes()) == [1, 2, 3, 200, 100, 0]


# -------------------------------------------------------------------------------------------------- the script


@pytest.mark.parametrize(
    ("category", "subcategory", "expected"),
    [
        ("Smileys & Emotion", "face-hat", "face"),
        ("Smileys & Emotion", "cat-face", None),
        ("Food & Drink", "dishware", "food"),
        ("Travel & Places", "transport-air", "vehicle"),
        ("Symbols", "transport-sign", None),
        ("Travel & Places", "place-map", None),
        ("People & Body", "person", "person"),
        ("People & Body", "person-fantasy", None),
        ("People & Body", "hands", "hand"),
        ("Objects", "light & video", "object"),
        ("Flags", "flag", None),
    ],
)
def test_classes_come_from_the_categories(
    make: ModuleType, category: str, subcategory: str, expected: str | None
) -> None:
    assert make.class_of(category, subcategory) == expected


def test_the_script_splits_as_the_manifest_says(make: ModuleType, drawings: dict[tuple[str, str], np.ndarray]) -> None:
    chosen = [entry for entry in MANIFEST["emoji"] if entry["class"] in {"flag", "hand", "clock", "plant"}]
    again = [{key: value for key, value in entry.items() if key != "split"} for entry in chosen]
    make.split(again, drawings)
    assert again == chosen


def test_drawings_in_common_stay_together(make: ModuleType) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3))
    mirrored = pictures[1][:, ::-1]
    emoji = [
        {"google": pictures[0]},
        {"google": pictures[1], "twitter": pictures[2]},
        {"twitter": pictures[0]},  # like the first, but of another vendor
        {"google": mirrored},
        {"twitter": pictures[2] + 2, "google": pictures[4]},  # 2 off is too far
        {"google": pictures[3], "twitter": np.where(pictures[2] > 9, pictures[2] + 1, pictures[2])},
    ]
    assert make.groups_of(emoji) == [[0], [1, 3, 5], [2], [4]]


def test_whole_groups_are_held_out(make: ModuleType) -> None:
    groups = [[f"{first:x}", f"{first:x}-200d"] for first in range(10)] + [[f"a{first:x}"] for first in range(20)]
    chosen = make.held_out(groups)
    assert len(chosen) == 8
    assert all(len(chosen & set(group)) in (0, len(group)) for group in groups)
    assert make.held_out(groups[::-1]) == chosen


def test_colours_move_by_2_at_most_and_hide_nothing(make: ModuleType) -> None:
    values = np.random.default_rng(1).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    values[:8, :, 3] = 0
    values[8, :51, 0] = range(0, 255, 5)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    found = make.pixels(buffer.getvalue())
    seen = values[..., 3] > 0
    assert (found[..., 3] == values[..., 3]).all()
    assert np.abs(found[seen].astype(int) - values[seen]).max() == 2
    assert not found[~seen].any()
    assert (np.array(Image.open(io.BytesIO(make.encode(found)))) == found).all()


def test_shards_are_the_same_every_time(make: ModuleType, tmp_path: Path) -> None:
    emoji = [{"code": "1f400", "class": "animal", "vendors": ["google", "fluent"]}]
    files = {("1f400", "google"): b"one", ("1f400", "fluent"): b"two"}
    first, second = (make.write_shard(tmp_path / name, emoji, files) for name in ("a.tar", "b.tar"))
    assert first == second
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == ["animal/1f400.google.webp", "animal/1f400.fluent.webp"]


def test_another_package_is_refused(make: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lobehub-fluent-emoji-3d-1.1.0.tgz").write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"3d-1.1.0.tgz has SHA-256 f41f3.*, not c1bb7.*; delete it"):
        make.fetch("@lobehub/fluent-emoji-3d@1.1.0", make.PACKAGES["fluent"]["sha256"], tmp_path)


def test_too_many_bytes_are_refused(
    make: ModuleType, drawings: dict[tuple[str, str], np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emoji = [entry for entry in MANIFEST["emoji"] if entry["class"] == "plant"][:4]
    chosen = {(one["code"], vendor): drawings[one["code"], vendor] for one in emoji for vendor in one["vendors"]}
    make.write_all(tmp_path, emoji, chosen)
    written = json.loads((tmp_path / "emoji.json").read_text(encoding="utf-8"))
    assert written["emoji"] == emoji
    assert {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in written["shards"]} == written[
        "shards"
    ]
    monkeypatch.setattr(make, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit, match=r"bytes, more than 1,000; raise STEP"):
        make.write_all(tmp_path, emoji, chosen)
