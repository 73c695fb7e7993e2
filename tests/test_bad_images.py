"""bad_images=skip: what was found is said, remembered, and looked at again where a picture has changed."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from _pictures import file_of, shape, write

from gcvit_edu.data.folder import Folder
from gcvit_edu.data.imagenet.encoded import Encoded, FolderPictures
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.data.imagenet.shards import Shards
from gcvit_edu.train import bad_images
from gcvit_edu.train.bad_images import MEMORY, Readable, readable

PNG = file_of(shape("cross"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight pictures; one of them is spoilt."""
    for name in ("cats", "dogs"):
        for number in range(4):
            write(tmp_path / "root" / name / f"{number}.png", PNG)
    (tmp_path / "root" / "dogs" / "1.png").write_bytes(b"spoilt")
    return tmp_path / "root"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The indices of the pictures that were tried."""
    found, real = [], bad_images._problem
    monkeypatch.setattr(bad_images, "_problem", lambda data, index: found.append(index) or real(data, index))
    return found


def again(root: Path, tried: list[int]) -> list[int]:
    tried.clear()
    assert len(Readable(Folder(root))) == 7
    return list(tried)


def test_what_could_be_read_is_tried_once(root: Path, tried: list[int]) -> None:
    assert again(root, tried) == list(range(8))
    for _ in range(2):
        assert again(root, tried) == [5]  # what could not be read may have been put right, or the disk was away
    assert [path.name for path in root.iterdir() if path.is_file()] == [MEMORY]
    assert Folder(root).about == "8 pictures in 2 classes"
    os.utime(root / "cats" / "2.png", ns=(1, 1))  # changed, for all that is known
    assert again(root, tried) == [2, 5]
    (root / "cats" / "3.png").write_bytes(PNG + b"x")
    write(root / "dogs" / "9.png", PNG)
    (root / "cats" / "0.png").unlink()
    assert again(root, tried) == [2, 4, 7]


def test_a_picture_that_is_spoilt_later_is_found(root: Path, tried: list[int]) -> None:
    again(root, tried)
    (root / "cats" / "0.png").write_bytes(b"x" * len(PNG))
    found = Readable(Folder(root))
    assert [message.split("/")[-2][:4] for message in found.skipped] == ["cats", "dogs"]
    (root / "cats" / "0.png").write_bytes(PNG)
    (root / "dogs" / "1.png").write_bytes(PNG)
    assert len(Readable(Folder(root))) == 8


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b"null", b"\xff", b'{"for": 1}', b'{"read": 7}', b"[" * 99999])
def test_what_is_no_memory_is_made_again(junk: bytes, root: Path, tried: list[int]) -> None:
    again(root, tried)
    whole = (root / MEMORY).read_bytes()
    (root / MEMORY).write_bytes(junk or whole[: len(whole) // 2])
    assert again(root, tried) == list(range(8))
    assert again(root, tried) == [5]
    (root / MEMORY).write_text(json.dumps(json.loads(whole) | {"read": 7}))
    assert again(root, tried) == list(range(8))


def test_another_pillow_looks_again(root: Path, tried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    again(root, tried)
    monkeypatch.setattr(bad_images, "RULES", {"pillow": "another", "rules": 1})
    assert again(root, tried) == list(range(8))


def test_a_folder_to_read_only_is_remembered_in_the_cache(
    root: Path, cache: Path, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bad_images.whole_file

    def refuse(path: Path) -> object:
        if path.is_relative_to(refused):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(bad_images, "whole_file", refuse)
    refused = root.parent  # neither can be written: as without a memory
    for _ in range(2):
        assert again(root, tried) == list(range(8))
    refused = root
    again(root, tried)
    assert again(root, tried) == [5]
    assert len(list(cache.rglob("*.json"))) == 1
    assert not (root / MEMORY).exists()


def test_both_parts_and_two_runs_share_a_memory(root: Path, tried: list[int]) -> None:
    for _ in range(2):
        for part in Folder(root).parted(0.25):
            Readable(part)
    assert len(tried) == 8 + 1
    assert [path for path in root.iterdir() if ".writing" in path.name or str(os.getpid()) in path.name] == []


def test_it_is_written_while_a_long_look_goes_on(root: Path, tried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_images, "AT_A_TIME", 3)
    real = bad_images._problem

    def stop(data: object, index: int) -> str | None:
        if index == 7:
            raise KeyboardInterrupt
        return real(data, index)

    with monkeypatch.context() as patch:
        patch.setattr(bad_images, "_problem", stop)
        with pytest.raises(KeyboardInterrupt):
            Readable(Folder(root))
    assert again(root, tried) == [5, 6, 7]


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_stored_pictures_are_remembered_too(kind: str, root: Path, tried: list[int]) -> None:
    pictures = FolderPictures(root)
    if kind == "shards":
        prepare(pictures, root.parent / "out", Settings("val", bad_images="skip"))
        pictures = Shards(root.parent / "out")
        assert pictures.about == "7 pictures in 2 classes; 1 that could not be read are not in the shards"
    for expected in (list(range(len(pictures))), [5] if kind == "files" else []):
        tried.clear()
        assert len(Readable(Encoded(pictures))) == 7
        assert tried == expected
    if kind == "shards":
        os.utime(pictures.files[0], ns=(1, 1))
        Readable(Encoded(pictures))
        assert len(tried) == 7


def test_it_says_what_it_does_and_what_it_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Readable(Folder(root))
    assert capsys.readouterr().out.splitlines() == [
        "bad_images=skip: trying to read 8 pictures",
        "bad_images=skip: 1 of 8 pictures cannot be read and are left out: 7 remain",
    ]
    assert found.about == "8 pictures in 2 classes; 1 of 8 pictures cannot be read and are left out: 7 remain"
    Readable(Folder(root))
    assert capsys.readouterr().out.startswith("bad_images=skip: trying to read 1 picture of 8; the others were read")
    (root / "dogs" / "1.png").unlink()
    assert Readable(Folder(root)).about == "7 pictures in 2 classes; all can be read"
    assert capsys.readouterr().out == ""
    readable(Folder(root), "raise")
    assert capsys.readouterr().out == ""


def test_a_class_of_which_nothing_is_left_is_named(root: Path) -> None:
    for path in (root / "dogs").iterdir():
        path.write_bytes(b"spoilt")
    assert Readable(Folder(root)).about.endswith("4 remain, and nothing of dogs")
    assert Readable(Encoded(FolderPictures(root))).about.endswith("4 remain, and nothing of dogs")


def _one_rank(root: Path, rank: int, found: "multiprocessing.Queue[tuple[list[int], list[str], list[int]]]") -> None:
    torch.distributed.init_process_group("gloo", f"file://{root.parent / 'meeting'}", rank=rank, world_size=2)
    tried, real = [], bad_images._problem
    bad_images._problem = lambda data, index: tried.append(index) or real(data, index)
    for _ in range(2):
        pictures = Readable(Folder(root))
    found.put((tried, pictures.skipped, pictures.kept))
    torch.distributed.destroy_process_group()


def test_two_processes_share_the_work_and_agree(root: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    found = context.Queue()
    ranks = [context.Process(target=_one_rank, args=(root, rank, found)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    results = [found.get(timeout=240) for _ in ranks]
    for rank in ranks:
        rank.join(60)
        assert rank.exitcode == 0
    assert sorted(index for tried, _, _ in results for index in tried) == sorted([*range(8), 5])
    assert results[0][1:] == results[1][1:]
    assert results[0][2] == [0, 1, 2, 3, 4, 6, 7]


def test_a_data_set_of_ones_own_is_tried_each_time(root: Path, tried: list[int]) -> None:
    folder = Folder(root)

    class Own:
        classes = folder.classes
        dataset = folder  # a wrapper's indices are not those of the set within

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> object:
            return folder[index + 4]

    for _ in range(2):
        tried.clear()
        found = Readable(Own())
        assert (len(found), tried) == (3, [0, 1, 2, 3])
    assert not (root / MEMORY).exists()
    assert found.about == "1 of 4 pictures cannot be read and are left out: 3 remain"
