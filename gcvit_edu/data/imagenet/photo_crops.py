"""Many real JPEG files from the book's few photographs, in ImageNet's layout: to measure and test loaders."""

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from gcvit_edu.data.photos import load_photo, photo_names

# (width, height): ImageNet's most frequent sizes.
IMAGENET_SIZES = ((500, 375), (500, 333), (375, 500), (500, 375))


def cut_photos(
    root: Path,
    classes: Sequence[str],
    per_class: int,
    *,
    sizes: Sequence[tuple[int, int]] = IMAGENET_SIZES,
    quality: int = 90,
    seed: int = 0,
) -> None:
    """Write root/<class>/<class>_<number>.JPEG: random parts of the photographs, each picture a different one.

    They load like ImageNet's pictures, but serve no other purpose: the parts of five photographs overlap, and the
    classes mean nothing. Do not train on them.

    Args:
        root: made where it is missing.
        classes: names of the folders.
        per_class: pictures of each class.
        sizes: (width, height) of the pictures, in turns.
        quality: of the JPEG files.
        seed: another seed, other parts.

    Raises:
        ValueError: if there would be no picture.
    """
    if not classes or per_class < 1:
        raise ValueError(f"{len(classes)} classes of {per_class} pictures are none; ask for at least one of each")
    photos = [load_photo(name) for name in photo_names()]
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            draw = random.Random(f"{seed} {name} {number}")
            width, height = sizes[(label + number) % len(sizes)]
            photo = photos[(label + number) % len(photos)]
            share = draw.uniform(0.6, 1.0) * min(photo.width / width, photo.height / height)
            left = draw.uniform(0, photo.width - share * width)
            top = draw.uniform(0, photo.height - share * height)
            box = (left, top, min(left + share * width, photo.width), min(top + share * height, photo.height))
            picture = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
            picture.save(root / name / f"{name}_{number}.JPEG", quality=quality)
