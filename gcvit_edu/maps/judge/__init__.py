"""How far maps can be trusted: curves, masks, sanity tests. python -m gcvit_edu.maps.judge --help."""

from gcvit_edu.maps.judge.baselines import centre_prior, contrast_map, random_map
from gcvit_edu.maps.judge.curves import area, blurred, brightest_first, deletion_and_insertion
from gcvit_edu.maps.judge.estimate import Estimate, bootstrap
from gcvit_edu.maps.judge.run import BASELINES, FIGURES, Scene, candidates, judge, single_scenes, summarise
from gcvit_edu.maps.judge.sanity_tests import SANITY, sanity, untrained
from gcvit_edu.maps.judge.scores import energy, pointing, rank_correlation

__all__ = [
    "BASELINES",
    "FIGURES",
    "SANITY",
    "Estimate",
    "Scene",
    "area",
    "blurred",
    "bootstrap",
    "brightest_first",
    "candidates",
    "centre_prior",
    "contrast_map",
    "deletion_and_insertion",
    "energy",
    "judge",
    "pointing",
    "random_map",
    "rank_correlation",
    "sanity",
    "single_scenes",
    "summarise",
    "untrained",
]
