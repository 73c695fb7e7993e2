"""A question that needs both ends of a picture: are two drawings, far apart, the same?

A picture of 32 pixels on a plain colour shows two drawings of 8 pixels, each one of two, beside or above each other.
Either drawing is at either place equally often with both answers. The networks are small ones with the five mixers of
gcvit_edu.mixers, and only the first two stages of GC ViT: those that have several windows, four each.
A network takes one to two minutes on one thread of a CPU.

A second loss also teaches them to count each drawing ("told" is true). Some networks with the global query learn
without it ("told" is false).
"""

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torchvision.transforms.v2 import functional as TF

from gcvit_edu.config import GCViTConfig
from gcvit_edu.data import Emoji
from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from gcvit_edu.experiments.results import Results
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.mixers import MIXERS, with_mixer
from gcvit_edu.model import GCViT, init_weights
from gcvit_edu.train.optim import decay_groups, learning_rate
from gcvit_edu.train.randomness import seed_process

SIZE, SIDE = 32, 8
DISTANCES = (8, 12, 16, 20, 24)
CODES = ("1f98a", "1f975")  # a fox and a hot face, as Google draws them
BATCH, PEAK, WEIGHT_DECAY, WARMUP, LONGEST_GRADIENT = 128, 1.5e-3, 0.05, 0.1, 1.0
HELD_OUT = 1000  # scenes for each distance


class Pairs:
    """Two drawings on a plain colour: pictures, whether the two are the same, and the number of each drawing.

    A generator draws all of it, so there are as many pictures as one wants.
    """

    def __init__(self) -> None:
        emoji = Emoji("train")
        drawings = {drawing.code: index for index, drawing in enumerate(emoji.drawings) if drawing.vendor == "google"}
        pictures = [emoji[drawings[code]][0].convert("RGBA").resize((SIDE, SIDE)) for code in CODES]
        self.drawings = torch.tensor(np.stack(pictures)) / 255  # (2, SIDE, SIDE, RGBA)

    def batch(
        self, count: int, generator: torch.Generator, distance: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures, normalised, (count, 3, 32, 32); same or not, (count,) of 0 and 1; counts, (count, 2), of 0 to 2.

        Args:
            count: pictures.
            generator: of all that is random.
            distance: from one drawing to the same corner of the other, in pixels; None for any of DISTANCES.
        """

        def below(limit: int) -> Tensor:
            return torch.randint(limit, (count,), generator=generator)

        same, first = below(2), below(2)
        second = torch.where(same == 1, first, 1 - first)
        apart = torch.tensor(DISTANCES)[below(len(DISTANCES))] if distance is None else torch.tensor(distance)
        across = below(SIZE - SIDE + 1)
        along = (torch.rand(count, generator=generator) * (SIZE - SIDE - apart + 1)).long()
        beside = below(2).bool()
        colour = torch.rand(count, 1, 1, 3, generator=generator)
        pictures = colour.repeat(1, SIZE, SIZE, 1)
        within = torch.arange(SIDE)
        for drawing, start in ((first, along), (second, along + apart)):
            rows = torch.where(beside, across, start)[:, None, None] + within[:, None]
            columns = torch.where(beside, start, across)[:, None, None] + within
            where = torch.arange(count)[:, None, None], rows, columns
            colours, opacity = self.drawings[drawing].split([3, 1], dim=-1)
            pictures[where] = opacity * colours + (1 - opacity) * pictures[where]
        counts = F.one_hot(first, 2) + F.one_hot(second, 2)
        pictures = rearrange(pictures, "b h w c -> b c h w")
        return TF.normalize(pictures, list(IMAGENET_MEAN), list(IMAGENET_STD)), same, counts


class FirstStages(nn.Module):
    """(B, 3, H, W) -> logits (B, num_classes): the first two stages of a network, and a new norm and head.

    Args:
        model: untrained; its stem and stages are used, not copied.
    """

    def __init__(self, model: GCViT) -> None:
        super().__init__()
        dim = model.config.dims[1]
        self.stem, self.stages = model.stem, model.stages[:2]
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, model.num_classes).apply(init_weights)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.norm(x).mean((1, 2)))


def network(mixer: str, seed: int) -> FirstStages:
    """An untrained network for the pairs: logits of "different" and "same", then a count for each drawing.

    Args:
        mixer: one of MIXERS.
        seed: of the weights.
    """
    seed_process(seed, 0)
    config = GCViTConfig(
        image_size=SIZE,
        embed_dim=16,
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 4, 8),
        window_sizes=(4, 2, 2, 1),
        drop_path_rate=0.0,
        num_classes=4,
    )
    return FirstStages(with_mixer(GCViT(config), mixer))


def train_on_pairs(mixer: str, seed: int, steps: int, told: bool = True) -> dict[str, Any]:
    """Train one network -> a line with its held-out accuracy at each distance.

    Args:
        mixer: one of MIXERS.
        seed: of the weights and the pictures.
        steps: of BATCH new pictures each.
        told: whether it also learns to count the drawings.

    Raises:
        ArithmeticError: if the loss is not finite.
    """
    pairs, net = Pairs(), network(mixer, seed).train()
    optimizer = AdamW(decay_groups(net, WEIGHT_DECAY), lr=PEAK)
    generator = torch.Generator().manual_seed(seed)
    learned_at: int | None = None  # the first step at which three quarters of the last fifty batches were right
    recent: list[float] = []
    for step in range(steps):
        rate = learning_rate(step, total=steps, warmup=int(WARMUP * steps), first=1e-6, peak=PEAK, last=1e-6)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, same, counts = pairs.batch(BATCH, generator)
        answer, counted = net(images).split(2, dim=1)
        loss = F.cross_entropy(answer, same)
        if told:
            loss = loss + F.mse_loss(counted, counts.float())
        if not math.isfinite(loss.item()):
            raise ArithmeticError(f"the loss of {mixer} is {loss.item()} in step {step + 1}; lower PEAK={PEAK}")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), LONGEST_GRADIENT)
        optimizer.step()
        recent = [*recent[-49:], (answer.argmax(1) == same).float().mean().item()]
        if learned_at is None and len(recent) == 50 and sum(recent) / 50 > 0.75:
            learned_at = step + 1
    return {
        "mixer": mixer,
        "seed": seed,
        "steps": steps,
        "told": told,
        "learned_at": learned_at,
        "accuracy": {str(distance): share_right(net, pairs, distance) for distance in DISTANCES},
    }


@torch.no_grad()
def share_right(net: nn.Module, pairs: Pairs, distance: int) -> float:
    """Accuracy on held-out pictures with the drawings at one distance; the pictures are always the same.

    Args:
        net: (B, 3, 32, 32) -> logits whose first two are "different" and "same"; left in eval mode.
        pairs: makes the pictures.
        distance: from one drawing to the same corner of the other, in pixels.
    """
    images, same, _ = pairs.batch(HELD_OUT, torch.Generator().manual_seed(10**6 + distance), distance)
    answers = torch.cat([net.eval()(part)[:, :2].argmax(1) for part in images.split(BATCH)])
    return round((answers == same).double().mean().item(), 4)


def read_pairs(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that main wrote; None reads the one in data/runs: 1000 steps, 3 seeds."""
    return read_lines(path or data_folder("runs") / "pairs.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all mixers with the second loss, and the global query also without it, unless the file has them already."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments same_or_different", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, one for each network")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    results = Results(options.out)
    kinds = [*((mixer, True) for mixer in MIXERS), ("global query", False)]
    for seed, (mixer, told) in itertools.product(options.seeds, kinds):
        if not results.has(mixer=mixer, seed=seed, steps=options.steps, told=told):
            results.add(train_on_pairs(mixer, seed, options.steps, told))
