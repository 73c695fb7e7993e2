"""Shards in training: by index, and read from front to back by webdataset."""

import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from _imagenet import make_tree
from _recipe_stripes import CONFIG
from _train import differing, final_state, finish, signal_at, with_set
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torchvision.transforms import v2

from gcvit_edu.data.augment import Augmented
from gcvit_edu.data.imagenet.encoded import Encoded, EncodedImage, FolderPictures
from gcvit_edu.data.imagenet.jpeg import JpegCrop, ToNormalized
from gcvit_edu.data.imagenet.packing import Settings, prepare
from gcvit_edu.data.imagenet.shards import Shards
from gcvit_edu.data.imagenet.stream import ShardStream, pieces_of, shard_order
from gcvit_edu.train import Place, Run, loop
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.batches import MicroBatchSampler, train_batches, validation_batches

PICTURES = 31  # of which no world and no batch is a divisor


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("stream")
    make_tree(root, classes=PICTURES, train=1)
    prepare(FolderPictures(root / "train"), root / "shards", Settings("train", shard_size=7))
    return Shards(root / "shards")


def number(image: EncodedImage, label: int) -> Tensor:
    """Here each picture is the only one of its class."""
    return torch.tensor([label, get_worker_info().id if get_worker_info() else 0])


def batches_of(shards: Shards, workers: int = 0, **options: object) -> list[list[int]]:
    """The pictures of each batch, as the loader gives them."""
    stream = ShardStream(shards, number, **options)
    found = [batch[:, 0].tolist() for batch in DataLoader(stream, batch_size=None, num_workers=workers)]
    assert len(found) == len(stream)
    return found


def flat(batches: list[list[int]]) -> list[int]:
    return [picture for batch in batches for picture in batch]


def by_hand(shards: Shards, workers: int, **options: object) -> list[list[int]]:
    """What a loader does with its workers, in this process: worker 0's batch, worker 1's, and so on."""
    stream = ShardStream(shards, number, **options)
    stretches = [stream.stretch(worker, workers) for worker in range(workers)]
    own = [[int(sample["cls"]) for sample in stream._samples(*stretch)] for stretch in stretches]
    taken = [[rows[at : at + stream.size] for at in range(0, len(rows), stream.size)] for rows in own]
    return [taken[at % workers][at // workers] for at in range(len(stream))]


# ------------------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_validation_by_stream_has_each_picture_once(shards: Shards, world_size: int, workers: int) -> None:
    found = [
        flat(batches_of(shards, workers, batch_size=6, rank=rank, world_size=world_size)) for rank in range(world_size)
    ]
    assert sorted(picture for rank in found for picture in rank) == list(range(PICTURES))


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("batch_size", [1, 4, 6, 40])
def test_validation_is_exact_for_other_numbers_of_workers(shards: Shards, workers: int, batch_size: int) -> None:
    found = by_hand(shards, workers, batch_size=batch_size)
    assert sorted(flat(found)) == list(range(PICTURES))
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_validation_by_index_has_each_picture_once(shards: Shards, world_size: int, workers: int) -> None:
    config = CONFIG.__class__(**{**CONFIG.__dict__, "num_classes": PICTURES, "batch_size": 6, "workers": workers})
    samples, seen = Augmented(Encoded(shards), Small()), []
    for rank in range(world_size):
        for _, labels in validation_batches(samples, config, Place(rank, world_size, torch.device("cpu"))):
            seen += labels.tolist()
    assert sorted(seen) == list(range(PICTURES))


class Small:
    """A random transform that workers can be given."""

    def __init__(self) -> None:
        self.steps = v2.Compose([JpegCrop(16, (0.3, 1.0)), ToNormalized()])

    def __call__(self, image: EncodedImage, label: int) -> tuple[Tensor, int]:
        return self.steps(image, label)


# --------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 1), (2, 1), (3, 1), (3, 2), (1, 2)])
@pytest.mark.parametrize("workers", [0, 2])
def test_training_has_equal_shares_and_no_picture_twice(
    shards: Shards, world_size: int, accumulate: int, workers: int
) -> None:
    options = {"batch_size": 6, "buffer": 10, "world_size": world_size, "accumulate": accumulate, "epoch": 1}
    found = [batches_of(shards, workers, rank=rank, **options) for rank in range(world_size)]
    assert {len(rank) for rank in found} == {PICTURES // 6 * accumulate}
    assert {len(batch) for rank in found for batch in rank} == {6 // (world_size * accumulate)}
    assert max(Counter(picture for rank in found for picture in flat(rank)).values()) == 1


def test_seed_and_epoch_decide_the_order(shards: Shards) -> None:
    options = {"batch_size": 6, "buffer": 10}
    orders = {
        (seed, epoch): tuple(flat(batches_of(shards, seed=seed, epoch=epoch, **options)))
        for seed in range(2)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == 6
    assert tuple(flat(batches_of(shards, seed=1, epoch=2, **options))) == orders[1, 2]
    sequence = [label for shard in shard_order(5, 1, 2) for label in shards.labels[7 * shard : 7 * shard + 7]]
    assert list(orders[1, 2]) != sequence[:30]  # mixed
    assert set(orders[1, 2]) == set(sequence[:30])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_resume_goes_on_where_it_was_left(shards: Shards, workers: int, first: int) -> None:
    options = {"batch_size": 6, "buffer": 10, "accumulate": 3 if first == 1 else 1, "seed": 4}
    whole = batches_of(shards, workers, **options)
    later = batches_of(shards, workers, first=first, **options)
    assert later == whole[first * options["accumulate"] :]


def test_a_picture_is_augmented_as_by_index_whoever_loads_it(shards: Shards) -> None:
    """And the loop itself takes shards by index: its batches do not depend on the workers."""
    samples = Augmented(Encoded(shards), Small(), seed=3)
    samples.set_epoch(2)
    expected = {int(label): samples[index][0] for index, label in enumerate(shards.labels)}
    for workers in (0, 2):
        stream = ShardStream(shards, Small(), batch_size=5, buffer=10, seed=3, epoch=2)
        for images, labels in DataLoader(stream, batch_size=None, num_workers=workers):
            for image, label in zip(images, labels.tolist(), strict=True):
                assert torch.equal(image, expected[label])
    config = CONFIG.__class__(**{**CONFIG.__dict__, "num_classes": PICTURES, "batch_size": 5})
    found = list(train_batches(samples, MicroBatchSampler(PICTURES, 5, 1, 0, 1, seed=3, epoch=2, first=2), config))
    assert len(found) == 4
    assert all(torch.equal(images[0], expected[int(labels[0])]) for images, labels in found)


def test_pieces_make_up_a_stretch() -> None:
    counts, order = [3, 5, 2], [2, 0, 1]
    sequence = [(shard, place) for shard in order for place in range(counts[shard])]
    for start in range(11):
        for stop in range(start, 11):
            pieces = pieces_of(counts, order, start, stop)
            assert [(shard, at) for shard, first, end in pieces for at in range(first, end)] == sequence[start:stop]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's first classes as shards."""
    root = tmp_path_factory.mktemp("prepared")
    make_tree(root / "tree", classes=PICTURES, train=1)
    for split in ("train", "val"):
        prepare(FolderPictures(root / "tree" / split), root / split, Settings(split, shard_size=7))
    return root


def command(root: Path, out: Path, *settings: str) -> list[str]:
    """Two epochs of five steps by the ImageNet command."""
    numbers = ["model=nano", "image_size=32", f"num_classes={PICTURES}", "batch_size=6", "epochs=2", "warmup_epochs=0"]
    numbers += ["lr_last=0", "lr_first=0", "base_lr=0.1", "save_every=3", "log_every=1", "device=cpu", "workers=0"]
    return ["imagenet", "--out", str(out), "--data", str(root), *with_set([*numbers, *settings])]


def test_a_killed_run_over_a_stream_ends_as_an_undisturbed_one(prepared: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, with the same numbers of processes and workers."""
    settings = ("shuffle_buffer=10", "workers=2")
    finish(command(prepared, tmp_path / "whole", *settings), tmp_path / "printed")
    arguments = command(prepared, tmp_path / "cut", *settings)
    assert signal_at(7, tmp_path / "cut", arguments, tmp_path / "printed") == [-signal.SIGKILL]
    shutil.copytree(tmp_path / "cut", tmp_path / "other")
    (printed,) = finish([*command(prepared, tmp_path / "other", settings[0]), "--resume"], tmp_path / "printed")
    assert "workers was 2 and is 0\nso some pictures of this epoch come twice and others not at all" in printed
    (printed,) = finish([*arguments, "--resume"], tmp_path / "printed")
    assert "come twice" not in printed
    step = int(re.search(r"going on from .*, step (\d+) of 10", printed)[1])
    assert 5 < step < 10  # within the second epoch
    assert differing(final_state(tmp_path / "whole"), final_state(tmp_path / "cut")) == []


# ------------------------------------------------------------------------------------------------------------ faults


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    make_tree(tmp_path, classes=8, train=2)
    prepare(FolderPictures(tmp_path / "train"), tmp_path / "shards", Settings("train", shard_size=8))
    shards, path = Shards(tmp_path / "shards"), tmp_path / "shards" / "train-000001.tar"
    content = path.read_bytes()
    for kept in (len(content) // 2, 512 * 9, 700):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=r"train-000001\.tar (cannot be read|is cut short).*copy it again"):
            list(ShardStream(shards, number, batch_size=4))


def test_a_batch_that_cannot_be_cut_is_refused(shards: Shards) -> None:
    with pytest.raises(ValueError, match=r"batch_size=10 cannot be cut into 2 processes times accumulate=2; use a mu"):
        ShardStream(shards, number, batch_size=10, world_size=2, accumulate=2)


def test_counts_are_those_of_the_shards(shards: Shards) -> None:
    assert shards.counts == [7, 7, 7, 7, 3]
    assert np.array_equal(np.bincount(shards.places[:, 0]), shards.counts)


@pytest.mark.parametrize("buffer", [0, 10])
def test_a_shard_cut_short_in_a_run_is_named_and_the_run_goes_on_from_a_good_one(
    buffer: int, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    shutil.copytree(prepared, root)
    shard, close = root / "train" / "train-000002.tar", loop.end_epoch

    def cut(run: Run, *others: object) -> bool:
        closed = close(run, *others)
        if run.epochs_done == 1:
            shard.write_bytes(shard.read_bytes()[:2048])
        return closed

    arguments = command(root, tmp_path / "out", f"shuffle_buffer={buffer}", "save_every=0", "eval_every=2")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "end_epoch", cut)
        assert main(arguments) == BAD_INPUT
    assert re.search(r"train-000002\.tar .*(is cut short|cannot be read)", capsys.readouterr().err)
    assert main([*arguments, "--resume"]) == BAD_INPUT  # at once: opening them, too, finds it
    assert "train-000002.tar has 2048 bytes, not" in capsys.readouterr().err
    prepare(FolderPictures(root / "tree" / "train"), root / "train", Settings("train", shard_size=7))
    assert main([*arguments, "--resume"]) == 0
    assert "going on from" in capsys.readouterr().out
    assert final_state(tmp_path / "out")["progress"]["step"] == 10
