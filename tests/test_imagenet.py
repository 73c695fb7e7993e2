"""ImageNet from a folder, from the official archives and from shards: the same pictures, in the right classes."""

import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from _imagenet import add, archives_of, make_tree, put_archive, tar_of
from torchvision.datasets.imagenet import ARCHIVE_META

from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet import archives
from gcvit_edu.data.imagenet.classes import check_class_order, imagenet_classes, imagenet_names, open_pictures
from gcvit_edu.data.imagenet.encoded import Encoded, FolderPictures, PackedPictures
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.train.batches import Samples, attribute_of


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def contents(tree: Path) -> dict[str, bytes]:
    return archives_of(tree)


@pytest.fixture
def root(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the three archives, whose checksums stand in place of the official ones."""
    (tmp_path / "archives").mkdir()
    for part, content in contents.items():
        put_archive(tmp_path / "archives", part, content, monkeypatch)
    return tmp_path / "archives"


# -------------------------------------------------------------------------------------------------------- classes


def test_classes_are_those_that_everyone_counts_on() -> None:
    classes, names = imagenet_classes(), imagenet_names()
    assert len(classes) == len(set(classes)) == len(names) == 1000
    assert classes == sorted(classes)
    # Number and meaning as in the papers and in torchvision's and NVIDIA's weights.
    for label, wnid, name in ((0, "n01440764", "tench"), (281, "n02123045", "tabby"), (999, "n15075141", "toilet t")):
        assert (classes[label], names[label][: len(name)]) == (wnid, name)
    check_class_order(classes, "here")


def test_two_swapped_classes_are_found() -> None:
    classes = imagenet_classes()
    classes[7], classes[8] = classes[8], classes[7]
    with pytest.raises(
        ValueError, match=r"here calls class 7 n01514859, and it is n01514668; the numbers are those of"
    ):
        check_class_order(classes, "here")
    part = imagenet_classes()[:10]
    check_class_order(part, "here", 10)
    with pytest.raises(ValueError, match="here calls class 0 n01443537, and it is n01440764"):
        check_class_order([part[1], part[0], *part[2:]], "here", 10)


def test_missing_and_strange_classes_are_found() -> None:
    classes = imagenet_classes()
    with pytest.raises(
        ValueError, match="here lacks 1 of the 1000 classes; the first is n01440764: add them, or set the"
    ):
        check_class_order(classes[1:], "here")
    with pytest.raises(
        ValueError, match=r"has the class 'tench' \(1 such\), which is no wnid of ImageNet-1k; .*: give its folder"
    ):
        check_class_order(["tench", *classes[1:]], "here")
    with pytest.raises(ValueError, match="here has 9 classes, not 10; set the number of classes"):
        check_class_order(classes[:9], "here", 10)
    with pytest.raises(ValueError, match="lacks 1 of the 1000"):
        check_class_order([classes[0], *classes[:-1]], "here")  # one of them twice


def test_a_folder_with_another_class_is_refused(tmp_path: Path) -> None:
    make_tree(tmp_path, classes=10, train=1)
    assert len(open_pictures(tmp_path, "train", num_classes=10)) == 10
    (tmp_path / "train" / "n01440764").rename(tmp_path / "train" / "tench")
    with pytest.raises(ValueError, match="train has the class 'tench'"):
        open_pictures(tmp_path, "train", num_classes=10)
    assert open_pictures(tmp_path, "train", num_classes=0).classes[-1] == "tench"
    with pytest.raises(ValueError, match="val lacks 990 of the 1000 classes; the first is n01"):
        open_pictures(tmp_path, "val")


# ----------------------------------------------------------------------------------------- three forms, one interface


def contents_of(pictures: FolderPictures | PackedPictures) -> list[tuple[bytes, int]]:
    return [(pictures.encoded(index).content, int(pictures.labels[index])) for index in range(len(pictures))]


@pytest.mark.parametrize("split", ["train", "val"])
def test_folder_archive_and_shards_have_the_same_pictures(tree: Path, root: Path, split: str, tmp_path: Path) -> None:
    folder = open_pictures(tree, split)
    archive = open_pictures(root, split)
    prepare(archive, tmp_path / "shards" / split, Settings(split, shard_size=300))
    shards = open_pictures(tmp_path / "shards", split)
    assert folder.classes == archive.classes == shards.classes == imagenet_classes()
    expected = contents_of(folder)
    assert contents_of(archive) == expected  # in the same order
    assert sorted(contents_of(shards)) == sorted(expected)
    assert (contents_of(shards) == expected) == (split == "val")  # which stays sorted; training pictures are mixed
    for pictures in (folder, archive, shards):
        assert isinstance(pictures, Samples)
        image, label = pictures[5]
        assert (image.mode, label) == ("RGB", pictures.labels[5])
        content, again = Encoded(pictures)[5]
        assert np.array_equal(np.array(content.decode()), np.array(image))
        assert again == label
        assert attribute_of(Encoded(pictures), "classes") == pictures.classes
    assert folder.name(0) == "n01440764/n01440764_0.JPEG"
    assert archive.name(0).startswith("n01440764/" + ("n01440764_0" if split == "train" else "ILSVRC2012_val_"))
    assert shards.name(0).startswith(f"{split}-000000.tar, byte ")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"neither train/manifest\.json .* nor train/ .* nor ILSVRC2012_img_train\.tar; name"
    ):
        open_pictures(tmp_path, "train")
    with pytest.raises(ValueError, match="there is no split 'test'; take train or val"):
        open_pictures(tmp_path, "test")
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(b"")
    with pytest.raises(ValueError, match="has 1000 classes, not 10; set the number"):
        open_pictures(tmp_path, "val", num_classes=10)


def test_bytes_that_are_gone_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"0123456789")
    places = np.array([[0, 8, 4, 0], [0, 0, 4, 0], [1, 0, 1, 0]])
    packed = PackedPictures(["one"], [tmp_path / "a.tar", tmp_path / "b.tar"], places)
    with pytest.raises(BadImage, match=r"a\.tar, byte 8 cannot be read: .*a\.tar is cut short"):
        packed[0]
    with pytest.raises(BadImage, match=r"the picture a\.tar, byte 0 cannot be read \(cannot identify"):
        packed[1]
    with pytest.raises(BadImage, match=r"b\.tar: No such file or directory; put the file back"):
        packed[2]
    cats = tmp_path / "root" / "cats"
    cats.mkdir(parents=True)
    (cats / "1.jpg").write_bytes(b"spoilt")
    folder = FolderPictures(tmp_path / "root")
    (cats / "1.jpg").unlink()
    with pytest.raises(BadImage, match=r"1\.jpg cannot be read \(No such file or directory\); put it back, or use bad"):
        folder.encoded(0)


# ------------------------------------------------------------------------------------------------------- archives


def test_checksums_are_torchvisions() -> None:
    assert archives.ARCHIVES == ARCHIVE_META


@pytest.mark.parametrize("part", ["train", "val", "devkit"])
def test_one_changed_byte_of_an_archive_is_found(part: str, root: Path) -> None:
    path = root / archives.ARCHIVES[part][0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} has MD5 [0-9a-f]+, and the official archive .*download it ag"):
        open_pictures(root, "train" if part == "train" else "val")
    path.unlink()
    if part == "devkit":
        with pytest.raises(ValueError, match=r"devkit_t12\.tar\.gz is missing; download it from image-net\.org"):
            open_pictures(root, "val")


@pytest.mark.parametrize("name", ["/etc/n1.JPEG", "../n1.JPEG", "a/../../n1.JPEG", "..\\n1.JPEG", "C:n1.JPEG"])
def test_a_name_that_leads_out_of_the_archive_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(tmp_path, "train", tar_of([("n01440764.tar", tar_of([(name, b"x")]))]), monkeypatch)
    with pytest.raises(ValueError, match=r"img_train\.tar/n01440764\.tar has a member called .* leads out of it"):
        open_pictures(tmp_path, "train")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add(archive, "first.JPEG", b"x")
        member = tarfile.TarInfo("second.JPEG")
        member.type, member.linkname = kind, "first.JPEG"
        archive.addfile(member)
    put_archive(tmp_path, "train", tar_of([("n01440764.tar", buffer.getvalue())]), monkeypatch)
    with pytest.raises(ValueError, match=r"member 'second\.JPEG' that is no plain file; do not use"):
        open_pictures(tmp_path, "train")


def test_wrong_members_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tar_of([("a.JPEG", b"x")])
    for members, message in (
        ([("n01440764.tar", one), ("n01440764.tar", one)], r"has two members called 'n01440764\.tar'"),
        (
            [("tench.tar", one)],
            r"has a member 'tench\.tar', which is none of the 1000 classes; give the official archives",
        ),
        ([("n01440764.tar", one)], r"lacks n01443537\.tar and 998 more of 1000 classes; give the official ar"),
    ):
        put_archive(root, "train", tar_of(members), monkeypatch)
        with pytest.raises(ValueError, match=message):
            open_pictures(root, "train")
    put_archive(root, "val", tar_of([("ILSVRC2012_val_00000001.JPEG", b"x")]), monkeypatch)
    with pytest.raises(
        ValueError, match="has 1 pictures and the development kit 1000 labels; give the official archives"
    ):
        open_pictures(root, "val")
    put_archive(root, "devkit", tar_of([("kit/data/meta.mat", b"x")], "w:gz"), monkeypatch)
    with pytest.raises(ValueError, match=r"lacks data/meta\.mat or data/ILSVRC2012_validation_ground_truth\.txt; give"):
        open_pictures(root, "val")


def test_a_class_of_the_kit_that_is_unknown_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"has class n15075141, none of the 999 classes; give the official archives"):
        archives.validation_archive(root, imagenet_classes()[:-1])


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[int]]:
    """An archive whose content is right, and a list that grows whenever a file's MD5 is computed."""
    put_archive(tmp_path, "val", b"content" * 1000, monkeypatch)
    computed, real = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: computed.append(1) or real(*given))
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    return archives.archive_of(tmp_path, "val"), computed


def test_a_checksum_is_computed_once(checked: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    path, computed = checked
    for _ in range(3):
        assert archives.checked_archive(path.parent, "val") == path
    assert computed == [1]
    monkeypatch.setitem(archives.ARCHIVES, "val", (path.name, "another"))  # what was kept is compared each time
    with pytest.raises(ValueError, match=r"has MD5 .* and the official archive another"):
        archives.checked_archive(path.parent, "val")
    assert computed == [1]


def test_a_changed_archive_is_read_again(checked: tuple[Path, list[int]]) -> None:
    """Even where its size and the time of its content are what they were."""
    path, computed = checked
    archives.checked_archive(path.parent, "val")
    before, content = path.stat(), path.read_bytes()
    time.sleep(0.02)  # longer than a file system's clock stands still
    path.write_bytes(b"C" + content[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ValueError, match="has MD5"):
        archives.checked_archive(path.parent, "val")
    assert computed == [1, 1]


@pytest.mark.parametrize("junk", ["", "[]", "{}", "null", '{"state": 1}', "\x00"])
def test_what_is_no_record_of_a_checksum_is_made_again(junk: str, checked: tuple[Path, list[int]]) -> None:
    path, computed = checked
    path.with_name(path.name + archives.CHECKED).write_text(junk)
    for _ in range(2):
        assert archives.checked_archive(path.parent, "val") == path
    assert computed == [1]


def test_a_checksum_is_not_kept_of_a_fresh_file_or_in_a_folder_to_read_only(
    checked: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, computed = checked
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: path.stat().st_ctime_ns / 1e9 + 1)
        archives.checked_archive(path.parent, "val")

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(archives, "whole_file", refuse)
        archives.checked_archive(path.parent, "val")
    assert list(path.parent.iterdir()) == [path]
    assert computed == [1, 1]


def test_a_name_of_the_module_that_became_a_package_says_where_it_is() -> None:
    with pytest.raises(ImportError, match=r"open_pictures is in gcvit_edu\.data\.imagenet\.classes"):
        exec("from gcvit_edu.data.imagenet import open_pictures")
    with pytest.raises(ImportError, match="cannot import name 'open_picture'"):
        exec("from gcvit_edu.data.imagenet import open_picture")
