"""GC ViT nano on the emoji set: 13 classes, 64 pixels, emoji held out that no vendor's drawing shows in training.

Expected accuracy: 75.3 % top-1 of the averaged weights after the last epoch (one run, seed 0).
Expected time: two hours, measured with one CPU thread (OMP_NUM_THREADS=1) beside other programs.
Hardware: one CPU core.
"""

from dataclasses import dataclass

from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gcvit_edu.data import Emoji
from gcvit_edu.data.augment import Augmented, OnRandomColour
from gcvit_edu.data.emoji import on_colour
from gcvit_edu.train.batches import Samples
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.recipe import make_model as make_model
from gcvit_edu.train.transforms import train_transform, validation_transform


@dataclass(frozen=True)
class EmojiConfig(TrainConfig):
    """A run on the emoji set.

    Attributes:
        holdout: the part that training never sees: "emoji" for one fifth of the emoji,
            or a vendor's name for all its drawings.
        vendors: vendors of all drawings, trained on or held out; None for all. ("google", "twitter") with
            holdout="emoji" keeps the held-out emoji from the weights in every style, and Fluent's style altogether.
        white: share of the training pictures that are on white, as all held-out ones are; the rest is on colours.
    """

    holdout: str = "emoji"
    vendors: tuple[str, ...] | None = None
    white: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("white", 0 <= self.white <= 1, "be a probability, from 0 to 1")


CONFIG = EmojiConfig(
    model="nano",
    num_classes=13,
    image_size=64,
    drop_path_rate=0.15,
    epochs=400,
    batch_size=64,
    lr=1.5e-3,
    warmup_epochs=5.0,
    weight_decay=0.5,
    mixup=0.2,
    cutmix=1.0,
    mix_prob=0.4,
    crop_scale=(0.5, 1.0),
    randaugment_ops=2,
    randaugment_magnitude=7,
    erasing=0.1,
    ema_decay=0.998,
    eval_every=5,
    snapshot_epochs=(0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 400),
)


def make_data(config: EmojiConfig) -> tuple[Samples, Samples]:
    """The training set on random colours, augmented, and the held-out set on white."""
    drawings = {split: Emoji(split, holdout=config.holdout, vendors=config.vendors) for split in ("train", "test")}
    return augmented(drawings["train"], config), on_white(drawings["test"], config)


def augmented(drawings: Dataset[tuple[Image.Image, int]], config: EmojiConfig) -> Augmented:
    """Drawings as training sees them: on random colours, augmented."""
    transform = v2.Compose([OnRandomColour(config.white), train_transform(config)])
    return Augmented(drawings, transform, seed=config.seed)


def on_white(drawings: Dataset[tuple[Image.Image, int]], config: EmojiConfig) -> Augmented:
    """Drawings as validation sees them: on white, nothing random."""
    transform = v2.Compose([v2.Lambda(on_colour, Image.Image), validation_transform(config)])
    return Augmented(drawings, transform, seed=config.seed)
