"""The machine that a measurement is made on, and its clock."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch


def describe_machine(device: str) -> str:
    """Hardware and versions, in one line; device is "cpu" or "cuda"."""
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


def peak_memory() -> int | None:
    """Peak resident bytes of this process so far, or None where the system does not tell."""
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
    so this is no measure of one.

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
