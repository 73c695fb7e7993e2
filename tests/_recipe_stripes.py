"""A recipe for tests: stripes of three directions in noise, and a very small GC ViT.

Reaches above 90 % in 6 epochs, 5 seconds on one CPU core.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT
from gcvit_edu.train import TrainConfig


@dataclass(frozen=True)
class Stripes:
    """Pictures (3, size, size) whose noise follows from (seed, epoch, index) alone."""

    samples: int
    size: int
    seed: int
    classes = ("rows", "columns", "none")

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch", [0])

    def set_epoch(self, epoch: int) -> None:
        self.epoch[0] = epoch

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch[0], index)) % 2**32)
        noise = torch.randn(3, self.size, self.size, generator=generator)
        label = index % 3
        wave = torch.sin(torch.arange(self.size) * 1.5 + 6 * torch.rand(1, generator=generator))
        pattern = {0: wave[:, None], 1: wave[None, :], 2: torch.zeros(1, 1)}[label]
        return noise + 1.5 * pattern, label


CONFIG = TrainConfig(
    model="two small stages",
    num_classes=3,
    image_size=32,
    drop_path_rate=0.1,
    epochs=6,
    batch_size=16,
    lr=3e-3,
    warmup_epochs=1.0,
    ema_decay=0.95,
    device="cpu",
    log_every=1,
)


def make_model(config: TrainConfig) -> nn.Module:
    small = GCViTConfig(
        embed_dim=8,
        depths=(2, 2),
        num_heads=(1, 2),
        window_sizes=(4, 2),
        layer_scale=0.5,
        drop_path_rate=config.drop_path_rate,
        image_size=config.image_size,
        num_classes=config.num_classes,
    )
    return GCViT(small)


def make_data(config: TrainConfig) -> tuple[Stripes, Stripes]:
    return Stripes(208, config.image_size, config.seed), Stripes(61, config.image_size, config.seed + 1)
