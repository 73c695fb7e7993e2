"""Scores of how well a map fits the object's mask, or another map."""

from torch import Tensor


def pointing(values: Tensor, mask: Tensor) -> float:
    """1 if the map's maximum is on the object, else 0; the share on the object where several pixels are largest.

    So a map that is the same everywhere scores the object's share of the picture, like a random guess.

    Args:
        values: (height, width), the map on the picture's pixels.
        mask: (height, width), boolean, the object's pixels.
    """
    return mask[values == values.max()].float().mean().item()


def energy(values: Tensor, mask: Tensor) -> float:
    """The share of the map's sum that is on the object; compare it with the object's share of the picture.

    A map of zeros shows nothing, and scores the object's share of the picture.

    Args:
        values: (height, width), the map on the picture's pixels, none negative.
        mask: (height, width), boolean, the object's pixels.
    """
    if not values.any():
        return mask.float().mean().item()
    return (values[mask].sum() / values.sum()).item()


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of two maps: 1 for the same order of their numbers, -1 for the opposite one.

    Numbers that are equal share the mean of their ranks. NaN where a map is the same everywhere, and has no order.

    Args:
        one: a map of any shape.
        other: another of the same shape.
    """
    ranks = [_ranks(values.flatten()) for values in (one, other)]
    x, y = (rank - rank.mean() for rank in ranks)
    length = x.norm() * y.norm()
    return (x @ y / length).item() if length > 0 else float("nan")


def _ranks(values: Tensor) -> Tensor:
    """(P,) -> (P,): ranks from small to large, in float64; equal numbers get the mean of their ranks."""
    _, group, sizes = values.unique(return_inverse=True, return_counts=True)
    last = sizes.cumsum(0)
    return (last - (sizes - 1) / 2).double()[group]
