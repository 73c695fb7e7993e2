"""GC ViT beside networks without its global query, trained on the same batches.

On the emoji, 13 classes at 64 pixels: the five mixers of gcvit_edu.mixers, each with nano's own windows, where
stages 3 and 4 are one window each, and with windows half as wide in stage 3, so that three stages have several.
That makes ten networks for each seed. Three seeds of 60 epochs took about seven minutes on one H100, all three at once
and beside another training; on a CPU an epoch takes as long as ten epochs of the recipe emoji_nano.
"""

import argparse
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.utils.data import DataLoader

from gcvit_edu.counting import count
from gcvit_edu.experiments.results import Results
from gcvit_edu.experiments.training_ladder import AUGMENTATION
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.interventions import QUERY_CHANGES, changed_query
from gcvit_edu.mixers import MIXERS, NoQuery, with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.train import distributed
from gcvit_edu.train.config import replaced
from gcvit_edu.train.metrics import evaluate
from gcvit_edu.train.mixup import apply_mixup
from gcvit_edu.train.optim import decay_groups, learning_rate
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import load_recipe
from gcvit_edu.variants import VARIANTS

OWN, NARROW = VARIANTS["nano"].window_sizes, (4, 4, 2, 2)
BATCH, PEAK, WEIGHT_DECAY, WARMUP = 128, 1e-3, 0.05, 0.1


def network(mixer: str, windows: tuple[int, ...], *, classes: int, seed: int) -> GCViT:
    """An untrained nano with a mixer and windows, without drop path: only its weights and the pictures are random.

    Args:
        mixer: one of gcvit_edu.mixers.MIXERS.
        windows: side of the window of each stage, in tokens.
        classes: outputs of the head.
        seed: of the weights.
    """
    config = replace(VARIANTS["nano"], window_sizes=windows, num_classes=classes, drop_path_rate=0.0)
    seed_process(seed, 0)
    return with_mixer(GCViT(config), mixer)


def train_together(
    networks: dict[Hashable, GCViT],
    batches: Callable[[int], Iterable[tuple[Tensor, Tensor]]],
    epochs: int,
    steps: int,
) -> dict[Hashable, float]:
    """Train networks on the same batches: AdamW, warm-up and cosine, label smoothing 0.1.

    Args:
        networks: on their device; changed in place, left in eval mode.
        batches: epoch -> batches of one shape, on that device: images (B, 3, H, W), shares of the classes (B, classes).
        epochs: how often batches is called.
        steps: batches in each epoch.

    Returns:
        Each network's mean loss in the last epoch.

    Raises:
        ArithmeticError: if a mean loss is not finite, after the epoch in which that happened.
        ValueError: if batches gives more or fewer of them than steps.
    """
    optimizers = {name: AdamW(decay_groups(net.train(), WEIGHT_DECAY), lr=PEAK) for name, net in networks.items()}
    total = epochs * steps
    quick: dict[Hashable, nn.Module] = {}
    means: dict[Hashable, float] = {}
    for epoch in range(epochs):
        losses = dict.fromkeys(networks, 0.0)
        for step, (images, targets) in zip(range(steps), batches(epoch), strict=True):
            rate = learning_rate(
                epoch * steps + step, total=total, warmup=int(WARMUP * total), first=1e-6, peak=PEAK, last=1e-6
            )
            for name, optimizer in optimizers.items():
                if name not in quick:
                    quick[name] = _quick(networks[name], images)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = F.cross_entropy(quick[name](images), targets, label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[name] = losses[name] + loss.detach()
        means = {name: float(loss) / steps for name, loss in losses.items()}
        print(f"epoch {epoch + 1}/{epochs}", *(f"{mean:.3f}" for mean in means.values()), flush=True)
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise ArithmeticError(f"the loss of {name} is {mean} in epoch {epoch + 1}; lower PEAK={PEAK}")
    for net in networks.values():
        net.eval()
    return means


def _quick(net: GCViT, images: Tensor) -> nn.Module:
    """The same network; on a GPU recorded once and replayed, as small kernels take longer to start than to run."""
    if images.device.type != "cuda":
        return net
    return torch.cuda.make_graphed_callables(net, (torch.zeros_like(images),))


def ablate(seed: int, epochs: int, place: distributed.Place, workers: int = 0) -> Iterator[dict[str, Any]]:
    """Train all mixers with both kinds of windows -> a line for each, scored on the held-out emoji.

    Args:
        seed: of weights, order and augmentation.
        epochs: passes over the training pictures.
        place: the device.
        workers: processes that load pictures.
    """
    recipe = load_recipe("emoji_nano")
    config = replaced(recipe.config, AUGMENTATION | {"seed": seed})
    training, validation = recipe.make_data(config)
    networks = {
        (windows, mixer): network(mixer, windows, classes=config.num_classes, seed=seed).to(place.device)
        for windows in (OWN, NARROW)
        for mixer in MIXERS
    }
    lasting = {"num_workers": workers, "persistent_workers": workers > 0}
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(training, BATCH, shuffle=True, drop_last=True, generator=order, **lasting)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        training.set_epoch(seed * epochs + epoch)
        for step, (images, labels) in enumerate(loader):
            images, targets = apply_mixup(images, labels, config, epoch, step)
            if targets.ndim == 1:  # this batch was not mixed
                targets = F.one_hot(targets, config.num_classes).float()
            yield images.to(place.device), targets.to(place.device)

    losses = train_together(networks, batches, epochs, len(loader))
    images, labels = next(iter(DataLoader(validation, len(validation), num_workers=workers)))
    for (windows, mixer), net in networks.items():
        counts, scores = count(net), query_scores(net, images, labels, place)
        yield {
            "windows": windows,
            "mixer": mixer,
            "seed": seed,
            "epochs": epochs,
            "parameters": counts.parameters,
            "multiply_adds": counts.multiply_adds,
            "train_loss": round(losses[windows, mixer], 4),
            "top1": scores.pop("unchanged"),
            "changed": scores,
        }


def query_scores(
    net: GCViT, images: Tensor, labels: Tensor, place: distributed.Place, stages: Sequence[int] | None = None
) -> dict[str, float]:
    """Top-1 accuracy with each change of QUERY_CHANGES; only "unchanged" where there is no query.

    The images are shuffled, always the same way, so that an image's neighbour in its batch has any class.

    Args:
        net: in eval mode.
        images: (N, 3, H, W).
        labels: (N,).
        place: the device.
        stages: indices of the stages whose queries are changed, from 0; None for all.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    if isinstance(net.stages[0].query, NoQuery):
        stages = []
    scores = {}
    names = list(QUERY_CHANGES) if stages is None or len(stages) else ["unchanged"]
    for name in names:
        with changed_query(net, lambda query, name=name: QUERY_CHANGES[name](query, 0), stages):
            parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
            scores[name] = round(evaluate(net, parts, net.num_classes, place).top1, 4)
    return scores


def read_ablations(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that main wrote; None reads the one in data/runs: 60 epochs, 3 seeds."""
    return read_lines(path or data_folder("runs") / "ablations.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with several seeds, except those that are in the file already."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments query_ablations", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, one for each network")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=0, help="processes that load pictures")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args(arguments)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; on a CPU it changes nothing
    place = distributed.start(options.device)
    results = Results(options.out)
    for seed in options.seeds:
        if not results.has(seed=seed, epochs=options.epochs):
            results.add(*ablate(seed, options.epochs, place, options.workers))
