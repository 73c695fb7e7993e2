"""A folder of pictures: what is counted, what is left alone, which folder is missing, and names in any bytes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from _pictures import arrow, file_of, shape, write
from PIL import Image

from gcvit_edu.data import Emoji, PairScenes, Scenes
from gcvit_edu.data.folder import SUFFIXES, BadImage, Folder, train_and_val
from gcvit_edu.data.imagenet.classes import open_pictures
from gcvit_edu.data.imagenet.encoded import Encoded, FolderPictures
from gcvit_edu.data.imagenet.prepare import main as prepare
from gcvit_edu.data.imagenet.shards import Shards
from gcvit_edu.explorer import __main__
from gcvit_edu.train import load_recipe
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.batches import attribute_of

PNG = file_of(shape("cross"))


def classes_in(root: Path, names: str = "cats dogs eels", pictures: int = 2) -> Path:
    for name in names.split():
        for number in range(pictures):
            write(root / name / f"{number}.png", PNG)
    return root


# ------------------------------------------------------------------------------------------- what is left alone


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        *((suffix, "JPEG") for suffix in (".jpg", ".JPEG", ".jpe", ".jfif", ".JFIF")),
        *((suffix, "TIFF") for suffix in (".tif", ".tiff", ".TIF")),
        *((f".{form.lower()}", form) for form in ("PNG", "GIF", "WEBP", "BMP", "AVIF")),
        *((".pgm", "PPM"), (".jp2", "JPEG2000")),
    ],
)
def test_every_kind_of_file_that_pillow_reads_is_used(suffix: str, form: str, tmp_path: Path) -> None:
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow has no {form}")
    write(tmp_path / "cats" / f"1{suffix}", file_of(arrow(), form))
    (image, label), *others = (Folder(tmp_path)[index] for index in range(len(Folder(tmp_path))))
    assert (image.mode, image.size, label, others) == ("RGB", arrow().size, 0, [])


def test_a_line_says_how_many_and_what_was_left_alone_and_why(tmp_path: Path) -> None:
    classes_in(tmp_path, pictures=6)
    assert Folder(tmp_path).about == "18 pictures in 3 classes"
    for number in range(3):
        write(tmp_path / "cats" / f"{number}.heic", b"x")
        write(tmp_path / "cats" / f"._{number}.png", b"what macOS leaves beside a file")
        write(tmp_path / f"beside{number}.jpg", PNG)
    write(tmp_path / "dogs" / "notes.TXT", b"x")
    write(tmp_path / "dogs" / "README", b"x")
    write(tmp_path / ".git" / "1.png", PNG)
    write(tmp_path / "__MACOSX" / "cats" / "._1.png", b"x")
    for sub in ("old/older", "new"):
        for number in range(5):
            write(tmp_path / "eels" / sub / f"{number}.png", PNG)
    assert Folder(tmp_path).about == (
        "18 pictures in 3 classes; left alone: 5 files of other kinds (.heic 3, .txt 1, without a suffix 1), "
        "3 hidden pictures, 2 folders inside classes with 10 pictures, 3 pictures beside the classes"
    )


def test_one_of_a_kind_is_said_in_the_singular_and_many_kinds_are_cut(tmp_path: Path) -> None:
    classes_in(tmp_path, "cats", pictures=1)
    write(tmp_path / "cats" / "one.xyz", b"x")
    assert Folder(tmp_path).about == "1 picture in 1 class; left alone: 1 file of other kinds (.xyz 1)"
    for number in range(8):
        write(tmp_path / "cats" / f"1.kind{number}", b"x")
    assert "9 files of other kinds (" in Folder(tmp_path).about
    assert ", ...)" in Folder(tmp_path).about


def test_links_in_a_circle_and_things_that_are_no_files_stop_nothing(tmp_path: Path) -> None:
    classes_in(tmp_path / "root", "cats")
    cats = tmp_path / "root" / "cats"
    (cats / "again").symlink_to(tmp_path / "root")
    (cats / "itself").symlink_to(cats / "itself")
    (cats / "folder.png").mkdir()
    os.mkfifo(cats / "pipe.png")
    write(tmp_path / "elsewhere" / "1.png", PNG)
    (tmp_path / "root" / "dogs").symlink_to(tmp_path / "elsewhere")  # a class may be a link
    folder = Folder(tmp_path / "root")
    assert [path.name for path, _ in folder.files] == ["0.png", "1.png", "1.png"]
    assert "2 files of other kinds" in folder.about
    assert "2 folders inside classes with 0 pictures" in folder.about


def test_files_in_two_kinds_of_letters_are_two_pictures_and_empty_ones_are_named(tmp_path: Path) -> None:
    write(tmp_path / "cats" / "1.jpg", file_of(arrow(), "JPEG"))
    write(tmp_path / "cats" / "1.JPG", b"")
    assert len(Folder(tmp_path)) == 2
    for folder in (Folder(tmp_path), FolderPictures(tmp_path)):
        with pytest.raises(BadImage, match=r"1\.JPG cannot be read \(it has 0 bytes\)"):
            folder[0]
    with pytest.raises(BadImage, match=r"1\.JPG cannot be read \(it has 0 bytes\)"):
        FolderPictures(tmp_path).encoded(0).decode()


def test_a_class_without_pictures_says_what_it_has_instead(tmp_path: Path) -> None:
    classes_in(tmp_path, "cats")
    write(tmp_path / "dogs" / "1.heic", b"x")
    with pytest.raises(ValueError, match=r"no pictures .*files of other kinds: \.heic 1; convert pictures"):
        Folder(tmp_path)
    write(tmp_path / "dogs" / "deep" / "1.png", PNG)
    with pytest.raises(ValueError, match=r"dogs has no pictures itself, and 1 picture in folders inside it; move them"):
        Folder(tmp_path)


def test_each_set_says_what_it_is(tmp_path: Path) -> None:
    classes_in(tmp_path / "train", pictures=5)
    write(tmp_path / "train" / "cats" / "note.txt", b"x")
    left = "; left alone: 1 file of other kinds (.txt 1)"
    folder = FolderPictures(tmp_path / "train")
    assert Encoded(folder).about == folder.about == "15 pictures in 3 classes" + left
    assert [part.about for part in folder.parted(0.4)] == [
        f"{number} of 15 pictures in 3 classes{left}" for number in (9, 6)
    ]
    assert prepare([str(tmp_path), "--out", str(tmp_path / "out"), "--classes", "0"]) == 0
    assert Shards(tmp_path / "out" / "train").about == "15 pictures in 3 classes"
    assert Emoji("test").about == f"{len(Emoji('test'))} drawings of 263 emoji in 13 classes"
    assert Scenes(7).about == "7 scenes of emoji in 13 classes"
    assert PairScenes(8, distance=20).about == "8 scenes of two emoji in 2 classes"


def test_a_recipes_sets_say_it_too(tmp_path: Path) -> None:
    """The loop prints it."""
    classes_in(tmp_path, pictures=5)
    write(tmp_path / "cats" / "bad.png", b"spoilt")
    recipe = load_recipe("folder")
    for bad_images, left in (("raise", ""), ("skip", "; 1 of 13 pictures cannot be read and are left out: 12 remain")):
        config = recipe.complete(replace(recipe.config, data=str(tmp_path), bad_images=bad_images))
        training, validation = (attribute_of(samples, "about") for samples in recipe.make_data(config))
        assert training == "13 of 16 pictures in 3 classes" + left
        assert validation.startswith("3 of 16 pictures in 3 classes")


# ------------------------------------------------------------------------------------------- which folder is missing


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("train", "valid"), r"has train/, valid/ but no val/; rename valid/ to val/"),
        (("train", "validation"), r"rename validation/ to val/"),
        (("train", "test"), r"rename test/ to val/"),
        (("train", "valid", "test"), r"rename valid/ to val/"),
        (("Train", "Val"), r"no train/ and val/; rename Train/ to train/, rename Val/ to val/"),
        (("train",), r"has train/ but no val/; add \S*root/val with the same classes"),
        (("val",), r"has val/ but no train/; add \S*root/train with the same classes"),
        (("twice/train", "twice/val"), r"root has its pictures deeper .* in \S*root/twice; name that folder instead"),
        (("a/b/train", "a/b/val"), r"in \S*root/a/b; name that folder instead"),
    ],
)
@pytest.mark.parametrize("recipe", ["two parts", "a share", "ImageNet"])
def test_the_missing_folder_is_named(recipe: str, parts: tuple[str, ...], words: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for part in parts:
        classes_in(root / part)
    if recipe == "ImageNet":
        split = "val" if parts[0] == "train" else "train"
        with pytest.raises(ValueError, match=words):
            open_pictures(root, split, num_classes=0)
        return
    with pytest.raises(ValueError, match=words) as refusal:
        train_and_val(root, 0.2 if recipe == "a share" else None)
    assert (f"or name {root / 'train'}: then a share" in str(refusal.value)) == (
        recipe == "a share" and "train" in parts
    )


def test_classes_one_level_deeper_are_found(tmp_path: Path) -> None:
    classes_in(tmp_path / "PICTURES")
    with pytest.raises(ValueError, match=r"in \S*PICTURES; name that folder instead"):
        train_and_val(tmp_path, 0.2)
    assert len(train_and_val(tmp_path / "PICTURES", 0.2)[0]) == 3
    for part in ("train", "val"):
        classes_in(tmp_path / "parts" / part / part)
    with pytest.raises(ValueError, match=r"train/train has no pictures itself, .* such as \S*parts/train/train"):
        train_and_val(tmp_path / "parts")
    with pytest.raises(ValueError, match=r"cats has no folders; .* name the folder .* such as \S*PICTURES"):
        Folder(tmp_path / "PICTURES" / "cats")
    classes_in(tmp_path / "deep" / "animals")
    classes_in(tmp_path / "deep" / "plants")
    with pytest.raises(ValueError, match=r"name the folder that has the classes, such as \S*deep/animals$"):
        Folder(tmp_path / "deep")


@pytest.mark.parametrize("inside", ["images", "train val"])
def test_a_folder_inside_each_class_is_no_folder_of_classes(tmp_path: Path, inside: str) -> None:
    """As Tiny ImageNet has them: whoever named the class would train one class, called images."""
    for name in ("cats", "dogs"):
        classes_in(tmp_path / name, inside)
    with pytest.raises(
        ValueError, match=r"cats has no pictures itself, and \d pictures in folders inside it; move them up$"
    ):
        Folder(tmp_path)


def test_classes_where_parts_are_asked_for(tmp_path: Path) -> None:
    classes_in(tmp_path / "alone")
    with pytest.raises(ValueError, match=r"alone has neither train/ nor val/ .*make these two, or give a val_share"):
        train_and_val(tmp_path / "alone")
    for part in ("train", "val"):
        classes_in(tmp_path / "both" / part)
    with pytest.raises(ValueError, match=r"name \S*both, which has both"):
        train_and_val(tmp_path / "both" / "train")
    with pytest.raises(ValueError, match="nowhere is no folder"):
        train_and_val(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"nowhere has neither .*; it is no folder"):
        open_pictures(tmp_path / "nowhere", "train")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    classes_in(tmp_path, "bus car train", pictures=5)
    assert train_and_val(tmp_path, 0.2)[0].classes == ["bus", "car", "train"]


def test_what_lies_beside_train_and_val_is_said(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        classes_in(tmp_path / part)
    training, validation = train_and_val(tmp_path)
    assert training.about == "6 pictures in 3 classes; left alone: test/ beside train/ and val/"
    assert validation.about == "6 pictures in 3 classes"


# ------------------------------------------------------------------------------------------------ names in any bytes

LATIN = os.fsdecode(b"caf\xe9")  # "café" as an old disk has it
SHOWN = r"caf\udce9"


@pytest.fixture
def latin(tmp_path: Path) -> Path:
    """root/<class>/ with a class and pictures whose names are no UTF-8."""
    try:
        for name in (LATIN, "dogs"):
            for number in range(4):
                write(tmp_path / "root" / name / f"{LATIN}{number}.png", PNG)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    return tmp_path / "root"


def test_a_name_in_other_bytes_is_read_parted_and_left_out(latin: Path) -> None:
    sets = train_and_val(latin, 0.25)
    assert [len(part) for part in sets] == [6, 2]
    assert sets[0][0][0].mode == "RGB"
    bad = sets[0].files[0][0]
    bad.write_bytes(b"spoilt")
    (message,) = readable(sets[0], "skip").skipped
    assert f"{SHOWN}/{SHOWN}" in message
    message.encode()  # can be printed
    for folder in (sets[0], FolderPictures(latin)):
        with pytest.raises(BadImage) as refusal:
            [folder[index] for index in range(len(folder))]
        str(refusal.value).encode()


def test_a_name_in_other_bytes_goes_into_shards(latin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tarfile

    latin.rename(latin.parent / "train")
    out = latin.parent / f"out {LATIN}"
    for more in ([], ["--verify"]):
        source = [] if more else [str(latin.parent)]
        assert prepare([*source, "--out", str(out), "--classes", "0", *more]) == 0, capsys.readouterr().err
    shards = Shards(out / "train")
    assert shards.classes == [LATIN, "dogs"]
    assert len(list(shards)) == 8
    with tarfile.open(next((out / "train").glob("*.tar"))) as archive:
        names = [archive.extractfile(member).read().decode() for member in archive if member.name.endswith(".txt")]
    assert sorted(names)[0] == f"{SHOWN}/{SHOWN}0.png"


def test_a_name_in_other_bytes_can_be_explored(
    latin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = latin.parent / f"{LATIN}.html"
    assert __main__.main([str(latin / "dogs" / f"{LATIN}0.png"), "--out", str(page), "--limit-kb", "400"]) == 0
    assert rf"Where nano looks on {SHOWN}0.png" in page.read_text(encoding="utf-8")
    assert rf"{SHOWN}.html has" in capsys.readouterr().out


def test_all_suffixes_are_pillows() -> None:
    assert {".jpg", ".jfif", ".tif", ".tiff", ".gif", ".webp", ".bmp", ".png"} <= set(SUFFIXES)
    assert set(SUFFIXES) <= set(Image.registered_extensions())
