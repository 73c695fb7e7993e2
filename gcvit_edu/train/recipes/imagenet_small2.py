"""GC ViT-S2 on ImageNet-1k at 224 pixels: 68 million parameters, 10.7 billion multiply-adds.

The multiply-adds are those published; a counter finds 11.54 billion, not 10.7.

    torchrun --nproc-per-node 8 -m gcvit_edu.train imagenet_small2 --data IMAGENET --out runs/small2

Paper: 84.8 % top-1, drop path 0.35.
Released: batch 1024 (32 GPUs with 32 each), peak rate 5e-3, in the first configs 1e-3.
The text: a peak rate of 1e-3, a fifth of it.
Here: batch 1024 with a peak rate of 1e-3; each GPU of eight takes its 128 pictures in four parts of 32.
The reasons, and all that the variants share, are in recipes/_imagenet.py.

Expected accuracy: 84.8 % top-1 is the paper's figure, not ours.
Expected time: not measured; estimate it with `python -m gcvit_edu.train.cost small2 --gpu A100 --count 8`.
Hardware: written for eight GPUs, not run here; --preflight says whether it fits into yours.
"""

from dataclasses import replace

from gcvit_edu.train.recipes._imagenet import CONFIG as COMMON
from gcvit_edu.train.recipes._imagenet import make_data as make_data
from gcvit_edu.train.recipes._imagenet import make_model as make_model

CONFIG = replace(COMMON, model="small2", accumulate=4)
