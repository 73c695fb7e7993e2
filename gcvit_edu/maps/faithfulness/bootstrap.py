"""A mean with its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over scenes, with a 95 % bootstrap interval.

    Attributes:
        mean: the mean; NaN where there is no value.
        low: 2.5 % of the resampled means are below it.
        high: 2.5 % of them are above it.
        n: number of scenes.
    """

    mean: float
    low: float
    high: float
    n: int


def bootstrap(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of the values that are not NaN, and the percentile interval of 2000 resampled means (Efron 1979).

    The interval covers other scenes of the same kind. It does not cover other weights, trained from another seed.

    Args:
        values: one for each scene.
        seed: of the resampling.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan, 0)
    drawn = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.percentile(known[drawn].mean(1), [2.5, 97.5])
    return Estimate(float(known.mean()), float(low), float(high), len(known))
