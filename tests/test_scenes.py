"""Scenes: the same everywhere, true to their targets, and pairs whose label no single window gives away."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from gcvit_edu.data import Emoji, PairScenes, Scenes
from gcvit_edu.data.compose import Draws, background, paste

# Of the bytes of the first scenes: another machine, or another version of a library, must make the same ones.
SCENES_SHA256 = "6410fba1a18674dde4f1dd69da9f7353b5d9c9b53637d016c4a4d147ef28eb56"
PAIRS_SHA256 = "6725273d6de72416fac9e3bdc40c195a2ba76994e6414d36f854bbaaefccbbc5"


def digest(tensors: list[Tensor]) -> str:
    return hashlib.sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()


# ------------------------------------------------------------------------------------------------------- parts


def test_draws_are_a_function_of_their_key() -> None:
    assert [Draws(3, 5).below(1000) for _ in range(2)] == [Draws(3, 5).below(1000)] * 2
    assert len({Draws(*key).below(2**60) for key in ((3, 5), (5, 3), (3, 6), (4, 5))}) == 4
    draws = Draws(0)
    found = torch.tensor([draws.between(2, 4) for _ in range(3000)]).bincount(minlength=5)
    assert found[:2].sum() == 0
    assert found[2:].min() > 900


def test_backgrounds_are_of_three_kinds() -> None:
    kinds = set()
    for seed in range(40):
        canvas = background(Draws(seed), 32)
        assert (canvas.shape, canvas.dtype) == ((32, 32, 3), np.uint8)
        along = [np.ptp(canvas, axis=axis).max() for axis in (0, 1)]
        kinds.add("plain" if max(along) == 0 else "gradient" if min(along) == 0 else "photo")
    assert kinds == {"plain", "gradient", "photo"}


def test_paste_blends_and_tells_where() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    image.paste((0, 0, 255, 51), (0, 0, 2, 4))  # a fifth of blue on the left half
    canvas = np.full((6, 6, 3), 100, np.uint8)
    mask = paste(canvas, image, 1, 2, 4)
    expected = np.zeros((6, 6), bool)
    expected[1:5, 4:6] = True
    assert (mask == expected).all()
    assert (canvas[mask] == (255, 0, 0)).all()
    assert (canvas[1:5, 2:4] == (80, 80, 131)).all()
    assert (canvas[0] == 100).all()
    assert (canvas[:, :2] == 100).all()


# ------------------------------------------------------------------------------------------------------ scenes


@pytest.fixture(scope="module")
def scenes() -> list:
    return list(Scenes(60, size=96, sides=(12, 40)))


def test_a_scene_depends_on_seed_and_index_alone() -> None:
    few, many = Scenes(5, seed=1), Scenes(9, seed=1)
    backwards = [few[index] for index in reversed(range(5))][::-1]
    for index, (image, target) in enumerate(backwards):
        other_image, other_target = many[index]
        assert torch.equal(image, other_image)
        assert all(torch.equal(target[key], other_target[key]) for key in target)
    assert not torch.equal(Scenes(1, seed=2)[0][0], few[0][0])
    assert not torch.equal(few[0][0], few[1][0])


def test_workers_make_the_same_scenes() -> None:
    dataset = PairScenes(8, distance=40)
    batches = [list(DataLoader(dataset, batch_size=4, num_workers=workers)) for workers in (0, 2)]
    for (images, labels), (others, other_labels) in zip(*batches, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, other_labels)


def test_other_machines_make_the_same_scenes(scenes: list) -> None:
    assert digest([image for image, _ in scenes[:20]]) == SCENES_SHA256
    pairs = PairScenes(20, distance=44)
    assert digest([image for image, _ in pairs]) == PAIRS_SHA256


def test_targets_fit_the_picture(scenes: list) -> None:
    for image, target in scenes:
        boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
        assert (image.shape, image.dtype) == ((3, 96, 96), torch.uint8)
        assert (labels.dtype, boxes.dtype, masks.dtype) == (torch.int64, torch.float32, torch.bool)
        assert len(labels) == len(boxes) == len(masks) <= 5
        assert masks.sum(0).max() <= 1  # a pixel shows one emoji
        for box, mask in zip(boxes.int().tolist(), masks, strict=True):
            left, top, right, bottom = box
            assert 0 <= left < right <= 96
            assert 0 <= top < bottom <= 96
            assert mask[top:bottom, left:right].sum() == mask.sum()
            assert mask[top:bottom, left].any()
            assert mask[top:bottom, right - 1].any()
            assert mask[top, left:right].any()
            assert mask[bottom - 1, left:right].any()
            assert max(right - left, bottom - top) <= 40
    assert {len(target["labels"]) for _, target in scenes} >= {1, 2, 3, 4}


def test_masks_tell_where_the_emoji_are() -> None:
    for index in range(5):
        scene, target = Scenes(5, most=1, seed=4)[index]
        bare = torch.from_numpy(background(Draws(4, index), 128)).permute(2, 0, 1)
        changed = (scene != bare).any(0)
        mask = target["masks"][0]
        assert (changed & mask).sum() > 0.98 * mask.sum()  # an emoji's pixel may have its background's colour
        assert changed.sum() < 1.6 * mask.sum()  # soft edges are outside


def test_little_is_covered() -> None:
    one, dataset = Scenes(1, most=1, sides=(40, 40)), Scenes(40, most=4, size=90, sides=(40, 40))
    whole = one[0][1]["masks"].sum()
    assert whole > 200
    assert min(int(mask.sum()) for _, target in dataset for mask in target["masks"]) > 20


def test_labels_are_those_of_the_emoji_and_of_the_split() -> None:
    dataset = Scenes(30, split="test", most=1)
    codes = {drawing.code for drawing in dataset.emoji.drawings}
    assert codes.isdisjoint(drawing.code for drawing in Emoji("train").drawings)
    found = {int(label) for _, target in dataset for label in target["labels"]}
    assert len(found) > 6
    assert found <= set(range(len(dataset.classes)))


def test_impossible_scenes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"length=0, most=5: .*counted from 1"):
        Scenes(0)
    with pytest.raises(ValueError, match=r"sides=\(20, 56\) must rise, .* size=32"):
        Scenes(1, size=32)
    with pytest.raises(IndexError, match="no scene 3; they are numbered from 0 to 2"):
        Scenes(3)[3]
    with pytest.raises(IndexError, match="no scene -1"):
        PairScenes(4, distance=20)[-1]


# ------------------------------------------------------------------------------------------------------- pairs

LENGTH, SIDE, DISTANCE, SIZE = 80, 8, 20, 32


def best_guess(crops: Tensor, labels: Tensor) -> float:
    """(N, ...), (N,) of 0 and 1 -> the accuracy of one who knows the commonest label of every crop.

    No model that sees the crops alone can do better on these scenes.
    """
    _, number = crops.flatten(1).unique(dim=0, return_inverse=True)
    counts = torch.zeros(len(crops), 2).index_put_((number, labels), torch.ones(()), accumulate=True)
    return (counts.amax(1).sum() / len(labels)).item()


def best_window(images: Tensor, labels: Tensor, window: int) -> float:
    """The best guess over all places of a window."""
    places = range(images.shape[-1] - window + 1)
    crops = (images[..., top : top + window, left : left + window] for top in places for left in places)
    return max(best_guess(crop, labels) for crop in crops)


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor, PairScenes]:
    dataset = PairScenes(LENGTH, distance=DISTANCE, side=SIDE, size=SIZE)
    images, labels = zip(*dataset, strict=True)
    return torch.stack(images), torch.tensor(labels), dataset


def test_one_window_cannot_beat_chance(pairs: tuple[Tensor, Tensor, PairScenes]) -> None:
    images, labels, dataset = pairs
    assert labels.float().mean() == 0.5
    blind = dataset.largest_blind_window
    assert blind == DISTANCE - SIDE + 1
    assert best_window(images, labels, blind) == 0.5
    assert best_window(images, labels, blind + 1) > 0.5  # it touches both now and then
    assert best_guess(images, labels) == 1.0


def test_pairs_that_give_their_label_away_are_found(pairs: tuple[Tensor, Tensor, PairScenes]) -> None:
    images, labels, dataset = pairs
    unbalanced = torch.arange(LENGTH) % 4 != 3  # each four without its last
    assert best_window(images[unbalanced], labels[unbalanced], dataset.largest_blind_window) > 0.5
    marked = images.clone()
    marked[labels == 1, 0, 0, 0] ^= 1  # the lowest bit of one corner
    assert best_window(marked, labels, 1) > 0.5


def test_the_two_are_as_far_apart_as_asked_and_never_one_emoji() -> None:
    dataset = PairScenes(40, distance=24, side=16)
    directions = set()
    for index in range(0, 40, 4):
        shown = torch.stack([dataset[index + member][0] for member in range(4)]).int()
        assert not torch.equal(shown[0], shown[2])
        first = (shown[0] != shown[3]).any(0)  # (a, A) and (b, A) differ where the first stands
        second = (shown[0] != shown[2]).any(0)  # (a, A) and (a, B) differ where the second stands
        starts = []
        for where in (first, second):
            rows, columns = where.any(1).nonzero().flatten(), where.any(0).nonzero().flatten()
            assert max(rows[-1] - rows[0], columns[-1] - columns[0]) < 16
            starts.append((int(rows[0] + rows[-1]) / 2, int(columns[0] + columns[-1]) / 2))
        down, right = (starts[1][axis] - starts[0][axis] for axis in (0, 1))
        assert abs(max(down, right) - 24) <= 8  # drawings do not fill their squares
        assert abs(min(down, right)) <= 8
        directions.add(down > right)
        for member in range(4):
            corners = torch.tensor(dataset.corners(index + member))
            assert (corners[1] - corners[0]).sort().values.tolist() == [0, 24]
            for where, (top, left) in zip((first, second), corners.tolist(), strict=True):
                assert where[top : top + 16, left : left + 16].sum() == where.sum()
    assert directions == {True, False}


def test_labels_tell_whether_the_classes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = Emoji.__getitem__

    def spy(emoji: Emoji, index: int) -> tuple[Image.Image, int]:
        asked.append(index)
        return read(emoji, index)

    monkeypatch.setattr(Emoji, "__getitem__", spy)
    dataset = PairScenes(200, distance=16, side=16, size=32)
    for four in range(0, 200, 4):
        asked.clear()
        assert [dataset[four + member][1] for member in range(4)] == [1, 1, 0, 0]
        assert asked[:4] == asked[4:8] == asked[8:12] == asked[12:]
        a, other_a, b, other_b = (dataset.emoji.drawings[index] for index in asked[:4])
        assert a.label == other_a.label != b.label == other_b.label
        assert len({a.code, other_a.code, b.code, other_b.code}) == 4


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"length=10, but scenes come in fours; take 8"):
        PairScenes(10, distance=20)
    with pytest.raises(ValueError, match=r"distance=8 with emoji of side=16 .* take a distance from 16 to 48"):
        PairScenes(4, distance=8)
    with pytest.raises(ValueError, match=r"distance=49 .* leaves the scene"):
        PairScenes(4, distance=49)
