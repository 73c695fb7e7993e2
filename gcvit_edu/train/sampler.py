"""Which pictures each process sees at which step: pure functions of seed, epoch and rank."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

_EPOCH_STRIDE = 1_000_003  # a prime, so that (seed, epoch) and (seed + 1, epoch - 1) differ


def order_of(epoch: int, samples: int, seed: int) -> list[int]:
    """The indices 0 to samples - 1, shuffled for one epoch."""
    generator = torch.Generator().manual_seed(seed * _EPOCH_STRIDE + epoch)
    return torch.randperm(samples, generator=generator).tolist()


def steps_of(samples: int, batch_size: int) -> int:
    """Steps of an epoch: whole batches only, so some pictures wait for another epoch.

    Raises:
        ValueError: if there is not one whole batch.
    """
    if samples < batch_size:
        raise ValueError(
            f"{samples} training pictures do not fill one batch of batch_size={batch_size}; make it smaller"
        )
    return samples // batch_size


@dataclass(frozen=True)
class Parts(Sampler[list[int]]):
    """The lists of indices that one process loads in one epoch, `accumulate` lists for each step.

    A batch is cut into equal shares, one per process, and each share into parts. What a batch holds does not depend
    on the number of processes.

    Args:
        samples: pictures in the data set.
        batch_size: pictures of a step, over all processes.
        accumulate: parts of a share.
        rank: this process.
        world: all processes.
        seed: of the shuffle.
        epoch: which shuffle.
        first: the step of the epoch to begin with; more than 0 after a resume.

    Raises:
        ValueError: if the batch cannot be cut evenly.
    """

    samples: int
    batch_size: int
    accumulate: int
    rank: int
    world: int
    seed: int
    epoch: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        if self.batch_size % (self.world * self.accumulate):
            raise ValueError(
                f"batch_size={self.batch_size} cannot be cut into {self.world} processes times "
                f"accumulate={self.accumulate}; use a multiple of {self.world * self.accumulate}"
            )

    @property
    def part_size(self) -> int:
        """Pictures that are in memory at once."""
        return self.batch_size // (self.world * self.accumulate)

    def __len__(self) -> int:
        return (steps_of(self.samples, self.batch_size) - self.first) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = order_of(self.epoch, self.samples, self.seed)
        for step in range(self.first, steps_of(self.samples, self.batch_size)):
            for part in range(self.accumulate):
                start = step * self.batch_size + (self.rank * self.accumulate + part) * self.part_size
                yield order[start : start + self.part_size]


def share_of(samples: int, rank: int, world: int) -> range:
    """The indices that one process validates: together, the processes have each index once."""
    return range(rank, samples, world)
