"""Requests to stop: SIGTERM, Ctrl-C, and the end of the process that started this one."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from gcvit_edu.console import INTERRUPTED
from gcvit_edu.train.distributed import Place, rank_and_world_size, sum_over_ranks

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
Batch = TypeVar("Batch")


class StopRequest:
    """The request that this process stop, if there was one.

    Attributes:
        signal: the first signal that arrived, or None.
        can_save: whether the run can stop with everything saved. Before that, Ctrl-C interrupts at once.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.can_save = False

    @property
    def name(self) -> str:
        """The common name of the signal."""
        return "Ctrl-C" if self.signal == signal.SIGINT else "SIGTERM"

    def terminate(self, number: int, frame: object) -> None:
        """Handle SIGTERM."""
        self.signal = self.signal or signal.Signals(number)

    def interrupt(self, number: int, frame: object) -> None:
        """Handle SIGINT: the first one stops the run after the step, the second one at once.

        Raises:
            KeyboardInterrupt: if nothing can be saved, or at the second Ctrl-C.
        """
        if self.signal is None and self.can_save:
            self.signal = signal.Signals(number)
            if rank_and_world_size()[0] == 0:  # print is not safe here: the signal may have interrupted a print
                os.write(2, b"\nCtrl-C: the run stops after this step and saves; Ctrl-C again ends it at once\n")
            return
        said = "interrupted by Ctrl-C before the first step; there is nothing to save"
        if self.can_save:
            said = "ended by a second Ctrl-C; what was saved before is whole, and --resume goes on from it"
        rank, world_size = rank_and_world_size()
        if world_size > 1:  # the others may have ended, and leaving the group would wait for them
            if rank == 0:
                os.write(2, f"{said}\n".encode())
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt(said)

    def agreed(self, place: Place) -> bool:
        """Whether any process has a request to stop. Every process must call this."""
        asked = float(self.signal is not None)
        return bool(sum_over_ranks(torch.tensor(asked, device=place.device)) > 0)

    def cut(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches until a request to stop arrives, but always the first one."""
        for batch in batches:
            yield batch
            if self.signal is not None:
                return


@contextmanager
def stop_requested() -> Iterator[StopRequest]:
    """The request to stop that SIGTERM or SIGINT makes within the block; the old handlers return at its end.

    SIGINT stays ignored if it was, as in commands that a shell script starts in the background.
    """
    request = StopRequest()
    handlers = {signal.SIGTERM: request.terminate, signal.SIGINT: request.interrupt}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        del handlers[signal.SIGINT]
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_workers() -> None:
    """Kill the processes that load pictures: they outlive SIGTERM for a while, and Python would wait for them."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler calls a killed worker an error
    for worker in multiprocessing.active_children():
        worker.kill()


def end_with_parent(number: signal.Signals) -> None:
    """Let the system send this process a signal when its parent ends, in whatever way. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def end_with_agent() -> None:
    """Let a process that torchrun started save and stop when torchrun itself is killed and cannot ask for it."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent(signal.SIGTERM)
