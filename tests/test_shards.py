"""Shards and their indices: every damage is found, named and repaired."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from _imagenet import make_tree, tar_of

from gcvit_edu.data.imagenet.encoded import FolderPictures
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.data.imagenet.prepare import main
from gcvit_edu.data.imagenet.shards import Shards, describe, read_record, verify

TRAIN = Settings("train", shard_size=8)  # of 20 pictures: 8, 8 and 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("small"), classes=10)


@pytest.fixture
def shards(tree: Path, tmp_path: Path) -> Path:
    prepare(FolderPictures(tree / "train"), tmp_path / "shards" / "train", TRAIN)
    return tmp_path / "shards"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def exchange(path: Path) -> None:
    record = json.loads(path.with_suffix(".json").read_text())
    record["pictures"][0], record["pictures"][1] = record["pictures"][1], record["pictures"][0]
    path.with_suffix(".json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, r"train-000001\.tar.*(cannot be read|is not what was written)"),
        (flip, r"train-000001\.tar is not what was written: as many bytes, \d+, but their checksum"),
        (Path.unlink, r"train-000001\.tar cannot be read \(No such file"),
        (exchange, r"train-000001\.json does not fit train-000001\.tar; delete it"),
    ],
)
def test_damage_is_found(
    harm: Callable[[Path], None], message: str, shards: Path, capsys: pytest.CaptureFixture
) -> None:
    harm(shards / "train" / "train-000001.tar")
    assert main(["--out", str(shards), "--verify"]) == 1
    printed = capsys.readouterr()
    assert "1 of 3 shards" in printed.out
    assert len(printed.err.splitlines()) == 1
    assert re.search(
        message + ".* run python -m gcvit_edu.data.imagenet.prepare with the same settings again", printed.err
    )


def test_opening_finds_missing_and_short_shards(shards: Path, tree: Path) -> None:
    shard = shards / "train" / "train-000001.tar"
    cut(shard)
    with pytest.raises(
        ValueError, match=r"train-000001\.tar has \d+ bytes, not \d+; run python -m gcvit_edu\.data\.imagenet\.pr"
    ):
        Shards(shards / "train")
    prepare(FolderPictures(tree / "train"), shards / "train", TRAIN)  # makes it again
    record = shard.with_suffix(".json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "sha256": "other"}))
    with pytest.raises(ValueError, match=r"train-000001\.json belongs to another shard; delete it and run"):
        Shards(shards / "train")
    shard.unlink()
    with pytest.raises(ValueError, match=r"train-000001\.tar or train-000001\.json is missing"):
        Shards(shards / "train")
    for content in ("{", "{}", "[]", '{"classes": []}'):
        (shards / "train" / "manifest.json").write_text(content)
        with pytest.raises(ValueError, match=r"manifest\.json cannot be read .*; run python"):
            Shards(shards / "train")


def test_an_index_is_what_was_found(shards: Path) -> None:
    shard = shards / "train" / "train-000002.tar"
    assert read_record(shard) == {**describe(shard), "skipped": [], "source": read_record(shard)["source"]}


GOOD = {"bytes": 1, "sha256": "x", "pictures": [[512, 9, 0]], "skipped": []}
DAMAGED = ["", "{}", "[]", "null", "\udcff", *(json.dumps(GOOD | {key: None}) for key in GOOD if key != "sha256")]
DAMAGED += [json.dumps(GOOD | {"pictures": wrong}) for wrong in ([[512, 9]], [["a", 9, 0]], [[2**70, 9, 0]])]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_index_is_named_and_made_again(content: str, shards: Path, tree: Path) -> None:
    folder = shards / "train"
    record, expected = folder / "train-000001.json", (folder / "train-000001.json").read_bytes()
    record.write_bytes(content.encode(errors="surrogateescape"))
    words = r"train-000001\.json is no index of train-000001\.tar \(.*\); run python -m .*\.prepare with"
    with pytest.raises(ValueError, match=words):
        Shards(folder)
    (problem,) = verify(folder)
    assert re.search(words, problem)
    (folder / "manifest.json").unlink()
    prepare(FolderPictures(tree / "train"), folder, TRAIN)
    assert record.read_bytes() == expected
    assert verify(folder) == []


def test_a_picture_without_its_label_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of([("0.jpg", b"x"), ("0.cls", b"3"), ("1.jpg", b"y")]))
    with pytest.raises(ValueError, match=r"a\.tar has 2 pictures and 1 labels; delete it and run python"):
        describe(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(tar_of([("0.jpg", b"x"), ("0.cls", b"tench")]))
    with pytest.raises(ValueError, match=r"b\.tar cannot be read \(invalid literal.*\); delete it and run python"):
        describe(tmp_path / "b.tar")
