"""The speed of a run, and the share of its time that it waits for data."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from gcvit_edu.counting import count
from gcvit_edu.hardware import memory_mb
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place


def operations_per_image(model: nn.Module, config: TrainConfig) -> float:
    """Floating-point operations to train on one picture: two per multiply-add, backward twice the forward pass."""
    image = torch.empty(1, 3, config.image_size, config.image_size, device="meta")
    return 6.0 * count(model, image).multiply_adds


@dataclass
class Stopwatch:
    """A stopwatch: seconds since it was last read, split into waiting for data and computing.

    Attributes:
        images: pictures of one step, over all processes.
        operations: floating-point operations per picture, or None.
        peak: operations per second that all devices can do at most, or None.
    """

    images: int
    operations: float | None = None
    peak: float | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again, without reading."""
        self.waited, self.computed, self.steps = 0.0, 0.0, 0
        self.last = time.perf_counter()

    def loaded(self) -> None:
        """Mark that the next batch has arrived."""
        now = time.perf_counter()
        self.waited += now - self.last
        self.last = now

    def stepped(self) -> None:
        """Mark the end of a step."""
        now = time.perf_counter()
        self.computed += now - self.last
        self.last = now
        self.steps += 1

    def skip(self) -> None:
        """Leave out the time since the last mark: writing a checkpoint is neither waiting nor computing."""
        self.last = time.perf_counter()

    def read(self, place: Place) -> dict[str, float | None]:
        """The means since the last reading, under the keys of the log; then begin again."""
        seconds = self.waited + self.computed
        rate = self.images * self.steps / seconds
        values = {
            "images_per_s": round(rate, 2),
            "data_s": round(self.waited / self.steps, 5),
            "compute_s": round(self.computed / self.steps, 5),
            "memory_mb": memory_mb(place.device),
        }
        if self.operations and self.peak:
            values["mfu"] = round(rate * self.operations / self.peak, 4)
        self.restart()
        return values
