"""GC ViT-L fine-tuned on ImageNet-1k at 512 pixels, windows 16, 16, 32, 16, from weights trained at 224.

    torchrun --nproc-per-node 8 -m gcvit_edu.train imagenet_large_512 --out runs/large_512 \
        --data IMAGENET --set weights=runs/large/final.safetensors

Paper: 87.6 % top-1, pre-trained on ImageNet-21k, drop path 0.1, 245.0 billion multiply-adds; a counter finds 202.14.
Released: no more is known here.
Here: as imagenet_large_384, from the same weights.

Expected accuracy: unknown; the paper's 87.6 % had other weights to begin with.
Expected time: not measured.
Hardware: written for eight GPUs, not run here; --preflight says whether it fits into yours.
"""

from dataclasses import replace

from gcvit_edu.train.recipes._imagenet import make_data as make_data
from gcvit_edu.train.recipes._imagenet import make_model as make_model
from gcvit_edu.train.recipes.imagenet_large_384 import CONFIG as AT_384

CONFIG = replace(AT_384, model="large_512", image_size=512, accumulate=16)
