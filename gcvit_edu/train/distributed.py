"""One process or several (torchrun): who am I, and what do all of us have together."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Place:
    """One process among those that train together.

    Attributes:
        rank: its number, from 0.
        world_size: how many there are.
        device: what it computes on.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0


def local_device(device: str) -> torch.device:
    """What this process computes on; from now on also what PyTorch means by "cuda".

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: for "cuda" where there is none, and for more processes than GPUs on this machine.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda', but PyTorch finds no CUDA device here; use device=cpu or device=auto")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local >= gpus:
        raise ValueError(f"process {local} of this machine has no GPU, there are {gpus}; use --nproc-per-node={gpus}")
    own = torch.device("cuda", local)
    torch.cuda.set_device(own)
    return own


def env_rank_and_world_size() -> tuple[int, int]:
    """The number of this process and how many there are, as torchrun says before they have met."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def processes_of_machine() -> int:
    """How many processes train on this machine, as torchrun says; one without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def start(device: str) -> Place:
    """Join the processes that torchrun started, or stand alone where it did not.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: if there is no such device for this process.
    """
    own = local_device(device)
    if "WORLD_SIZE" not in os.environ:
        return Place(0, 1, own)
    distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
    return Place(*rank_and_world_size(), own)


def stop() -> None:
    """Leave the other processes, if there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank_and_world_size() -> tuple[int, int]:
    """The number of this process and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of every process's tensor; all must have the same shape. In place, and returned."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def broadcast_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers, in place: each has seen other pictures with its batch norms."""
    if distributed.is_initialized():
        for value in model.buffers():
            distributed.broadcast(value, 0)


def gather(value: Any) -> list[Any]:
    """What every process has, in order of rank."""
    if not distributed.is_initialized():
        return [value]
    everyone: list[Any] = [None] * rank_and_world_size()[1]
    distributed.all_gather_object(everyone, value)
    return everyone


def on_rank0_then_broadcast(work: Callable[[], Any]) -> Any:
    """What a function returns in the first process, which alone calls it; the others wait.

    Raises:
        ValueError: in every process, if the function raises it.
        OSError: likewise.
    """
    box: list[Any] = [None, None]
    if rank_and_world_size()[0] == 0:
        try:
            box[0] = work()
        except (ValueError, OSError) as error:
            box[1] = error
    if distributed.is_initialized():
        distributed.broadcast_object_list(box)
    result, problem = box
    if problem is not None:
        raise problem
    return result
