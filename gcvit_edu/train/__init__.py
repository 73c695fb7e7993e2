"""One training loop for laptop and cluster: python -m gcvit_edu.train --help."""

from gcvit_edu.files import read_log
from gcvit_edu.train.batches import Samples
from gcvit_edu.train.checkpoint import latest_valid, load
from gcvit_edu.train.config import TrainConfig, changed
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.loop import train
from gcvit_edu.train.metrics import Scores, evaluate
from gcvit_edu.train.mixup import apply_mixup
from gcvit_edu.train.optim import (
    decay_at,
    decay_groups,
    layer_depths,
    learning_rate,
    make_ema,
    make_optimizer,
    update_ema,
)
from gcvit_edu.train.recipe import Recipe, load_recipe, recipe_names
from gcvit_edu.train.run import NonFiniteLoss, Run
from gcvit_edu.train.step import train_step

__all__ = [
    "NonFiniteLoss",
    "Place",
    "Recipe",
    "Run",
    "Samples",
    "Scores",
    "TrainConfig",
    "apply_mixup",
    "changed",
    "decay_at",
    "decay_groups",
    "evaluate",
    "latest_valid",
    "layer_depths",
    "learning_rate",
    "load",
    "load_recipe",
    "make_ema",
    "make_optimizer",
    "read_log",
    "recipe_names",
    "train",
    "train_step",
    "update_ema",
]
