"""The recipes that come with the package read their data: shapes, classes, what is random and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from gcvit_edu.train import changed, load_recipe
from gcvit_edu.train.batches import attribute_of, check_classes

pytest.importorskip("gcvit_edu.data.augment")
EMOJI = load_recipe("emoji_nano").config


def test_emoji_nano_has_held_out_emoji_on_white_and_others_augmented() -> None:
    recipe = load_recipe("emoji_nano")
    training, held_out = recipe.make_data(recipe.config)
    assert len(training) > 3 * len(held_out) > 1500
    codes = [{drawing.code for drawing in attribute_of(one, "drawings")} for one in (training, held_out)]
    assert codes[0].isdisjoint(codes[1])
    for which, samples in {"training": training, "validation": held_out}.items():
        check_classes(samples, recipe.config, which)
        image, label = samples[3]
        assert (image.shape, image.dtype) == ((3, 64, 64), torch.float32)
        assert label in range(13)
    first = training[3][0]
    assert torch.equal(first, training[3][0])
    training.set_epoch(1)
    assert not torch.equal(first, training[3][0])
    white = held_out[3][0][:, 0, 0]
    assert torch.allclose(
        white, torch.tensor([2.2489, 2.4286, 2.64]), atol=1e-3
    )  # 1, less the mean, over the deviation
    vendors = recipe.make_data(replace(recipe.config, holdout="twitter"))
    assert {drawing.vendor for drawing in attribute_of(vendors[1], "drawings")} == {"twitter"}


def test_emoji_nano_can_leave_vendors_out() -> None:
    recipe = load_recipe("emoji_nano")
    config = changed(recipe.config, ['vendors=["google", "twitter"]'])
    for samples in recipe.make_data(config):
        assert {drawing.vendor for drawing in attribute_of(samples, "drawings")} == {"google", "twitter"}


def test_a_recipe_that_completes_nothing_keeps_its_config() -> None:
    assert load_recipe("emoji_nano").complete(EMOJI) is EMOJI


def test_emoji_nano_refuses_a_share_of_white_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"white=1.5 must be a probability"):
        replace(EMOJI, white=1.5)


def test_emoji_nano_trains_the_small_network() -> None:
    recipe = load_recipe("emoji_nano")
    model = recipe.make_model(recipe.config)
    assert sum(value.numel() for value in model.parameters()) <= 3e6
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 13)


def test_folder_leaves_bad_pictures_out_when_told(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cats", "dogs"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (80, 70), (40 * number, 0, 0)).save(folder / f"{number}.png")
    (tmp_path / "train" / "dogs" / "1.png").write_bytes(b"spoilt")
    recipe = load_recipe("folder")
    config = replace(recipe.config, data=str(tmp_path), num_classes=2, image_size=48, bad_images="skip")
    training, held_out = recipe.make_data(config)
    check_classes(training, config, "training")
    assert (len(training), len(held_out)) == (5, 6)
    assert len(attribute_of(training, "skipped")) == 1
    assert training[0][0].shape == held_out[5][0].shape == (3, 48, 48)
    assert held_out[5][1] == 1
    with pytest.raises(ValueError, match=r"dogs/1\.png cannot be read"):
        recipe.make_data(replace(config, bad_images="raise"))[0][4]


def test_scenes_nano_puts_training_emoji_into_new_scenes_and_held_out_ones_into_fixed() -> None:
    recipe = load_recipe("scenes_nano")
    training, held_out = recipe.make_data(recipe.config)
    assert (len(training), len(held_out)) == (len(load_recipe("emoji_nano").make_data(EMOJI)[0]), 1000)
    codes = [
        {drawing.code for drawing in attribute_of(one, "emoji" if one is held_out else "dataset").drawings}
        for one in (training, held_out)
    ]
    assert codes[0].isdisjoint(codes[1])
    for which, samples in {"training": training, "validation": held_out}.items():
        check_classes(samples, recipe.config, which)
        image, label = samples[3]
        assert (image.shape, image.dtype, type(image)) == ((3, 64, 64), torch.float32, torch.Tensor)
        assert label in range(13)
    first, fixed = training[3][0], held_out[3][0]
    training.set_epoch(1)
    held_out.set_epoch(1)
    assert not torch.equal(first, training[3][0])
    assert torch.equal(fixed, held_out[3][0])
