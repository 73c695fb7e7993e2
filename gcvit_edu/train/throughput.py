"""Training speed beside timm's model, through the same step: python -m gcvit_edu.train.throughput --help."""

import argparse
import itertools
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gcvit_edu.train import dist
from gcvit_edu.train.alone import MODES, alone, random_parts
from gcvit_edu.train.arguments import add_settings, parse
from gcvit_edu.train.config import TrainConfig, changed, replaced
from gcvit_edu.train.loop import train_step
from gcvit_edu.train.recipe import load_recipe, make_model
from gcvit_edu.train.run import begin

EXAMPLE = "One GPU in three minutes: --alone imagenet_tiny --modes train eval --compile --json speed.jsonl"
# One device's batch at most; and no learning, as a small batch's rate would be below the last one.
ALONE = {"batch_size": 256, "accumulate": 1, "lr_first": 0.0, "lr_last": 0.0}


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
    """Medians of rounds in which the models take turns."""
    place = dist.start(config.device)
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


def configs_of(recipes: Sequence[str], settings: Sequence[str]) -> list[TrainConfig]:
    """What to measure alone: each recipe's config with a batch for one device, or the settings' without a recipe.

    Raises:
        ValueError: for an unknown recipe or setting.
    """
    bases = [replaced(load_recipe(name).config, ALONE) for name in recipes]
    return [changed(base, settings) for base in bases or [TrainConfig(batch_size=64)]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, print it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.train.throughput", description=__doc__, epilog=EXAMPLE)
    add_settings(parser)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="timed steps of each model, or block (7)")
    parser.add_argument(
        "--alone", nargs="*", metavar="RECIPE", help="our model only, with the config of recipes, in batches that fit"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["train"], help="alone only: train, eval or both")
    parser.add_argument("--compile", action="store_true", help="alone only: each with torch.compile as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="alone only: append a line there for each result")
    options = parse(parser, arguments)
    try:
        if options.rounds < 1:
            raise ValueError(f"--rounds {options.rounds} must be at least 1")
        if options.alone is not None:
            return _all_alone(configs_of(options.alone, options.settings), options)
        config = changed(TrainConfig(batch_size=64), options.settings)
        found = compare(config, options.rounds)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"GC ViT {config.model} at {config.image_size} pixels, batches of {config.batch_size}, a whole training step")
    print(f"ours {found.ours:.1f} images/s, timm {found.timm:.1f} images/s, ratio {found.ratio:.2f}")
    return 0


def _all_alone(configs: list[TrainConfig], options: argparse.Namespace) -> int:
    """Each config in each mode and graph; a failed one does not end the others. Returns the exit code."""
    failed = 0
    for config, mode in itertools.product(configs, options.modes):
        for compiled in sorted({config.compile, config.compile or options.compile}):
            try:
                found = alone(replaced(config, {"compile": compiled}), mode, options.rounds)
            except (ValueError, RuntimeError) as error:  # a compiler's errors are the latter
                failed += 1
                graph = "compiled" if compiled else "eager"
                reason = (str(error).strip().splitlines() or [repr(error)])[0]
                print(f"failed: {config.model} at {config.image_size}, {mode}, {graph}: {reason}", file=sys.stderr)
                continue
            print(found, flush=True)
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found.record()) + "\n")
            if mode == "train":
                command = f"python -m gcvit_edu.train.cost {config.model} --count 8 --gpu {shlex.quote(found.card)}"
                print(f"  cost with eight: {command} --images-per-second {found.images_per_second:.0f}")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
