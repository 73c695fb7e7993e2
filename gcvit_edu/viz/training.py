"""The course of a training run, from its log."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt

from gcvit_edu.files import read_log
from gcvit_edu.viz.style import CYCLE, WIDTH, check_count, styled


@styled
def learning_curves(logs: Mapping[str, Path | str], *, height: float = 3.0) -> None:
    """Loss and accuracy of one run or several, by epoch: left the loss, right the top-1 accuracy.

    Solid lines are the training loss and the accuracy of the evaluated weights, which are the averaged ones where
    there is an average; dashed lines are the loss on the validation set.

    Args:
        logs: a run's folder, or its log, by name.
        height: in inches.

    Raises:
        ValueError: if a log has no finished epoch yet, and for more logs than colours.
    """
    check_count(logs, len(CYCLE))
    _, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, height))
    for (name, path), colour in zip(logs.items(), CYCLE, strict=False):
        epochs = [entry for entry in read_log(path) if entry["event"] == "epoch"]
        if not epochs:
            raise ValueError(f"the log {path} of {name!r} has no finished epoch; wait for the first one")
        left.plot(*_line(epochs, "train_loss"), color=colour, label=name)
        prefix = "ema_" if any("ema_top1" in entry for entry in epochs) else ""
        left.plot(*_line(epochs, f"{prefix}loss"), color=colour, linestyle="--", linewidth=1.4)
        numbers, accuracy = _line(epochs, f"{prefix}top1")
        right.plot(numbers, [100 * share for share in accuracy], color=colour, label=name)
    left.set_ylabel("loss (held out: dashed)")
    right.set_ylabel("held-out accuracy, %")
    for ax in (left, right):
        ax.set_xlabel("epoch")
        ax.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    if len(logs) > 1:
        right.legend()


def _line(epochs: list[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    """The epochs that have a value, and the values."""
    found = [(entry["epoch"], entry[key]) for entry in epochs if key in entry]
    return [epoch for epoch, _ in found], [value for _, value in found]
