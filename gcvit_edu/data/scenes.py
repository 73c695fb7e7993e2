"""Scenes: emoji on backgrounds, made at run time from (seed, index) alone."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.ops import masks_to_boxes
from torchvision.tv_tensors import BoundingBoxes, Mask
from torchvision.tv_tensors import Image as ImageTensor

from gcvit_edu.data.compose import Draws, background, paste
from gcvit_edu.data.emoji import Emoji

ATTEMPTS = 20  # places tried for an emoji before it is left out of the scene


def check_index(index: int, length: int) -> None:
    """Refuse an index outside a data set, as a list does; Python's loops end on it.

    Raises:
        IndexError: unless 0 <= index < length.
    """
    if not 0 <= index < length:
        raise IndexError(f"there is no scene {index}; they are numbered from 0 to {length - 1}")


def _overlap(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    """Pixels that two squares share, each (top, left, side)."""
    height, width = (min(one[k] + one[2], other[k] + other[2]) - max(one[k], other[k]) for k in (0, 1))
    return max(height, 0) * max(width, 0)


class Scenes(Dataset[tuple[ImageTensor, dict[str, Any]]]):
    """Several emoji on a photograph, a gradient or a plain colour -> (image, target).

    The image is (3, size, size) of uint8. The target has the keys that torchvision's detectors expect:
    "boxes", (N, 4) of float32: left, top, right and bottom of the visible part, in pixels, the last two exclusive;
    "labels", (N,) of int64: classes as in Emoji; "masks", (N, size, size) of bool: the visible pixels.
    All are torchvision's tensors, so its transforms move them together. A scene depends on (seed, index) alone,
    and is the same on every machine and in every worker.

    Args:
        length: how many scenes.
        split: whether the emoji are those of training or of test, as in Emoji.
        seed: another seed, other scenes.
        size: sides of a scene, in pixels.
        most: a scene shows from 1 to this many emoji; of those that overlap, at most a quarter of the smaller is
            covered by each other one.
        sides: the smallest and the largest side of an emoji, in pixels.

    Raises:
        ValueError: if an emoji is larger than a scene, or a number is out of its range.
    """

    def __init__(
        self,
        length: int,
        *,
        split: Literal["train", "test"] = "train",
        seed: int = 0,
        size: int = 128,
        most: int = 5,
        sides: tuple[int, int] = (20, 56),
    ) -> None:
        if length < 1 or most < 1:
            raise ValueError(f"length={length}, most={most}: scenes, and emoji in them, are counted from 1")
        if not 4 <= sides[0] <= sides[1] <= size:
            raise ValueError(f"sides={sides} must rise, from 4 pixels or more to the scene's size={size} or less")
        self.emoji = Emoji(split)
        self.classes = self.emoji.classes
        self.length, self.seed, self.size, self.most, self.sides = length, seed, size, most, sides
        self.about = f"{length} scenes of emoji in {len(self.classes)} classes"

    def __len__(self) -> int:
        return self.length

    def identity(self) -> Iterator[tuple[str, int]]:
        """The emoji of the scenes, and the numbers that the scenes follow from."""
        numbers = f"scenes {self.length} {self.seed} {self.size} {self.most} {self.sides}"
        return chain(self.emoji.identity(), [(numbers, 0)])

    def __getitem__(self, index: int) -> tuple[ImageTensor, dict[str, Any]]:
        check_index(index, self.length)
        draws = Draws(self.seed, index)
        canvas = background(draws, self.size)
        labels, masks = [], np.zeros((0, self.size, self.size), bool)
        for square in self._squares(draws):
            image, label = self.emoji[draws.below(len(self.emoji))]
            mask = paste(canvas, image, *square)
            labels.append(label)
            masks = np.concatenate([masks & ~mask, mask[None]])
        visible = masks.any((1, 2))  # a thin emoji, drawn small, may have no pixel that is more than half its own
        seen = torch.from_numpy(masks[visible])
        boxes = masks_to_boxes(seen)
        boxes[:, 2:] += 1
        return ImageTensor(torch.from_numpy(canvas).permute(2, 0, 1)), {
            "boxes": BoundingBoxes(boxes, format="XYXY", canvas_size=(self.size, self.size)),
            "labels": torch.tensor(labels, dtype=torch.int64)[torch.from_numpy(visible)],
            "masks": Mask(seen),
        }

    def _squares(self, draws: Draws) -> list[tuple[int, int, int]]:
        """The squares of the emoji, each (top, left, side)."""
        squares: list[tuple[int, int, int]] = []
        for _ in range(draws.between(1, self.most)):
            for _ in range(ATTEMPTS):
                side = draws.between(*self.sides)
                square = (draws.between(0, self.size - side), draws.between(0, self.size - side), side)
                if all(4 * _overlap(square, other) <= min(side, other[2]) ** 2 for other in squares):
                    squares.append(square)
                    break
        return squares


class PairScenes(Dataset[tuple[ImageTensor, int]]):
    """Two emoji far apart -> (image, 1 if both are of one class, else 0): a question that no single window answers.

    The image is (3, size, size) of uint8. The two stand beside or above each other, `distance` pixels from one to
    the other, and are never the same emoji. Scenes come in fours with the same places and the same background: of
    the emoji a and A of one class, b and B of another, they show (a, A), (b, B), (a, B) and (b, A). So each emoji
    appears at either place equally often with each label, and an answer from a single window is right in exactly half
    of the scenes. `largest_blind_window` is the largest window that cannot see both.

    A scene depends on (seed, index) alone. Shuffle them: neighbours in the order are alike.

    Args:
        length: how many scenes, a multiple of 4.
        distance: from the corner of one emoji to the same corner of the other, in pixels.
        split: whether the emoji are those of training or of test, as in Emoji.
        seed: another seed, other scenes.
        size: sides of a scene, in pixels.
        side: sides of an emoji, in pixels.

    Raises:
        ValueError: if length is no multiple of 4, or the two emoji would overlap or leave the scene.
    """

    def __init__(
        self,
        length: int,
        *,
        distance: int,
        split: Literal["train", "test"] = "train",
        seed: int = 0,
        size: int = 64,
        side: int = 16,
    ) -> None:
        if length < 4 or length % 4:
            raise ValueError(f"length={length}, but scenes come in fours; take {max(4, length // 4 * 4)}")
        if not 4 <= side <= distance <= size - side:
            raise ValueError(
                f"distance={distance} with emoji of side={side} in a scene of size={size}: the two overlap, or one "
                f"leaves the scene; take a distance from {side} to {size - side}, and a side of 4 or more"
            )
        self.emoji = Emoji(split)
        self.length, self.distance, self.seed, self.size, self.side = length, distance, seed, size, side
        self.largest_blind_window = distance - side + 1
        self.about = f"{length} scenes of two emoji in 2 classes"
        # {class: {code: indices of its drawings}}
        self._by_class: dict[int, dict[str, list[int]]] = {}
        for index, drawing in enumerate(self.emoji.drawings):
            self._by_class.setdefault(drawing.label, {}).setdefault(drawing.code, []).append(index)

    def __len__(self) -> int:
        return self.length

    def identity(self) -> Iterator[tuple[str, int]]:
        """The emoji of the scenes, and the numbers that the scenes follow from."""
        numbers = f"pairs {self.length} {self.seed} {self.size} {self.distance} {self.side}"
        return chain(self.emoji.identity(), [(numbers, 0)])

    def __getitem__(self, index: int) -> tuple[ImageTensor, int]:
        check_index(index, self.length)
        shown, corners, canvas = self._scene(index)
        for image, corner in zip(shown, corners, strict=True):
            paste(canvas, image, *corner, self.side)
        return ImageTensor(torch.from_numpy(canvas).permute(2, 0, 1)), int(index % 4 < 2)

    def corners(self, index: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The corners of the two emoji of a scene, in the order of their names: (top, left) of each."""
        check_index(index, self.length)
        return self._scene(index)[1]

    def _scene(
        self, index: int
    ) -> tuple[tuple[Image.Image, Image.Image], tuple[tuple[int, int], tuple[int, int]], np.ndarray]:
        """The two emoji, their corners, and the background."""
        four, member = divmod(index, 4)
        draws = Draws(self.seed, four)
        first = draws.below(len(self._by_class))
        second = (first + 1 + draws.below(len(self._by_class) - 1)) % len(self._by_class)
        (a, other_a), (b, other_b) = self._two_of(first, draws), self._two_of(second, draws)
        shown = ((a, other_a), (b, other_b), (a, other_b), (b, other_a))[member]
        across, along = draws.between(0, self.size - self.side), draws.between(0, self.size - self.side - self.distance)
        beside = draws.below(2)
        starts = (along, along + self.distance)
        corners = tuple((across, start) if beside else (start, across) for start in starts)
        return shown, corners, background(draws, self.size)

    def _two_of(self, label: int, draws: Draws) -> tuple[Image.Image, Image.Image]:
        """Drawings of two different emoji of a class."""
        by_code = list(self._by_class[label].values())
        one = draws.below(len(by_code))
        other = (one + 1 + draws.below(len(by_code) - 1)) % len(by_code)
        images = (self.emoji[codes[draws.below(len(codes))]][0] for codes in (by_code[one], by_code[other]))
        return tuple(images)
