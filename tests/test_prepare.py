"""Making shards: the same bytes however often it is interrupted."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from _imagenet import make_tree

from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet import packing
from gcvit_edu.data.imagenet.classes import imagenet_classes, open_pictures
from gcvit_edu.data.imagenet.encoded import FolderPictures
from gcvit_edu.data.imagenet.packing import Job, Settings, prepare
from gcvit_edu.data.imagenet.prepare import main
from gcvit_edu.data.imagenet.shards import Shards, read_manifest, verify

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["gcvit_edu.data.imagenet.prepare", "webdataset", "timm.data"])
TRAIN = Settings("train", shard_size=8)  # of 20 pictures: 8, 8 and 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("small"), classes=10)


@pytest.fixture
def shards(tree: Path, tmp_path: Path) -> Path:
    prepare(training(tree), tmp_path / "shards" / "train", TRAIN)
    return tmp_path / "shards"


def training(tree: Path) -> FolderPictures:
    """What the command opens, too: ImageNet's pictures stay as they are stored."""
    return FolderPictures(tree / "train", upright=False)


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
    assert len(open_pictures(tmp_path / "again", "val", num_classes=10)) == 10
    for wrong in ([], [str(tree), "--verify"]):
        with pytest.raises(SystemExit):
            main([*wrong, "--out", str(tmp_path)])
        assert "give SOURCE to make shards, or --verify" in capsys.readouterr().err
    assert main([str(tree), "--out", str(tmp_path / "all")]) == 2
    assert "lacks 990 of the 1000 classes" in capsys.readouterr().err


def test_workers_make_the_same_bytes(tree: Path, shards: Path, tmp_path: Path) -> None:
    prepare(training(tree), tmp_path / "two", TRAIN, workers=2)
    assert files_of(tmp_path / "two") == files_of(shards / "train")


def test_a_workers_error_arrives(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    next((tmp_path / "train").glob("*/*")).write_bytes(b"spoilt")
    with pytest.raises(BadImage, match=r"_\d\.JPEG cannot be read"):
        prepare(FolderPictures(tmp_path / "train"), tmp_path / "out", TRAIN, workers=2)


def test_a_workers_error_ends_the_others(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it no shard is begun; the one that is being made may be finished."""
    made, waiting = [], threading.Event()

    class OneWorker(ThreadPoolExecutor):
        def __init__(self, _workers: int, *, mp_context: object, **options: object) -> None:
            super().__init__(1, **options)

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            waiting.set()
            super().shutdown(wait)

    def make(_job: Job, number: int) -> int:
        if number == 0:
            raise BadImage("the first")
        waiting.wait(60)
        made.append(number)
        return number

    monkeypatch.setattr(packing, "_job", None, raising=False)
    monkeypatch.setattr(packing, "ProcessPoolExecutor", OneWorker)
    monkeypatch.setattr(Job, "make", make)
    with pytest.raises(BadImage, match="the first"):
        prepare(training(tree), tmp_path / "out", Settings("train", shard_size=2), workers=2)
    assert made in ([], [1])


def test_labels_are_made_once_for_each_shard(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder makes those of all its pictures each time: for each picture would be quadratic."""
    read, real = count(), FolderPictures.labels.fget
    monkeypatch.setattr(FolderPictures, "labels", property(lambda self: (next(read), real(self))[1]))
    prepare(training(tree), tmp_path / "out", TRAIN)
    assert next(read) <= 3 + 1  # and once for the plan


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
@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [0, 2, 7])
def test_a_killed_run_goes_on(function: str, call: int, tree: Path, shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = _PROCESSES.Process(target=_killed, args=(command(tree, out), function, call))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    left, expected = files_of(out / "train"), files_of(shards / "train")
    assert left.keys() != expected.keys()
    assert (call == 0) == (list(left) == ["plan.json.writing"])
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
    prepare(training(tree), folder, TRAIN, info=lines.append)
    assert lines == ["20 pictures, 3 shards, 3 of them there already"]
    (folder / "train-000001.tar").unlink()
    prepare(training(tree), folder, TRAIN)
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


def test_other_pictures_and_a_folder_in_use_are_refused(
    tree: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, classes = training(tree), training(tree)
    labels.files = [(path, 9 - label) for path, label in labels.files]
    classes.classes = classes.classes[::-1]
    for other in (FolderPictures(tree / "val"), labels, classes):
        with pytest.raises(ValueError, match="another preparation: source was "):
            prepare(other, shards / "train", TRAIN)
    with pytest.raises(ValueError, match=r"train has other files already; choose another --out"):
        prepare(training(tree), tree / "train", TRAIN)
    assert main([str(tree), "--out", str(tree / "train" / ".."), "--split", "val", "--classes", "10"]) == 2
    assert f"--out {tree}/train/.. is SOURCE itself, where shards would" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"manifest\.json is missing"):
        Shards(tmp_path)


@pytest.mark.parametrize("damaged", ['{"split": "tr', "[]", b"\xff"])
def test_a_damaged_plan_is_named_and_nothing_is_written(damaged: str | bytes, tree: Path, shards: Path) -> None:
    plan = shards / "train" / "plan.json"
    plan.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    before = files_of(shards / "train")
    with pytest.raises(ValueError, match=r"plan\.json cannot be read \(.*\); .* Put the file back, or choose another"):
        prepare(training(tree), shards / "train", TRAIN)
    assert files_of(shards / "train") == before


def test_a_full_disk_leaves_no_half_shard(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(training(tree), tmp_path / "out", TRAIN)
    assert files_of(tmp_path / "out") == {}
    assert prepare(training(tree), tmp_path / "out", TRAIN)["count"] == 20
