"""ImageNet, in any of the three forms that it may have on your disk, with its classes in the usual order."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gcvit_edu.data.folder import split_problem
from gcvit_edu.data.imagenet.archives import archive_of, training_archive, validation_archive
from gcvit_edu.data.imagenet.encoded import FolderPictures, StoredPictures
from gcvit_edu.data.imagenet.shards import MANIFEST, SPLITS, Shards


@cache
def _known() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The list of ImageNet-1k in timm: wnids in the order of their numbers, and their meanings."""
    from timm.data import ImageNetInfo  # brings timm, which takes seconds to import

    info = ImageNetInfo("imagenet-1k")
    wnids = tuple(info.label_names())
    return wnids, tuple(info.index_to_description(index) for index in range(len(wnids)))


def imagenet_classes() -> list[str]:
    """The 1,000 wnids, such as "n01440764", in the order of their numbers, which is alphabetical."""
    return list(_known()[0])


def imagenet_names() -> list[str]:
    """The names of the 1,000 classes, such as "tench, Tinca tinca", in the order of their numbers."""
    return list(_known()[1])


def check_class_order(classes: Sequence[str], where: str, expected: int = 1000) -> None:
    """Refuse classes that are not ImageNet's, or not in its order: the usual cause of an accuracy at chance level.

    Args:
        classes: wnids in the order of their numbers.
        where: their source, for the message.
        expected: how many there must be; with fewer than 1,000, any of ImageNet's, in its order.

    Raises:
        ValueError: with the first class that is wrong.
    """
    known = imagenet_classes()
    if strange := [name for name in classes if name not in set(known)]:
        raise ValueError(
            f"{where} has the class {strange[0]!r} ({len(strange)} such), which is no wnid of ImageNet-1k; "
            "a class is called like n01440764: give its folder that name, or delete it"
        )
    wanted = known if expected == len(known) else sorted(set(classes))
    if missing := [name for name in wanted if name not in set(classes)]:
        raise ValueError(
            f"{where} lacks {len(missing)} of the {expected} classes; the first is {missing[0]}: "
            "add them, or set the number of classes"
        )
    for label, (found, right) in enumerate(zip(classes, wanted, strict=False)):
        if found != right:
            raise ValueError(
                f"{where} calls class {label} {found}, and it is {right}; the numbers are those of the sorted wnids, "
                "and pretrained weights count on that: sort the classes by name"
            )
    if len(classes) != expected:
        raise ValueError(f"{where} has {len(classes)} classes, not {expected}; set the number of classes")


def open_pictures(root: Path | str, split: str, *, num_classes: int = 1000) -> StoredPictures:
    """One split of ImageNet: shards, a folder or an official archive, whichever is there, in this order.

    All three give the same pictures. A folder and an archive give them in the same order, too, by class and name;
    shards have an order of their own, mixed once, so that neighbours are of different classes.

    ImageNet's pictures are read in the usual way: as they are stored, without the turn of the EXIF orientation that a
    few have. Published accuracies depend on that. Pictures of any classes (num_classes=0) are people's own, and are
    turned upright; the manifest of shards says which of the two they hold. The rest of upright_rgb is for both.

    Args:
        root: with <split>/manifest.json (shards), <split>/<wnid>/*.JPEG, or ILSVRC2012_img_<split>.tar.
        split: "train" or "val".
        num_classes: 1000, or fewer for a part of ImageNet such as Imagenette's 10, or 0 for pictures of any classes.

    Raises:
        ValueError: if there is none of them, or its classes are not ImageNet's or not in its order.
    """
    root = Path(root)
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; take {' or '.join(SPLITS)}")
    if (root / split / MANIFEST).is_file():
        found: StoredPictures = Shards(root / split)
    elif (root / split).is_dir():
        found = FolderPictures(root / split, upright=not num_classes)
    elif archive_of(root, split).is_file():
        if num_classes not in (0, len(imagenet_classes())):
            found_here = archive_of(root, split)
            raise ValueError(f"{found_here} has 1000 classes, not {num_classes}; set the number of classes")
        found = (training_archive if split == "train" else validation_archive)(root, imagenet_classes())
    else:
        problem = split_problem(root) if root.is_dir() else "it is no folder"
        raise ValueError(
            f"{root} has neither {split}/{MANIFEST} (shards) nor {split}/ (folders of classes) nor "
            f"{archive_of(root, split).name}; {problem or 'name the folder that has one of them'}"
        )
    if num_classes:
        check_class_order(found.classes, str(root / split), num_classes)
    return found
