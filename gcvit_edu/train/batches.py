"""The data set that the loop needs, the pictures that each process sees at each step, and the batches of them."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.workers import batches_of, collate, share, start_worker

_EPOCH_STRIDE = 1_000_003  # a prime, so that (seed, epoch) and (seed + 1, epoch - 1) differ


def epoch_order(epoch: int, num_samples: int, seed: int) -> list[int]:
    """The indices 0 to num_samples - 1, shuffled for one epoch.

    Args:
        epoch: from 0.
        num_samples: pictures in the data set.
        seed: another seed, another order.
    """
    generator = torch.Generator().manual_seed(seed * _EPOCH_STRIDE + epoch)
    return torch.randperm(num_samples, generator=generator).tolist()


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """Steps of an epoch: whole batches only, so some pictures wait for another epoch.

    Raises:
        ValueError: if there is not one whole batch.
    """
    if num_samples < batch_size:
        raise ValueError(
            f"{num_samples} training pictures do not fill one batch of batch_size={batch_size}; make it smaller"
        )
    return num_samples // batch_size


@dataclass(frozen=True)
class MicroBatchSampler(Sampler[list[int]]):
    """The lists of indices that one process loads in one epoch, accumulate micro-batches for each step.

    A batch is cut into equal shares, one per process, and each share into micro-batches. The content of a batch does
    not depend on the number of processes.

    Attributes:
        num_samples: pictures in the data set.
        batch_size: pictures of a step, over all processes.
        accumulate: micro-batches of a share.
        rank: this process.
        world_size: all processes.
        seed: of the shuffle.
        epoch: which shuffle.
        first: the step of the epoch to begin with; more than 0 after a resume.

    Raises:
        ValueError: if the batch cannot be cut evenly.
    """

    num_samples: int
    batch_size: int
    accumulate: int
    rank: int
    world_size: int
    seed: int
    epoch: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        if self.batch_size % (self.world_size * self.accumulate):
            raise ValueError(
                f"batch_size={self.batch_size} cannot be cut into {self.world_size} processes times "
                f"accumulate={self.accumulate}; use a multiple of {self.world_size * self.accumulate}"
            )

    @property
    def micro_batch_size(self) -> int:
        """The number of pictures in a micro-batch, which are in memory at once."""
        return self.batch_size // (self.world_size * self.accumulate)

    def __len__(self) -> int:
        return (steps_per_epoch(self.num_samples, self.batch_size) - self.first) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self.epoch, self.num_samples, self.seed)
        for step in range(self.first, steps_per_epoch(self.num_samples, self.batch_size)):
            for part in range(self.accumulate):
                start = step * self.batch_size + (self.rank * self.accumulate + part) * self.micro_batch_size
                yield order[start : start + self.micro_batch_size]


def validation_indices(num_samples: int, rank: int, world_size: int) -> range:
    """The indices that one process validates: together, the processes have each index once.

    Args:
        num_samples: pictures in the data set.
        rank: this process.
        world_size: all processes.
    """
    return range(rank, num_samples, world_size)


@runtime_checkable
class Samples(Protocol):
    """A data set: pictures as tensors (3, H, W) with the number of their class, by index.

    Whatever is random in a sample must follow from a seed, the epoch and the index; then neither a resume nor the
    number of workers changes anything. A set that is random has a method set_epoch(epoch). It may have a list
    `classes`: its length must be config.num_classes, and training and validation must have the same ones. It may have
    a method identity(), (name, label) of each picture in order: a resumed run then notices pictures that were added,
    removed or relabelled. A list `skipped` and a text `about` go to the log. Attributes that a set lacks are looked for
    in the set that it wraps as its `dataset`.

    A set that is better read from front to back has a method stream(batch_size=, accumulate=, rank=, world_size=,
    first=): an iterable data set with the batches of one process in the epoch that was set, from the step `first` on.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, int]: ...


def attribute_of(samples: Samples, name: str) -> Any:
    """An attribute of a data set, or else of the set that it wraps, and so on; None where it is missing."""
    while not hasattr(samples, name) and hasattr(samples, "dataset"):
        samples = samples.dataset
    return getattr(samples, name, None)


def check_classes(samples: Samples, config: TrainConfig, which: str) -> None:
    """Refuse a data set whose number of classes is not the model's.

    Args:
        samples: the set; without `classes` nothing is checked.
        config: its num_classes is the model's.
        which: the set's name in the message, "training" or "validation".

    Raises:
        ValueError: if the numbers differ.
    """
    classes = attribute_of(samples, "classes")
    if classes is not None and len(classes) != config.num_classes:
        raise ValueError(
            f"the {which} set has {len(classes)} classes and the model num_classes={config.num_classes}; "
            f"set num_classes={len(classes)}"
        )


def check_samples(training: Samples, validation: Samples, config: TrainConfig) -> None:
    """Refuse data sets that a run could not use, before it begins.

    Args:
        training: the set to train on.
        validation: the set to validate on.
        config: its num_classes is the model's.

    Raises:
        ValueError: for a wrong number of classes, or one only; for classes that differ between the two sets; and for no
            picture to validate.
    """
    ours, theirs = (attribute_of(samples, "classes") for samples in (training, validation))
    if ours is not None and theirs is not None:
        _check_same_names(training, validation)  # before their number, as another number would not help
        for label, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if one != other:
                raise ValueError(
                    f"class {label} is {one!r} in the training set and {other!r} in the validation set; "
                    "give both the same classes in the same order"
                )
    check_classes(training, config, "training")
    check_classes(validation, config, "validation")
    if config.num_classes == 1:
        only, root = "" if ours is None else f", {ours[0]!r}", _root_of(training)
        raise ValueError(
            f"there is one class only{only}, so that every answer would be right, and nothing would be learned; give "
            f"each class a folder of its own{f' in {root}' if root else ''}"
        )
    if not len(validation):
        raise ValueError("the validation set is empty; a run needs at least one picture to validate")


def _check_same_names(training: Samples, validation: Samples) -> None:
    """Refuse a class that only one of the sets has.

    Raises:
        ValueError: with the classes, and the place for their pictures.
    """
    sets = {"training": training, "validation": validation}
    names = {which: list(attribute_of(samples, "classes")) for which, samples in sets.items()}
    spelt = {unicodedata.normalize("NFC", str(name)): name for name in names["validation"]}
    for name in names["training"]:
        alike = spelt.get(unicodedata.normalize("NFC", str(name)), name)
        if alike != name and name not in spelt.values():  # macOS and other systems write an accent in two ways
            raise ValueError(
                f"the class {name!r} is spelt {name!a} in the training set and {alike!a} in the validation set, which "
                "look alike and are not the same characters; rename one folder by copying the other's name"
            )
    problems, remedies = [], []
    for which, other in (("validation", "training"), ("training", "validation")):
        there = set(names[which])
        missing = [name for name in names[other] if name not in there]
        if missing:
            shown = ", ".join(map(repr, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            problems.append(f"the {which} set lacks {shown}, which the {other} set has")
            root = _root_of(sets[which])
            remedies.append(f"pictures of {missing[0]!r} to {root / str(missing[0]) if root else f'the {which} set'}")
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}. Both must have the same classes: add {' and '.join(remedies)}, or take out of "
            "each set the classes that the other lacks"
        )


def _root_of(samples: Samples) -> Path | None:
    """The folder with the folders of a set's classes; None for a set that has no such folders."""
    files = attribute_of(samples, "files")
    first = files[0][0] if files and isinstance(files[0], tuple) else None
    return first.parent.parent if isinstance(first, Path) else None


def train_batches(samples: Samples, parts: MicroBatchSampler, config: TrainConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """The micro-batches of one epoch from a data set: images (B, 3, H, W) and labels (B,).

    Args:
        samples: the training set.
        parts: the indices of this process's micro-batches, in one epoch.
        config: its workers load the pictures.
    """
    set_epoch = attribute_of(samples, "set_epoch")
    if set_epoch is not None:
        set_epoch(parts.epoch)
    place = {name: getattr(parts, name) for name in ("batch_size", "accumulate", "rank", "world_size", "first")}
    return _load(config, **_stream(samples, **place) or {"dataset": samples, "batch_sampler": parts})


def validation_batches(samples: Samples, config: TrainConfig, place: Place) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of a data set, in batches as large as training's micro-batches or smaller.

    Args:
        samples: the validation set.
        config: its batch_size and accumulate give the size; its workers load the pictures.
        place: this process.
    """
    share = validation_indices(len(samples), place.rank, place.world_size)
    size = max(1, config.batch_size // (place.world_size * config.accumulate))
    batches = [list(share[start : start + size]) for start in range(0, len(share), size)]
    sizes = {"batch_size": config.batch_size, "accumulate": config.accumulate}
    stream = _stream(samples, **sizes, rank=place.rank, world_size=place.world_size)
    return _load(config, **stream or {"dataset": samples, "batch_sampler": batches})


def _stream(samples: Samples, **place: int) -> dict[str, Any]:
    """The DataLoader's arguments for a set that is read from front to back; none for other sets."""
    make = attribute_of(samples, "stream")
    return {} if make is None else {"dataset": make(**place), "batch_size": None}


def _load(config: TrainConfig, **source: Any) -> Iterator[tuple[Tensor, Tensor]]:
    loader = DataLoader(
        **source,
        num_workers=config.workers,
        pin_memory=torch.cuda.is_available(),
        collate_fn=share if "batch_size" in source else collate,
        worker_init_fn=start_worker,
        generator=torch.Generator(),  # its own: making an iterator must not advance the model's
    )
    for images, labels in batches_of(loader):
        wrong = labels[(labels < 0) | (labels >= config.num_classes)]
        if len(wrong):
            raise ValueError(
                f"a picture has label {wrong[0]}, and num_classes={config.num_classes} "
                f"allows 0 to {config.num_classes - 1}; correct the labels or num_classes"
            )
        yield images, labels
