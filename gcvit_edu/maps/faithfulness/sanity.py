"""Sanity tests of maps (after Adebayo et al. 2018): a map must change when the thing that it claims to show changes."""

from typing import Any

import torch
from torch import Tensor

from gcvit_edu.interventions import changed_query, shuffled
from gcvit_edu.maps.attention_map import attention_map
from gcvit_edu.maps.faithfulness.scores import rank_correlation
from gcvit_edu.model import GCViT

SANITY = ("random_weights", "shuffled_query", "others_query", "constant_image", "batch_mate")


def untrained(model: GCViT, seed: int = 0) -> GCViT:
    """A new network with the same config and freshly drawn weights; the global random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = GCViT(model.config)
    return fresh.to(next(model.parameters()).device).eval()


def sanity(
    model: GCViT, fresh: GCViT, image: Tensor, other: Tensor, options: dict[str, Any], seed: int
) -> dict[str, float]:
    """Rank correlation of an image's map with the map after a change, by the names of SANITY.

    random_weights: with untrained weights. Near 1, the map shows the architecture, not what was learnt.
    shuffled_query: the global query's cells change places in all stages. Near 1, the cells' order does not matter.
    others_query: the global query is another image's. Near 1, the content of the whole image does not matter.
    constant_image: all pixels get the image's mean colour. Near 1, the map shows places and edges, not contents.
    batch_mate: the other image is in the batch, and nothing else. This must be 1.

    NaN where one of the two maps is the same everywhere. A map of few tokens has few orders: the correlation of two
    unrelated maps is then often near 1, or near -1.

    Args:
        model: a GCViT in eval mode.
        fresh: the same with untrained weights, from untrained.
        image: (1, in_chans, H, W).
        other: another one.
        options: of attention_map; for a method that depends on a class, with its target, so that it stays the same.
        seed: of the shuffling.
    """

    def found(network: GCViT, batch: Tensor) -> Tensor:
        return attention_map(network, batch, **options).values[0]

    both = torch.cat([image, other])
    whole = found(model, image)
    maps = {"random_weights": found(fresh, image), "batch_mate": found(model, both)}
    with changed_query(model, lambda query: shuffled(query, seed)):
        maps["shuffled_query"] = found(model, image)
    with changed_query(model, lambda query: query.flip(0)):
        maps["others_query"] = found(model, both)
    maps["constant_image"] = found(model, image.mean((2, 3), keepdim=True).expand_as(image).contiguous())
    return {name: rank_correlation(whole, maps[name]) for name in SANITY}
