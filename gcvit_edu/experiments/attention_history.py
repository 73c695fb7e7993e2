"""Attention while a network learned: python -m gcvit_edu.experiments attention_history RUN --out FILE."""

import argparse
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gcvit_edu.capture import capture_attention
from gcvit_edu.data.emoji import Emoji, on_colour
from gcvit_edu.data.transforms import normalize
from gcvit_edu.explorer.quantise import quantise, restored
from gcvit_edu.files import data_folder, write_atomically
from gcvit_edu.train.recipe import load_recipe
from gcvit_edu.weights import load_weights

# Held-out drawings: a face, an animal, a vehicle.
PICTURES = (("wink", "google"), ("tiger2", "google"), ("ambulance", "google"))


@dataclass(frozen=True)
class AttentionHistory:
    """The attention of all blocks to the same pictures, after some epochs of one run.

    Attributes:
        epochs: the epochs after which attention was recorded; 0 is before the first step.
        pictures: names of the pictures, as in Emoji("test").drawings.
        blocks: (stage, block) of each block, from 0, in order.
    """

    epochs: tuple[int, ...]
    pictures: tuple[str, ...]
    blocks: tuple[tuple[int, int], ...]
    _bytes: dict[tuple[int, int], np.ndarray] = field(repr=False)

    def weights(self, epoch: int, picture: str, stage: int, block: int) -> Tensor:
        """(N, h, T, T): windows, heads, queries, keys. Each weight is within 1/255 of the true one; rows sum to one.

        Args:
            epoch: one of epochs.
            picture: one of pictures.
            stage: of the block, from 0.
            block: its index in the stage, from 0.

        Raises:
            ValueError: for an epoch, a picture or a block that was not recorded.
        """
        for name, value, known in (
            ("epoch", epoch, self.epochs),
            ("picture", picture, self.pictures),
            ("block", (stage, block), self.blocks),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} was not recorded; there are {', '.join(map(str, known))}")
        stored = self._bytes[stage, block][self.epochs.index(epoch), self.pictures.index(picture)]
        return torch.from_numpy(restored(stored))


def drawing(name: str, vendor: str) -> Image.Image:
    """A held-out drawing on white, RGB.

    Raises:
        ValueError: if no held-out emoji has the name and the vendor.
    """
    emoji = Emoji("test")
    for index, known in enumerate(emoji.drawings):
        if (known.name, known.vendor) == (name, vendor):
            return on_colour(emoji[index][0])
    raise ValueError(f"no held-out emoji is called {name!r} and drawn by {vendor!r}; see Emoji('test').drawings")


def record(run: Path) -> bytes:
    """The attention to PICTURES of every epoch_NNNN.safetensors of an emoji_nano run, as the bytes of an .npz file.

    Raises:
        ValueError: if the run kept no weights, or there is no such folder.
    """
    names = ((re.fullmatch(r"epoch_(\d+)\.safetensors", path.name), path) for path in run.glob("epoch_*"))
    kept = {int(found[1]): path for found, path in names if found}
    if not kept:
        raise ValueError(f"{run} has no epoch_NNNN.safetensors; train with snapshot_epochs=(0, 1, ...)")
    recipe = load_recipe("emoji_nano")
    model = recipe.make_model(recipe.config).eval()
    images = torch.cat([normalize(drawing(*picture)) for picture in PICTURES])
    found: dict[str, list[np.ndarray]] = {}
    for epoch in sorted(kept):
        load_weights(model, kept[epoch])
        with torch.no_grad(), capture_attention(model) as records:
            model(images)
        for one in records:
            found.setdefault(f"block_{one.stage}_{one.block}", []).append(quantise(one.weights))
    stored = {name: np.stack(rows) for name, rows in found.items()}
    file = io.BytesIO()
    np.savez_compressed(file, epochs=sorted(kept), pictures=[name for name, _ in PICTURES], **stored)
    return file.getvalue()


def read_history(path: Path | None = None) -> AttentionHistory:
    """The attention in a file that this module wrote; None reads that of the shipped emoji_nano."""
    with np.load(path or data_folder("runs") / "emoji_nano_attention.npz") as file:
        blocks = {
            (int(name.split("_")[1]), int(name.split("_")[2])): file[name] for name in file if name.startswith("block_")
        }
        return AttentionHistory(tuple(file["epochs"].tolist()), tuple(file["pictures"].tolist()), tuple(blocks), blocks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record the attention of a run into a file."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments attention_history", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of an emoji_nano run")
    parser.add_argument("--out", type=Path, required=True, help=".npz file to write")
    options = parser.parse_args(arguments)
    content = record(options.run)
    write_atomically(options.out, content)
    print(f"{options.out.name}: {len(content) / 1000:.0f} kB")
