"""Training speed beside timm's model, through the same step: python -m gcvit_edu.bench training --help."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gcvit_edu.bench.device import random_parts
from gcvit_edu.train import distributed
from gcvit_edu.train.arguments import add_settings, parse
from gcvit_edu.train.config import TrainConfig, changed
from gcvit_edu.train.recipe import make_model
from gcvit_edu.train.run import begin
from gcvit_edu.train.step import train_step


@dataclass(frozen=True)
class Throughput:
    """Images per second of both models, medians of rounds in which they took turns.

    Attributes:
        ours: of this package's model.
        timm: of timm's.
    """

    ours: float
    timm: float

    @property
    def ratio(self) -> float:
        """Our speed over timm's."""
        return self.ours / self.timm


def timm_twin(config: TrainConfig) -> nn.Module:
    """The GC ViT of timm with the numbers of the model that a config names.

    Raises:
        ValueError: if the image is no multiple of 32, which timm's needs.
    """
    if config.image_size % 32:
        raise ValueError(f"timm's GC ViT cannot run at image_size={config.image_size}; use a multiple of 32")
    from timm.models.gcvit import GlobalContextVit  # timm takes seconds to import

    ours = make_model(config).config
    return GlobalContextVit(
        img_size=ours.image_size,
        window_size=tuple((window, window) for window in ours.window_sizes),
        num_classes=ours.num_classes,
        embed_dim=ours.embed_dim,
        depths=ours.depths,
        num_heads=ours.num_heads,
        mlp_ratio=ours.mlp_ratio,
        drop_path_rate=ours.drop_path_rate,
        layer_scale=ours.layer_scale,
    )


def compare(config: TrainConfig, rounds: int = 7) -> Throughput:
    """Time train_step of the loop for our model and for timm's, on the same random pictures, in turns.

    Args:
        config: model, size, batch size, precision and everything else of the step.
        rounds: timed steps of each, after one that is not timed.
    """
    return Throughput(**_images_per_second({"ours": make_model, "timm": timm_twin}, config, rounds))


def _images_per_second(
    makers: Mapping[str, Callable[[TrainConfig], nn.Module]], config: TrainConfig, rounds: int
) -> dict[str, float]:
    """Median images per second of each model, over rounds in which they take turns."""
    place = distributed.start(config.device)
    parts = random_parts(config)
    runs = {}
    for name, make in makers.items():
        run = begin(make, config, place.device)
        run.model.train()
        runs[name] = (run, torch.compile(run.model) if config.compile else run.model)
    # A step returns before a GPU has updated the weights, which would count as the other model's time.
    wait = torch.cuda.synchronize if place.device.type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, (run, network) in runs.items():
            start = time.perf_counter()
            train_step(run, network, parts, config.lr_last, config, place)
            wait()
            seconds[name].append(time.perf_counter() - start)
    images = sum(len(labels) for _, labels in parts)
    return {name: images / statistics.median(times[1:]) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, print it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.bench training", description=__doc__)
    add_settings(parser)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="timed steps of each model (7)")
    options = parse(parser, arguments)
    try:
        if options.rounds < 1:
            raise ValueError(f"--rounds {options.rounds} must be at least 1")
        config = changed(TrainConfig(batch_size=64), options.settings)
        found = compare(config, options.rounds)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"GC ViT {config.model} at {config.image_size} pixels, batches of {config.batch_size}, a whole training step")
    print(f"ours {found.ours:.1f} images/s, timm {found.timm:.1f} images/s, ratio {found.ratio:.2f}")
    return 0
