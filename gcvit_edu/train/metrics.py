"""The scores of a model on pictures that it was not trained on, each counted once."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.train.distributed import Place, sum_over_ranks


@dataclass(frozen=True)
class Scores:
    """The scores of one validation.

    Attributes:
        loss: mean cross-entropy, without label smoothing.
        top1: share of pictures whose class has the largest logit.
        top5: share of pictures whose class is among the five largest.
        samples: pictures counted.
        confusion: confusion[truth][guess], pictures.
    """

    loss: float
    top1: float
    top5: float
    samples: int
    confusion: list[list[int]]


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], classes: int, place: Place) -> Scores:
    """Validate a model; each process passes its own share of the pictures and gets the scores of all.

    Sums are exact or in float64, and the number of batches may differ between processes.

    Args:
        model: images (B, 3, H, W) -> logits (B, classes); left in the mode it was in.
        batches: (images, labels (B,)).
        classes: number of classes.
        place: this process.

    Raises:
        ValueError: if there was no picture at all.
    """
    training = model.training
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=place.device)  # loss, true class among the first five, samples
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=place.device)
    for images, labels in batches:
        images, labels = images.to(place.device), labels.to(place.device)
        logits = model(images).float()
        best = logits.topk(min(5, classes)).indices
        sums[0] += F.cross_entropy(logits.double(), labels, reduction="sum")
        sums[1] += (best == labels[:, None]).sum()
        sums[2] += len(labels)
        confusion += torch.bincount(labels * classes + best[:, 0], minlength=classes * classes)
    model.train(training)
    loss, top5, samples = sum_over_ranks(sums).tolist()
    table = sum_over_ranks(confusion).view(classes, classes).cpu()
    if not samples:
        raise ValueError("the validation set is empty; a run needs at least one picture to validate")
    top1 = table.diagonal().sum().item() / samples
    return Scores(loss / samples, top1, top5 / samples, int(samples), table.tolist())
