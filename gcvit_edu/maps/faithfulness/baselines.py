"""Maps made without a network. A network's map that is no better than these shows nothing about the network."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.maps.faithfulness.curves import blurred

CELLS = 8  # sides of the random map: as coarse as the networks' own


def centre_prior(image: Tensor) -> Tensor:
    """(1, C, H, W) -> (1, H, W): a hill in the middle, falling off with a deviation of a quarter of each side."""
    hills = []
    for side in image.shape[2:]:
        place = (torch.arange(side, device=image.device) + 0.5) / side - 0.5
        hills.append(torch.exp(-0.5 * (place / 0.25) ** 2))
    return (hills[0][:, None] * hills[1])[None]


def random_map(image: Tensor, seed: int) -> Tensor:
    """(1, C, H, W) -> (1, H, W): random numbers in 8x8 cells, interpolated; the same for the same seed."""
    cells = torch.rand(1, 1, CELLS, CELLS, generator=torch.Generator().manual_seed(seed)).to(image.device)
    return F.interpolate(cells, size=image.shape[2:], mode="bilinear")[:, 0]


def contrast_map(image: Tensor) -> Tensor:
    """(1, C, H, W) -> (1, H, W): the distance of each pixel's colour from the mean of its surroundings.

    Emoji stand out from most backgrounds, so this finds them without any network.
    """
    return (image - blurred(image)).norm(dim=1)
