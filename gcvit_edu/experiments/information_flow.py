"""The reach of a place in a picture: how far its information travels in a network, and by which ways.

Exchange an emoji at one place of a picture, and measure how much the features at another place change after each
stage. Then block one of the ways of information between them, by freezing its outputs, and measure what is left.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from gcvit_edu.data import PairScenes, normalize
from gcvit_edu.interventions import frozen, recorded
from gcvit_edu.layers import SqueezeExcite
from gcvit_edu.model import GCViT

Way = Literal["query", "gates", "attention"]


def way(model: GCViT, name: Way) -> list[nn.Module]:
    """The modules of a way: those whose outputs carry information from place to place, besides the convolutions.

    Args:
        model: with global queries or without.
        name: "query", the global queries of all stages, with all that makes them; "gates", squeeze-and-excitation in
            the stem and between stages; "attention", what each block's attention adds, local or global.

    Raises:
        ValueError: for another name.
    """
    if name == "query":
        return [stage.query for stage in model.stages]
    if name == "gates":
        paths = [model.stem, *(stage.downsample for stage in model.stages)]
        return [part.fc2 for path in paths for part in path.modules() if isinstance(part, SqueezeExcite)]
    if name == "attention":
        return [block.attn for stage in model.stages for block in stage.blocks]
    raise ValueError(f"there is no way {name!r}; take 'query', 'gates' or 'attention'")


def features_at(maps: Sequence[Tensor], places: Tensor, size: int) -> list[Tensor]:
    """(B, H, W, C) for each stage, (B, P, 2) -> (B, P, C) for each stage: the tokens that hold some pixels.

    Args:
        maps: after each stage.
        places: row and column of P pixels for each picture.
        size: sides of the pictures.
    """
    found = []
    for values in maps:
        token = places * values.shape[1] // size
        number = torch.arange(len(values))[:, None]
        found.append(values[number, token[..., 0], token[..., 1]])
    return found


@torch.no_grad()
def changes(
    model: GCViT, before: Tensor, after: Tensor, places: Tensor, stops: Sequence[Sequence[Way]] = ((),)
) -> Tensor:
    """The changes of the features at some places from one picture to another, (stops, B, P, stages).

    The change is the length of the difference of the two tokens' features. Lengths of different stages, and of
    different networks, cannot be compared: set them beside another change of the same token.

    Args:
        model: in eval mode.
        before: (B, 3, size, size).
        after: the same shape.
        places: (B, P, 2), rows and columns of pixels.
        stops: for each result the ways that are stopped: their outputs for `after` are replaced by those for `before`.
            The open ways may compensate for the stopped ones, so the parts need not sum to the whole.
    """
    size, stages = before.shape[-1], list(model.stages)
    names = {name for stop in stops for name in stop}
    with recorded(stages) as maps, recorded([part for name in names for part in way(model, name)]) as outputs:
        model(before)
    old = features_at([maps[stage] for stage in stages], places, size)
    result = []
    for stop in stops:
        with ExitStack() as stack:
            stack.enter_context(frozen({part: outputs[part] for name in stop for part in way(model, name)}))
            maps = stack.enter_context(recorded(stages))
            model(after)
        new = features_at([maps[stage] for stage in stages], places, size)
        result.append(torch.stack([(a - b).norm(dim=-1) for a, b in zip(new, old, strict=True)], -1))
    return torch.stack(result)


@dataclass(frozen=True)
class Exchanges:
    """Pairs of pictures that differ in one of two emoji.

    Attributes:
        before: (4N, 3, size, size), normalised; the four pairs of each four of PairScenes stand together.
        after: the same with one emoji exchanged for one of another class.
        places: (4N, 2, 2), row and column of the middle of both emoji: first the one that stays, then the other.
    """

    before: Tensor
    after: Tensor
    places: Tensor


def exchanges(fours: int, *, distance: int, seed: int = 0, size: int = 64, side: int = 16) -> Exchanges:
    """Exchanges from PairScenes of held-out emoji: in each four, either emoji is exchanged beside two different others.

    Args:
        fours: how many fours of scenes.
        distance: from emoji to emoji, in pixels.
        seed: another seed, other scenes.
        size: sides of a scene, in pixels.
        side: sides of an emoji, in pixels.
    """
    scenes = PairScenes(4 * fours, distance=distance, split="test", seed=seed, size=size, side=side)
    pictures = [normalize(TF.to_pil_image(image)) for image, _ in scenes]
    before, after, places = [], [], []
    for four in range(fours):
        middles = torch.tensor(scenes.corners(4 * four)) + side // 2
        # A four shows (a, A), (b, B), (a, B), (b, A); either emoji is exchanged twice.
        for old, new, stays in ((0, 2, 0), (1, 3, 0), (0, 3, 1), (1, 2, 1)):
            before.append(pictures[4 * four + old])
            after.append(pictures[4 * four + new])
            places.append(middles if stays == 0 else middles.flip(0))
    return Exchanges(torch.cat(before), torch.cat(after), torch.stack(places))


def shares(model: GCViT, pairs: Exchanges, stops: Sequence[Sequence[Way]] = ((),)) -> Tensor:
    """The effect of the exchanged emoji on the token of the one that stays, (stops, N, stages).

    It is a share of the effect on the exchanged emoji's own token, with no way stopped. Both are means over the four
    exchanges of a four, in which each emoji is twice the one that stays and twice the one that is exchanged.

    Args:
        model: in eval mode.
        pairs: from exchanges.
        stops: as in changes.
    """
    found = changes(model, pairs.before, pairs.after, pairs.places, ((), *stops))
    found = found.view(len(found), -1, 4, *found.shape[2:]).mean(2)  # (1 + stops, N, 2, stages)
    return found[1:, :, 0] / found[0, :, 1]
