"""What the tests of training share: runs in processes of their own, and comparisons of what they leave."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from gcvit_edu.files import read_log
from gcvit_edu.train import load
from gcvit_edu.train.__main__ import main
from gcvit_edu.train.checkpoint import checkpoints

RECIPE = Path(__file__).parent / "_recipe_stripes.py"
PATIENCE = 300  # seconds; a machine may be busy, and each process of torchrun imports PyTorch anew
# What a clock or the system decides.
UNREPEATABLE = {"seconds", "images_per_s", "data_s", "compute_s", "memory_mb"}

# Real processes that can be killed, forked from one that has imported PyTorch: importing it takes seconds each time.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["_train", "torch._dynamo", "timm.data.mixup"])

# ------------------------------------------------------------------------------------------------------ processes


def command(out: Path, settings: list[str], *, resume: bool = False, recipe: Path = RECIPE) -> list[str]:
    """What follows "python -m gcvit_edu.train"."""
    return [str(recipe), "--out", str(out), *with_set(settings), *(["--resume"] if resume else [])]


def with_set(settings: list[str]) -> list[str]:
    """Settings, each after its own --set."""
    return [word for setting in settings for word in ("--set", setting)]


def longer_recipe(folder: Path, code: str) -> Path:
    """The stripes recipe with more code at its end, as a file of its own."""
    path = folder / "recipe.py"
    path.write_text(RECIPE.read_text(encoding="utf-8") + "\n\n" + textwrap.dedent(code), encoding="utf-8")
    return path


def _work(arguments: list[str], environment: dict[str, str], output: Path) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(arguments))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(arguments: list[str], outputs: Path, processes: int = 1) -> Iterator[list[BaseProcess]]:
    """The processes of one run; what they print goes to files in `outputs`. All are gone afterwards."""
    outputs.mkdir(exist_ok=True)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    started = []
    try:
        for rank in range(processes):
            own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
            process = _PROCESSES.Process(target=_work, args=(arguments, own, outputs / f"{rank}.txt"))
            process.start()
            started.append(process)
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def finish(arguments: list[str], outputs: Path, processes: int = 1) -> list[str]:
    """Run to the end without errors, and return what each process printed."""
    with running(arguments, outputs, processes) as started:
        for process in started:
            process.join(PATIENCE)
        printed = [(outputs / f"{rank}.txt").read_text() for rank in range(processes)]
        assert [process.exitcode for process in started] == [0] * processes, printed
        return printed


def last_step(out: Path) -> int:
    """The last step in the log, 0 where there is none yet."""
    return max((entry["step"] for entry in read_log(out)), default=0) if (out / "log.jsonl").exists() else 0


def signal_at(
    step: int, out: Path, arguments: list[str], outputs: Path, processes: int = 1, how: int = signal.SIGKILL
) -> list[int | None]:
    """Start a run, send its processes a signal when the log has a step, and return their exit codes."""
    with running(arguments, outputs, processes) as started:
        end = time.monotonic() + PATIENCE
        while last_step(out) < step:
            alive = all(process.is_alive() for process in started) and time.monotonic() < end
            assert alive, [path.read_text() for path in sorted(outputs.iterdir())]
            time.sleep(0.002)
        for process in started:
            os.kill(process.pid, how)
        for process in started:
            process.join(PATIENCE)
        return [process.exitcode for process in started]


@contextmanager
def torchrun(options: list[str], arguments: list[str], printed: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An agent of torchrun with its workers; at the end all are gone."""
    start = [sys.executable, "-m", "torch.distributed.run", "--monitor-interval=0.1", *options]
    with printed.open("wb") as file:
        agent = subprocess.Popen(
            [*start, "-m", "gcvit_edu.train", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},  # as in the examples
            start_new_session=True,
        )
    try:
        yield agent
    finally:
        for pid in family(agent.pid):
            os.kill(pid, signal.SIGKILL)
        agent.wait()


def family(agent: int) -> list[int]:
    """An agent that was started here, and the processes below it; each of them runs or is a zombie."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone meanwhile
            continue
    found = [agent] if agent in parents else []
    for member in found:
        found += [pid for pid, parent in parents.items() if parent == member]
    return found


def wait_for_step(step: int, out: Path, printed: Path) -> None:
    end = time.monotonic() + PATIENCE
    while last_step(out) < step:
        assert time.monotonic() < end, printed.read_text()
        time.sleep(0.005)


# ---------------------------------------------------------------------------------------------------- comparisons


def differing(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two states differ, bit by bit; clocks are left out."""
    if type(one) is not type(other):
        return [place]
    if isinstance(one, torch.Tensor):
        same = one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [place]
    if isinstance(one, dict) and one.keys() == other.keys():
        pairs = [(f".{key}", one[key], other[key]) for key in one if key not in UNREPEATABLE]
    elif isinstance(one, list | tuple) and len(one) == len(other):
        pairs = [(f"[{at}]", *pair) for at, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [place]
    return [found for key, left, right in pairs for found in differing(left, right, place + key)]


def final_state(out: Path) -> dict[str, Any]:
    """The newest checkpoint."""
    return load(checkpoints(out)[0])


def history(out: Path) -> list[dict[str, Any]]:
    """The log without the lines that say when the run was started."""
    return [entry for entry in read_log(out) if entry["event"] != "start"]
