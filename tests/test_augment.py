"""Random transforms: the same for (seed, epoch, index), whatever happens around them."""

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2

from gcvit_edu.data import Augmented, Emoji, OnRandomColour, Scenes
from gcvit_edu.data.augment import OnScene, seeded

PIPELINE = v2.Compose(
    [
        OnRandomColour(),
        v2.RandomResizedCrop(32, scale=(0.5, 1.0)),
        v2.RandomHorizontalFlip(),
        v2.RandAugment(),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomErasing(p=0.5),
    ]
)


class Numbers(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[int]:
        return (index,)


def draws(index: int) -> Tensor:
    """What all three sources of randomness give."""
    return torch.tensor([index, float(torch.rand(())), random.random(), np.random.rand()], dtype=torch.float64)


def global_state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), *map(str, np.random.get_state())


def test_an_item_depends_on_seed_epoch_and_index_alone() -> None:
    dataset = Augmented(Numbers(), draws, seed=3)
    forwards = torch.stack([dataset[index] for index in range(12)])
    torch.manual_seed(99)
    backwards = torch.stack([dataset[index] for index in reversed(range(12))])
    assert torch.equal(forwards, backwards.flip(0))
    for column in range(1, 4):
        assert forwards[:, column].unique().numel() == 12
    other = Augmented(Numbers(), draws, seed=4)
    assert not torch.equal(dataset[5], other[5])
    dataset.set_epoch(1)
    assert not torch.equal(dataset[5], forwards[5])
    dataset.set_epoch(0)
    assert torch.equal(dataset[5], forwards[5])


def test_seed_epoch_and_index_are_not_mixed_up() -> None:
    found = set()
    for key in ((1, 2, 3), (3, 2, 1), (2, 1, 3), (1, 3, 2)):
        with seeded(*key):
            found.add((float(torch.rand(())), random.random(), np.random.rand()))
    assert all(len({values[k] for values in found}) == 4 for k in range(3))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_change_nothing_and_hear_of_a_new_epoch(workers: int) -> None:
    dataset = Augmented(Numbers(), draws)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        found = torch.cat(list(loader))
        alone = Augmented(Numbers(), draws)
        alone.set_epoch(epoch)
        assert torch.equal(found, torch.stack([alone[index] for index in range(12)]))


def test_a_copy_in_another_process_draws_the_same() -> None:
    dataset = Augmented(Numbers(), draws, seed=3)
    dataset.set_epoch(2)
    copy = pickle.loads(pickle.dumps(dataset))  # what a worker gets where processes are not forked
    assert torch.equal(copy[7], dataset[7])


def test_global_random_state_is_left_alone() -> None:
    before = global_state()
    Augmented(Numbers(), draws)[0]
    assert global_state() == before
    draws(0)
    assert global_state() != before  # what the wrapper prevents

    def fail(index: int) -> None:
        draws(index)
        raise RuntimeError("broken transform")

    before = global_state()
    with pytest.raises(RuntimeError, match="broken transform"):
        Augmented(Numbers(), fail)[0]
    assert global_state() == before


def test_a_pipeline_of_torchvision_gives_the_same_pictures() -> None:
    emoji = Subset(Emoji("train"), range(0, 2900, 100))
    dataset = Augmented(emoji, PIPELINE, seed=1)
    first = [dataset[index] for index in range(len(emoji))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    for (image, label), (again, label_again), (_, expected) in zip(first, loader, emoji, strict=True):
        assert (image.shape, image.dtype) == ((3, 32, 32), torch.float32)
        assert torch.equal(image, again)
        assert label == label_again == expected
    dataset.set_epoch(1)
    assert sum(torch.equal(image, dataset[index][0]) for index, (image, _) in enumerate(first)) == 0


def test_boxes_and_masks_move_with_the_picture() -> None:
    scenes = Scenes(3)
    dataset = Augmented(scenes, v2.RandomHorizontalFlip(p=1.0))
    for index in range(3):
        (image, target), (flipped, moved) = scenes[index], dataset[index]
        assert torch.equal(flipped, image.flip(-1))
        assert torch.equal(moved["masks"], target["masks"].flip(-1))
        assert torch.equal(moved["boxes"][:, [0, 2]], 128 - target["boxes"][:, [2, 0]])
        assert torch.equal(moved["labels"], target["labels"])


def test_a_random_colour_is_behind_the_picture_only() -> None:
    picture = Image.new("RGBA", (4, 4), (9, 8, 7, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 4, 2))
    dataset = Augmented([(picture, 5)], OnRandomColour())
    colours = set()
    for epoch in range(5):
        dataset.set_epoch(epoch)
        image, label = dataset[0]
        assert (image.mode, label, image.getpixel((3, 3))) == ("RGB", 5, (9, 8, 7))
        assert image.getpixel((0, 0)) == image.getpixel((3, 1))
        colours.add(image.getpixel((0, 0)))
    assert len(colours) == 5


def test_negative_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="epoch=-1, but epochs are counted from 0"):
        Augmented(Numbers(), draws).set_epoch(-1)


def test_on_scene_shows_the_whole_picture_somewhere_on_a_background() -> None:
    red = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    to_scene = OnScene(96, (20, 40))
    corners, backgrounds = set(), set()
    for key in range(40):
        with seeded(key):
            scene, label = to_scene(red, 7)
        assert (scene.size, scene.mode, label) == ((96, 96), "RGB", 7)
        values = np.array(scene)
        rows, columns = (np.flatnonzero((values == (255, 0, 0)).all(-1).any(axis)) for axis in (1, 0))
        assert 20 <= len(rows) == len(columns) <= 40
        assert (values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == (255, 0, 0)).all()
        corners.add((rows[0], columns[0]))
        backgrounds.add(values[0, 0].tobytes())
    assert len(corners) > 30
    assert len(backgrounds) > 20
    with seeded(39):
        assert np.array_equal(np.array(to_scene(red, 7)[0]), values), "a function of the seed"


@pytest.mark.parametrize("sides", [(3, 20), (30, 20), (20, 97)])
def test_on_scene_refuses_pictures_that_do_not_fit(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"sides=.* scene's size=96"):
        OnScene(96, sides)


@pytest.mark.parametrize(("white", "least", "most"), [(0.0, 0, 0), (0.5, 30, 70), (1.0, 100, 100)])
def test_some_pictures_are_on_white(white: float, least: int, most: int) -> None:
    nothing = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    found = []
    for key in range(100):
        with seeded(key):
            found.append(OnRandomColour(white)(nothing).getpixel((0, 0)))
    assert least <= found.count((255, 255, 255)) <= most
    assert len(set(found)) > (100 - most) / 2
