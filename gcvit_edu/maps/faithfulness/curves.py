"""Deletion and insertion (Petsiuk et al. 2018): a class's probability as a map's brightest pixels go or come."""

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F


def blurred(image: Tensor) -> Tensor:
    """(B, C, H, W) -> the same, blurred until no object is left: a Gaussian with a deviation of an eighth of a side.

    Its pixels replace those that are deleted. A grey picture would add edges. A blurred one adds none, but it keeps the
    colours, and a network may guess a class from them: report the class's probability there.
    """
    sigma = min(image.shape[2:]) / 8
    return F.gaussian_blur(image, kernel_size=2 * round(2 * sigma) + 1, sigma=sigma)


def brightest_first(values: Tensor, seed: int) -> Tensor:
    """(H, W) -> (H*W,): the pixels from the map's largest number to its smallest.

    Equal numbers come in a random order that follows from the seed, so that no map profits from the order of a
    picture's rows.
    """
    shuffled = torch.randperm(values.numel(), generator=torch.Generator().manual_seed(seed)).to(values.device)
    return shuffled[values.flatten()[shuffled].argsort(descending=True, stable=True)]


@torch.no_grad()
def deletion_and_insertion(
    model: nn.Module, image: Tensor, baseline: Tensor, order: Tensor, target: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Two curves of a class's probability, (steps + 1,) each, at 0, 1/steps, ... and all of the pixels.

    Deletion begins with the image and puts the baseline in place of the first pixels; a good map makes it fall fast.
    Insertion begins with the baseline and reveals the first pixels of the image; a good map makes it rise fast.

    What they do not mean: the network never saw half-blurred pictures in training, and part of a fall may come from it.
    Compare maps with each other and with random ones; the numbers alone say little.

    Args:
        model: images -> logits, in eval mode.
        image: (1, C, H, W).
        baseline: as image.
        order: (H*W,), all pixels, those to be deleted first at the front, from brightest_first.
        target: the class.
        steps: points of each curve, besides the first.
    """
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    counts = torch.linspace(0, len(order), steps + 1, device=order.device).round()
    chosen = (rank < counts[:, None]).view(-1, 1, *image.shape[2:])
    pictures = torch.cat([torch.where(chosen, baseline, image), torch.where(chosen, image, baseline)])
    deletion, insertion = model(pictures).softmax(1)[:, target].chunk(2)
    return deletion, insertion


def area(curve: Tensor) -> float:
    """(steps + 1,) -> the mean height of the curve, by trapezoids."""
    return ((curve[1:] + curve[:-1]).mean() / 2).item()
