"""Speed and peak memory beside timm's GC ViT, measured in one run: python -m gcvit_edu.bench inference --help."""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.hardware import describe_machine, peak_memory
from gcvit_edu.weights import TIMM_VARIANTS
from gcvit_edu.zoo import create_model

SOURCES = ("ours", "timm")
MODES = ("eval", "train")

# glibc gives large blocks back to the system and asks for them again, step after step. How often depends on the chance
# layout of a process's memory: the same model can be a fifth slower in one process than in the next. With these
# settings a process keeps the memory it once had. Other C libraries ignore them.
STEADY_ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
ALLOCATORS = {"steady": STEADY_ALLOCATOR, "default": {}}


@dataclass(frozen=True)
class Setting:
    """One measurement to make: a variant at one size and batch size, in inference or in training, on one device.

    Attributes:
        variant: one that timm has, too.
        image_size: in pixels, a multiple of 32.
        batch_size: images of a step.
        mode: "eval", logits only, or "train", forward and backward pass.
        device: "cpu" or "cuda".
        compiled: whether both models run through torch.compile.
        allocator: "steady", where a process keeps the memory it once had, or the system's "default".
    """

    variant: str = "xxtiny"
    image_size: int = 224
    batch_size: int = 8
    mode: str = "eval"
    device: str = "cpu"
    compiled: bool = False
    allocator: str = "steady"

    def __post_init__(self) -> None:
        if self.variant not in TIMM_VARIANTS:
            raise ValueError(f"timm has no GC ViT called {self.variant!r}; it has {', '.join(TIMM_VARIANTS)}")
        if self.image_size < 32 or self.image_size % 32:
            raise ValueError(f"timm's GC ViT cannot run at image_size={self.image_size}; use a multiple of 32")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be at least 1")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r} is unknown; use {' or '.join(MODES)}")
        if self.allocator not in ALLOCATORS:
            raise ValueError(f"allocator={self.allocator!r} is unknown; use {' or '.join(ALLOCATORS)}")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device={self.device!r} is unknown; use 'cpu' or 'cuda'")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device='cuda', but PyTorch finds no CUDA device here; use 'cpu'")


@dataclass(frozen=True)
class Measurement:
    """The results of our model and of timm's, {"ours": ..., "timm": ...}, round by round.

    Attributes:
        setting: what was measured.
        round_seconds: median seconds of a step, for each round.
        round_bytes: peak bytes beyond the model's own, for each round; None where they are unknown.
    """

    setting: Setting
    round_seconds: list[dict[str, float]]
    round_bytes: list[dict[str, int | None]]

    @property
    def seconds(self) -> dict[str, float]:
        """The median round's seconds, of both models."""
        return {source: statistics.median(each[source] for each in self.round_seconds) for source in SOURCES}

    @property
    def peak_bytes(self) -> dict[str, int | None]:
        """The median round's peak bytes, of both models; None where unknown."""
        known = all(peak for each in self.round_bytes for peak in each.values())
        return {
            source: int(statistics.median(each[source] for each in self.round_bytes)) if known else None
            for source in SOURCES
        }

    @property
    def speed_ratio(self) -> float:
        """Our speed over timm's."""
        return self.seconds["timm"] / self.seconds["ours"]

    @property
    def round_ratios(self) -> list[float]:
        """The speed ratio of each round, in rising order."""
        return sorted(each["timm"] / each["ours"] for each in self.round_seconds)

    @property
    def memory_ratio(self) -> float | None:
        """Our memory over timm's."""
        ours, theirs = self.peak_bytes["ours"], self.peak_bytes["timm"]
        return ours / theirs if ours and theirs else None


def build(setting: Setting, source: str) -> nn.Module:
    """Our model or timm's, without drop path, in the setting's mode and on its device."""
    if source == "timm":
        model = timm.create_model(f"gcvit_{setting.variant}", img_size=setting.image_size, drop_path_rate=0.0)
    else:
        model = create_model(setting.variant, image_size=setting.image_size, drop_path_rate=0.0)
    return model.to(setting.device).train(setting.mode == "train")


def make_step(model: nn.Module, setting: Setting) -> Callable[[], Tensor]:
    """One step on random images: the logits in eval, forward and backward pass of the loss in training."""
    generator = torch.Generator().manual_seed(0)
    size = (setting.batch_size, 3, setting.image_size, setting.image_size)
    images = torch.randn(size, generator=generator).to(setting.device)
    labels = torch.randint(1000, size[:1], generator=generator).to(setting.device)
    network = torch.compile(model) if setting.compiled else model

    @torch.no_grad()
    def evaluate() -> Tensor:
        return network(images)

    def train() -> Tensor:
        model.zero_grad(set_to_none=True)
        logits = network(images)
        F.cross_entropy(logits, labels).backward()
        return logits.detach()

    step = train if setting.mode == "train" else evaluate
    if setting.compiled:
        try:
            step()
        except Exception as error:  # the compiler's errors have no common type
            raise ValueError(f"torch.compile does not work here ({type(error).__name__}: {error})") from error
    return step


def _work(connection: Connection, setting: Setting, source: str, threads: int) -> None:
    """In a process of its own: run a step at each request, and answer with its seconds and the peak bytes."""
    try:
        torch.set_num_threads(threads)
        model = build(setting, source)
        baseline = peak_memory(setting.device)
        step = make_step(model, setting)
        connection.send(None)
        wait = torch.cuda.synchronize if setting.device == "cuda" else lambda: None
        while _asked(connection):
            wait()
            start = time.perf_counter()
            step()
            wait()
            seconds, peak = time.perf_counter() - start, peak_memory(setting.device)
            unknown = baseline is None or peak is None or setting.compiled  # a compiler's memory would count, too
            connection.send((seconds, None if unknown else peak - baseline))
    except BrokenPipeError:  # the parent has ended, since the other model does not run
        return
    except Exception as error:  # such as too little memory; the parent must know it
        named = isinstance(error, ValueError)
        connection.send(error if named else ValueError(f"{source} does not run ({type(error).__name__}: {error})"))


def _answer(connection: Connection) -> Any:
    """The answer of a worker; if it is an error, it is raised here."""
    answer = connection.recv()
    if isinstance(answer, ValueError):
        raise answer
    return answer


def _asked(connection: Connection) -> bool:
    try:
        return connection.recv()
    except EOFError:  # the parent has closed its end
        return False


def measure(setting: Setting, repeats: int = 7, warm_up: int = 3, rounds: int = 3) -> Measurement:
    """Speed and peak memory of both models, in several rounds.

    In each round each model has a new process, so that neither uses the other's heap. They take turns, so that a slow
    moment of the machine slows both. A process keeps its chance layout of memory until it ends; hence the rounds.

    Args:
        setting: of both models.
        repeats: timed steps of a round, which takes their median.
        warm_up: steps before them.
        rounds: pairs of new processes.

    Raises:
        ValueError: if repeats or rounds are below 1, warm_up below 0, or a model does not run in this setting.
    """
    if repeats < 1 or rounds < 1 or warm_up < 0:
        raise ValueError(f"repeats={repeats}, rounds={rounds} must be at least 1, and warm_up={warm_up} at least 0")
    found = [_measure_round(setting, repeats, warm_up) for _ in range(rounds)]
    return Measurement(setting, [seconds for seconds, _ in found], [peaks for _, peaks in found])


def _measure_round(setting: Setting, repeats: int, warm_up: int) -> tuple[dict[str, float], dict[str, int | None]]:
    """Seconds and peak bytes of both models, from one pair of processes."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Connection, BaseProcess]] = {}
    answers: dict[str, list[tuple[float, int | None]]] = {source: [] for source in SOURCES}
    try:
        for source in SOURCES:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, setting, source, torch.get_num_threads()))
            with patch.dict(os.environ, ALLOCATORS[setting.allocator]):  # read when the process begins
                process.start()
            theirs.close()
            workers[source] = (ours, process)
        for connection, _ in workers.values():
            _answer(connection)
        for _ in range(warm_up + repeats):
            for source, (connection, _) in workers.items():
                connection.send(True)
                answers[source].append(_answer(connection))
    finally:
        for connection, process in workers.values():
            connection.close()  # ends the worker's loop
            process.join(timeout=30)
            process.terminate()
    seconds = {source: statistics.median(t for t, _ in given[warm_up:]) for source, given in answers.items()}
    return seconds, {source: given[-1][1] for source, given in answers.items()}


def format_table(measurements: Iterable[Measurement]) -> str:
    """One aligned line per setting: timm's time over ours, its range over the rounds, and our memory over timm's."""
    head = ("mode", "batch", "graph", "ours ms", "timm ms", "faster", "rounds", "ours MiB", "timm MiB", "memory")
    rows = [head]
    for each in measurements:
        setting, ratio = each.setting, each.memory_ratio
        rows.append(
            (
                setting.mode,
                str(setting.batch_size),
                "compiled" if setting.compiled else "eager",
                *(f"{each.seconds[source] * 1e3:.1f}" for source in SOURCES),
                f"{each.speed_ratio:.2f}x",
                f"{each.round_ratios[0]:.2f}-{each.round_ratios[-1]:.2f}x",
                *("-" if (peak := each.peak_bytes[source]) is None else f"{peak / 2**20:.0f}" for source in SOURCES),
                "-" if ratio is None else f"{ratio:.2f}x",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments: Sequence[str] | None = None) -> list[Measurement]:
    """Measure what the command line asks for, print one table, and return the measurements."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.bench inference", description=__doc__)
    parser.add_argument("--variant", default="xxtiny", help=f"one of {', '.join(TIMM_VARIANTS)}")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], metavar="N")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--image-size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--compile", action="store_true", help="measure both with torch.compile, too")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="steps in each round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="each with new processes")
    parser.add_argument("--allocator", default="steady", choices=ALLOCATORS, help="of memory, in both; see Setting")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; PyTorch's choice by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there as well")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    try:
        settings = [
            Setting(options.variant, options.image_size, batch_size, mode, options.device, compiled, options.allocator)
            for compiled in ([False, True] if options.compile else [False])
            for mode in options.modes
            for batch_size in options.batch_sizes
        ]
        measurements = [measure(setting, options.repeats, rounds=options.rounds) for setting in settings]
    except ValueError as error:
        parser.error(str(error))
    machine = describe_machine(options.device)
    print(f"GC ViT {options.variant} at {options.image_size} pixels, float32, {options.allocator} allocator")
    print(f"medians of {options.repeats} steps in each of {options.rounds} rounds\n{machine}")
    print(format_table(measurements))
    if options.json:
        record = {"machine": machine, "measurements": [asdict(each) for each in measurements]}
        options.json.write_text(json.dumps(record, indent=2))
    return measurements
