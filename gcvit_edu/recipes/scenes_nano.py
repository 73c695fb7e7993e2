"""GC ViT nano on scenes: one emoji somewhere on a photograph, a gradient or a colour; 13 classes, 64 pixels.

Its validation scenes show the held-out emoji of emoji_nano, with masks that say where they are.

Expected accuracy: 50.7 % top-1 of the averaged weights after the last epoch (one run, seed 0).
Expected time: 53 minutes, measured with one CPU thread (OMP_NUM_THREADS=1) beside other programs.
Hardware: one CPU core.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.transforms import v2

from gcvit_edu.train.batches import Samples
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.recipe import make_model as make_model
from gcvit_edu.train.transforms import train_transform, validation_transform

SIDES = 24, 56  # of an emoji, in pixels
SCENES = 1000  # for validation

CONFIG = TrainConfig(
    model="nano",
    num_classes=13,
    image_size=64,
    drop_path_rate=0.1,
    epochs=80,
    batch_size=64,
    lr=1e-3,
    warmup_epochs=5.0,
    mixup=0.2,
    cutmix=1.0,
    mix_prob=0.3,
    crop_scale=(0.6, 1.0),
    randaugment_ops=1,
    randaugment_magnitude=9,
    erasing=0.1,
    ema_decay=0.998,
    eval_every=5,
    snapshot_epochs=(0, 1, 2, 5, 10, 20, 40, 80),
)


def make_data(config: TrainConfig) -> tuple[Samples, Samples]:
    """The training emoji in new scenes at each epoch, augmented, and fixed scenes of held-out emoji."""
    from gcvit_edu.data import Emoji, Scenes
    from gcvit_edu.data.augment import Augmented, OnScene

    train = v2.Compose([OnScene(config.image_size, SIDES), train_transform(config)])
    held_out = Scenes(SCENES, split="test", most=1, size=config.image_size, sides=SIDES)
    return (
        Augmented(Emoji("train"), train, seed=config.seed),
        Augmented(held_out, partial(with_class, validation_transform(config)), seed=config.seed),
    )


def with_class(transform: nn.Module, image: Tensor, target: dict[str, Any]) -> tuple[Tensor, int]:
    """A scene as the training loop needs it: the picture and the class of its only emoji.

    Args:
        transform: the picture -> (3, H, W).
        image: (3, size, size), as Scenes gives it.
        target: of the scene; its first label is taken.
    """
    return transform(image), int(target["labels"][0])
