"""The same run is the same content: classes, names, labels and first weights; not paths, devices or workers."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from _imagenet import make_tree
from _recipe_stripes import CONFIG
from _train import command, differing, final_state, finish, history, longer_recipe, with_set
from PIL import Image
from torch.utils.data import Subset

from gcvit_edu.data import Emoji, PairScenes, Scenes
from gcvit_edu.data.folder import Folder
from gcvit_edu.data.imagenet.classes import open_pictures
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.data.imagenet.shards import Shards
from gcvit_edu.files import read_log
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.checkpoint import checkpoints, save
from gcvit_edu.train.identity import identity_of, numbered_classes

CLASSES = ("cats", "dogs", "eels")


def make_pictures(root: Path, classes: tuple[str, ...] = CLASSES, train: int = 6, val: int = 3) -> Path:
    """root/train and root/val, each class of another colour."""
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                colour = tuple(40 + 30 * number if channel == label else 20 for channel in range(3))
                Image.new("RGB", (34, 34), colour).save(root / part / name / f"{number}.png")
    return root


def arguments(data: Path, out: Path, *settings: str, resume: bool = False) -> list[str]:
    """Fine-tunes a nano with 32 pixels; it can be resumed after step 2 of 8."""
    values = ["epochs=2", "batch_size=4", "warmup_epochs=0", "image_size=32", "layers=head", "ema_decay=0"]
    flags = ["--resume"] if resume else []
    values += ["device=cpu", *settings]
    return ["folder", "--out", str(out), *flags, "--data", str(data), *with_set(values)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures and a run on them."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(arguments(make_pictures(folder / "pictures"), folder / "out")) == 0
    return folder / "pictures", folder / "out"


@pytest.fixture
def copied(finished: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The pictures at another place, and the run, both to be changed."""
    shutil.copytree(finished[0], tmp_path / "moved")
    shutil.copytree(finished[1], tmp_path / "out")
    return tmp_path / "moved", tmp_path / "out"


def refusal(data: Path, out: Path, capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    capsys.readouterr()
    assert main(arguments(data, out, *settings, resume=True)) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Set it as it was, or choose another --out" in said
    return said


# --------------------------------------------------------------------------------------------------- what may change


def test_the_same_pictures_at_another_path_on_another_device_go_on(
    copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = copied
    capsys.readouterr()
    assert main(arguments(data, out, "device=auto", "workers=1", "save_every=3", "eval_every=2", resume=True)) == 0
    said = capsys.readouterr().out
    assert f"and is {data}, with the same names and labels" in said
    assert "workers was 0 and is 1" in said
    assert "workers was 0 and is 1" in read_log(out)[-1]["notes"]


def test_a_run_that_moves_in_the_middle_ends_as_one_that_stays(tmp_path: Path, finished: tuple[Path, Path]) -> None:
    """Broken off after the first epoch, by taking the checkpoints of the second away."""
    broken, moved = tmp_path / "broken", tmp_path / "moved"
    shutil.copytree(finished[1], broken)
    shutil.copytree(finished[0], moved)
    checkpoints(broken)[0].unlink()
    assert main(arguments(moved, broken, resume=True)) == 0
    one, other = final_state(finished[1]), final_state(broken)
    for state in (one, other):
        del state["config"]
    assert differing(one, other) == []
    assert differing(history(finished[1]), history(broken)) == []
    assert (finished[1] / "final.safetensors").read_bytes() == (broken / "final.safetensors").read_bytes()


def test_another_kind_of_device_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["epochs=1", "warmup_epochs=0"]
    assert main(command(tmp_path, settings)) == 0
    save(tmp_path, 13, {**final_state(tmp_path), "device": "cuda"}, best=False)
    capsys.readouterr()
    assert main(command(tmp_path, settings, resume=True)) == 0
    assert "device was cuda and is cpu: it draws other random numbers" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ what is refused


def test_a_renamed_class_is_refused_by_name(copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """In both sets, so that they agree: the numbers of all classes move."""
    data, out = copied
    for part in ("train", "val"):
        (data / part / "cats").rename(data / part / "zebras")
    assert "class 0 was 'cats' and is 'dogs'" in refusal(data, out, capsys)


def test_a_class_more_is_refused_by_name(copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, out = copied
    for part in ("train", "val"):
        shutil.copytree(data / part / "eels", data / part / "fish")
    assert "class 3 was none and is 'fish'" in refusal(data, out, capsys)
    assert "class 3 was none and is 'fish'" in refusal(data, out, capsys, "num_classes=4")


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_picture_with_another_label_is_refused(
    part: str, copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """As many pictures as before: the count alone would not tell."""
    data, out = copied
    (data / part / "cats" / "0.png").rename(data / part / "dogs" / "9.png")
    said, number = refusal(data, out, capsys), {"train": 6, "val": 3}[part]
    assert f"the {'training' if part == 'train' else 'validation'} set has other pictures or labels than then" in said
    assert f"class cats had {number} and has {number - 1}, class dogs had {number} and has {number + 1}" in said


def test_exchanged_pictures_and_other_names_are_refused(
    copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = copied
    (data / "train" / "cats" / "0.png").rename(data / "train" / "dogs" / "a.png")
    (data / "train" / "dogs" / "0.png").rename(data / "train" / "cats" / "b.png")
    assert "the training set has other pictures or labels than then: 18 pictures as before" in refusal(
        data, out, capsys
    )


def test_fewer_pictures_to_validate_are_refused(copied: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, out = copied
    (data / "val" / "eels" / "0.png").unlink()
    assert "validation pictures was 9 and is 8: class eels had 3 and has 2" in refusal(data, out, capsys)


def test_classes_in_another_order_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a set that tells nothing but its classes."""
    out, settings = tmp_path / "out", ["epochs=1", "warmup_epochs=0"]
    assert main(command(out, settings)) == 0
    turned = longer_recipe(tmp_path, 'Stripes.classes = ("columns", "rows", "none")')
    assert main(command(out, settings, resume=True, recipe=turned)) == BAD_INPUT
    assert "class 0 was 'rows' and is 'columns'" in capsys.readouterr().err


def test_where_nobody_can_tell_a_moved_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        @dataclass(frozen=True)
        class Own(TrainConfig):
            data: str = "here"

        from dataclasses import asdict
        CONFIG = Own(**asdict(CONFIG))
        """,
    )
    out, settings = tmp_path / "out", ["epochs=1", "warmup_epochs=0"]
    assert main(command(out, settings, recipe=recipe)) == 0
    assert main(command(out, settings, recipe=recipe, resume=True)) == 0
    assert main(command(out, [*settings, "data=there"], recipe=recipe, resume=True)) == BAD_INPUT
    said = capsys.readouterr().err
    assert "data was here and is there" in said
    assert "the data sets have no method identity()" in said


def test_other_first_weights_are_refused_and_moved_ones_are_not(
    finished: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = finished[0], tmp_path / "out"
    own, moved = tmp_path / "own.safetensors", tmp_path / "moved.safetensors"
    shutil.copy(finished[1] / "final.safetensors", own)
    assert main(arguments(data, out, f"weights={own}", "epochs=1")) == 0
    shutil.move(own, moved)
    capsys.readouterr()
    assert main(arguments(data, out, f"weights={moved}", "epochs=1", resume=True)) == 0
    assert f"weights was {own} and is {moved}, with the same content" in capsys.readouterr().out
    assert "weights was" in refusal(data, out, capsys, "weights=emoji_nano", "epochs=1")


def test_a_checkpoint_of_before_goes_on_and_says_what_it_does_not_know(
    copied: tuple[Path, Path], finished: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    moved, out = copied
    for path in checkpoints(out):
        state = {key: value for key, value in torch.load(path).items() if key not in ("identity", "device")}
        torch.save(state, path)
    capsys.readouterr()
    assert main(arguments(finished[0], out, resume=True)) == 0
    assert "the checkpoint is older than the digests" in capsys.readouterr().out
    (out / "best.pt").unlink()
    for path in checkpoints(out):
        torch.save({key: value for key, value in torch.load(path).items() if key != "identity"}, path)
    assert "nobody can tell whether the pictures are the same" in refusal(moved, out, capsys)


def test_processes_with_other_pictures_are_refused(tmp_path: Path) -> None:
    """Each machine may have a copy of its own."""
    recipe = longer_recipe(
        tmp_path,
        """
        import os

        def identity(self):
            return [(f"{os.environ['RANK']}.png", 0)]

        Stripes.identity = identity
        """,
    )
    with pytest.raises(AssertionError, match="process 1 has other data than process 0"):
        finish(command(tmp_path / "out", ["epochs=2"], recipe=recipe), tmp_path / "printed", processes=2)


# ----------------------------------------------------------------------------------------------------- of data sets


def digests(training: Any, validation: Any = None) -> str | None:
    return identity_of(training, training if validation is None else validation, CONFIG).training.digest


def test_what_data_sets_tell(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures")
    folder = Folder(root / "train")
    found = identity_of(folder, Folder(root / "val"), replace(CONFIG))
    assert (found.classes, found.training.sizes, found.validation.sizes) == (list(CLASSES), [6, 6, 6], [3, 3, 3])
    assert found.training.digest != found.validation.digest
    assert digests(Subset(folder, [0, 1])) not in (digests(Subset(folder, [1, 2])), digests(folder), None)
    assert digests([(torch.zeros(3, 2, 2), 0)]) is None
    assert digests(readable(folder, "skip")) not in (digests(folder), None)
    assert digests(Emoji("train")) != digests(Emoji("test"))
    assert digests(Scenes(8)) != digests(Scenes(8, seed=1))
    assert digests(PairScenes(8, distance=20)) != digests(PairScenes(8, distance=24))
    labelled = Subset(folder, range(3))
    labelled.targets = [0, 1, 1]  # as torchvision's sets call their labels
    wrong = Subset(folder, range(3))
    wrong.targets = [0, 1, 10**12]
    assert identity_of(wrong, wrong, CONFIG).training.sizes is None
    other = Subset(folder, range(3))
    other.targets = torch.tensor([0, 1, 2])
    assert digests(labelled) not in (digests(other), None)


def test_shards_are_known_by_their_checksums(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", classes=2, train=3)
    source = open_pictures(tree, "train", num_classes=2)
    for place, settings in (("one", {}), ("same", {}), ("small", {"short_side": 8, "quality": 50})):
        prepare(source, tmp_path / place, Settings("train", shard_size=4, **settings))
    one, same, small = (Shards(tmp_path / place) for place in ("one", "same", "small"))
    assert digests(one) == digests(same) != digests(small)
    assert digests(source) == digests(open_pictures(shutil.copytree(tree, tmp_path / "copy"), "train", num_classes=2))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A name in Latin-1, as an old archive unpacks it."""
    root = make_pictures(tmp_path / "pictures")
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (root / "train" / "cats" / "0.png").rename(root / "train" / "cats" / name)
    except OSError:
        pytest.skip("this file system wants names to be text")
    for part in ("train", "val"):
        (root / part / "cats").rename(root / part / os.fsdecode(b"ch\xe2ts"))
    out = tmp_path / "out"
    assert main(arguments(root, out)) == 0
    assert main(arguments(root, out, resume=True)) == 0
    assert os.fsdecode(b"ch\xe2ts") in final_state(out)["identity"]["classes"]
    assert os.fsdecode(b"ch\xe2ts") in read_log(out)[0]["classes"]


# --------------------------------------------------------------------------------------------------------- in words


def test_classes_are_numbered_in_words(finished: tuple[Path, Path]) -> None:
    assert numbered_classes(["1", "10", "2"]).startswith(
        "classes: 0 = 1, 1 = 10, 2 = 2; the names are numbers, and sorted as"
    )
    assert numbered_classes(["0", "1", "2"]) == "classes: 0 = 0, 1 = 1, 2 = 2"
    assert numbered_classes([f"n{label:03d}" for label in range(30)]) == "classes: 0 = n000, 1 = n001, ..., 29 = n029"
    first = read_log(finished[1])[0]
    assert first["classes"] == list(CLASSES)
    assert "classes: 0 = cats, 1 = dogs, 2 = eels" in first["notes"]
    assert any(note.startswith("training: 18 pictures") for note in first["notes"])
    assert any(note.startswith("validation: 9 pictures") for note in first["notes"])
    assert json.loads((finished[1] / "log.jsonl").read_text().splitlines()[0])["event"] == "start"
