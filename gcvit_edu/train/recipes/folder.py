"""Any GC ViT on your own pictures: data/train/<class>/ and data/val/<class>/.

    python -m gcvit_edu.train folder --data PICTURES --set num_classes=5 --set model=xxtiny --set image_size=224

Expected accuracy, time and hardware: those of your pictures and your machine.
"""

from dataclasses import dataclass

from gcvit_edu.train.bad_images import readable
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.recipe import make_model as make_model
from gcvit_edu.train.samples import Samples
from gcvit_edu.train.transforms import train_transform, validation_transform


@dataclass(frozen=True)
class FolderConfig(TrainConfig):
    """A run on pictures in folders.

    Args:
        data: folder with train/<class>/ and val/<class>/.

    Raises:
        ValueError: for a value of the wrong type or out of its range.
    """

    data: str = "pictures"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("data", bool(self.data), "name a folder")


CONFIG = FolderConfig(mixup=0.8, cutmix=1.0, randaugment_ops=2, erasing=0.25, ema_decay=0.998)


def make_data(config: FolderConfig) -> tuple[Samples, Samples]:
    """The pictures of data/train, augmented, and those of data/val."""
    from gcvit_edu.data.augment import Augmented
    from gcvit_edu.data.folder import train_and_val

    training, validation = (readable(pictures, config.bad_images) for pictures in train_and_val(config.data))
    return (
        Augmented(training, train_transform(config), seed=config.seed),
        Augmented(validation, validation_transform(config), seed=config.seed),
    )
