"""The gain of each addition to a plain training loop, measured on the emoji."""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from torch.optim import AdamW
from torch.utils.data import DataLoader, Subset

from gcvit_edu.experiments.results import Results
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.train.config import replaced
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.metrics import evaluate
from gcvit_edu.train.mixup import apply_mixup
from gcvit_edu.train.optim import decay_at, decay_groups, learning_rate, make_ema, update_ema
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import load_recipe

# Each rung keeps the additions of the rungs before it. All rungs keep an average of the weights, which changes none.
RUNGS = ("naked", "schedule", "groups", "augmentation", "mixing")
PEAK, BATCH, WEIGHT_DECAY, AVERAGE = 1e-3, 128, 0.05, 0.99
# Mild, for short runs; the recipe's own augmentation may be stronger.
AUGMENTATION = {
    "drop_path_rate": 0.1,
    "crop_scale": (0.6, 1.0),
    "flip": 0.5,
    "randaugment_ops": 1,
    "randaugment_magnitude": 9,
    "erasing": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "mix_prob": 0.3,
}


def train_rung(rung: str, *, seed: int, epochs: int, pictures: int | None = None) -> dict[str, Any]:
    """Train nano on the emoji with the additions up to a rung -> its scores on the held-out emoji.

    Args:
        rung: one of RUNGS.
        seed: of weights, order and augmentation.
        epochs: passes over the training pictures.
        pictures: number to take for training, and for validation; None takes all.

    Returns:
        A line of the log: rung, seed, epochs, train_loss (mean of the last epoch), top1 and average_top1.

    Raises:
        ValueError: for an unknown rung.
    """
    if rung not in RUNGS:
        raise ValueError(f"there is no rung {rung!r}; there are {', '.join(RUNGS)}")
    has = {name: RUNGS.index(name) <= RUNGS.index(rung) for name in RUNGS}
    recipe = load_recipe("emoji_nano")
    config = replaced(recipe.config, AUGMENTATION)
    training, validation = recipe.make_data(config)
    if not has["augmentation"]:
        training.transform = validation.transform  # on white, whole, unchanged
    training_part, validation_part = (
        Subset(samples, range(min(len(samples), pictures or len(samples)))) for samples in (training, validation)
    )

    seed_process(seed, 0)
    model = recipe.make_model(config).train()
    ema = make_ema(model)
    groups = decay_groups(model, WEIGHT_DECAY) if has["groups"] else model.parameters()
    optimizer = AdamW(groups, lr=PEAK, weight_decay=WEIGHT_DECAY)
    total = epochs * (len(training_part) // BATCH)
    place, steps, losses = Place(0, 1, torch.device("cpu")), itertools.count(), []
    for epoch in range(epochs):
        training.set_epoch(seed * epochs + epoch)
        losses = []
        for images, labels in DataLoader(training_part, BATCH, shuffle=True, drop_last=True):
            step = next(steps)
            rate = PEAK
            if has["schedule"]:
                rate = learning_rate(step, total=total, warmup=total // 10, first=1e-6, peak=PEAK, last=5e-6)
            for group in optimizer.param_groups:
                group["lr"] = rate
            if has["mixing"]:
                images, labels = apply_mixup(images, labels, config, seed, step)
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1 if has["mixing"] else 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            update_ema(ema, model, decay_at(step, AVERAGE))
            losses.append(loss.item())
    batches = DataLoader(validation_part, BATCH)
    scores = [evaluate(network, batches, config.num_classes, place).top1 for network in (model, ema)]
    return {
        "rung": rung,
        "seed": seed,
        "epochs": epochs,
        "train_loss": round(sum(losses) / len(losses), 4),
        "top1": round(scores[0], 4),
        "average_top1": round(scores[1], 4),
    }


def read_ladder(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that main wrote; None reads the one in data/runs: 20 epochs, 3 seeds."""
    return read_lines(path or data_folder("runs") / "ladder.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all rungs with several seeds, except those whose lines are in the file already."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments training_ladder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, one for each run")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    results = Results(options.out)
    for seed, rung in itertools.product(range(options.seeds), RUNGS):
        if not results.has(rung=rung, seed=seed, epochs=options.epochs):
            results.add(train_rung(rung, seed=seed, epochs=options.epochs))
