"""Loader speed beside timm's, on the same JPEG files: python -m gcvit_edu.bench loading --help.

Both load the same pictures with the same transforms: a random crop (bicubic), a random flip, ImageNet's mean and
deviation, batches. They take turns, each in one process with one thread, and processor time is counted, so the result
is pictures per second and core. The speed of the disk has no part in it: the files are in memory after the first
round, which is not counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from gcvit_edu.data.augment import Augmented
from gcvit_edu.data.imagenet.encoded import Encoded, FolderPictures
from gcvit_edu.data.imagenet.jpeg import JpegCrop, ToNormalized
from gcvit_edu.data.imagenet.photo_crops import cut_photos
from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class LoaderSpeed:
    """Pictures per second and core of both loaders, medians of rounds in which they took turns.

    Attributes:
        ours: of this package's loader.
        timm: of timm's.
    """

    ours: float
    timm: float

    @property
    def ratio(self) -> float:
        """Our speed over timm's."""
        return self.ours / self.timm


Batches = Iterable[tuple[Tensor, Tensor]]


def our_loader(root: Path, size: int, scale: tuple[float, float], batch_size: int) -> Batches:
    """An epoch of root/<class>/, as the training loop loads it -> images (B, 3, size, size) and labels (B,).

    Args:
        root: a folder for each class, with JPEG files.
        size: side of the pictures that come out, in pixels.
        scale: smallest and largest area of a random crop, as a share of the picture.
        batch_size: pictures in a batch; what is left over is not loaded.
    """
    transform = v2.Compose([JpegCrop(size, scale), v2.RandomHorizontalFlip(), ToNormalized()])
    samples = Augmented(Encoded(FolderPictures(root, upright=False)), transform)
    return DataLoader(samples, batch_size, shuffle=True, drop_last=True)


def timm_loader(root: Path, size: int, scale: tuple[float, float], batch_size: int) -> Batches:
    """An epoch of the same pictures, as timm loads them -> images (B, 3, size, size) and labels (B,).

    Args:
        root: a folder for each class, with JPEG files.
        size: side of the pictures that come out, in pixels.
        scale: smallest and largest area of a random crop, as a share of the picture.
        batch_size: pictures in a batch; what is left over is not loaded.
    """
    from timm.data import create_dataset, create_loader  # takes seconds to import

    return create_loader(
        create_dataset("", root=str(root)),
        input_size=(3, size, size),
        batch_size=batch_size,
        is_training=True,
        use_prefetcher=False,
        scale=scale,
        hflip=0.5,
        color_jitter=None,
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        num_workers=0,
        persistent_workers=False,
        pin_memory=False,
    )


def compare_loaders(
    root: Path,
    *,
    size: int = 224,
    scale: tuple[float, float] = (0.08, 1.0),
    batch_size: int = 64,
    rounds: int = 5,
) -> LoaderSpeed:
    """Load the pictures of root/<class>/ several times with each loader, in turns.

    Args:
        root: a folder for each class, with JPEG files.
        size: side of the pictures that come out.
        scale: smallest and largest area of a random crop, as a share of the picture.
        batch_size: pictures in a batch; what is left over is not loaded.
        rounds: rounds that count, after one that does not.

    Raises:
        ValueError: if the pictures do not fill one batch, or rounds is below 1.
    """
    if rounds < 1:
        raise ValueError(f"rounds={rounds} must be at least 1")
    pictures = len(FolderPictures(root)) // batch_size * batch_size
    if not pictures:
        raise ValueError(
            f"{root} has fewer than {batch_size} pictures, which is one batch; give more, or make batch_size smaller"
        )
    loaders = {name: make(root, size, scale, batch_size) for name, make in _MAKERS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(rounds + 1):
            for name, batches in loaders.items():
                start = time.process_time()
                found = sum(len(labels) for _, labels in batches)
                seconds[name].append(time.process_time() - start)
                assert found == pictures
    finally:
        torch.set_num_threads(threads)
    return LoaderSpeed(**{name: pictures / statistics.median(times[1:]) for name, times in seconds.items()})


_MAKERS: dict[str, Callable[[Path, int, tuple[float, float], int], Batches]] = {
    "ours": our_loader,
    "timm": timm_loader,
}


def main(arguments: Sequence[str] | None = None) -> LoaderSpeed:
    """Measure what the command line asks for, print it, and return it."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.bench loading", description=__doc__)
    parser.add_argument("--data", type=Path, help="folders of JPEG files; left out, the photographs are cut into some")
    parser.add_argument("--root", help=argparse.SUPPRESS)  # the old name of --data
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS", help="side of the training pictures (224)")
    parser.add_argument("--pictures", type=int, default=512, metavar="N", help="how many to cut without --data (512)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args(arguments)
    if options.root is not None:
        parser.error(f"--root is now called --data; write --data {options.root}")
    with tempfile.TemporaryDirectory() as folder:
        root = options.data or Path(folder)
        try:
            if options.data is None:
                cut_photos(root, [f"class{number}" for number in range(8)], -(-options.pictures // 8))
            found = compare_loaders(root, size=options.size, rounds=options.rounds)
        except ValueError as error:
            parser.error(str(error))
    print(f"random parts at {options.size} pixels, images per second and core")
    print(f"ours {found.ours:.0f}, timm {found.timm:.0f}, ratio {found.ratio:.2f}")
    return found
