"""Shards read from front to back, by the webdataset library: for disks where reads at random places are slow.

The reading works in this way, and has these limits:

- *Epoch.* The shards are put into an order that follows from seed and epoch; laid end to end they are one long
  sequence, cut into equal stretches, one for each process, and each of those into one for each worker. So every process
  has the same number of batches, and no picture comes twice. At most one batch of pictures waits for another epoch.
- *Shuffling* is local: within a stretch, pictures are mixed in a buffer. A folder or `Shards` mix all pictures.
- *Other numbers of processes or workers* give another order, and other batches.
- *Resume* in the middle of an epoch is exact with the same numbers of processes and workers; the pictures before are
  read again, not decoded. With other numbers, some pictures come twice in that epoch and others not at all.
- *Validation* (buffer=0) has each picture once at any number of processes and workers; the last batch may be smaller.
- *Augmentation* of a picture follows from seed, epoch and its number, as with `Augmented`, whichever process loads it.
"""

import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import webdataset
from torch import Tensor
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from gcvit_edu.data.augment import Augmented, seeded
from gcvit_edu.data.imagenet.encoded import Encoded, EncodedImage, StoredPictures
from gcvit_edu.data.imagenet.shards import LABEL, PICTURE, Shards


class Streamed(Augmented):
    """Shards for the training loop, which then takes an epoch from front to back; single pictures come by index.

    Args:
        pictures: shards.
        transform: (EncodedImage, label) -> the item that replaces both.
        buffer: pictures to mix at a time in training; 0 for validation.
        seed: of order, mixing and augmentation.

    Raises:
        ValueError: if the pictures are no shards.
    """

    def __init__(
        self, pictures: StoredPictures, transform: Callable[..., Any], *, buffer: int = 0, seed: int = 0
    ) -> None:
        if not isinstance(pictures, Shards):
            raise ValueError(
                "only shards can be read from front to back; make some with "
                "python -m gcvit_edu.data.imagenet.prepare, or set shuffle_buffer=0"
            )
        super().__init__(Encoded(pictures), transform, seed)
        self.shards, self.buffer = pictures, buffer

    def stream(self, **place: int) -> "ShardStream":
        """The batches of one process in the epoch that was set; its arguments are ShardStream's."""
        epoch = int(self._epoch)
        return ShardStream(self.shards, self.transform, buffer=self.buffer, seed=self.seed, epoch=epoch, **place)


def shard_order(shards: int, seed: int, epoch: int) -> list[int]:
    """The numbers 0 to shards - 1, shuffled for one epoch.

    Args:
        shards: how many.
        seed: another seed, another order.
        epoch: from 0.
    """
    order = list(range(shards))
    random.Random(f"{seed} {epoch}").shuffle(order)
    return order


def pieces_of(counts: Sequence[int], order: Sequence[int], start: int, stop: int) -> list[tuple[int, int, int]]:
    """A stretch of the sequence that shards make end to end, as pieces (shard, first picture, end).

    Args:
        counts: pictures in each shard.
        order: of the shards in the sequence.
        start: first picture of the stretch, counted in the sequence.
        stop: the one after its last.
    """
    pieces, before = [], 0
    for shard in order:
        first, end = max(start - before, 0), min(stop - before, counts[shard])
        if first < end:
            pieces.append((shard, first, end))
        before += counts[shard]
    return pieces


class ShardStream(IterableDataset[tuple[Tensor, Tensor]]):
    """One epoch of one process -> batches of the transform's results; see the module for its limits.

    Give it to a DataLoader with batch_size=None, and any number of workers.

    Args:
        shards: the pictures.
        transform: (EncodedImage, label) -> an item for default_collate, such as (tensor, label).
        batch_size: pictures of a step, over all processes.
        buffer: pictures to mix within a stretch, for training; 0 for validation: in order, and nothing left out.
        accumulate: parts of a process's share of a batch; each is one batch of this stream.
        rank: this process.
        world_size: all processes.
        seed: of order, mixing and augmentation.
        epoch: from 0.
        first: the step of the epoch to begin with; more than 0 after a resume.

    Raises:
        ValueError: if the batch cannot be cut evenly, or a shard is cut short.
    """

    def __init__(
        self,
        shards: Shards,
        transform: Callable[[EncodedImage, int], Any],
        *,
        batch_size: int,
        buffer: int = 0,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        epoch: int = 0,
        first: int = 0,
    ) -> None:
        if batch_size % (world_size * accumulate):
            raise ValueError(
                f"batch_size={batch_size} cannot be cut into {world_size} processes times accumulate={accumulate}; "
                f"use a multiple of {world_size * accumulate}"
            )
        self.shards, self.transform, self.buffer = shards, transform, buffer
        self.rank, self.world_size, self.seed, self.epoch = rank, world_size, seed, epoch
        self.size, self.done = batch_size // (world_size * accumulate), first * accumulate
        total = len(shards)
        if buffer:
            own = total // batch_size * accumulate * self.size
            self.start, self.stop = rank * own, (rank + 1) * own
        else:
            self.start, self.stop = rank * total // world_size, (rank + 1) * total // world_size

    def __len__(self) -> int:
        return -(-(self.stop - self.start) // self.size) - self.done

    def stretch(self, worker: int, workers: int) -> tuple[int, int]:
        """The first picture of a worker, and the one after its last; it has batches worker, worker + workers, ..."""
        batches = len(self) + self.done
        last = (batches - 1) % workers  # has the last batch, which may be smaller: its stretch comes last
        ahead = [(last + 1 + place) % workers for place in range((worker - last - 1) % workers)]
        begin = self.start + self.size * sum(len(range(other, batches, workers)) for other in ahead)
        return begin, min(self.stop, begin + self.size * len(range(worker, batches, workers)))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        info = get_worker_info()
        number, workers = (info.id, info.num_workers) if info else (0, 1)
        worker = (number + self.done) % workers  # the loader asks worker 0 first, and its batch must be the next one
        samples = self._samples(*self.stretch(worker, workers))
        if self.buffer:
            rng = random.Random(f"{self.seed} {self.epoch} {self.rank} {worker}")
            samples = webdataset.filters.shuffle(self.buffer, initial=self.buffer, rng=rng)(samples)
        skipped = len(range(worker, self.done, workers))
        samples = islice(samples, skipped * self.size, None)
        while batch := [self._transformed(sample) for sample in islice(samples, self.size)]:
            yield default_collate(batch)

    def _samples(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """The raw samples of a stretch, in the order of the sequence."""
        counts = self.shards.counts
        order = shard_order(len(counts), self.seed, self.epoch) if self.buffer else range(len(counts))
        for shard, first, end in pieces_of(counts, order, start, stop):
            path = self.shards.files[shard]
            found = 0
            with path.open("rb") as stream:  # the library itself would leave it open
                members = webdataset.tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
                try:
                    for sample in islice(webdataset.tariterators.group_by_keys(members), first, end):
                        found += 1
                        yield sample
                except tarfile.TarError as error:
                    raise ValueError(f"{path} cannot be read ({error}); copy it again") from error
            if found < end - first:
                raise ValueError(f"{path} is cut short: picture {first + found} is missing; copy it again")

    def _transformed(self, sample: dict[str, Any]) -> Any:
        key, label = sample["__key__"], int(sample[LABEL.lstrip(".")])
        with seeded(self.seed, self.epoch, int(key)):
            name, content = f"{sample['__url__']}, {key}", sample[PICTURE.lstrip(".")]
            return self.transform(EncodedImage(name, content, self.shards.upright), label)
