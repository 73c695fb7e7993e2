"""A check before a long run that all it needs works here: python -m gcvit_edu.train RECIPE --preflight."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.hardware import versions
from gcvit_edu.train import distributed
from gcvit_edu.train.batches import (
    MicroBatchSampler,
    Samples,
    attribute_of,
    check_samples,
    steps_per_epoch,
    train_batches,
)
from gcvit_edu.train.checkpoint import KEPT
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.loop import refuse_used
from gcvit_edu.train.mixup import check_pairs, mixing_enabled
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.run import NonFiniteLoss, Run, begin, checkpoint_bytes
from gcvit_edu.train.step import train_step
from gcvit_edu.train.workers import check_workers

OK, WARNING, ERROR = "ok", "warning", "error"
LOOKED_AT = 64  # pictures of each set
ON_CPU = 16  # pictures of the dry step, at most, where there is no GPU
STEPS = 3  # timed
_GIB = 2**30


@dataclass(frozen=True)
class Line:
    """One line of the table of a preflight.

    Attributes:
        verdict: "ok", "warning" or "error".
        name: what was checked.
        text: what was found, and the remedy.
    """

    verdict: str
    name: str
    text: str


def preflight(recipe: Recipe, config: TrainConfig, out: Path, *, resume: bool = False) -> list[Line]:
    """Check everything that a run needs, with its real data, model and batch, and leave nothing behind.

    Under torchrun each process checks its own share, all at once, as in training; the worst finding counts.

    Args:
        recipe: its config is not read.
        config: of the run.
        out: folder of the run; it is not made.
        resume: the run will go on from a checkpoint in out.

    Returns:
        The same lines in every process. "ok" means that the check passed on the pictures and steps that were tried.

    Raises:
        ValueError: if the config cannot be completed, as data or weights are missing.
    """
    config = recipe.complete(config)
    rank, world_size = distributed.env_rank_and_world_size()
    lines = [Line(OK, "versions", ", ".join(f"{name} {version}" for name, version in versions().items()))]
    device = _check(lines, "device", lambda: _device(config))
    _check(lines, "folder", lambda: _folder(out, resume))
    sets = _check(lines, "data", lambda: _data(recipe, config))
    parts = None
    if sets:
        parts = _check(lines, "batch", lambda: _batch(len(sets[0]), config, rank, world_size))
        if parts:
            _check(lines, "workers", lambda: _workers(config, parts))
        for which, samples in zip(("training", "validation"), sets, strict=True):
            _check(lines, f"{which} pictures", lambda samples=samples: _pictures(samples, config))
    if device is not None:
        run = _check(lines, "model", lambda: _model(recipe, config, device))
        if run:
            _check(lines, "disk", lambda: _disk(run, config, out))
        if run and sets and parts:
            batch = _check(lines, "loader", lambda: _loader(sets[0], parts, config))
            if batch:
                trained = _check(lines, "memory", lambda: _dry_steps(run, batch[0], config, Place(0, 1, device)))
                if trained:
                    lines.append(_speed(batch[1], trained))
    return _worst(lines)


def as_table(lines: list[Line]) -> str:
    """The lines as an aligned table, for people."""
    width = max(len(line.name) for line in lines)
    return "\n".join(f"{line.verdict:<8} {line.name:<{width}}  {line.text}" for line in lines)


def _check(lines: list[Line], name: str, work: Callable[[], tuple[str, str, Any]]) -> Any:
    """The result of a check, or None where it failed; its line is added either way."""
    try:
        verdict, text, found = work()
    except torch.OutOfMemoryError as error:
        remedy = "raise accumulate, set grad_checkpointing=True, or use more GPUs"
        verdict, text, found = ERROR, f"does not fit: {str(error).partition('. ')[0]}; {remedy}", None
    except (ValueError, OSError, RuntimeError, NonFiniteLoss) as error:
        verdict, text, found = ERROR, (str(error).strip().splitlines() or [repr(error)])[-1], None
    except Exception as error:  # a recipe is its author's code, which can raise anything; the other checks go on
        verdict, text, found = ERROR, f"the recipe's code raised {error!r}; mend it there", None
    lines.append(Line(verdict, name, text))
    return found


def _worst(lines: list[Line]) -> list[Line]:
    """For each check the worst line of all processes, the first if several are equal, with its process."""
    distributed.start("cpu")  # on any machine: comparing lines needs no GPU
    try:
        everyone = distributed.gather(lines)
    finally:
        distributed.stop()
    if len(everyone) == 1:
        return lines
    order = [OK, WARNING, ERROR]
    found: dict[str, tuple[int, Line]] = {}
    for rank, own in enumerate(everyone):
        for line in own:
            if line.name not in found or order.index(line.verdict) > order.index(found[line.name][1].verdict):
                found[line.name] = rank, line
    return [
        line if line.verdict == OK else Line(line.verdict, line.name, f"process {rank}: {line.text}")
        for rank, line in found.values()
    ]


# ------------------------------------------------------------------------------------------- machine and folder


def _device(config: TrainConfig) -> tuple[str, str, torch.device]:
    device = distributed.local_device(config.device)
    if device.type == "cpu":
        if config.device == "cpu":
            return OK, "the CPU, as device=cpu asks", device
        return WARNING, "PyTorch finds no GPU here, so the CPU would train", device
    free, total = torch.cuda.mem_get_info(device)
    name = f"{torch.cuda.get_device_name(device)}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if free < 0.9 * total:
        return WARNING, f"{name}; another program uses it", device
    return OK, name, device


def _existing(out: Path) -> Path:
    """The folder, or the nearest existing one above it."""
    return next(path for path in (out, *out.absolute().parents) if path.exists())


def _folder(out: Path, resume: bool) -> tuple[str, str, None]:
    refuse_used(out, resume)
    folder = _existing(out)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        raise ValueError(f"cannot write into {folder}: {error.strerror}; choose another --out") from error
    return OK, f"{out} can be written", None


def _disk(run: Run, config: TrainConfig, out: Path) -> tuple[str, str, None]:
    """The space for checkpoints at their peak, while a new best one is written, and for the kept weights."""
    each, weights = checkpoint_bytes(run)
    need = (KEPT + 2) * each + (1 + len(config.snapshot_epochs)) * weights
    free = shutil.disk_usage(_existing(out)).free
    text = f"needs {need / _GIB:.2f} GiB, {KEPT + 2} checkpoints of {each / _GIB:.2f}; {free / _GIB:.2f} GiB are free"
    if free < need:
        raise ValueError(f"{text}; make room, or choose another --out")
    return (WARNING, f"{text}, less than twice of it", None) if free < 2 * need else (OK, text, None)


# --------------------------------------------------------------------------------------------------------- data


def _data(recipe: Recipe, config: TrainConfig) -> tuple[str, str, tuple[Samples, Samples]]:
    training, validation = recipe.make_data(config)
    check_samples(training, validation, config)
    classes = attribute_of(training, "classes")
    text = f"{len(training):,} pictures to train on, {len(validation):,} to validate"
    if classes is None or attribute_of(validation, "classes") is None:
        return (
            WARNING,
            f"{text}; a set does not name its classes, so their order is not checked",
            (training, validation),
        )
    return OK, f"{text}, the same {len(classes):,} classes in both", (training, validation)


def _pictures(samples: Samples, config: TrainConfig) -> tuple[str, str, None]:
    """Check some pictures, evenly spread over the set."""
    if not len(samples):
        raise ValueError("there is no picture; is it the right folder?")
    count = min(LOOKED_AT, len(samples))
    shape, problems, labels = (3, config.image_size, config.image_size), [], set()
    for index in [number * len(samples) // count for number in range(count)]:
        try:
            image, label = samples[index]
        except ValueError as error:
            problems.append(str(error))
            continue
        labels.add(int(label))
        if tuple(image.shape) != shape or not torch.isfinite(image).all():
            problems.append(f"number {index} has shape {tuple(image.shape)}, or values that are not finite")
        if not 0 <= label < config.num_classes:
            problems.append(f"number {index} has label {label}, and num_classes={config.num_classes}")
    if problems:
        raise ValueError(f"{len(problems)} of {count} cannot be used, the first: {problems[0]}")
    if count == LOOKED_AT and len(labels) == 1 < config.num_classes:
        return WARNING, f"all {count} looked at have label {labels.pop()}; are the classes right?", None
    return OK, f"{count} looked at, labels {min(labels)} to {max(labels)}", None


def _batch(samples: int, config: TrainConfig, rank: int, world_size: int) -> tuple[str, str, MicroBatchSampler]:
    parts = MicroBatchSampler(samples, config.batch_size, config.accumulate, rank, world_size, config.seed)
    steps = steps_per_epoch(samples, config.batch_size)
    if mixing_enabled(config):
        check_pairs(parts.micro_batch_size)
    text = (
        f"{config.batch_size} = {world_size} processes x {config.accumulate} parts x {parts.micro_batch_size} pictures"
    )
    return OK, f"{text}; {steps:,} steps in an epoch, {steps * config.epochs:,} in all", parts


def _workers(config: TrainConfig, parts: MicroBatchSampler) -> tuple[str, str, None]:
    batch_bytes = parts.micro_batch_size * (4 * 3 * config.image_size**2 + 8)
    enough, text = check_workers(config.workers, batch_bytes, distributed.processes_of_machine())
    return OK if enough else WARNING, text, None


def _loader(samples: Samples, parts: MicroBatchSampler, config: TrainConfig) -> tuple[str, str, Any]:
    """The first part, and the pictures per second of the parts after each worker's first."""
    ahead, timed = max(1, config.workers), max(STEPS, 2 * config.workers)
    batches = train_batches(samples, parts, config)
    first = next(batches)
    skipped = 1 + sum(1 for _ in islice(batches, ahead - 1))
    start = time.perf_counter()
    taken = sum(1 for _ in islice(batches, timed))
    seconds = time.perf_counter() - start
    if not taken:
        return WARNING, f"only {skipped} parts in an epoch: too few to time", (first, None)
    rate = taken * parts.micro_batch_size / seconds
    return OK, f"{rate:,.0f} pictures/s with workers={config.workers}, for each process", (first, rate)


# -------------------------------------------------------------------------------------------------------- model


def _model(recipe: Recipe, config: TrainConfig, device: torch.device) -> tuple[str, str, Run]:
    seed_process(config.seed, 0)
    run = begin(recipe.make_model, config, device)
    count = sum(value.numel() for value in run.model.parameters())
    return OK, f"{config.model}, {count / 1e6:.1f} million parameters", run


def _dry_steps(run: Run, part: tuple[Tensor, Tensor], config: TrainConfig, place: Place) -> tuple[str, str, float]:
    """Run whole steps with a real part; the pictures per second of those after the first."""
    cuda = place.device.type == "cuda"
    images, labels = part if cuda else (part[0][:ON_CPU], part[1][:ON_CPU])
    wait = torch.cuda.synchronize if cuda else lambda: None
    network = torch.compile(run.model) if config.compile else run.model
    run.model.train()
    start = 0.0
    for number in range(1 + STEPS):
        if number == 1:
            wait()
            start = time.perf_counter()
        # mixing works in place
        train_step(run, network, [(images.clone(), labels)], config.lr_last, config, place)
    wait()
    rate = STEPS * len(images) / (time.perf_counter() - start)
    text = f"steps of {len(images)} pictures ran, {rate:,.0f} pictures/s"
    if not cuda:
        return WARNING, f"{text}; whether {len(part[0])} fit into a GPU is not known here", rate
    buckets = sum(value.numel() * value.element_size() for value in run.model.parameters())  # of several processes
    peak, total = torch.cuda.max_memory_reserved(place.device) + buckets, torch.cuda.mem_get_info(place.device)[1]
    text += f", {peak / _GIB:.1f} of {total / _GIB:.1f} GiB"
    return (WARNING, f"{text}: close to the edge; raise accumulate", rate) if peak > 0.95 * total else (OK, text, rate)


def _speed(loaded: float | None, trained: float) -> Line:
    if loaded is None:
        return Line(WARNING, "speed", "not known, as the loader was not timed")
    text = f"the loader brings {loaded:,.0f} pictures/s and the model takes {trained:,.0f}, for each process"
    if loaded < trained:
        return Line(WARNING, "speed", f"{text}; raise workers, shrink the pictures on disk, or use fewer GPUs")
    return Line(OK, "speed", text)
