"""The identity of a run, which a resume may not change: classes, names and labels of pictures, its first weights.

The places of these files are no part of it: a run may go on with a copy of the pictures, on another machine.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gcvit_edu.train.batches import Samples, attribute_of
from gcvit_edu.train.config import TrainConfig, free_changes
from gcvit_edu.train.distributed import gather

SHOWN = 20  # classes in a note
MOST_CLASSES = 100_000  # that are counted; a larger label is a mistake, which the loader refuses with a message


@dataclass(frozen=True)
class SetIdentity:
    """The identity of one of the two data sets.

    Attributes:
        pictures: their number.
        sizes: pictures of each class, where the set gives its labels.
        digest: SHA-256 of the names and labels, in order; None where the set does not give them.
    """

    pictures: int
    sizes: list[int] | None = None
    digest: str | None = None


@dataclass(frozen=True)
class RunIdentity:
    """The identity of a run: all that a resume compares besides the config.

    Attributes:
        training: the training set.
        validation: the validation set.
        classes: their names in the order of their numbers; None where the sets do not name them.
        weights: SHA-256 of the file of weights that the run begins with; None where it is no file.
    """

    training: SetIdentity
    validation: SetIdentity
    classes: list[str] | None = None
    weights: str | None = None


def identity_of(training: Samples, validation: Samples, config: TrainConfig) -> RunIdentity:
    """The identity of a run.

    Args:
        training: the set to train on.
        validation: the set to validate on.
        config: its weights, if it has any, are a part of the identity.

    Raises:
        OSError: if the file of weights cannot be read.
    """
    names = class_names(training)
    weights = str(getattr(config, "weights", None) or "")
    digest = None
    if weights and Path(weights).is_file():
        with open(weights, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return RunIdentity(_of_set(training), _of_set(validation), names, digest)


def the_same_everywhere(identity: RunIdentity) -> RunIdentity:
    """The given identity, if every process of the run has the same one: each machine may have its own copy of the data.

    Raises:
        ValueError: in every process, if it differs.
    """
    everyone = gather(identity)
    for rank, other in enumerate(everyone):
        refused = _class_refusal(everyone[0].classes, other.classes)
        for which in ("training", "validation"):
            refused += _set_refusal(which, asdict(getattr(everyone[0], which)), getattr(other, which), other.classes)
        if other.weights != everyone[0].weights:
            refused.append("the file of weights has another content")
        if refused:
            raise ValueError(
                f'process {rank} has other data than process 0: {"; ".join(refused)}, where "was" stands for process '
                "0; give each machine the same copy"
            )
    return identity


def class_names(samples: Samples) -> list[str] | None:
    """The names of a data set's classes; None where it does not name them."""
    classes = attribute_of(samples, "classes")
    return None if classes is None else [str(name) for name in classes]


def _of_set(samples: Samples) -> SetIdentity:
    """A data set's identity, from its method identity() or its list of labels, `targets`, as torchvision calls it."""
    found, count, inner = hashlib.sha256(), len(samples), samples
    while not hasattr(inner, "identity") and not hasattr(inner, "targets"):
        for choice in ("kept", "indices"):  # of Readable and of torch's Subset: the chosen pictures of the inner set
            if hasattr(inner, choice):
                found.update(repr(list(map(int, getattr(inner, choice)))).encode())
        if not hasattr(inner, "dataset"):
            return SetIdentity(count)
        inner = inner.dataset
    pairs: Iterable[tuple[str, int]] = (
        inner.identity() if hasattr(inner, "identity") else (("", label) for label in inner.targets)
    )
    sizes: dict[int, int] = {}
    for name, label in pairs:
        label = int(label)
        found.update(b"%d %b\0" % (label, os.fsencode(name)))  # no file name has a zero byte
        sizes[label] = sizes.get(label, 0) + 1
    most = max(sizes, default=-1)
    listed = [sizes.get(label, 0) for label in range(most + 1)] if most < MOST_CLASSES else None
    return SetIdentity(count, listed, found.hexdigest())


# ------------------------------------------------------------------------------------------------------- compared


def compared(
    before: Mapping[str, Any] | None, now: RunIdentity, settings: Mapping[str, Any], config: TrainConfig
) -> tuple[list[str], list[str]]:
    """Compare a run with that of a checkpoint, by their content.

    Args:
        before: the identity in the checkpoint, as a dictionary; None in one that is older than this.
        now: the identity of the run that goes on.
        settings: the config in the checkpoint, as a dictionary.
        config: of the run that goes on.

    Returns:
        The reasons why it is not the same run, none if it is; and notes for people.
    """
    refused: list[str] = []
    notes = [] if before else ["the checkpoint is older than the digests: only the number of pictures was compared"]
    old = before or {}
    refused += _class_refusal(old.get("classes"), now.classes)
    for which in ("training", "validation"):
        refused += _set_refusal(which, old.get(which), getattr(now, which), now.classes)
    if moved := free_changes(settings, asdict(config), ("data",)):
        both = all(
            old.get(which, {}).get("digest") and getattr(now, which).digest for which in ("training", "validation")
        )
        if both:
            notes += [f"{moved[0]}, with the same names and labels"]
        else:
            why = "the data sets have no method identity()" if before else "the checkpoint is older than the digests"
            refused += [f"{moved[0]}, and nobody can tell whether the pictures are the same, as {why}"]
    same_weights = now.weights is not None and old.get("weights") == now.weights
    if moved := free_changes(settings, asdict(config), ("weights",)):
        (notes if same_weights else refused).append(moved[0] + (", with the same content" if same_weights else ""))
    elif before and now.weights and not same_weights:
        notes += ["the file of weights has changed since; the run goes on with those that it began with"]
    return refused, notes


def _class_refusal(before: Sequence[str] | None, now: Sequence[str] | None) -> list[str]:
    """The first class that differs."""
    if before is None or now is None:
        return []
    for label in range(max(len(before), len(now))):
        was, is_now = (repr(names[label]) if label < len(names) else "none" for names in (before, now))
        if was != is_now:
            return [f"class {label} was {was} and is {is_now}"]
    return []


def _set_refusal(
    which: str, before: Mapping[str, Any] | None, now: SetIdentity, classes: Sequence[str] | None
) -> list[str]:
    """The differences in one of the data sets, as far as both identities know it."""
    if before is None:
        return []
    known = bool(before["sizes"] and now.sizes)
    sizes = zip_longest(before["sizes"] if known else [], now.sizes if known else [], fillvalue=0)
    changed = [
        f"class {classes[label] if classes and label < len(classes) else label} had {was} and has {is_now}"
        for label, (was, is_now) in enumerate(sizes)
        if was != is_now
    ]
    shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    if before["pictures"] != now.pictures:
        return [f"{which} pictures was {before['pictures']} and is {now.pictures}" + (f": {shown}" if shown else "")]
    if None in (before["digest"], now.digest) or before["digest"] == now.digest:
        return []
    why = shown or "as many in each class, under other names or in another order"
    return [f"the {which} set has other pictures or labels than then: {now.pictures} pictures as before, but {why}"]


# --------------------------------------------------------------------------------------------------------- in words


def described(samples: Samples, which: str) -> str:
    """A line about a data set: its own description, or else its numbers."""
    about, names = attribute_of(samples, "about"), class_names(samples)
    if about is None:
        about = f"{len(samples)} pictures" + ("" if names is None else f" in {len(names)} classes")
    return f"{which}: {about}"


def numbered_classes(names: Sequence[str]) -> str:
    """The number of each class, in a line."""
    pairs = [f"{label} = {name}" for label, name in enumerate(names)]
    text = "classes: " + ", ".join(pairs if len(pairs) <= SHOWN else [pairs[0], pairs[1], "...", pairs[-1]])
    if all(name.isdecimal() for name in names) and sorted(names, key=int) != list(names):
        text += "; the names are numbers, and sorted as text: label and name differ"
    return text
