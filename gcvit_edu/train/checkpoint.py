"""Checkpoints: complete, written so that a crash cannot damage one, and checked when they are read."""

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gcvit_edu.files import HALF, write_atomically

KEPT = 2  # newest checkpoints, besides the best
_NAME = "step_{:08d}.pt"
_PATTERN = re.compile(r"step_(\d{8,})\.pt")
BEST = "best.pt"


# --------------------------------------------------------------------------------------------- saving, loading


def save(folder: Path, step: int, state: Mapping[str, Any], *, best: bool) -> Path:
    """Write the state as the checkpoint of a step, as the best one too if it is, and delete old ones.

    Args:
        folder: of the run.
        step: steps done.
        state: all that a resumed run needs.
        best: whether it is the best checkpoint so far.

    Raises:
        OSError: if it cannot be written; the checkpoints before it are whole.
    """
    content = BytesIO()
    torch.save(dict(state), content)
    path = folder / _NAME.format(step)
    if best:  # first: a crash between the two repeats the steps since the last checkpoint, and writes it again
        write_atomically(folder / BEST, content.getvalue())
    write_atomically(path, content.getvalue())
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first; the copy of the best is not among them."""
    found = {int(match[1]): path for path in folder.glob("*.pt") if (match := _PATTERN.fullmatch(path.name))}
    return [found[step] for step in sorted(found, reverse=True)]


def load(path: Path) -> dict[str, Any]:
    """The state in one checkpoint, with every byte checked against its checksum.

    Raises:
        ValueError: if the file is not a whole checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).partition("\n")[0]  # PyTorch's message is a page long
        raise ValueError(f"{path} is not a whole checkpoint ({reason}); delete it, or take an older one") from error
    raise ValueError(f"{path} is damaged in {damaged}; delete it, or take an older one")


def latest_valid(folder: Path, info: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that can be read, or else the best one; None where there is none.

    Args:
        folder: of the run.
        info: called with a line for each one that is skipped.

    Raises:
        ValueError: if there are checkpoints and none can be read: to start again would discard the run.
    """
    found = [*checkpoints(folder), *folder.glob(BEST)]
    for path in found:
        try:
            load(path)
        except ValueError as error:
            info(f"skipped: {error}")
        else:
            return path
    if found:
        raise ValueError(
            f"none of the {len(found)} checkpoints in {folder} can be read; put back a copy of one, or choose "
            "another --out to start again"
        )
    return None


def set_aside_damaged(folder: Path, found: Path | None) -> None:
    """Rename checkpoints newer than the found one, which are damaged, and delete half-written files.

    Otherwise a damaged one would count as one of the newest when old ones are deleted, and a file half-written for a
    step that is not saved again would stay for ever.
    """
    for path in checkpoints(folder):
        if path == found:
            break
        path.rename(path.with_name(path.name + ".damaged"))
    for path in folder.glob("*" + HALF):
        path.unlink()


def load_strict(model: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load weights into a model.

    Args:
        model: changed in place.
        weights: its state dict.
        path: of the checkpoint, for the message.

    Raises:
        ValueError: if they are another model's; the message names the differences.
    """
    own = model.state_dict()
    missing, unknown = [key for key in own if key not in weights], [key for key in weights if key not in own]
    shapes = [
        f"{key} is {tuple(weights[key].shape)} and should be {tuple(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    if missing or unknown or shapes:
        found = [f"{len(missing)} keys are missing, such as {missing[0]}"] if missing else []
        found += [f"{len(unknown)} are unknown, such as {unknown[0]}"] if unknown else []
        raise ValueError(
            f"{path} holds another model: {'; '.join(found + shapes[:3])}; set model and its sizes as then"
        )
    model.load_state_dict(weights)
