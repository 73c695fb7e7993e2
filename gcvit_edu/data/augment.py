"""Random transforms whose randomness is a function of (seed, epoch, index)."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gcvit_edu.data.compose import Draws, background, paste
from gcvit_edu.data.emoji import on_colour


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """A context in which torch (on the CPU), numpy and random draw numbers that are a function of the key.

    Args:
        key: whole numbers, none negative.
    """
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    words = np.random.SeedSequence(key).generate_state(4)
    torch.default_generator.manual_seed(int(words[0]) << 32 | int(words[1]))  # touches no accelerator
    np.random.seed(words[2])
    random.seed(int(words[3]))
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


class Augmented(Dataset[Any]):
    """A data set whose items pass through a random transform -> the transform's result.

    An item is the same for the same (seed, epoch, index), with any number of workers, and whatever items were taken
    before. So a run that is resumed in the middle of an epoch gets the same items as one that was not stopped.

    Args:
        dataset: its items are tuples, such as (image, label) or (image, target).
        transform: takes the parts of an item and returns what replaces the item. It may draw from torch, numpy
            and random, and must keep no state of its own.
        seed: another seed, other randomness.
    """

    def __init__(self, dataset: Dataset[tuple[Any, ...]], transform: Callable[..., Any], seed: int = 0) -> None:
        self.dataset, self.transform, self.seed = dataset, transform, seed
        # Shared memory: workers that live on through several epochs must see the new one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose randomness the next items have, in all workers. The first epoch is 0.

        Raises:
            ValueError: if epoch is negative.
        """
        if epoch < 0:
            raise ValueError(f"epoch={epoch}, but epochs are counted from 0")
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        with seeded(self.seed, int(self._epoch), index):
            return self.transform(*self.dataset[index])


class OnRandomColour(v2.Transform):
    """A picture with transparency -> the same in RGB, on a plain background of a random colour; labels pass.

    Args:
        white: probability that the colour is white.
    """

    def __init__(self, white: float = 0.0) -> None:
        super().__init__()
        self.white = white

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The colour, drawn once for all parts of an item."""
        if torch.rand(()) < self.white:
            return {"colour": (255, 255, 255)}
        return {"colour": torch.randint(256, (3,)).tolist()}

    def transform(self, part: Any, params: dict[str, Any]) -> Any:
        """Transform one part of an item."""
        return on_colour(part, params["colour"]) if isinstance(part, Image.Image) else part


class OnScene(v2.Transform):
    """A picture with transparency -> an RGB scene with it somewhere, made in the way of Scenes; labels pass.

    Args:
        size: sides of the scene, in pixels.
        sides: the smallest and the largest side of the picture in it, in pixels.

    Raises:
        ValueError: if the picture would be larger than the scene.
    """

    def __init__(self, size: int, sides: tuple[int, int]) -> None:
        super().__init__()
        if not 4 <= sides[0] <= sides[1] <= size:
            raise ValueError(f"sides={sides} must rise, from 4 pixels or more to the scene's size={size} or less")
        self.size, self.sides = size, sides

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The seed of the scene, drawn once for all parts of an item."""
        return {"key": torch.randint(2**31, (2,)).tolist()}

    def transform(self, part: Any, params: dict[str, Any]) -> Any:
        """Transform one part of an item."""
        if not isinstance(part, Image.Image):
            return part
        draws = Draws(*params["key"])
        canvas, side = background(draws, self.size), draws.between(*self.sides)
        paste(canvas, part, draws.between(0, self.size - side), draws.between(0, self.size - side), side)
        return Image.fromarray(canvas)
