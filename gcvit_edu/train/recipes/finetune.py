"""A GC ViT that was trained before, fine-tuned on your own pictures: one folder for each class.

    python -m gcvit_edu.train finetune --data PICTURES
    python -m gcvit_edu.train finetune --data PICTURES --set weights=tiny --set layers=head --set lr=3e-3

PICTURES has train/ and val/ with the folders of the classes, or those folders themselves; then one picture in five
is held out for validation. The first command starts from the shipped nano, which knows drawings of emoji only; the
second from NVIDIA's tiny, which knows ImageNet's photographs and is downloaded, under a licence for
non-commercial use.

Expected accuracy, time and hardware: those of your pictures and your machine.
"""

from dataclasses import dataclass, replace

from torch import nn

from gcvit_edu.data.folder import Folder, train_and_val
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.samples import Samples
from gcvit_edu.train.transforms import train_transform, validation_transform


@dataclass(frozen=True)
class FinetuneConfig(TrainConfig):
    """A run that starts from weights. What is None follows from the weights and the pictures.

    Args:
        model: the variant that the weights are of; None for what they say. To be named where they are a file that no
            training of ours has written.
        num_classes: outputs of the new head; None for one for each class of the pictures.
        image_size: side of the training image, in pixels; None for that of the weights. At another size the windows
            grow with it, and the tables of relative position bias are resized.
        data: folder of the pictures.
        val_share: share of each class that is held out where data has no train/ and val/.
        weights: a file, or a name: emoji_nano is shipped; xxtiny, xtiny, tiny, small, base are NVIDIA's, downloaded.
        layers: what is trained: "all", or "head", with all the rest frozen and without drop path.
            layer_decay then changes nothing, as the head has the whole rate.
    """

    model: str | None = None
    num_classes: int | None = None
    image_size: int | None = None
    data: str = ""
    val_share: float = 0.2
    weights: str = "emoji_nano"
    layers: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("val_share", 0 < self.val_share < 1, "be above 0 and below 1")
        self._require("layers", self.layers in ("all", "head"), "be 'all' or 'head'")
        frozen = self.layers == "head" and bool(self.drop_path_rate)
        self._require("drop_path_rate", not frozen, "be 0 or None where layers='head': frozen layers drop nothing")


CONFIG = FinetuneConfig(
    epochs=30,
    batch_size=32,
    lr=1e-3,
    layer_decay=0.75,
    warmup_epochs=3.0,
    crop_scale=(0.5, 1.0),
    randaugment_ops=1,
    ema_decay=0.99,
)


def complete(config: FinetuneConfig) -> FinetuneConfig:
    """The config with the variant of the weights, its image size and the number of classes, where they were None."""
    from gcvit_edu.train.finetune import image_size_of, variant_of

    variant = config.model or variant_of(config.weights)
    size = config.image_size or image_size_of(config.weights, variant)
    classes = config.num_classes or len(_pictures(config)[0].classes)
    return replace(config, model=variant, image_size=size, num_classes=classes)


def make_model(config: FinetuneConfig) -> nn.Module:
    """The weights' model with a new head, and with all but the head frozen if the config says so."""
    from gcvit_edu.train.finetune import freeze_all_but_head, pretrained_model

    model = pretrained_model(
        config.weights,
        config.model,
        num_classes=config.num_classes,
        image_size=config.image_size,
        drop_path_rate=0.0 if config.layers == "head" else config.drop_path_rate,
    )
    return freeze_all_but_head(model) if config.layers == "head" else model


def make_data(config: FinetuneConfig) -> tuple[Samples, Samples]:
    """The training pictures, augmented, and those for validation."""
    from gcvit_edu.data.augment import Augmented

    training, validation = (readable(pictures, config.bad_images) for pictures in _pictures(config))
    return (
        Augmented(training, train_transform(config), seed=config.seed),
        Augmented(validation, validation_transform(config), seed=config.seed),
    )


def _pictures(config: FinetuneConfig) -> tuple[Folder, Folder]:
    """The two parts of the folder, as it has them or as a hash of the names makes them."""
    if not config.data:
        raise ValueError("data='' names no folder; add --data FOLDER, one with a folder of pictures for each class")
    return train_and_val(config.data, config.val_share)
