"""Making shards: the same bytes however often it is interrupted, and every damage found."""

import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from _imagenet import make_tree
from PIL import Image

from gcvit_edu.data.cuttings import cut_photos
from gcvit_edu.data.encoded import EncodedImage, FolderPictures
from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet import imagenet_classes, open_pictures
from gcvit_edu.data.packing import Settings, prepare, shrunk
from gcvit_edu.data.prepare import main
from gcvit_edu.data.shards import Shards, read_manifest, verify

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["gcvit_edu.data.prepare", "webdataset", "timm.data"])
TRAIN = Settings("train", shard_size=8)  # of 20 pictures: 8, 8 and 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("small"), classes=10)


@pytest.fixture
def shards(tree: Path, tmp_path: Path) -> Path:
    prepare(FolderPictures(tree / "train"), tmp_path / "shards" / "train", TRAIN)
    return tmp_path / "shards"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def command(tree: Path, out: Path, *more: str) -> list[str]:
    return [str(tree), "--out", str(out), "--shard-size", "8", "--classes", "10", *more]


# ----------------------------------------------------------------------------------------------------- what is made


def test_the_manifest_says_what_is_there(shards: Path) -> None:
    manifest = read_manifest(shards / "train")
    assert manifest["classes"] == imagenet_classes()[:10]
    assert manifest["count"] == 20
    assert manifest["count_per_class"] == [2] * 10
    assert [entry["count"] for entry in manifest["shards"]] == [8, 8, 4]
    assert manifest["skipped"] == []
    names = {f"train-00000{number}.{end}" for number in range(3) for end in ("tar", "json")}
    assert set(files_of(shards / "train")) == names | {"manifest.json", "plan.json"}
    assert verify(shards / "train") == []
    labels = Shards(shards / "train").labels.tolist()
    assert labels != sorted(labels)
    assert len(set(labels[:8])) > 4  # neighbours are of different classes


# webdataset leaves files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_shards(shards: Path, tree: Path) -> None:
    import webdataset

    urls = [str(path) for path in sorted((shards / "train").glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in found] == [f"{number:08d}" for number in range(20)]
    for sample in found:
        wnid, _ = name = sample["txt"].decode().split("/")
        assert sample["jpg"] == (tree / "train").joinpath(*name).read_bytes()
        assert int(sample["cls"]) == imagenet_classes().index(wnid)


def test_the_command_makes_and_verifies(
    tree: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(tree, tmp_path / "again")) == 0
    assert "20 pictures of 10 classes in 3 shards" in capsys.readouterr().out
    assert files_of(tmp_path / "again" / "train") == files_of(shards / "train")
    assert main(["--out", str(tmp_path / "again"), "--verify"]) == 0
    assert "0 of 3 shards" in capsys.readouterr().out
    assert main(command(tree, tmp_path / "again", "--split", "val")) == 0
    assert len(open_pictures(tmp_path / "again", "val", classes=10)) == 10
    for wrong in ([], [str(tree), "--verify"]):
        with pytest.raises(SystemExit):
            main([*wrong, "--out", str(tmp_path)])
        assert "give SOURCE to make shards, or --verify" in capsys.readouterr().err
    assert main([str(tree), "--out", str(tmp_path / "all")]) == 2
    assert "lacks 990 of the 1000 classes" in capsys.readouterr().err


def test_workers_make_the_same_bytes(tree: Path, shards: Path, tmp_path: Path) -> None:
    prepare(FolderPictures(tree / "train"), tmp_path / "two", TRAIN, workers=2)
    assert files_of(tmp_path / "two") == files_of(shards / "train")


def test_a_workers_error_arrives(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    next((tmp_path / "train").glob("*/*")).write_bytes(b"spoilt")
    with pytest.raises(BadImage, match=r"_\d\.JPEG cannot be read"):
        prepare(FolderPictures(tmp_path / "train"), tmp_path / "out", TRAIN, workers=2)


# -------------------------------------------------------------------------------------------------------- going on


def _killed(arguments: list[str], function: str, call: int) -> None:
    """Prepare in a process that kills itself when an operating system's function is called for the nth time."""
    real, calls = getattr(os, function), count()

    def kill(*values: object) -> object:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values)

    setattr(os, function, kill)
    sys.exit(main(arguments))


# Calls are those for the plan, and then for a shard and its index in turns. An fsync is called twice for each file:
# when it has its content and no name yet, and when it has its name.
@pytest.mark.parametrize(("function", "call"), [("fsync", 2), ("replace", 2), ("fsync", 7), ("replace", 7)])
def test_a_killed_run_goes_on(function: str, call: int, tree: Path, shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = _PROCESSES.Process(target=_killed, args=(command(tree, out), function, call))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    left, expected = files_of(out / "train"), files_of(shards / "train")
    assert left.keys() != expected.keys()
    with pytest.raises(ValueError, match="is missing"):
        Shards(out / "train")
    whole = {name: content for name, content in left.items() if name.endswith(".tar")}
    assert all(content == expected[name] for name, content in whole.items())  # whole, or without the name
    times = {name: (out / "train" / name).stat().st_mtime_ns for name in left if name.endswith(".json")}
    assert main(command(tree, out)) == 0
    assert files_of(out / "train") == expected
    for name in times:
        assert (out / "train" / name).stat().st_mtime_ns == times[name], "made twice"


def test_a_run_that_is_done_does_nothing_and_a_lost_shard_is_made_again(tree: Path, shards: Path) -> None:
    folder, lines = shards / "train", []
    before = files_of(folder)
    prepare(FolderPictures(tree / "train"), folder, TRAIN, say=lines.append)
    assert lines == ["20 pictures, 3 shards, 3 of them there already"]
    (folder / "train-000001.tar").unlink()
    prepare(FolderPictures(tree / "train"), folder, TRAIN)
    assert files_of(folder) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--shard-size", "9"], "shard_size was 8 and is 9"),
        (["--short-side", "30"], "short_side was 0 and is 30; quality was 0 and is 90; pillow was None and is "),
        (["--bad-images", "skip"], "bad_images was raise and is skip"),
    ],
)
def test_other_settings_are_refused(
    change: list[str], message: str, tree: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(shards / "train")
    assert main([*command(tree, shards), *change]) == 2
    found = capsys.readouterr().err
    assert "has shards of another preparation: " + message in found
    assert "choose another --out" in found
    assert files_of(shards / "train") == before


def test_other_pictures_and_a_folder_in_use_are_refused(tree: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another preparation: source was "):
        prepare(FolderPictures(tree / "val"), shards / "train", TRAIN)
    with pytest.raises(ValueError, match=r"train has other files already; choose another --out"):
        prepare(FolderPictures(tree / "train"), tree / "train", TRAIN)
    with pytest.raises(ValueError, match=r"manifest\.json is missing"):
        Shards(tmp_path)


def test_a_full_disk_leaves_no_half_shard(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(FolderPictures(tree / "train"), tmp_path / "out", TRAIN)
    assert files_of(tmp_path / "out") == {}
    assert prepare(FolderPictures(tree / "train"), tmp_path / "out", TRAIN)["count"] == 20


# ---------------------------------------------------------------------------------------------------------- damage


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
        (flip, r"train-000001\.tar is not what was written"),
        (Path.unlink, r"train-000001\.tar"),
        (exchange, r"train-000001\.json does not fit train-000001\.tar"),
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
    assert re.search(message, printed.err)


def test_opening_finds_missing_and_short_shards(shards: Path, tree: Path) -> None:
    shard = shards / "train" / "train-000001.tar"
    cut(shard)
    with pytest.raises(
        ValueError, match=r"train-000001\.tar has \d+ bytes, not \d+; run python -m gcvit_edu\.data\.pr"
    ):
        Shards(shards / "train")
    prepare(FolderPictures(tree / "train"), shards / "train", TRAIN)  # makes it again
    record = shard.with_suffix(".json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "sha256": "other"}))
    with pytest.raises(ValueError, match=r"train-000001\.json belongs to another shard"):
        Shards(shards / "train")
    shard.unlink()
    with pytest.raises(ValueError, match=r"train-000001\.tar or train-000001\.json is missing"):
        Shards(shards / "train")
    (shards / "train" / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest\.json cannot be read"):
        Shards(shards / "train")


# -------------------------------------------------------------------------------------------------------- pictures


def test_the_short_side_shrinks_and_smaller_pictures_stay(tmp_path: Path) -> None:
    cut_photos(tmp_path / "root", ["cats"], 4, sizes=((100, 75), (60, 90), (70, 50), (40, 60)))
    source = FolderPictures(tmp_path / "root")
    manifest = prepare(source, tmp_path / "out", Settings("val", short_side=50, quality=80))
    found = Shards(tmp_path / "out")
    assert [image.size for image, _ in found] == [(67, 50), (50, 75), (70, 50), (40, 60)]
    for index in range(4):
        assert (found.encoded(index).content == source.encoded(index).content) == (index >= 2)
    assert manifest["settings"]["pillow"] is not None
    for index in range(2):  # the same picture, smaller
        whole, small = source[index][0], found[index][0]
        tiny = [image.resize((5, 5), Image.Resampling.BOX).tobytes() for image in (whole, small)]
        assert max(abs(one - other) for one, other in zip(*tiny, strict=True)) < 12
    coarse = shrunk(source.encoded(0), 50, 20)
    assert len(coarse) < len(found.encoded(0).content)


def test_other_kinds_of_pictures_are_shrunk_to_jpeg() -> None:
    for mode, form in (("CMYK", "JPEG"), ("L", "JPEG"), ("RGBA", "PNG")):
        file = io.BytesIO()
        Image.new(mode, (90, 60)).save(file, form)
        with Image.open(io.BytesIO(shrunk(EncodedImage("it", file.getvalue()), 30, 90))) as found:
            assert (found.size, found.mode, found.format) == ((45, 30), "RGB", "JPEG")


def test_a_corrupt_picture_stops_or_is_listed(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    bad = sorted((tmp_path / "tree" / "train").glob("*/*"))[3]
    bad.write_bytes(bad.read_bytes()[:400])
    assert main(command(tmp_path / "tree", tmp_path / "out")) == 2
    assert f"the picture {bad.parent.name}/{bad.name} cannot be read" in capsys.readouterr().err
    assert main(command(tmp_path / "tree", tmp_path / "skip", "--bad-images", "skip")) == 0
    assert f"left out: the picture {bad.parent.name}/{bad.name}" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "skip" / "train")
    assert (manifest["count"], len(manifest["skipped"])) == (19, 1)
    assert manifest["count_per_class"] == [2, 1, *[2] * 8]
    assert len(Shards(tmp_path / "skip" / "train")) == 19
    assert verify(tmp_path / "skip" / "train") == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shard_size": 0}, "shard_size=0 must be at least 1 picture"),
        ({"short_side": -1}, "short_side=-1 must be a number of pixels"),
        ({"quality": 90}, "quality=90 changes nothing without short_side"),
        ({"short_side": 256, "quality": 96}, "quality=96 must be from 1 to 95"),
        ({"short_side": 256}, "quality=0 must be from 1 to 95"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings("train", **values)
