"""How fast a run is and where its time goes."""

import re
import time
from dataclasses import dataclass

import torch
from torch import nn

from gcvit_edu.counting import count
from gcvit_edu.hardware import peak_memory
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.dist import Place

# Dense bfloat16 products with tensor cores, in 1e12 operations per second, from NVIDIA's data sheets.
# A more special name stands before a shorter one; names are compared word by word, as an L40 is no L4.
PEAKS = {"A100": 312.0, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "H200 NVL": 835.0, "H200": 989.0}
PEAKS |= {"L40S": 362.0, "L4": 121.0, "A10": 125.0}


def peak_of(device: torch.device, amp: bool) -> float | None:
    """Operations per second that the device can do at most; None where it is not known, as on CPUs."""
    if device.type != "cuda" or not amp:
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * peak for known, peak in PEAKS.items() if re.search(rf"\b{known}\b", name)), None)


def operations_per_image(model: nn.Module, config: TrainConfig) -> float:
    """Floating-point operations to train on one picture: two per multiply-add, backward twice the forward pass."""
    image = torch.empty(1, 3, config.image_size, config.image_size, device="meta")
    return 6.0 * count(model, image).multiply_adds


def memory_mb(device: torch.device) -> float | None:
    """Most memory in use so far, in MB: of the GPU, or of this process; None where the system does not say."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    peak = peak_memory()
    return None if peak is None else round(peak / 2**20, 1)


@dataclass
class Stopwatch:
    """Seconds since it was last read, split into waiting for data and computing.

    Args:
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
        """The next batch is there."""
        now = time.perf_counter()
        self.waited += now - self.last
        self.last = now

    def stepped(self) -> None:
        """A step is done."""
        now = time.perf_counter()
        self.computed += now - self.last
        self.last = now
        self.steps += 1

    def skip(self) -> None:
        """What was done since the last mark, such as writing a checkpoint, is neither waiting nor computing."""
        self.last = time.perf_counter()

    def read(self, place: Place) -> dict[str, float | None]:
        """Means since the last reading, as the log has them; then begin again."""
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
