"""What a run is fed: order, shares, batches, transforms, validation, and bad input."""

import copy
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _recipe_stripes import CONFIG, Stripes, make_model
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Subset
from torchvision.transforms import v2

from gcvit_edu.data.folder import BadImage, Folder
from gcvit_edu.data.imagenet.encoded import EncodedImage
from gcvit_edu.data.photos import load_photo
from gcvit_edu.data.transforms import denormalize
from gcvit_edu.train import Place, evaluate
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.batches import (
    MicroBatchSampler,
    attribute_of,
    check_classes,
    check_samples,
    epoch_order,
    steps_per_epoch,
    train_batches,
    validation_batches,
    validation_indices,
)
from gcvit_edu.train.transforms import train_transform, validation_transform

CPU = Place(0, 1, torch.device("cpu"))

# ----------------------------------------------------------------------------------------------- order and shares


def test_each_epoch_and_seed_has_an_order_of_its_own() -> None:
    orders = {(seed, epoch): tuple(epoch_order(epoch, 50, seed)) for seed in range(3) for epoch in range(3)}
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert len(set(orders.values())) == 9
    assert tuple(epoch_order(2, 50, 1)) == orders[1, 2]


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)])
def test_a_batch_holds_the_same_pictures_however_it_is_cut(world_size: int, accumulate: int) -> None:
    whole = [sorted(indices) for indices in MicroBatchSampler(50, 8, 1, 0, 1, seed=3, epoch=1)]
    cut = [list(MicroBatchSampler(50, 8, accumulate, rank, world_size, seed=3, epoch=1)) for rank in range(world_size)]
    assert all(len(indices) == 8 // (world_size * accumulate) for rank in cut for indices in rank)
    for step, expected in enumerate(whole):
        mine = (rank[step * accumulate : (step + 1) * accumulate] for rank in cut)
        assert sorted(index for rank in mine for part in rank for index in part) == expected


def test_an_epoch_has_no_picture_twice_and_goes_on_where_it_was_left() -> None:
    parts = list(MicroBatchSampler(50, 8, 2, 0, 1, seed=0))
    assert max(Counter(index for part in parts for index in part).values()) == 1
    assert len(parts) == 2 * steps_per_epoch(50, 8) == 12
    later = MicroBatchSampler(50, 8, 2, 0, 1, seed=0, first=4)
    assert list(later) == parts[8:]
    assert len(later) == 4


def test_batches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size=10 cannot be cut into 2 processes times accumulate=2; use a mu"):
        MicroBatchSampler(50, 10, 2, 0, 2, seed=0)
    with pytest.raises(ValueError, match=r"7 training pictures do not fill one batch of batch_size=8; make it smaller"):
        steps_per_epoch(7, 8)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_shares_of_validation_hold_each_index_once(world_size: int) -> None:
    found = [index for rank in range(world_size) for index in validation_indices(61, rank, world_size)]
    assert sorted(found) == list(range(61))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_what_the_seed_and_the_epoch_say(workers: int) -> None:
    """Whatever the number of workers, and wherever an epoch is begun; the model's generator does not move."""
    config, training = replace(CONFIG, workers=workers), Stripes(48, 32, seed=5)
    state = torch.get_rng_state()
    found = list(train_batches(training, MicroBatchSampler(48, 16, 1, 0, 1, seed=5, epoch=2, first=1), config))
    assert torch.equal(torch.get_rng_state(), state)
    order = epoch_order(2, 48, 5)[16:]
    training.set_epoch(2)
    expected = torch.stack([training[index][0] for index in order])
    assert torch.equal(torch.cat([images for images, _ in found]), expected)
    training.set_epoch(3)
    assert not torch.equal(training[order[0]][0], expected[0])


# -------------------------------------------------------------------------------------------------------- scores


def scores_of(model: nn.Module, samples: list[tuple[Tensor, int]], size: int, classes: int = 3) -> object:
    cut = [samples[start : start + size] for start in range(0, len(samples), size)]
    batches = [(torch.stack([x for x, _ in part]), torch.tensor([y for _, y in part])) for part in cut]
    return evaluate(model, batches, classes, CPU)


def test_scores_are_those_of_a_slow_count() -> None:
    held_out = Stripes(31, 32, seed=1)
    samples, model = [held_out[index] for index in range(31)], make_model(CONFIG)
    found = scores_of(model, samples, size=8)
    with torch.no_grad():
        logits = model.eval()(torch.stack([x for x, _ in samples]))
    labels = torch.tensor([y for _, y in samples])
    assert found.samples == 31
    assert found.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert found.top1 == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert found.top5 == 1.0  # of three classes
    assert sum(map(sum, found.confusion)) == 31
    for truth in range(3):
        for guess in range(3):
            assert found.confusion[truth][guess] == ((labels == truth) & (logits.argmax(1) == guess)).sum()


def test_top5_counts_the_five_largest() -> None:
    logits = torch.arange(10.0).repeat(10, 1)  # class 9 first, 5 fifth
    found = scores_of(nn.Identity(), [(logits[label], label) for label in range(10)], size=4, classes=10)
    assert (found.top1, found.top5) == (0.1, 0.5)


def test_validation_leaves_the_model_in_its_mode() -> None:
    model = make_model(CONFIG)
    for training in (True, False):
        model.train(training)
        scores_of(model, [(torch.zeros(3, 32, 32), 0)], size=1)
        assert model.training == training


def test_an_empty_validation_set_is_refused() -> None:
    with pytest.raises(ValueError, match="the validation set is empty"):
        evaluate(nn.Identity(), [], 3, CPU)


# ----------------------------------------------------------------------------------------------------- transforms


def picture() -> Image.Image:
    colours = torch.arange(3 * 40 * 60, dtype=torch.uint8).reshape(40, 60, 3).numpy()
    return Image.fromarray(colours)


def test_validation_sees_the_middle_of_the_picture() -> None:
    grey = Image.new("RGB", (60, 40))
    grey.paste((255, 255, 255), (10, 0, 50, 40))
    tensor = validation_transform(replace(CONFIG, image_size=40))(grey)
    assert tensor.shape == (3, 40, 40)
    assert torch.allclose(denormalize(tensor), torch.ones(3, 40, 40), atol=1e-6)
    assert denormalize(validation_transform(CONFIG)(picture())).shape == (3, 32, 32)


def augmented(seed: int, **changes: object) -> Tensor:
    torch.manual_seed(seed)
    plain = {"crop_scale": (1.0, 1.0), "flip": 0.0, "image_size": 40}
    return train_transform(replace(CONFIG, **{**plain, **changes}))(picture())


@pytest.mark.parametrize(
    "changes", [{"crop_scale": (0.1, 0.5)}, {"flip": 1.0}, {"randaugment_ops": 2}, {"erasing": 1.0}]
)
def test_each_augmentation_is_used_and_follows_the_generator(changes: dict) -> None:
    still = augmented(0)
    assert still.shape == (3, 40, 40)
    assert any(not torch.equal(augmented(seed, **changes), augmented(seed)) for seed in range(4))
    assert torch.equal(augmented(1, **changes), augmented(1, **changes))


@pytest.mark.parametrize("policy", [None, v2.Lambda(ImageOps.invert, Image.Image)], ids=["none", "inverted"])
@pytest.mark.parametrize("ops", [0, 2])
def test_a_stored_picture_becomes_the_same_tensor(policy: nn.Module | None, ops: int) -> None:
    """The same chance and the same pixels within rounding, which one operation of RandAugment may enlarge."""
    file = io.BytesIO()
    load_photo("coffee").resize((60, 40)).save(file, "JPEG")
    stored = EncodedImage("it", file.getvalue())
    config = replace(CONFIG, image_size=32, crop_scale=(0.6, 1.0), flip=0.5, randaugment_ops=ops, erasing=0.5)
    errors = []
    for seed in range(12):
        results = []
        for item, options in ((stored, {"stored": True}), (stored.decode(), {})):
            torch.manual_seed(seed)
            image, label = train_transform(config, policy, **options)(item, 7)
            assert (image.shape, image.dtype, label) == ((3, 32, 32), torch.float32, 7)
            results.append(denormalize(image))
        errors.append((results[0] - results[1]).abs().mean().item())
    assert sorted(errors)[8] < 0.01
    assert max(errors) < (0.2 if ops else 0.01)
    still, moved = (
        validation_transform(config, **options)(item)
        for item, options in ((stored, {"stored": True}), (stored.decode(), {}))
    )
    assert torch.equal(still, moved)


def test_a_stronger_randaugment_changes_more() -> None:
    distances = {
        strength: sum(
            (augmented(seed, randaugment_ops=2, randaugment_magnitude=strength) - augmented(seed)).abs().mean().item()
            for seed in range(20)
        )
        for strength in (1, 30)
    }
    assert distances[30] > 1.5 * distances[1]


# ------------------------------------------------------------------------------------------------------ bad input


def make_folder(root: Path, pictures: int = 3) -> Path:
    for name in ("cats", "dogs"):
        (root / name).mkdir(parents=True)
        for number in range(pictures):
            picture().save(root / name / f"{number}.png")
    return root


def test_a_folder_gives_pictures_and_classes_by_name(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    make_folder(tmp_path)
    (tmp_path / "cats" / "._0.png").write_bytes(b"what macOS leaves beside a file")
    folder = Folder(tmp_path)
    assert folder.classes == ["cats", "dogs"]
    assert [label for _, label in folder.files] == [0, 0, 0, 1, 1, 1]
    image, label = folder[4]
    assert (image.mode, image.size, label) == ("RGB", (60, 40), 1)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "eels").mkdir()
    with pytest.raises(ValueError, match=r"the class folder \S*eels has no pictures .*; add some, or delete it"):
        Folder(tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no folders; put the pictures of each class"):
        Folder(tmp_path)
    with pytest.raises(ValueError, match="nowhere is no folder"):
        Folder(tmp_path / "nowhere")


def spoil(root: Path) -> Folder:
    """Six pictures: one is gone since the folder was listed, one is cut short, one is no picture at all."""
    folder = Folder(make_folder(root))
    (root / "cats" / "1.png").unlink()
    cut = root / "dogs" / "0.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (root / "dogs" / "2.png").write_text("not a picture")
    return folder


def test_a_folder_is_parted_class_by_class_and_the_same_anywhere(tmp_path: Path) -> None:
    for place in ("here", "there"):
        for name, number in (("cats", 10), ("dogs", 4), ("two", 2)):
            (tmp_path / place / name).mkdir(parents=True)
            for index in range(number):
                (tmp_path / place / name / f"{index}.png").touch()
    folder = Folder(tmp_path / "here")
    parts = folder.parted(0.2)
    assert sorted(file for part in parts for file in part.files) == folder.files
    assert [Counter(label for _, label in part.files) for part in parts] == [{0: 8, 1: 3, 2: 1}, {0: 2, 1: 1, 2: 1}]
    assert all(part.classes == ["cats", "dogs", "two"] for part in parts)
    elsewhere = Folder(tmp_path / "there").parted(0.2)
    assert [path.name for path, _ in elsewhere[1].files] == [path.name for path, _ in parts[1].files]
    before = {path.name for path, label in parts[1].files if label == 0}
    (tmp_path / "here" / "cats" / "new.png").touch()
    after = {path.name for path, label in Folder(tmp_path / "here").parted(0.2)[1].files if label == 0}
    assert len(after & before) >= len(before) - 1  # a new picture moves one at most
    assert {len(folder.parted(share)[1].files) for share in (0.01, 0.99)} == {3, 13}


def test_what_cannot_be_parted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "only.png").touch()
    with pytest.raises(ValueError, match=r"the class cats has one picture \(.*only.png\), which cannot be parted; add"):
        Folder(tmp_path).parted(0.2)
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match=rf"share={share} must be above 0 and below 1, such as 0.2"):
            Folder(tmp_path).parted(share)


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    folder = spoil(tmp_path)
    for index, words in {1: r"cats/1\.png is missing", 3: r"dogs/0\.png cannot", 5: r"dogs/2\.png cannot"}.items():
        with pytest.raises(BadImage, match=words + ".*use bad_images=skip"):
            folder[index]
    assert readable(folder, "raise") is folder


def test_bad_pictures_are_left_out_and_listed(tmp_path: Path) -> None:
    found = readable(spoil(tmp_path), "skip")
    assert found.classes == ["cats", "dogs"]
    assert [found[index][1] for index in range(len(found))] == [0, 0, 1]
    names = [Path(message.split()[2]).relative_to(tmp_path).as_posix() for message in found.skipped]
    assert names == ["cats/1.png", "dogs/0.png", "dogs/2.png"]


def test_nothing_but_bad_pictures_is_refused(tmp_path: Path) -> None:
    folder = Folder(make_folder(tmp_path, pictures=1))
    for path, _ in folder.files:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 2 pictures can be read; the first: the picture"):
        readable(folder, "skip")


def test_another_error_is_no_bad_picture() -> None:
    class Broken:
        classes = ("one",)

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> None:
            raise KeyError("a mistake in the program")

    with pytest.raises(KeyError):
        readable(Broken(), "skip")


def test_a_wrong_number_of_classes_is_refused(tmp_path: Path) -> None:
    folder = Folder(make_folder(tmp_path))
    check_classes(folder, replace(CONFIG, num_classes=2), "training")
    with pytest.raises(
        ValueError, match="the training set has 2 classes and the model num_classes=3; set num_classes=2"
    ):
        check_classes(folder, CONFIG, "training")


def test_wrapped_sets_are_looked_into(tmp_path: Path) -> None:
    folder = Folder(make_folder(tmp_path))
    wrapped = Subset(Subset(folder, [0, 3]), [1])
    assert attribute_of(wrapped, "classes") == ["cats", "dogs"]
    assert attribute_of(wrapped, "skipped") is None
    with pytest.raises(ValueError, match="the validation set has 2 classes"):
        check_classes(wrapped, CONFIG, "validation")


def test_two_spellings_of_one_class_are_told_apart(tmp_path: Path) -> None:
    """An accent as a character of its own and as a part of its letter: to add pictures would make a second class."""
    for part, name in (("train", "caf\u00e9"), ("val", "cafe\u0301")):
        for folder in (name, "tea"):
            (tmp_path / part / folder).mkdir(parents=True)
            picture().save(tmp_path / part / folder / "1.png")
    training, validation = (Folder(tmp_path / part) for part in ("train", "val"))
    with pytest.raises(ValueError, match=r"'caf\\xe9' in the training set and 'cafe\\u0301' in .*rename"):
        check_samples(training, validation, replace(CONFIG, num_classes=2))


def test_classes_must_be_the_same_in_training_and_validation(tmp_path: Path) -> None:
    """As many, but other ones: every score would be wrong, and nothing would say so."""
    for part, missing in (("train", "eels"), ("val", "cats")):
        for name in {"cats", "dogs", "eels"} - {missing}:
            (tmp_path / part / name).mkdir(parents=True)
            picture().save(tmp_path / part / name / "1.png")
    training, validation = (Folder(tmp_path / part) for part in ("train", "val"))
    config = replace(CONFIG, num_classes=2)
    with pytest.raises(
        ValueError, match=r"validation set lacks 'cats'.* training set lacks 'eels'.* take out"
    ) as caught:
        check_samples(training, validation, config)
    assert f"add pictures of 'cats' to {tmp_path / 'val' / 'cats'}" in str(caught.value)
    assert f"pictures of 'eels' to {tmp_path / 'train' / 'eels'}" in str(caught.value)
    mixed = copy.copy(training)
    mixed.classes = training.classes[::-1]
    with pytest.raises(
        ValueError, match="class 0 is 'cats' in the training set and 'dogs' in the validation set; give"
    ):
        check_samples(training, mixed, config)
    check_samples(training, Subset(training, [1]), config)
    check_samples(training, [(torch.zeros(3, 32, 32), 0)], config)  # does not say what its classes are
    with pytest.raises(ValueError, match="the validation set is empty"):
        check_samples(training, Subset(training, []), config)


def test_one_class_is_refused(tmp_path: Path) -> None:
    """With pictures one folder deeper, say: every answer would be right, 100 % after the first epoch."""
    (tmp_path / "deeper").mkdir()
    picture().save(tmp_path / "deeper" / "1.png")
    pictures = Folder(tmp_path)
    with pytest.raises(ValueError, match=rf"one class only, 'deeper', .*a folder of its own in {tmp_path}"):
        check_samples(pictures, pictures, replace(CONFIG, num_classes=1))
    with pytest.raises(ValueError, match="one class only, so that"):
        check_samples([], [], replace(CONFIG, num_classes=1))


def test_a_wrapped_set_hears_of_a_new_epoch() -> None:
    training, found = Stripes(16, 32, seed=5), []
    for epoch in (0, 1):
        batches = train_batches(
            Subset(training, range(16)), MicroBatchSampler(16, 16, 1, 0, 1, seed=5, epoch=epoch), CONFIG
        )
        images, _ = next(batches)
        training.set_epoch(epoch)
        assert torch.equal(images, torch.stack([training[index][0] for index in epoch_order(epoch, 16, 5)]))
        found.append(images.sum())
    assert found[0] != found[1]


def test_a_label_out_of_range_is_refused() -> None:
    config = replace(CONFIG, num_classes=2)
    with pytest.raises(ValueError, match="label 2, and num_classes=2 allows 0 to 1"):
        list(validation_batches(Stripes(9, 32, seed=0), config, CPU))
