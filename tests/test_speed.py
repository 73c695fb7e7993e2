"""Loader speed: both loaders load the same, and what the clock says is counted right."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from gcvit_edu.bench import loading
from gcvit_edu.bench.loading import Batches, LoaderSpeed, compare_loaders, main, our_loader, timm_loader
from gcvit_edu.data.augment import Augmented
from gcvit_edu.data.folder import Folder
from gcvit_edu.data.imagenet.encoded import Encoded, FolderPictures
from gcvit_edu.data.imagenet.jpeg import JpegCrop, ToNormalized
from gcvit_edu.data.imagenet.photo_crops import IMAGENET_SIZES, cut_photos


def test_photographs_are_cut_into_pictures_of_imagenets_sizes(tmp_path: Path) -> None:
    for root in (tmp_path / "one", tmp_path / "two"):
        cut_photos(root, ["cats", "dogs"], 4)
    pictures = Folder(tmp_path / "one")
    assert pictures.classes == ["cats", "dogs"]
    assert {image.size for image, _ in pictures} == set(IMAGENET_SIZES)
    files = [path.read_bytes() for path, _ in pictures.files]
    assert len(set(files)) == 8
    assert files == [path.read_bytes() for path, _ in Folder(tmp_path / "two").files]
    assert 15_000 < np.mean([len(content) for content in files]) < 150_000
    with pytest.raises(ValueError, match="1 classes of 0 pictures are none"):
        cut_photos(tmp_path / "three", ["cats"], 0)


# timm leaves the files of a folder to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_both_loaders_load_the_same_pictures_and_are_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_photos(tmp_path, ["cats", "dogs"], 10, sizes=((100, 80),))
    batches = {
        make.__name__: [labels for _, labels in make(tmp_path, 64, (0.9, 1.0), 10)]
        for make in (our_loader, timm_loader)
    }
    assert {name: torch.cat(labels).sum().item() for name, labels in batches.items()} == {
        "our_loader": 10,
        "timm_loader": 10,
    }
    means = [
        torch.cat([x for x, _ in make(tmp_path, 64, (0.9, 1.0), 10)]).mean((0, 2, 3))
        for make in (our_loader, timm_loader)
    ]
    torch.testing.assert_close(*means, atol=0.05, rtol=0)
    with pytest.raises(ValueError, match="has fewer than 64 pictures, which is one batch; give more, or make batch"):
        compare_loaders(tmp_path)
    with pytest.raises(ValueError, match="rounds=0 must be at least 1"):
        compare_loaders(tmp_path, batch_size=10, rounds=0)
    threads = torch.get_num_threads()
    found = compare_loaders(tmp_path, size=32, batch_size=10, rounds=1)
    assert min(found.ours, found.timm) > 0
    assert torch.get_num_threads() == threads
    monkeypatch.setattr("gcvit_edu.bench.loading.cut_photos", partial(cut_photos, sizes=((50, 40),)))
    assert main(["--pictures", "64", "--size", "32", "--rounds", "1"]).ratio > 0
    assert "ours" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    assert "fewer than 64 pictures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--root", "here"])
    assert "write --data here" in capsys.readouterr().err
    assert LoaderSpeed(ours=3.0, timm=2.0).ratio == 1.5


# timm leaves the files of a folder to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", [our_loader, timm_loader])
def test_every_second_picture_is_flipped(make: type, tmp_path: Path) -> None:
    (tmp_path / "halves").mkdir()
    halves = Image.new("RGB", (32, 32))
    halves.paste("white", (16, 0, 32, 32))
    for number in range(60):
        halves.save(tmp_path / "halves" / f"{number}.jpg", quality=95)
    torch.manual_seed(0)
    random.seed(0)
    found = torch.cat([images for images, _ in make(tmp_path, 32, (1.0, 1.0), 20)]).mean(1)
    right = found[:, :, 20:].mean((1, 2)) > found[:, :, :12].mean((1, 2))
    assert 15 < right.sum() < 45


def test_pictures_per_second_are_those_of_the_median_round_on_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only loading moves: the first round is left out, and so are pictures that fill no batch."""
    cut_photos(tmp_path, ["cats"], 23, sizes=((20, 15),))
    now, turns, threads = [0.0], [], set()
    seconds = {"ours": [100.0, 1.0, 4.0, 2.0], "timm": [50.0, 8.0, 2.0, 4.0]}

    class Loader:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            turns.append(self.name)
            threads.add(torch.get_num_threads())
            now[0] += seconds[self.name].pop(0)
            for _ in range(4):
                yield torch.zeros(5, 3, 8, 8), torch.zeros(5)

    def make(name: str, *_: object) -> Batches:
        return Loader(name)

    monkeypatch.setattr(loading, "_MAKERS", {name: partial(make, name) for name in seconds})
    monkeypatch.setattr(loading, "time", SimpleNamespace(process_time=lambda: now[0]))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert compare_loaders(tmp_path, batch_size=5, rounds=3) == LoaderSpeed(ours=20 / 2, timm=20 / 4)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert threads == {1}
    assert turns == ["ours", "timm"] * 4


def test_our_loader_is_the_one_of_the_training_loop(tmp_path: Path) -> None:
    cut_photos(tmp_path, ["cats"], 4, sizes=((60, 50),))
    samples = Augmented(Encoded(FolderPictures(tmp_path)), v2.Compose([JpegCrop(32), ToNormalized()]), seed=3)
    first = samples[2][0]
    assert torch.equal(first, samples[2][0])
    samples.set_epoch(1)
    assert not torch.equal(first, samples[2][0])
