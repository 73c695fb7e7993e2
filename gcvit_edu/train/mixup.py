"""Mixup and cutmix (timm's), whose chance follows from the seed and the step alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from gcvit_edu.train.config import TrainConfig


def mixing_enabled(config: TrainConfig) -> bool:
    """Whether batches are mixed at all."""
    return config.mix_prob > 0 and (config.mixup > 0 or config.cutmix > 0)


def check_pairs(pictures: int) -> None:
    """Refuse a part of a batch whose pictures cannot be paired.

    Raises:
        ValueError: for an odd number of pictures.
    """
    if pictures % 2:
        raise ValueError(
            f"mixup and cutmix pair the pictures of a part, and {pictures} is odd; "
            "choose batch_size so that each process and each part has an even number"
        )


def apply_mixup(images: Tensor, labels: Tensor, config: TrainConfig, *key: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) and labels (B,) -> mixed images and their shares of the classes, (B, num_classes).

    Each picture is mixed with its mirror in the batch: the first with the last, and so on.

    Args:
        images: changed in place.
        labels: class of each picture.
        config: alphas and probability.
        key: numbers that chance follows from, beside config.seed: step, rank, part.

    Raises:
        ValueError: for an odd number of pictures.
    """
    from timm.data.mixup import Mixup  # timm takes seconds to import

    check_pairs(len(images))
    mixer = Mixup(
        mixup_alpha=config.mixup,
        cutmix_alpha=config.cutmix,
        prob=config.mix_prob,
        label_smoothing=0.0,  # the loss smooths
        num_classes=config.num_classes,
    )
    with numpy_chance(config.seed, *key):
        return mixer(images, labels)


@contextmanager
def numpy_chance(*key: int) -> Iterator[None]:
    """A context in which NumPy's global generator, timm's source of chance, is seeded by some numbers."""
    before = np.random.get_state()
    np.random.seed(key)
    try:
        yield
    finally:
        np.random.set_state(before)
