"""One training loop for laptop and cluster: python -m gcvit_edu.train --help."""

from gcvit_edu.files import read_log
from gcvit_edu.train.batches import Samples
from gcvit_edu.train.checkpoint import load, newest_whole
from gcvit_edu.train.config import TrainConfig, changed
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.loop import train, train_step
from gcvit_edu.train.metrics import Scores, evaluate
from gcvit_edu.train.mixup import mix
from gcvit_edu.train.optim import (
    average_of,
    decay_at,
    decay_groups,
    layer_depths,
    learning_rate,
    make_optimizer,
    update_average,
)
from gcvit_edu.train.recipe import Recipe, load_recipe, recipe_names
from gcvit_edu.train.run import NonFiniteLoss, Run

__all__ = [
    "NonFiniteLoss",
    "Place",
    "Recipe",
    "Run",
    "Samples",
    "Scores",
    "TrainConfig",
    "average_of",
    "changed",
    "decay_at",
    "decay_groups",
    "evaluate",
    "layer_depths",
    "learning_rate",
    "load",
    "load_recipe",
    "make_optimizer",
    "mix",
    "newest_whole",
    "read_log",
    "recipe_names",
    "train",
    "train_step",
    "update_average",
]
