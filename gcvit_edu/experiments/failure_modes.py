"""Faulty runs, made on purpose, to know their curves: python -m gcvit_edu.experiments failure_modes --help.

All train nano on the emoji at 32 pixels, not augmented and on white, through the package's train_step. Each faulty
run differs from the healthy one only by the fault in its name.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcvit_edu.attention import GlobalWindowAttention, attend
from gcvit_edu.data import Emoji, crop_to, normalize, on_colour
from gcvit_edu.experiments.results import Results
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.metrics import evaluate
from gcvit_edu.train.optim import learning_rate
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import make_model
from gcvit_edu.train.run import NonFiniteLoss, begin
from gcvit_edu.train.step import train_step

HEALTHY = TrainConfig(num_classes=13, image_size=32, batch_size=32, lr=1e-3, device="cpu", channels_last=False)
WARMUP = 1  # epoch
CASES: dict[str, dict[str, float]] = {
    "healthy": {},
    "30 times the rate": {"rate": 30.0},
    "no warm-up": {"warmup": 0.0},
    "5 times the rate": {"rate": 5.0},
    "5 times, no warm-up": {"rate": 5.0, "warmup": 0.0},
    "wrong query": {"wrong": True},
}
POINTS = 8  # of the curve, in an epoch


def attend_to_the_wrong_query(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> Tensor:
    """Attend with queries tiled image by image, where the windows lie image by image: 0, 1, 0, 1 for 0, 0, 1, 1.

    This is the bug that NVIDIA's code and timm's had. With one image nothing is wrong; with more, a window uses the
    query of another image.

    Args:
        q: (B, h, T, d), the global query of each image.
        k: (B*N, h, T, d), windows image-major.
        v: as k.
        bias: (h, T, T), added to the logits.
        real: (N, T), False for padded tokens.
    """
    return attend(q.repeat(k.shape[0] // q.shape[0], 1, 1, 1), k, v, bias, real)


def with_queries_tiled(model: nn.Module) -> nn.Module:
    """The model, changed in place: all its global blocks have the bug now."""
    for module in model.modules():
        if isinstance(module, GlobalWindowAttention):
            module.attend = attend_to_the_wrong_query
    return model


def repaired(model: nn.Module) -> nn.Module:
    """The same model without the bug: it then answers as with one picture at a time, where the bug has no effect."""
    for module in model.modules():
        if isinstance(module, GlobalWindowAttention):
            vars(module).pop("attend", None)
    return model


def plain_emoji(split: str, size: int) -> tuple[Tensor, Tensor]:
    """All drawings of a split on white: (n, 3, size, size), and their labels (n,)."""
    emoji = Emoji(split)
    pictures = [normalize(crop_to(on_colour(image), size)) for image, _ in emoji]
    return torch.cat(pictures), torch.tensor([drawing.label for drawing in emoji.drawings])


def held_out_top1(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in shuffled batches: sorted by class, a wrong query would come from a picture of the same class.

    Args:
        model: images -> logits (B, 13).
        images: (n, 3, size, size), normalised.
        labels: (n,).
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = (values[order].split(HEALTHY.batch_size) for values in (images, labels))
    return evaluate(model, zip(*parts, strict=True), HEALTHY.num_classes, Place(0, 1, torch.device("cpu"))).top1


def run_case(case: str, *, seed: int, epochs: int, pictures: int | None = None) -> dict[str, Any]:
    """Train one case -> a line of the log.

    Args:
        case: one of CASES.
        seed: of the weights and of the order.
        epochs: passes over the training pictures.
        pictures: number to take from each set; None takes all.

    Returns:
        case, seed, epochs; loss and norm (of the gradient, before clipping), means over an eighth of an epoch each;
        top1 after each epoch; repaired, the accuracy at the end with the bug removed, if the case has it. A run whose
        loss is no longer finite ends there, and has the number of that step in died.

    Raises:
        ValueError: for an unknown case.
    """
    if case not in CASES:
        raise ValueError(f"there is no case {case!r}; there are {', '.join(CASES)}")
    changes = CASES[case]
    (images, labels), held_out = (
        tuple(values[:pictures] for values in plain_emoji(split, HEALTHY.image_size)) for split in ("train", "test")
    )
    seed_process(seed, 0)
    run = begin(make_model, HEALTHY, torch.device("cpu"))
    if changes.get("wrong"):
        with_queries_tiled(run.model)
    run.model.train()
    per_epoch = len(images) // HEALTHY.batch_size
    plan = {
        "total": epochs * per_epoch,
        "warmup": round(changes.get("warmup", WARMUP) * per_epoch),
        "first": HEALTHY.lr_first,
        "peak": HEALTHY.lr * changes.get("rate", 1.0),
        "last": HEALTHY.lr_last,
    }
    line: dict[str, Any] = {"case": case, "seed": seed, "epochs": epochs, "loss": [], "norm": [], "top1": []}
    place = Place(0, 1, torch.device("cpu"))
    losses, norms = [], []
    for _ in range(epochs):
        order = torch.randperm(len(images)).split(HEALTHY.batch_size)[:per_epoch]
        for number, batch in enumerate(order, start=1):
            try:
                rate = learning_rate(run.step, **plan)
                loss, norm = train_step(run, run.model, [(images[batch], labels[batch])], rate, HEALTHY, place)
            except NonFiniteLoss:
                return line | {"died": run.step + 1}
            losses.append(loss.item())
            norms.append(norm.item())
            if number * POINTS // per_epoch > (number - 1) * POINTS // per_epoch:
                for key, values in (("loss", losses), ("norm", norms)):
                    line[key].append(round(sum(values) / len(values), 4))
                    values.clear()
        line["top1"].append(round(held_out_top1(run.model, *held_out), 4))
    return line | {"repaired": round(held_out_top1(repaired(run.model), *held_out), 4)}


def read_failure_modes(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that main wrote; None reads the one in data/runs."""
    return read_lines(path or data_folder("runs") / "sick.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases, except those whose lines are in the file already."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments failure_modes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, one for each run")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    results = Results(options.out)
    for seed, case in itertools.product(range(options.seeds), CASES):
        if not results.has(case=case, seed=seed, epochs=options.epochs):
            results.add(run_case(case, seed=seed, epochs=options.epochs))
