"""Any GC ViT on your own pictures: root/train/<class>/ and root/val/<class>/.

    python -m gcvit_edu.train folder --set root=PICTURES num_classes=5 model=xxtiny image_size=224

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
        root: folder with train/<class>/ and val/<class>/.
    """

    root: str = "pictures"


CONFIG = FolderConfig(mixup=0.8, cutmix=1.0, randaugment_ops=2, erasing=0.25, ema_decay=0.998)


def make_data(config: FolderConfig) -> tuple[Samples, Samples]:
    """The pictures of root/train, augmented, and those of root/val."""
    from gcvit_edu.data.augment import Augmented
    from gcvit_edu.data.folder import train_and_val

    training, validation = (readable(pictures, config.bad_images) for pictures in train_and_val(config.root))
    return (
        Augmented(training, train_transform(config), seed=config.seed),
        Augmented(validation, validation_transform(config), seed=config.seed),
    )
