"""The speed at which one device trains or evaluates our model when it never waits for pictures."""

import argparse
import gc
import itertools
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.hardware import memory_mb, peak_of, versions
from gcvit_edu.train import distributed
from gcvit_edu.train.arguments import add_settings, parse
from gcvit_edu.train.config import TrainConfig, changed, replaced
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.recipe import load_recipe, make_model
from gcvit_edu.train.run import Run, begin
from gcvit_edu.train.step import train_step
from gcvit_edu.train.stopwatch import operations_per_image
from gcvit_edu.variants import VARIANTS
from gcvit_edu.weights import image_size_of

EXAMPLE = "One GPU in three minutes: imagenet --models tiny --modes train eval --compile --json speed.jsonl"
MODES = ("train", "eval")
# One device's batch at most; and no learning, as a small batch's rate would be below the last one.
ONE_DEVICE = {"batch_size": 256, "accumulate": 1, "lr_first": 0.0, "lr_last": 0.0}
BLOCKS = 3


@dataclass(frozen=True)
class Measured:
    """The speed and the memory of one model on one device, measured on random pictures.

    Attributes:
        mode: "train", whole steps of the loop with their update, or "eval", logits only.
        images_per_second: the median of three blocks of steps, one after the other without a pause.
        slowest: of the three.
        fastest: of the three.
        first_seconds: of the first step, in which torch.compile compiles.
        memory_mb: most memory that PyTorch used, of a GPU; of a CPU's process, with all that came before.
        mfu: share of the device's peak that the model's own products and convolutions make up; None where the peak
            is not known: on CPUs, on other cards, and without amp.
        card: name of the GPU, or "CPU".
        config: what was run; its batch_size is the one that fitted.
        versions: of Python, torch and other packages.
    """

    mode: str
    images_per_second: float
    slowest: float
    fastest: float
    first_seconds: float
    memory_mb: float | None
    mfu: float | None
    card: str
    config: TrainConfig
    versions: dict[str, str]

    def __str__(self) -> str:
        graph = "compiled" if self.config.compile else "eager"
        precision = "amp" if self.config.amp else "float32"
        share = "" if self.mfu is None else f", MFU {self.mfu:.1%}"
        return (
            f"{self.config.model} at {self.config.image_size}, {self.mode}, {graph}, {precision}, batch "
            f"{self.config.batch_size}: {self.images_per_second:.1f} images/s ({self.slowest:.1f} to "
            f"{self.fastest:.1f}), {self.memory_mb} MB at most{share}; {self.card}"
        )

    def record(self) -> dict[str, Any]:
        """The measurement as a dictionary for JSON."""
        return asdict(self)


def device_throughput(config: TrainConfig, mode: str = "train", rounds: int = 7) -> Measured:
    """Measure our model on one device, with the largest batch that fits: config.batch_size, halved until it does.

    Each half is rounded down to a whole number of equal, even parts. The steps are the loop's, with its precision,
    layout, mixing, clipping and average of the weights; no picture is read from a disk.

    Args:
        config: of the planned run. Its data and device are not checked here: --preflight does that.
        mode: "train" or "eval".
        rounds: steps of each of three blocks, after two that are not timed.

    Raises:
        ValueError: for an unknown mode, no round, a batch_size that is no multiple of accumulate, and where not even
            the smallest batch fits.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown; use {' or '.join(MODES)}")
    if rounds < 1:
        raise ValueError(f"rounds={rounds} must be at least 1")
    if config.batch_size % config.accumulate:
        raise ValueError(
            f"batch_size={config.batch_size} must be a multiple of accumulate={config.accumulate}, of equal parts"
        )
    place = distributed.start(config.device)
    while True:
        try:
            return _measure(config, mode, rounds, place)
        except torch.OutOfMemoryError as error:
            smaller = config.batch_size // 2
            smaller -= smaller % (2 * config.accumulate)  # equal parts, each of an even number, which mixing pairs
            if smaller < 2 * config.accumulate:
                raise ValueError(
                    f"{config.model} at {config.image_size} pixels does not fit with batch_size={config.batch_size}: "
                    f"{str(error).partition('. ')[0]}; set grad_checkpointing=True, or take a smaller model"
                ) from error
        config = replace(config, batch_size=smaller)


def _measure(config: TrainConfig, mode: str, rounds: int, place: Place) -> Measured:
    torch.compiler.reset()  # else other models' graphs count against the compiler's limit
    gc.collect()
    torch.cuda.empty_cache()  # the rest of an attempt that did not fit; without a GPU nothing happens
    cuda = place.device.type == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    run = begin(make_model, config, place.device)
    step, images = _step(run, config, mode, place)
    start = time.perf_counter()
    step()
    wait()
    first = time.perf_counter() - start
    step()
    rates = []
    for _ in range(BLOCKS):
        wait()
        start = time.perf_counter()
        for _ in range(rounds):
            step()
        wait()
        rates.append(rounds * images / (time.perf_counter() - start))
    slowest, median, fastest = sorted(rates)
    peak = peak_of(place.device, config.amp)
    operations = operations_per_image(run.model, config) / (1 if mode == "train" else 3) if peak else None
    return Measured(
        mode,
        images_per_second=median,
        slowest=slowest,
        fastest=fastest,
        first_seconds=first,
        memory_mb=memory_mb(place.device),
        mfu=median * operations / peak if operations and peak else None,
        card=torch.cuda.get_device_name(place.device) if cuda else "CPU",
        config=config,
        versions=versions(),
    )


def _step(run: Run, config: TrainConfig, mode: str, place: Place) -> tuple[Callable[[], object], int]:
    """A function that does one step, and the number of pictures in a step."""
    parts = random_parts(config, pinned=place.device.type == "cuda")
    network = torch.compile(run.model) if config.compile else run.model

    def train() -> object:
        # mixing works in place, which on a CPU would be here
        own = parts if place.device.type == "cuda" else [(images.clone(), labels) for images, labels in parts]
        return train_step(run, network, own, config.lr_last, config, place)

    @torch.no_grad()
    def evaluate() -> Tensor:
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        for images, _ in parts:
            images = images.to(place.device, non_blocking=True, memory_format=layout)
            with torch.autocast(place.device.type, torch.bfloat16, enabled=config.amp):
                logits = network(images)
        return logits

    run.model.train(mode == "train")
    return (train if mode == "train" else evaluate), sum(len(labels) for _, labels in parts)


def random_parts(config: TrainConfig, *, pinned: bool = False) -> list[tuple[Tensor, Tensor]]:
    """The parts of one batch of noise: images (B, 3, H, W) and labels (B,), on the CPU.

    Args:
        config: sizes, number of classes and seed.
        pinned: in memory that a GPU can read while it computes, as the loop's loader has it.
    """
    generator = torch.Generator().manual_seed(config.seed)
    size = (config.batch_size // config.accumulate, 3, config.image_size, config.image_size)
    parts = []
    for _ in range(config.accumulate):
        part = torch.randn(size, generator=generator), torch.randint(config.num_classes, size[:1], generator=generator)
        parts.append(tuple(value.pin_memory() for value in part) if pinned else part)
    return parts


def configs_of(recipes: Sequence[str], settings: Sequence[str], models: Sequence[str] = ()) -> list[TrainConfig]:
    """The configs to measure: each recipe's, with a batch for one device, or without a recipe the settings' alone.

    Args:
        recipes: names of recipes; none for the settings alone.
        settings: such as "image_size=96", for all of them.
        models: variants to measure with each recipe; none for the recipe's own.

    Raises:
        ValueError: for an unknown recipe, setting or model.
    """
    if models and any(setting.startswith("model=") for setting in settings):
        raise ValueError("--models and --set model= contradict each other; leave one out")
    found = []
    for recipe in map(load_recipe, recipes):
        for model in models or [recipe.config.model]:
            found.append(recipe.complete(changed(replaced(recipe.config, {**ONE_DEVICE, "model": model}), settings)))
    if not recipes and not models:
        found.append(changed(TrainConfig(batch_size=64), settings))
    for model in [] if recipes else models:
        own = {"model": model, "image_size": image_size_of("", model)}
        found.append(changed(replaced(TrainConfig(batch_size=64), own), settings))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, print it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.bench device", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="whose configs are measured, in batches that fit")
    add_settings(parser)
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="timed steps of each of three blocks (7)")
    parser.add_argument("--models", nargs="+", default=[], metavar="VARIANT", help="with each recipe (its own)")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["train"], help="train, eval or both")
    parser.add_argument("--compile", action="store_true", help="each with torch.compile as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append a line there for each result")
    options = parse(parser, arguments)
    try:
        if options.rounds < 1:
            raise ValueError(f"--rounds {options.rounds} must be at least 1")
        return _measure_all(configs_of(options.recipes, options.settings, options.models), options)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _measure_all(configs: list[TrainConfig], options: argparse.Namespace) -> int:
    """Measure each config in each mode and graph; a failed one does not end the others. Returns the exit code."""
    failed = 0
    for config, mode in itertools.product(configs, options.modes):
        for compiled in sorted({config.compile, config.compile or options.compile}):
            try:
                found = device_throughput(replaced(config, {"compile": compiled}), mode, options.rounds)
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
            own_size = config.model not in VARIANTS or config.image_size == VARIANTS[config.model].image_size
            if mode == "train" and own_size:  # the cost is of pictures of that size
                command = f"python -m gcvit_edu.bench cost {config.model} --count 8 --gpu {shlex.quote(found.card)}"
                print(f"  cost with eight: {command} --images-per-second {found.images_per_second:.0f}")
    return 2 if failed else 0
