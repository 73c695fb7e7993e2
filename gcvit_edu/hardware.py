"""The machine: its name, its clock, its memory, and the speeds of GPUs by their data sheets."""

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import torch

_PACKAGES = ("gcvit-edu", "torch", "torchvision", "timm", "numpy")  # packages whose versions a run records


def describe_machine(device: str) -> str:
    """The hardware and the versions of software, in one line; device is "cpu" or "cuda"."""
    import timm  # takes seconds

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


def peak_memory(device: torch.device | str = "cpu") -> int | None:
    """The most bytes in use so far, by PyTorch on a GPU, or by this process; None if the system does not tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
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


@torch.no_grad()
def milliseconds(compute: Callable[..., object], *inputs: object, repeats: int = 5) -> float:
    """Median time of compute(*inputs) on the CPU, in milliseconds, after one call that is not counted.

    The first call is slower: memory is allocated, and code is chosen. On a GPU a call returns before its work is done,
    so this function is not for GPUs.

    Args:
        compute: a module or a function; no gradients are recorded.
        inputs: its arguments.
        repeats: calls that are timed.

    Raises:
        ValueError: if repeats is not positive.
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats}: give 1 or more")
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        compute(*inputs)
        times.append(1000 * (time.perf_counter() - start))
    return median(times[1:])


@cache
def versions() -> dict[str, str]:
    """The versions that a run uses; looked up once, as packages may be installed again while it lasts."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Card:
    """A GPU with the numbers of its data sheet.

    Attributes:
        peak: dense bfloat16 products with tensor cores, 1e12 operations per second.
        bandwidth: of its memory, GB/s.
        watts: rated power.
        published: column of the published rates, if they have it.
    """

    peak: float
    bandwidth: float
    watts: float
    published: str | None = None


# From NVIDIA's data sheets.
CARDS = {
    "A10": Card(125, 600, 150),
    "A100": Card(312, 2039, 400),  # SXM, 80 GB
    "H100": Card(989, 3350, 700),  # SXM
    "H200": Card(989, 4800, 700),  # SXM
    "L4": Card(121, 300, 72),
    "L40S": Card(362, 864, 350),
    "RTX 5090": Card(209.5, 1792, 575, "RTX 5090, eager"),
}
# PyTorch's name of a card, as the bench prints it -> ours. Only names that we have seen: similar cards differ in power.
AS_PYTORCH_CALLS_IT = {"NVIDIA H100 80GB HBM3": "H100"}


# The peaks of all cards, in 1e12 operations per second; these three are slower than the others of their name. A longer
# name comes before a shorter one; names are compared word by word, as an L40 is no L4.
PEAKS = {"H100 PCIe": 756.0, "H100 NVL": 835.0, "H200 NVL": 835.0} | {
    name: card.peak
    for name, card in CARDS.items()
    if name != "RTX 5090"  # slower cards have that name, too
}


def peak_of(device: torch.device, amp: bool) -> float | None:
    """Operations per second that the device can do at most; None where it is not known, as on CPUs."""
    if device.type != "cuda" or not amp:
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * peak for known, peak in PEAKS.items() if re.search(rf"\b{known}\b", name)), None)


def memory_mb(device: torch.device) -> float | None:
    """The peak memory in MB."""
    peak = peak_memory(device)
    return None if peak is None else round(peak / 2**20, 1)
