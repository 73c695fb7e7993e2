"""GC ViT-XXT on Imagenette, ten easy classes of ImageNet (9,469 pictures to train on, 3,925 to validate): one GPU.

    python -m gcvit_edu.train imagenette --data imagenette2 --out runs/imagenette

The data are fast.ai's (github.com/fastai/imagenette), with ImageNet's layout and its terms: no commercial use.
No result of GC ViT is published for it. The settings are those for ImageNet, except for the batch, 128, whose rate is
1.25e-4, 100 epochs, and a quicker average, as there are only 73 steps in an epoch.

Expected accuracy: not measured. Two runs with different seeds should agree within 1.5 points: each accuracy near 90 %
has a standard error of 0.5 points from 3,925 pictures alone.
Expected time: not measured; hours.
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
    num_classes=10,
    data="imagenette2",
    epochs=100,
    warmup_epochs=5.0,
    batch_size=128,
    ema_decay=0.998,
    eval_every=5,
    save_every=0,
)
