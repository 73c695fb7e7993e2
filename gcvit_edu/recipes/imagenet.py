"""GC ViT on ImageNet-1k at 224 pixels, every size but nano, from random weights.

    torchrun --nproc-per-node 8 -m gcvit_edu.train imagenet --data IMAGENET --set model=tiny --out runs/tiny

| model | parameters | multiply-adds | the paper's top-1 | drop path | released batch | parts of 128 pictures here |
|---|---|---|---|---|---|---|
| xxtiny | 12 million | 2.1 billion | 79.9 % | 0.2 | 4096 | 1 |
| xtiny | 20 million | 2.6 billion (counted: 2.91) | 82.0 % | 0.2 | 4096 | 1 |
| tiny | 28 million | 4.7 billion | 83.5 % | 0.2 | 4096 | 1 |
| tiny2 | 34 million | 5.5 billion (counted: 6.18) | 83.7 % | 0.25 | 4096 | 1 |
| small | 51 million | 8.5 billion | 84.3 % | 0.3 | 1024 | 4 |
| small2 | 68 million | 10.7 billion (counted: 11.54) | 84.8 % | 0.35 | 1024 | 4 |
| base | 90 million | 14.8 billion | 85.0 % (its repository's text: 85.9 % as well) | 0.5 | 1024 | 4 |
| large | 201 million | 32.6 billion | 85.7 % | 0.5 | 1024 | 4 |

Multiply-adds are the published ones; counted numbers that differ are beside them. The parts are `accumulate`: each
of eight GPUs takes its 128 pictures at once, or in four parts of 32. Batch and rate are 1024 and 1e-3 for all sizes;
batch_size=4096 raises the rate to 4e-3.

Expected accuracy: the paper's top-1 is the paper's figure, not ours. No run on ImageNet was made by this project: the
numbers are choices with reasons. Steps of four sizes were timed on one GPU, on random pictures
(data/runs/gpu_speed.jsonl).
Expected time: not measured; estimate it with `python -m gcvit_edu.bench cost tiny --gpu A100 --count 8`.
Hardware: written for eight GPUs, not run here; --preflight says whether it fits into yours.

Sources: "released" is NVIDIA's public training script with its configs, "text" is the paper and its repository.
A dash means that we do not know.

| what | text | released | here | why |
|---|---|---|---|---|
| peak rate | 1e-3 | 1e-3 at first, 5e-3 since August 2022 | 1e-3 at batch 1024 | 5e-3 is near 4096 / 1024 * 1e-3 |
| batch | - | 32 GPUs: 4096 up to tiny2, 1024 from small on | 1024 | fits one machine; the rate follows |
| epochs | - | 310, then 10 at the floor | 300, warm-up included | Swin and ConvNeXt run 300 |
| warm-up | - | 20 epochs, from 1e-6 | the same | |
| floor of the rate | - | 5e-6 | the same | |
| decay of weights | - | 0.05; meant to exempt bias tables | 0.05; exempts them | see below |
| average of weights | - | off at first, then 0.9998 | 0.9998 | the last weights are validated, too |
| clipping | - | norm 5 | the same | |
| pictures | - | crops of 8 to 100 %, flips, RandAugment m9-mstd0.5-inc1, erasing 0.25 | the same | timm's RandAugment |
| targets | - | mixup 0.8, cutmix 1.0, one of them each time; smoothing 0.1 | the same | |
| precision | - | AMP | AMP in bfloat16 | needs no scaling of the loss |

Contradictions. The released rate of 5e-3 is in the configs of batch 4096 and in those of batch 1024: at 1024 it is five
times the rate of the text. A rate proportional to the batch gives the text's rate, and nearly the released one.
The released script exempts parameters called 'rpb' from decay, a name that none has, so it decays the bias tables;
timm exempts them, and so do we. "m9" is timm's scale of 10, not torchvision's of 30: at 9 of 30, torchvision's
RandAugment is a third as strong, and it knows neither chance of 0.5 per operation nor the spread of 0.5.

A user who retrained it with timm reported an "accuracy wall approaching 80 %" (NVlabs/GCVit, issue 24). So compare with
the paper's figures, but these recipes do not promise them.

The rate: lr = base_lr * batch_size / 1024. The first and the last rate stay. To change the rate set base_lr;
lr itself follows. The number of processes does not matter: batch_size is that of all together.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from torch import nn
from torchvision.transforms import v2

from gcvit_edu.data.augment import Augmented
from gcvit_edu.data.imagenet.classes import open_pictures
from gcvit_edu.data.imagenet.encoded import Encoded
from gcvit_edu.data.transforms import IMAGENET_MEAN
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.batches import Samples
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.recipe import make_model as make_untrained
from gcvit_edu.train.transforms import train_transform, validation_transform
from gcvit_edu.weights import image_size_of, load_weights

BATCH = 1024  # the batch that base_lr is for
# The parts of variants that need more than one: with eight GPUs and the recipe's batch, 32, 8 or 4 pictures at once.
ACCUMULATE = {"small": 4, "small2": 4, "base": 4, "large": 4, "large_384": 8, "large_512": 16}
# A strength drawn around 9 is sometimes above 10, and timm sets it to 10; its posterize then keeps no bit at all, which
# gives a black picture with an old Pillow, and an error with a new one.
BELOW_TEN = 9.99


@dataclass(frozen=True)
class ImageNetConfig(TrainConfig):
    """A run on ImageNet, or on some of its classes.

    Attributes:
        image_size: None for the variant's own.
        accumulate: None for that of the variant in ACCUMULATE, so that each of eight GPUs has 128 or 32
            pictures in memory.
        lr: follows from base_lr and batch_size.
        base_lr: peak learning rate for a batch of 1024 pictures.
        data: folder with train/<wnid>/ and val/<wnid>/ (a wnid is WordNet's number of a class, as n01440764), with
            the official archives, or with shards, which are the quickest.
        shuffle_buffer: 0 reads pictures at random places, in the same order for any number of processes. A larger
            number reads shards from front to back, for disks that are slow at random places, and mixes that many
            pictures at a time.
        auto_augment: RandAugment in timm's notation; "" for none.
        crop_ratio: side of the validated square over the shorter side of the picture.
        weights: file of weights to begin with, of any image size; "" begins at random.

    Raises:
        ValueError: for a value of the wrong type or out of its range.
    """

    image_size: int | None = None
    accumulate: int | None = None
    lr: float = field(init=False, default=0.0, metadata={"follows from": "base_lr and batch_size"})
    base_lr: float = 1e-3
    data: str = "imagenet"
    shuffle_buffer: int = 0
    auto_augment: str = "rand-m9-mstd0.5-inc1"
    crop_ratio: float = 0.875
    weights: str = ""

    def __post_init__(self) -> None:
        self._require("base_lr", isinstance(self.base_lr, int | float) and self.base_lr > 0, "be a positive number")
        self._require("batch_size", isinstance(self.batch_size, int), "be a whole number")
        object.__setattr__(self, "lr", self.base_lr * self.batch_size / BATCH)
        super().__post_init__()
        self._require("data", bool(self.data), "name a folder")
        self._require("shuffle_buffer", self.shuffle_buffer >= 0, "not be negative")
        skips = self.shuffle_buffer > 0 and self.bad_images == "skip"
        self._require("bad_images", not skips, "be 'raise' with shuffle_buffer; leave pictures out when making shards")
        self._require("crop_ratio", 0 < self.crop_ratio <= 1, "be above 0 and at most 1")


# Drop path is the variant's own, and so is the paper's.
CONFIG = ImageNetConfig(
    model="tiny",
    num_classes=1000,
    epochs=300,
    batch_size=BATCH,
    lr_first=1e-6,
    lr_last=5e-6,
    warmup_epochs=20.0,
    weight_decay=0.05,
    clip_norm=5.0,
    label_smoothing=0.1,
    mixup=0.8,
    cutmix=1.0,
    crop_scale=(0.08, 1.0),
    erasing=0.25,
    ema_decay=0.9998,
    amp=True,
    workers=8,
    save_every=500,
    log_every=50,
)


def complete(config: ImageNetConfig) -> ImageNetConfig:
    """The config with the values that follow from its model where they are None.

    Raises:
        ValueError: for a model of timm's without an image_size, as its own is not known here.
    """
    size = config.image_size or image_size_of("", config.model)
    parts = config.accumulate or ACCUMULATE.get(config.model, 1)
    return replace(config, image_size=size, accumulate=parts)


def make_model(config: ImageNetConfig) -> nn.Module:
    """The variant that the config names, untrained or with the weights of a file."""
    model = make_untrained(config)
    if config.weights:
        load_weights(model, config.weights)
    return model


def make_data(config: ImageNetConfig) -> tuple[Samples, Samples]:
    """The training pictures, augmented, and the validation pictures, both with their classes checked."""
    training = train_transform(config, _policy(config), stored=True)
    validation = validation_transform(config, config.crop_ratio, stored=True)
    return samples_of(config, "train", training), samples_of(config, "val", validation)


def samples_of(config: ImageNetConfig, split: str, transform: nn.Module) -> Samples:
    """The pictures of a split, "train" or "val", each passed as a file through a transform.

    Args:
        config: names the folder, and how it is read.
        split: "train" or "val".
        transform: the picture's file -> (3, H, W).

    Raises:
        ValueError: if there are none, or their classes are not config.num_classes of ImageNet's in its order.
    """
    pictures = open_pictures(config.data, split, num_classes=config.num_classes)
    if config.shuffle_buffer:
        from gcvit_edu.data.imagenet.stream import Streamed  # brings webdataset

        buffer = config.shuffle_buffer if split == "train" else 0
        return Streamed(pictures, transform, buffer=buffer, seed=config.seed)
    return Augmented(readable(Encoded(pictures), config.bad_images), transform, seed=config.seed)


def _policy(config: ImageNetConfig) -> nn.Module | None:
    """RandAugment of timm as a step of the training transform; it draws from Python's and NumPy's generators.

    Raises:
        ValueError: for text that timm cannot read.
    """
    if not config.auto_augment:
        return None
    from timm.data.auto_augment import rand_augment_transform

    uncovered = tuple(round(255 * part) for part in IMAGENET_MEAN)  # the colour where a rotation leaves a gap
    options: dict[str, Any] = {"translate_const": int(0.45 * config.image_size), "img_mean": uncovered}
    if "mmax" not in config.auto_augment:
        options["magnitude_max"] = BELOW_TEN
    try:
        policy = rand_augment_transform(config.auto_augment, options)
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(
            f"auto_augment={config.auto_augment!r} is not timm's notation; write it as in rand-m9-mstd0.5-inc1"
        ) from error
    return v2.Lambda(policy, Image.Image)
