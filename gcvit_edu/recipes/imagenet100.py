"""GC ViT-XXT on a hundred classes of ImageNet, about 127,000 pictures to train on and 5,000 to validate: one GPU.

    python -m gcvit_edu.train imagenet100 --data IMAGENET100 --out runs/imagenet100

Make the folder of links to a hundred classes of ImageNet, in train/ and val/. Papers choose other hundreds, at random
or not, so figures are comparable for the same classes only. The settings are those for ImageNet, except for the
batch, 256, whose rate is 2.5e-4, and 100 epochs.

Expected accuracy: not measured. Two runs with different seeds should agree within 1.8 points: each accuracy near 80 %
has a standard error of 0.6 points from 5,000 pictures alone.
Expected time: not measured; a day or less.
Hardware: one GPU; not run here.
"""

from dataclasses import replace

from gcvit_edu.recipes.imagenet import CONFIG as COMMON
from gcvit_edu.recipes.imagenet import complete as complete
from gcvit_edu.recipes.imagenet import make_data as make_data
from gcvit_edu.recipes.imagenet import make_model as make_model

CONFIG = replace(
    COMMON,
    model="xxtiny",
    image_size=224,
    accumulate=1,
    num_classes=100,
    data="imagenet100",
    epochs=100,
    warmup_epochs=5.0,
    batch_size=256,
    ema_decay=0.9995,
)
