"""Processes that load pictures: their needs, their start and end, and the meaning of their errors."""

import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, default_collate, default_convert, get_worker_info

GRACE = 30  # seconds; most job queues wait so long between SIGTERM and SIGKILL
PREFETCHED = 2  # batches that each worker has ready, the default of PyTorch's loader
SHARED_MEMORY = Path("/dev/shm")
_MIB = 2**20


class WorkersFailed(OSError):
    """Processes that load pictures could not start, or ended; the message has the remedy."""


# A pattern in errors of PyTorch's loader and of Python's processes -> their meaning and the remedy.
_MEANINGS = {
    r"Too many open files|items of ancdata": "too many files are open; raise `ulimit -n`, or lower workers={workers}",
    r"Bus error|out of shared memory|shared memory\(shm\)|</torch_.*No space left|cannot start: .*Errno 28": (
        "there is no room left in shared memory, /dev/shm; give a container more (docker run --shm-size 8g, or "
        "--ipc=host), lower workers={workers}, or set workers=0"
    ),
    r"start new thread|cannot start: .*Errno 11": (
        "no further process or thread may start; raise `ulimit -u` or the container's --pids-limit, "
        "or lower workers={workers}"
    ),
    r"signal: Killed|unable to mmap|cannot start: .*Errno 12": (
        "memory ran out; lower workers={workers}, or set workers=0"
    ),
    r"signal: (Alarm clock|Terminated)": "a process that loads pictures was ended by SIGTERM; --resume goes on",
    r"cannot be sent: ": (
        "the data set {error}; define its functions and classes at the top level of the recipe's file, or set workers=0"
    ),
    r"DataLoader worker|cannot start: ": "a process that loads pictures failed ({error}); set workers=0 to see where",
}


def meaning(error: BaseException, workers: int) -> str | None:
    """The meaning of an error of a loader's processes and the remedy, in one line; None for any other error."""
    lines = str(error).strip().splitlines() or [""]
    passed_on = lines[0].startswith("Caught ")  # raised in a worker: its last line is the error, the others say where
    text = lines[-1] if passed_on else lines[0]
    for sign, remedy in _MEANINGS.items():
        if re.search(sign, text):
            if not workers:  # nothing to lower, and no worker's error to explain
                remedy = remedy.partition(", or lower")[0] if "ulimit -n" in remedy else ""
            return remedy.format(workers=workers, error=text.strip().rstrip(".")) or None
    return None


@contextmanager
def in_words(workers: int) -> Iterator[None]:
    """Turn errors of a loader's processes into WorkersFailed. At any error these processes end at once.

    Otherwise they would wait for their grace while Python exits.
    """
    try:
        yield
    except Exception as error:
        said = meaning(error, workers) if isinstance(error, RuntimeError | OSError) else None
        _let_go(error)
        if said is None or isinstance(error, WorkersFailed):
            raise
        raise WorkersFailed(said) from None


def _let_go(error: BaseException | None) -> None:
    """Clear the frames of an error: they hold loaders, which end their processes when nothing holds them any longer."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # a half-made loader would print an error
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    sys.unraisablehook = hook


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of a loader.

    Raises:
        WorkersFailed: if its processes cannot start, or end.
    """
    before = set(multiprocessing.active_children())
    with in_words(loader.num_workers):
        try:
            refuse_shortage_of_files(loader.num_workers)
            yield from _started(loader)
        except Exception as error:
            _let_go(error)
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
                process.join()
            raise


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Got pickle error")  # the error itself says more
            return iter(loader)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        if "pickle" not in str(error):
            raise
        raise RuntimeError(f"cannot be sent: {error}") from error
    except OSError as error:  # also for a lock of the workers' queues, which is in shared memory
        raise RuntimeError(f"cannot start: {error}") from error


# ------------------------------------------------------------------------------------------------- in each worker


def start_worker(worker: int) -> None:
    """Let a worker use one processor, and outlive SIGTERM for a while, but not its training process.

    A job queue sends SIGTERM to all processes of a run at once, and the training process needs its workers for one more
    step before it saves. Not for ever: Python, too, ends left-over workers by SIGTERM, and waits for them.
    """
    assert get_worker_info() is not None
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, too
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the training process has ended, for example by SIGKILL.

    PyTorch's workers watch the process that forked them. Under forkserver that is another one, which lives on.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def collate(samples: list[Any]) -> Any:
    """Samples -> a batch, in shared memory where a worker makes it."""
    return share(default_collate(samples))


def share(batch: Any) -> Any:
    """A batch, moved to shared memory by a worker.

    PyTorch would move it when it sends it, in a thread whose errors are lost: the run would wait for ever.
    """
    batch = default_convert(batch)
    if get_worker_info() is not None:
        for part in batch:
            part.share_memory_()
    return batch


# --------------------------------------------------------------------------------------------------------- needs


def check_workers(workers: int, batch_bytes: int, processes: int) -> tuple[bool, str]:
    """Whether there are enough cores for the workers, and a line about it.

    Args:
        workers: of each process.
        batch_bytes: of one batch of one worker.
        processes: that train on this machine.

    Raises:
        WorkersFailed: if there are too few file handles, or too little shared memory.
    """
    if not workers:
        return True, "none: each process loads its own pictures"
    refuse_shortage_of_files(workers)
    refuse_shortage_of_shared_memory(workers, batch_bytes, processes)
    enough = processes * workers <= cores()
    text = f"{workers} for each of {processes} processes on {cores()} cores"
    return enough, text if enough else f"{text}: they will wait for each other; lower workers"


def refuse_shortage_of_files(workers: int) -> None:
    """Refuse to start workers that would have too few file handles: their own errors are many, and come late.

    Raises:
        WorkersFailed: with the limit and the need.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    descriptors = Path("/dev/fd")
    if not workers or not descriptors.is_dir():
        return
    # A worker: two queues' ends, a sentinel, and the pictures and labels of its batches on both sides. A run: its log
    # and its lock, which preflight has not.
    taken, need = len(list(descriptors.iterdir())), 18 + 8 * workers
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < taken + need:
        raise WorkersFailed(
            f"`ulimit -n` allows {limit} open files, {taken} are open, and workers={workers} need {need} more; "
            f"raise it (ulimit -n {max(1024, 2 * (taken + need))}), or lower workers"
        )


def refuse_shortage_of_shared_memory(workers: int, batch_bytes: int, processes: int) -> None:
    """Refuse workers whose batches could not all be in shared memory at once; see check_workers.

    Args:
        workers: of each process.
        batch_bytes: of one batch's images.
        processes: that train on this machine.

    Raises:
        WorkersFailed: if the shared memory is too small.
    """
    if not workers or not SHARED_MEMORY.is_dir():  # elsewhere batches go through files
        return
    system = os.statvfs(SHARED_MEMORY)
    free, need = system.f_bavail * system.f_frsize, (PREFETCHED * workers + 1) * batch_bytes * processes
    if free < need:
        raise WorkersFailed(
            f"{SHARED_MEMORY} has {free / _MIB:,.0f} MiB free, and workers={workers} may need {need / _MIB:,.0f}; give "
            "a container more (docker run --shm-size 8g, or --ipc=host), lower workers, or set workers=0"
        )


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
