"""One process or several (torchrun): the rank of this process, and values shared by all."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Place:
    """The place of one process among those that train together.

    Attributes:
        rank: its number, from 0.
        world_size: number of processes.
        device: the device that it computes on.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0


def local_device(device: str) -> torch.device:
    """The device that this process computes on; from now on PyTorch's "cuda" means this one.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: for "cuda" without a GPU, and for more processes than GPUs on this machine.
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
    """The rank and the world size from torchrun's environment, before the processes have met."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def processes_of_machine() -> int:
    """The number of processes that train on this machine, from torchrun; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def start(device: str) -> Place:
    """Join the processes that torchrun started; without torchrun this process is the only one.

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
    """Leave the group of processes, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank_and_world_size() -> tuple[int, int]:
    """The rank of this process and the number of processes."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of all processes' tensors, which must have one shape; in place, and returned."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def broadcast_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers, in place: the batch norms of each have seen other pictures."""
    if distributed.is_initialized():
        for value in model.buffers():
            distributed.broadcast(value, 0)


def gather(value: Any) -> list[Any]:
    """The values of all processes, in order of rank."""
    if not distributed.is_initialized():
        return [value]
    everyone: list[Any] = [None] * rank_and_world_size()[1]
    distributed.all_gather_object(everyone, value)
    return everyone


def on_rank0_then_broadcast(work: Callable[[], Any]) -> Any:
    """The result of a function in every process, although only the first calls it; the others wait.

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
