"""Speed and peak memory beside timm's GC ViT, measured in one run: python -m gcvit_edu.bench --help."""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.weights import TIMM_VARIANTS, convert_state_dict
from gcvit_edu.zoo import create_model

SOURCES = ("ours", "timm")
MODES = ("eval", "train")


@dataclass(frozen=True)
class Setting:
    """What is measured: one variant at one size and batch size, in inference or in training, on one device."""

    variant: str = "xxtiny"
    image_size: int = 224
    batch_size: int = 8
    mode: str = "eval"
    device: str = "cpu"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.variant not in TIMM_VARIANTS:
            raise ValueError(f"timm has no GC ViT called {self.variant!r}; it has {', '.join(TIMM_VARIANTS)}")
        if self.image_size < 32 or self.image_size % 32:
            raise ValueError(f"timm's GC ViT cannot run at image_size={self.image_size}; use a multiple of 32")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be at least 1")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r} is unknown; use {' or '.join(MODES)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device='cuda', but PyTorch finds no CUDA device here; use 'cpu'")


@dataclass(frozen=True)
class Measurement:
    """Median seconds of a step and peak bytes beyond the model, of both; bytes are None where unknown."""

    setting: Setting
    seconds: dict[str, float]
    peak_bytes: dict[str, int | None]

    @property
    def speed_ratio(self) -> float:
        """How many times as fast as timm we are."""
        return self.seconds["timm"] / self.seconds["ours"]

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


def build_pair(setting: Setting) -> dict[str, nn.Module]:
    """Both models, with the same weights."""
    models = {source: build(setting, source) for source in SOURCES}
    models["ours"].load_state_dict(convert_state_dict(models["timm"].state_dict(), models["ours"]))
    return models


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


def time_interleaved(
    steps: dict[str, Callable[[], Tensor]], repeats: int, device: str, warm_up: int = 2
) -> dict[str, float]:
    """Median seconds of each step; they take turns, so that a slow moment of the machine meets them all."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(warm_up + repeats):
        for name, step in steps.items():
            wait()
            start = time.perf_counter()
            step()
            wait()
            if repeat >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(setting: Setting, source: str) -> int | None:
    """Peak bytes of a few steps, beyond what the model itself holds; on the CPU measured in a process of its own."""
    if setting.device == "cuda":
        return _run_and_measure(setting, source, torch.get_num_threads())
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_run_and_measure, (setting, source, torch.get_num_threads()))


def _run_and_measure(setting: Setting, source: str, threads: int) -> int | None:
    torch.set_num_threads(threads)
    step = make_step(build(setting, source), setting)
    if setting.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        before = _peak_of_this_process()
    for _ in range(3):
        step()
    after = torch.cuda.max_memory_allocated() if setting.device == "cuda" else _peak_of_this_process()
    return None if before is None or after is None else after - before


def _peak_of_this_process() -> int | None:
    """Peak resident bytes so far, or None where the system does not tell."""
    status = Path("/proc/self/status")  # Linux; its ru_maxrss would begin with the parent's peak
    for line in status.read_text().splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def measure(setting: Setting, repeats: int = 7) -> Measurement:
    """Speed and peak memory of both, under one setting."""
    if repeats < 1:
        raise ValueError(f"repeats={repeats} must be at least 1")
    memory = {source: peak_memory(setting, source) for source in SOURCES}
    steps = {source: make_step(model, setting) for source, model in build_pair(setting).items()}
    return Measurement(setting, time_interleaved(steps, repeats, setting.device), memory)


def describe_machine(device: str) -> str:
    """What was measured on, in one line."""
    if device == "cuda":
        hardware = torch.cuda.get_device_name()
    else:
        hardware = f"{_processor()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return f"{hardware}; Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":", 1)[1] for line in info.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0].strip()
    return platform.processor() or platform.machine()


def format_table(measurements: Iterable[Measurement]) -> str:
    """One aligned line per setting; "faster" is timm's time over ours, "memory" our memory over timm's."""
    head = ("mode", "batch", "graph", "ours ms", "timm ms", "faster", "ours MiB", "timm MiB", "memory")
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
                *("-" if (peak := each.peak_bytes[source]) is None else f"{peak / 2**20:.0f}" for source in SOURCES),
                "-" if ratio is None else f"{ratio:.2f}x",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments: Sequence[str] | None = None) -> list[Measurement]:
    """Measure what the command line asks for, print one table, and return the measurements."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.bench", description=__doc__)
    parser.add_argument("--variant", default="xxtiny", help=f"one of {', '.join(TIMM_VARIANTS)}")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], metavar="N")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--image-size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--compile", action="store_true", help="measure both with torch.compile, too")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; PyTorch's choice by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there as well")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    try:
        settings = [
            Setting(options.variant, options.image_size, batch_size, mode, options.device, compiled)
            for compiled in ([False, True] if options.compile else [False])
            for mode in options.modes
            for batch_size in options.batch_sizes
        ]
        measurements = [measure(setting, options.repeats) for setting in settings]
    except ValueError as error:
        parser.error(str(error))
    machine = describe_machine(options.device)
    print(f"GC ViT {options.variant} at {options.image_size} pixels, float32, median of {options.repeats}\n{machine}")
    print(format_table(measurements))
    if options.json:
        record = {"machine": machine, "measurements": [asdict(each) for each in measurements]}
        options.json.write_text(json.dumps(record, indent=2))
    return measurements


if __name__ == "__main__":
    main()
