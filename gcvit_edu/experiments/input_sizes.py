"""The cost of another picture size, in accuracy and in reach: python -m gcvit_edu.experiments input_sizes --out FILE.

A map that is not a whole number of windows is padded, and its last row and column of windows are then only partly on
the map. Until November 2026 they used the first cells of the global query, those of the picture's upper left corner
("first cells"). Now they use the whole query, pooled to their real part ("pooled"). Windows that grow with the picture
are a third way ("grown").

Accuracy is that of the shipped nano, which was trained at 64 pixels, on held-out emoji resized to each size, on white.
Reach is the number of tokens in stage 3 of an untrained tiny, without gates, that differ after the last block when
the token in the middle has changed. The whole experiment takes two to five minutes on one thread of a CPU.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcvit_edu import attention
from gcvit_edu.data import Emoji, crop_to, normalize, on_colour
from gcvit_edu.experiments.results import Results
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.layers import SqueezeExcite
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.zoo import create_model

SIZES = (64, 66, 72, 80, 96, 112, 128)  # of pictures for nano
REACH_SIZES = (224, 240, 256)  # of pictures for tiny
WAYS = ("first cells", "pooled", "grown")
BATCH = 64


@contextmanager
def first_cells() -> Iterator[None]:
    """A context in which partly filled windows use the query as until November 2026: a bug, kept to be measured."""
    now = attention.queries_for_windows
    attention.queries_for_windows = lambda query, *_: query  # the same cells for all windows, as if all were whole
    try:
        yield
    finally:
        attention.queries_for_windows = now


def held_out(size: int) -> tuple[Tensor, Tensor]:
    """Held-out emoji, (N, 3, size, size) and normalised, and their labels, (N,)."""
    drawings = Emoji("test")
    pictures, labels = zip(*drawings, strict=True)
    return torch.cat([normalize(crop_to(on_colour(picture), size)) for picture in pictures]), torch.tensor(labels)


def network(way: str, size: int) -> nn.Module:
    """The shipped nano, as it is or with windows grown to the picture's size."""
    shipped = create_model("nano", pretrained=True).eval()
    if way != "grown":
        return shipped
    grown = create_model("nano", image_size=size, num_classes=shipped.num_classes).eval()
    grown.load_state_dict(convert_state_dict(shipped.state_dict(), grown))
    return grown


@torch.no_grad()
def accuracy_at(way: str, size: int) -> dict[str, Any]:
    """A line with the number of held-out emoji that nano classifies correctly at a size.

    Args:
        way: one of WAYS.
        size: sides of the pictures, in pixels.
    """
    model = network(way, size)
    pictures, labels = held_out(size)
    with first_cells() if way == "first cells" else nullcontext():
        guesses = torch.cat([model(part).argmax(1) for part in pictures.split(BATCH)])
    right = int((guesses == labels).sum())
    return {"kind": "accuracy", "way": way, "size": size, "right": right, "pictures": len(labels)}


@torch.no_grad()
def tokens_that_notice(way: str, size: int) -> dict[str, Any]:
    """A line with the number of tokens of tiny's stage 3 that a change of the token in the middle reaches.

    Args:
        way: "first cells" or "pooled".
        size: sides of the picture, in pixels.
    """
    torch.manual_seed(0)
    stage = create_model("tiny").stages[2].eval().double()
    for module in stage.modules():
        if isinstance(module, SqueezeExcite):  # through a gate every token depends a little on every other
            module.register_forward_hook(lambda module, inputs, gates: torch.ones_like(gates))
    side = -(-size // 16)
    before = torch.randn(1, side, side, stage.query.num_heads * 32).double()
    after = before.clone()
    after[0, side // 2, side // 2] = torch.randn(before.shape[-1]).double()
    with first_cells() if way == "first cells" else nullcontext():
        x = torch.cat([before, after])
        query = stage.query(x)
        for block in stage.blocks:
            x = block(x, query)
    noticed = ((x[1] - x[0]).abs() > 1e-12).any(-1)  # not by rounding
    return {"kind": "reach", "way": way, "size": size, "noticed": int(noticed.sum()), "tokens": side**2}


def read_sizes(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that this command wrote; None reads the one that comes with the package."""
    return read_lines(path or data_folder("runs") / "sizes.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the lines that the file lacks."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments input_sizes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; a file that is begun already is completed")
    results = Results(parser.parse_args(arguments).out)
    for size in REACH_SIZES:
        for way in WAYS[:2]:
            if not results.has(kind="reach", way=way, size=size):
                results.add(tokens_that_notice(way, size))
    for size in SIZES:
        for way in WAYS:
            if not results.has(kind="accuracy", way=way, size=size):
                results.add(accuracy_at(way, size))
