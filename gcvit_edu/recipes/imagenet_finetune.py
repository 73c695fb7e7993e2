"""GC ViT-L fine-tuned on ImageNet-1k at 384 or 512 pixels, from weights trained at 224.

    torchrun --nproc-per-node 8 -m gcvit_edu.train imagenet_finetune --out runs/large_384 \
        --data IMAGENET --set weights=runs/large/final.safetensors
    torchrun --nproc-per-node 8 -m gcvit_edu.train imagenet_finetune --out runs/large_512 \
        --data IMAGENET --set weights=runs/large/final.safetensors --set model=large_512

| model | windows | multiply-adds | the paper's top-1 | drop path | parts of a GPU's 64 pictures here |
|---|---|---|---|---|---|
| large_384 | 12, 12, 24, 12 | 120.4 billion (counted: 103.94) | 87.4 % | 0.1 | 8 |
| large_512 | 16, 16, 32, 16 | 245.0 billion (counted: 202.14) | 87.6 % | 0.1 | 16 |

The paper pre-trained on ImageNet-21k. Released: a peak rate of 1e-3 at 384 pixels; nothing is known here for 512.
Here: no ImageNet-21k, so this is not the paper's run; it begins with the weights of the recipe imagenet. A rate of 1e-3
would destroy what those weights have learned. Rate and length are ConvNeXt's for the same step: 5e-5 at batch 512, 30
epochs, no warm-up (facebookresearch/ConvNeXt, TRAINING.md). The rest is as at 224, except that the whole square is
validated.

Expected accuracy: unknown; the paper's 87.4 % and 87.6 % had other weights to begin with.
Expected time: not measured.
Hardware: written for eight GPUs, not run here; --preflight says whether it fits into yours.
"""

from dataclasses import replace

from gcvit_edu.recipes.imagenet import CONFIG as FROM_RANDOM
from gcvit_edu.recipes.imagenet import complete as complete
from gcvit_edu.recipes.imagenet import make_data as make_data
from gcvit_edu.recipes.imagenet import make_model as make_model

CONFIG = replace(
    FROM_RANDOM,
    model="large_384",
    epochs=30,
    warmup_epochs=0.0,
    batch_size=512,
    base_lr=1e-4,
    crop_ratio=1.0,
    weights="runs/large/final.safetensors",
)
