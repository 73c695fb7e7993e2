"""Tests of how far to trust a map: curves, scores against masks, baselines, sanity tests, and means with intervals."""

from gcvit_edu.maps.faithfulness.baselines import centre_prior, contrast_map, random_map
from gcvit_edu.maps.faithfulness.bootstrap import Estimate, bootstrap
from gcvit_edu.maps.faithfulness.curves import area, blurred, brightest_first, deletion_and_insertion
from gcvit_edu.maps.faithfulness.sanity import SANITY, sanity, untrained
from gcvit_edu.maps.faithfulness.scores import energy, pointing, rank_correlation

__all__ = [
    "SANITY",
    "Estimate",
    "area",
    "blurred",
    "bootstrap",
    "brightest_first",
    "centre_prior",
    "contrast_map",
    "deletion_and_insertion",
    "energy",
    "pointing",
    "random_map",
    "rank_correlation",
    "sanity",
    "untrained",
]
