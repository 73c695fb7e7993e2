"""A GC ViT on your own pictures, one folder for each class: fine-tuned from weights, or trained from random ones.

    python -m gcvit_edu.train folder --data PICTURES
    python -m gcvit_edu.train folder --data PICTURES --set weights=tiny --set layers=head --set lr=3e-3
    python -m gcvit_edu.train folder --data PICTURES --set weights= --set model=xxtiny --set image_size=224 \
        --set epochs=100 --set batch_size=128 --set warmup_epochs=5 --set 'crop_scale=(0.3, 1.0)' \
        --set mixup=0.8 --set cutmix=1.0 --set erasing=0.25 --set randaugment_ops=2 --set ema_decay=0.998

PICTURES has train/ and val/ with the folders of the classes, or those folders themselves; then one picture in five
is held out for validation. The first command starts from the shipped nano, which knows drawings of emoji only; the
second from NVIDIA's tiny, which knows ImageNet's photographs and is downloaded, under a licence for
non-commercial use. The third starts from random weights, which takes many more epochs and pictures, and needs the
stronger augmentation in the command.

Expected accuracy, time and hardware: those of your pictures and your machine.
"""

from dataclasses import dataclass, replace

from torch import nn

from gcvit_edu.data.folder import Folder, train_and_val
from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.batches import Samples
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.recipe import make_model as make_untrained
from gcvit_edu.train.transforms import train_transform, validation_transform
from gcvit_edu.weights import image_size_of, variant_of


@dataclass(frozen=True)
class FolderConfig(TrainConfig):
    """A run on pictures in folders. A value of None follows from the weights or the pictures.

    Attributes:
        model: the variant that the weights are of; None for the one in their metadata. It must be named where there are
            no weights, or where they are a file that this package's training has not written.
        num_classes: outputs of the head, which is new; None for one for each class of the pictures.
        image_size: side of the training image, in pixels; None for that of the weights, or the variant's own. At
            another size the windows grow with it, and the tables of relative position bias are resized.
        data: folder of the pictures.
        val_share: share of each class that is held out where data has no train/ and val/.
        weights: a file, or a name: emoji_nano is shipped; xxtiny, xtiny, tiny, small, base are NVIDIA's, downloaded;
            "" for none.
        layers: the layers that are trained: "all", or "head", with all the rest frozen and without drop path.
            layer_decay then changes nothing, as the head has the whole rate.
        layer_decay: a layer's share of the rate of the next one; None for 0.75 with weights, and for 1 without, where
            there is nothing to keep.
    """

    model: str | None = None
    num_classes: int | None = None
    image_size: int | None = None
    data: str = ""
    val_share: float = 0.2
    weights: str = "emoji_nano"
    layers: str = "all"
    layer_decay: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("val_share", 0 < self.val_share < 1, "be above 0 and below 1")
        self._require("layers", self.layers in ("all", "head"), "be 'all' or 'head'")
        frozen = self.layers == "head" and bool(self.drop_path_rate)
        self._require("layers", self.layers == "all" or bool(self.weights), "be 'all' where weights=''")
        self._require("drop_path_rate", not frozen, "be 0 or None where layers='head': frozen layers drop nothing")


CONFIG = FolderConfig(
    epochs=30,
    batch_size=32,
    lr=1e-3,
    warmup_epochs=3.0,
    crop_scale=(0.5, 1.0),
    randaugment_ops=1,
    ema_decay=0.99,
)


def complete(config: FolderConfig) -> FolderConfig:
    """The config with the variant of the weights, its image size and the number of classes, where they were None."""
    if not (config.weights or config.model):
        raise ValueError("weights='' and model=None say nothing of the network; name a model, such as nano")
    variant = config.model or variant_of(config.weights)
    size = config.image_size or image_size_of(config.weights, variant)
    classes = config.num_classes or len(_pictures(config)[0].classes)
    decay = (0.75 if config.weights else 1.0) if config.layer_decay is None else config.layer_decay
    return replace(config, model=variant, image_size=size, num_classes=classes, layer_decay=decay)


def make_model(config: FolderConfig) -> nn.Module:
    """The weights' model with a new head, all but the head frozen if the config says so; or an untrained model."""
    if not config.weights:
        return make_untrained(config)
    from gcvit_edu.zoo import create_model, freeze_all_but_head

    rate = 0.0 if config.layers == "head" else config.drop_path_rate
    try:
        model = create_model(config.model, pretrained=config.weights, image_size=config.image_size, drop_path_rate=rate)
    except ValueError as error:
        raise ValueError(
            f"weights={config.weights!r}, model={config.model!r}, image_size={config.image_size}: {error}. "
            "If the weights are of another variant, set model to it"
        ) from error
    model.reset_classifier(config.num_classes)  # a new one, also where the old one had as many classes
    return freeze_all_but_head(model) if config.layers == "head" else model


def make_data(config: FolderConfig) -> tuple[Samples, Samples]:
    """The training pictures, augmented, and those for validation."""
    from gcvit_edu.data.augment import Augmented

    training, validation = (readable(pictures, config.bad_images) for pictures in _pictures(config))
    return (
        Augmented(training, train_transform(config), seed=config.seed),
        Augmented(validation, validation_transform(config), seed=config.seed),
    )


def _pictures(config: FolderConfig) -> tuple[Folder, Folder]:
    """The two parts of the folder: its own, or those that a hash of the names makes."""
    if not config.data:
        raise ValueError("data='' names no folder; add --data FOLDER, one with a folder of pictures for each class")
    return train_and_val(config.data, config.val_share)
