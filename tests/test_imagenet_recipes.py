"""The ImageNet recipes: what each says, how the rate follows the batch, and which classes are refused."""

import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from _imagenet import WNIDS, archives_of, make_tree, put_archive
from _train import with_set
from PIL import Image

import gcvit_edu.recipes as ladder
from gcvit_edu.counting import count
from gcvit_edu.data import published_figures
from gcvit_edu.data.augment import seeded
from gcvit_edu.data.folder import BadImage
from gcvit_edu.data.imagenet.classes import open_pictures
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.recipes import imagenet as common
from gcvit_edu.train import Recipe, changed, load_recipe
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.batches import MicroBatchSampler, attribute_of, train_batches, validation_batches
from gcvit_edu.train.distributed import Place
from gcvit_edu.variants import VARIANTS

SIZES = [name for name in VARIANTS if name != "nano"]
RECIPES = ("imagenet", "imagenet_finetune")


def recipe_of(variant: str) -> Recipe:
    return load_recipe("imagenet_finetune" if "_" in variant else "imagenet")


# ------------------------------------------------------------------------------------------------- what they say


@pytest.mark.parametrize("variant", SIZES)
def test_a_table_states_the_published_figures_as_those_of_the_paper(variant: str) -> None:
    recipe, figures, numbers = recipe_of(variant), published_figures("sizes")[variant], VARIANTS[variant]
    (row,) = re.findall(rf"^\| {variant} \|.*", recipe.text, re.MULTILINE)
    for stated in (f"{figures['top_1']} %", f"| {numbers.drop_path_rate:g} |", f"{figures['gmacs']} billion"):
        assert stated in row
    config = recipe.complete(replace(recipe.config, model=variant))
    assert row.endswith(f"| {config.accumulate} |")
    assert (config.model, config.image_size) == (variant, numbers.image_size)
    assert config.drop_path_rate is None  # the variant's own
    assert "not run here" in recipe.text
    assert "the paper's figure, not ours" in recipe.text or "unknown" in recipe.text


@pytest.mark.parametrize("variant", ["xtiny", "tiny2", "small2", "large_384", "large_512"])
def test_multiply_adds_that_were_published_otherwise_are_counted(variant: str) -> None:
    recipe = recipe_of(variant)
    config = recipe.complete(replace(recipe.config, model=variant, weights=""))
    with torch.device("meta"):
        model = recipe.make_model(config)
    side = config.image_size
    found = count(model, torch.empty(1, 3, side, side, device="meta")).multiply_adds / 1e9
    assert f"{published_figures('sizes')[variant]['gmacs']} billion (counted: {found:.2f})" in recipe.text


def test_what_the_user_sets_is_not_completed() -> None:
    recipe = load_recipe("imagenet")
    given = replace(recipe.config, model="small", accumulate=1, image_size=96)
    assert recipe.complete(given) == given
    assert recipe.complete(recipe.config).accumulate == 1
    assert recipe.complete(replace(given, accumulate=None)).accumulate == 4
    with pytest.raises(ValueError, match=r"model='timm/resnet18' is no variant .* set image_size"):
        recipe.complete(replace(recipe.config, model="timm/resnet18"))


RENAMED = {
    "imagenet_tiny": "imagenet --set model=tiny",
    "imagenet_large_384": "imagenet_finetune",
    "finetune": "folder",
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_gives_the_new_one(old: str, new: str) -> None:
    with pytest.raises(ValueError, match=new):
        load_recipe(old)


def test_every_command_of_the_docstrings_and_of_the_ladder_is_understood() -> None:
    texts = [load_recipe(name).text for name in (*RECIPES, "imagenette", "imagenet100")]
    lines = [line for text in texts for line in re.findall(r"gcvit_edu\.train (.+(?:\\\n.+)?)", text)]
    lines += re.findall(r"`(\w+ --data [^`]+|emoji_nano)`", ladder.__doc__ or "")
    assert len(lines) >= 3 + 2 + 4
    for line in lines:
        name, *options = shlex.split(line.replace("\\\n", " ").split("`")[0])
        settings = [option for before, option in pairwise(options) if before == "--set"]
        changed(load_recipe(name).config, settings)


# ---------------------------------------------------------------------------------------------- rate and batch


@pytest.mark.parametrize(("batch", "rate"), [(256, 2.5e-4), (1024, 1e-3), (4096, 4e-3)])
def test_the_rate_is_proportional_to_the_batch(batch: int, rate: float) -> None:
    config = changed(load_recipe("imagenet").config, [f"batch_size={batch}"])
    assert config.lr == pytest.approx(rate)
    assert (config.lr_first, config.lr_last) == (1e-6, 5e-6)
    assert changed(config, ["base_lr=2e-3"]).lr == pytest.approx(2 * rate)
    assert changed(config, ["batch_size=1024"]).lr == pytest.approx(1e-3)  # not from the rate of before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr=1e-3", "lr cannot be set here: it follows from base_lr and batch_size; set those"),
        ("base_lr=0", "base_lr=0 must be a positive number"),
        ("base_lr=high", "base_lr='high' must be a positive number"),
        ("batch_size=many", "batch_size='many' must be a whole number"),
        ("batch_size=4", "lr_last=5e-06 must be at most lr=3.9"),
        ("shuffle_buffer=-1", "shuffle_buffer=-1 must not be negative"),
        ("crop_ratio=1.2", "crop_ratio=1.2 must be above 0 and at most 1"),
    ],
)
def test_refusals_of_the_config(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        changed(load_recipe("imagenet").config, [setting])


# ---------------------------------------------------------------------------------------------------- the data


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("imagenet"), classes=3, train=3, val=2)


def small(root: Path, **changes: object) -> common.ImageNetConfig:
    numbers: dict[str, object] = {"data": str(root), "num_classes": 3, "image_size": 32, "batch_size": 8}
    return replace(load_recipe("imagenet").config, **{"model": "xxtiny", "accumulate": 1, **numbers, **changes})


def test_pictures_have_the_size_and_the_classes(tree: Path) -> None:
    training, validation = common.make_data(small(tree))
    assert attribute_of(training, "classes") == attribute_of(validation, "classes") == WNIDS[:3]
    assert (len(training), len(validation)) == (9, 6)
    assert training[0][0].shape == validation[5][0].shape == (3, 32, 32)
    assert [label for _, label in (validation[0], validation[5])] == [0, 2]
    again = common.make_data(small(tree))[0]
    assert torch.equal(training[4][0], again[4][0])  # RandAugment's chance, too, follows from seed, epoch and index
    again.set_epoch(1)
    assert not torch.equal(training[4][0], again[4][0])


def shards_of(tree: Path, root: Path) -> Path:
    for split in ("train", "val"):
        prepare(open_pictures(tree, split, num_classes=0), root / split, Settings(split, shard_size=4))
    return root


def test_one_setting_chooses_folder_archives_or_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two in the same order, bit for bit; shards in an order of their own."""
    tree, archives = make_tree(tmp_path / "tree", train=1), tmp_path / "archives"
    archives.mkdir()
    for part, content in archives_of(tree).items():
        put_archive(archives, part, content, monkeypatch)
    shards = tmp_path / "shards"
    prepare(open_pictures(tree, "train"), shards / "train", Settings("train", shard_size=400))
    prepare(open_pictures(tree, "val"), shards / "val", Settings("val", shard_size=400))
    sets = [common.make_data(small(root, num_classes=1000)) for root in (tree, archives, shards)]
    for training, validation in sets:
        assert len(training) == len(validation) == 1000
        assert attribute_of(training, "classes") == attribute_of(validation, "classes") == WNIDS
    for index in (0, 7, 999):
        for one, other in zip(sets[0], sets[1], strict=True):
            assert torch.equal(one[index][0], other[index][0])
            assert one[index][1] == other[index][1] == index
        assert torch.equal(sets[0][1][index][0], sets[2][1][index][0])  # validation stays sorted
    assert sorted(sets[2][0][index][1] for index in range(1000)) == list(range(1000))


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_from_front_to_back_feed_the_loop(tree: Path, tmp_path: Path, workers: int) -> None:
    root = shards_of(tree, tmp_path)
    config = small(root, batch_size=4, shuffle_buffer=3, workers=workers, lr_last=0.0)
    training, validation = common.make_data(config)
    epochs = [list(train_batches(training, MicroBatchSampler(9, 4, 1, 0, 1, 0, epoch), config)) for epoch in (0, 1, 1)]
    assert [len(batches) for batches in epochs] == [2, 2, 2]
    assert [images.shape for images, _ in epochs[0]] == [(4, 3, 32, 32)] * 2
    assert not torch.equal(epochs[0][1][0], epochs[1][1][0])
    for one, other in zip(epochs[1], epochs[2], strict=True):
        assert torch.equal(one[0], other[0])
    (left,) = train_batches(training, MicroBatchSampler(9, 4, 1, 0, 1, 0, 1, first=1), config)
    assert torch.equal(left[0], epochs[1][1][0])
    halves = [list(validation_batches(validation, config, Place(rank, 2, torch.device("cpu")))) for rank in range(2)]
    assert sorted(label for half in halves for _, labels in half for label in labels.tolist()) == [0, 0, 1, 1, 2, 2]
    by_index = common.make_data(replace(config, shuffle_buffer=0))[1]
    assert torch.equal(halves[0][0][0][0], by_index[0][0])


def test_reading_from_front_to_back_needs_shards_without_bad_pictures(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"only shards can be read from front to back; make some .* shuffle_buffer=0"):
        common.make_data(small(tree, shuffle_buffer=3))
    with pytest.raises(ValueError, match="bad_images='skip' must be 'raise' with shuffle_buffer"):
        small(tree, shuffle_buffer=3, bad_images="skip")


def test_randaugment_is_applied_to_the_picture_only(tree: Path) -> None:
    """With it alone among the random steps, pictures differ from those without it in some epochs, not in all."""
    still = {"crop_scale": (1.0, 1.0), "flip": 0.0, "erasing": 0.0}
    config = small(tree, **still)
    with_it, without = (common.make_data(one)[0] for one in (config, replace(config, auto_augment="")))
    changes = []
    for epoch in range(12):
        with_it.set_epoch(epoch)
        without.set_epoch(epoch)
        assert with_it[0][1] == without[0][1] == 0
        changes.append(not torch.equal(with_it[0][0], without[0][0]))
    assert 0 < sum(changes) < 12  # two operations, each with a chance of one half
    assert common._policy(replace(config, auto_augment="")) is None


def test_the_strength_is_the_released_one() -> None:
    policy = common._policy(common.complete(common.CONFIG))
    assert policy is not None
    picture = Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint32).reshape(48, 48, 3).astype(np.uint8))
    with seeded(1):
        assert policy(picture, 3)[1] == 3
    augment = policy.lambd
    assert (len(augment.ops), augment.num_layers) == (15, 2)
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in augment.ops} == {(9, 0.5, 0.5)}


@pytest.mark.parametrize("notation", ["rand-m9-mstd0.5-inc1", "rand-m9-mstd0.5-mmax9-inc1", "rand-m10-inc1"])
def test_the_strongest_operation_leaves_something_to_see(notation: str) -> None:
    """timm's posterize keeps no bit at a strength of 10, which a spread of 0.5 around 9 reaches."""
    policy = common._policy(common.complete(replace(common.CONFIG, auto_augment=notation)))
    assert policy is not None
    values = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for op in policy.lambd.ops:
        op.prob, op.magnitude, op.magnitude_std = 1.0, 99, 0
        assert np.ptp(np.array(op(Image.fromarray(values)))) > 20, op


def test_the_middle_of_the_picture_is_validated(tmp_path: Path) -> None:
    """A frame of one eighth around a picture is not seen at a crop ratio of 0.75, and is at 1."""
    folder = tmp_path / "val" / WNIDS[0]
    folder.mkdir(parents=True)
    picture = np.full((64, 64, 3), 255, dtype=np.uint8)
    picture[8:-8, 8:-8] = 0
    Image.fromarray(picture).save(folder / "framed.png")
    (tmp_path / "train").symlink_to(tmp_path / "val")
    inside, whole = (
        common.make_data(small(tmp_path, num_classes=1, crop_ratio=ratio))[1][0][0] for ratio in (0.75, 1.0)
    )
    assert inside[:, 2:-2, 2:-2].max() < 0 < whole.max()
    assert inside.shape == whole.shape == (3, 32, 32)


def test_classes_that_are_not_imagenets_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_tree(tmp_path / "tree", classes=3)
    (root / "val" / WNIDS[2]).rename(root / "val" / f"{WNIDS[2]}x")
    settings = [f"data={root}", "model=xxtiny", "num_classes=3", "batch_size=8", "device=cpu"]
    assert main(["imagenet", "--out", str(tmp_path / "out"), *with_set(settings)]) == BAD_INPUT
    said = capsys.readouterr().err
    assert f"val has the class '{WNIDS[2]}x' (1 such), which is no wnid of ImageNet-1k" in said


def test_a_bad_picture_is_named(tree: Path, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", classes=2)
    spoilt = next((root / "train" / WNIDS[1]).iterdir())
    spoilt.write_bytes(b"no picture")
    training, _ = common.make_data(small(root, num_classes=2, bad_images="skip"))
    assert len(training) == 3
    with pytest.raises(BadImage, match=spoilt.name):
        list(common.make_data(small(root, num_classes=2))[0])


def test_another_notation_of_randaugment_is_refused(tree: Path) -> None:
    for text in ("m9", "rand-z9"):
        with pytest.raises(ValueError, match=r"is not timm's notation; write it as in rand-m9-mstd0\.5-inc1"):
            common.make_data(small(tree, auto_augment=text))


# ------------------------------------------------------------------------------------- beginning with weights


def test_weights_of_another_size_begin_a_run(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    config = replace(common.CONFIG, model="nano", image_size=64, accumulate=1, num_classes=3)
    first = common.make_model(config)
    save_file(first.state_dict(), tmp_path / "first.safetensors")
    larger = replace(config, image_size=96, weights=str(tmp_path / "first.safetensors"))
    second = common.make_model(larger)
    assert torch.equal(second.head.weight, first.head.weight)
    assert second.config.window_sizes == (6, 6, 6, 3)
    fine = load_recipe("imagenet_finetune")
    with pytest.raises(FileNotFoundError, match=r"no weights at runs/large/final\.safetensors"):
        fine.make_model(fine.complete(replace(fine.config, model="nano")))
