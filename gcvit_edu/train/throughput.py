"""Training speed beside timm's model, through the same step: python -m gcvit_edu.train.throughput --help."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from timm.models.gcvit import GlobalContextVit
from torch import nn

from gcvit_edu.train import dist
from gcvit_edu.train.config import TrainConfig, changed
from gcvit_edu.train.loop import train_step
from gcvit_edu.train.recipe import make_model
from gcvit_edu.train.run import begin
from gcvit_edu.train.speed import memory_mb

EXAMPLE = "One GPU in a few minutes: --alone --rounds 50 --set model=tiny image_size=224 batch_size=128 amp=true"


@dataclass(frozen=True)
class Throughput:
    """Images per second of both, medians of rounds in which they took turns."""

    ours: float
    timm: float

    @property
    def ratio(self) -> float:
        """How many times as fast as timm we are."""
        return self.ours / self.timm


def timm_twin(config: TrainConfig) -> nn.Module:
    """Timm's GC ViT with the numbers of the model that a config names.

    Raises:
        ValueError: if the image is no multiple of 32, which timm's needs.
    """
    if config.image_size % 32:
        raise ValueError(f"timm's GC ViT cannot run at image_size={config.image_size}; use a multiple of 32")
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


def alone(config: TrainConfig, rounds: int = 7) -> float:
    """Images per second of our model in the same steps: what one device trains on when the loader never waits."""
    return _images_per_second({"ours": make_model}, config, rounds)["ours"]


def _images_per_second(
    makers: Mapping[str, Callable[[TrainConfig], nn.Module]], config: TrainConfig, rounds: int
) -> dict[str, float]:
    """Medians of rounds in which the models take turns."""
    place = dist.start(config.device)
    generator = torch.Generator().manual_seed(config.seed)
    size = (config.batch_size // config.accumulate, 3, config.image_size, config.image_size)
    parts = [
        (torch.randn(size, generator=generator), torch.randint(config.num_classes, size[:1], generator=generator))
        for _ in range(config.accumulate)
    ]
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
    images = size[0] * config.accumulate
    return {name: images / statistics.median(times[1:]) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> Throughput | float:
    """Measure what the command line asks for, print it, and return it."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.train.throughput", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="timed steps of each model (7)")
    parser.add_argument("--alone", action="store_true", help="our model only, and how to turn the result into a cost")
    options = parser.parse_args(arguments)
    try:
        config = changed(TrainConfig(batch_size=64), options.settings)
        if options.rounds < 1:
            raise ValueError(f"--rounds {options.rounds} must be at least 1")
        found = alone(config, options.rounds) if options.alone else compare(config, options.rounds)
    except ValueError as error:
        parser.error(str(error))
    print(f"GC ViT {config.model} at {config.image_size} pixels, batches of {config.batch_size}, a whole training step")
    if isinstance(found, Throughput):
        print(f"ours {found.ours:.1f} images/s, timm {found.timm:.1f} images/s, ratio {found.ratio:.2f}")
        return found
    device = dist.own_device(config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{found:.1f} images/s on this {name}, {memory_mb(device)} MB at most, without loading pictures")
    command = f"python -m gcvit_edu.train.cost {config.model} --count 8"
    print(f"cost on ImageNet with eight: {command} --gpu {name!r} --images-per-second {found:.0f}")
    return found


if __name__ == "__main__":
    main()
